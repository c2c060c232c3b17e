"""The server's bounds, over real sockets: what a client may hold, and that others are served beside it."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest
import uvicorn

from fraud.http.server import Bounds, bounded

ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
SHORT = Bounds(head_s=1.0, body_s=1.0, answer_s=1.0, idle_s=3.0)
LARGE = 20_000_000


async def app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Echo how long the body is; ``/large`` is a large answer, ``/early`` one before the body."""
    length, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b" " * LARGE if scope["path"] == "/large" else str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Server:
    def __init__(self, port: int, server: uvicorn.Server) -> None:
        self.port, self.server = port, server

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20.0, (source, 0))

    def ask(self, source: str = "127.0.0.1") -> int:
        with self.connect(source) as client:
            client.sendall(ASK)
            return status(client)


@contextmanager
def serving(bounds: Bounds) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=bounded(bounds),
        lifespan="off",
        log_level="critical",
        timeout_keep_alive=1,  # the bounds count, whatever uvicorn is told
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Server(listener.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(20.0)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(SHORT) as running:
        yield running


def status(client: socket.socket) -> int:
    """Status of the next answer; 0: closed without one."""
    with suppress(ConnectionError):
        head = client.recv(65_536)
        return int(head[9:12]) if head else 0
    return 0


def is_closed(client: socket.socket) -> bool:
    """Read until the end, which must come."""
    with suppress(ConnectionError):
        while client.recv(65_536):
            pass
    return True


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 20.0
    while not is_so():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"", 0),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", 408),
        (b"\r\n\r\n", 0),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345", 408),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n", 408),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_a_request_that_never_becomes_whole_is_ended(server: Server, sent: bytes, found: int) -> None:
    with server.connect() as client:
        client.sendall(sent)
        assert status(client) == found
        assert is_closed(client)


def test_a_body_that_comes_byte_by_byte_has_no_more_time(server: Server) -> None:
    for path in (b"/", b"/early"):
        started = time.monotonic()
        with server.connect() as client, suppress(ConnectionError):
            client.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
            while time.monotonic() < started + 20.0:
                client.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() < started + 15.0


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nx: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + b"x: y\r\n" * 200 + b"\r\n",
    ],
    ids=["long", "many", "path", "trailers"],
)
def test_a_head_that_is_too_long_is_refused(server: Server, head: bytes) -> None:
    with server.connect() as client:
        client.sendall(head)
        assert status(client) == 431
        assert is_closed(client)


def test_a_header_without_an_end_is_cut_early(server: Server) -> None:
    sent = 0
    with server.connect() as client, suppress(ConnectionError):
        client.sendall(b"GET / HTTP/1.1\r\nx: ")
        while sent < 97_000_000:
            sent += client.send(b"x" * 65_536)
    assert sent < 20_000_000  # what the kernel's buffers take


def test_a_request_without_an_end_is_cut() -> None:
    with serving(Bounds(message_bytes=200_000)) as server, server.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            for _ in range(100):
                client.sendall(b"1000\r\n" + b"x" * 4_096 + b"\r\n")
        assert status(client) in {413, 0}
        assert is_closed(client)


def test_many_requests_ahead_of_their_answers_are_refused(server: Server) -> None:
    with server.connect() as client:
        client.sendall(ASK * 2_000)
        found = b""
        with suppress(ConnectionError):
            while part := client.recv(65_536):
                found += part
    assert found.count(b"HTTP/1.1") < 2_000


def test_who_does_not_take_its_answer_is_ended(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(10)
        before = server.connections
        wait_until(lambda: server.connections < before, "the connection is ended")
        found = 0
        with suppress(ConnectionError):
            while part := client.recv(1_000_000):
                found += len(part)
        assert found < LARGE


def test_of_all_that_is_being_sent_the_most_goes_and_small_requests_are_served() -> None:
    """The bodies come in 30 s and are each as large as one may be: together they would fill the memory."""
    large = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 400000\r\n\r\n" + b"x" * 390_000
    with serving(Bounds(message_bytes=410_000, held_bytes=1_000_000)) as server, ExitStack() as held:
        clients = [held.enter_context(server.connect()) for _ in range(6)]
        for client in clients:
            client.sendall(large)
        wait_until(lambda: len(select.select(clients, [], [], 0.0)[0]) >= 4, "four of them have ended")
        wait_until(lambda: server.connections == 2, "two of them are left")
        ended = select.select(clients, [], [], 0.0)[0]
        assert len(ended) == 4
        assert {status(client) for client in ended} <= {429, 0}
        assert server.ask() == 200
        for client in set(clients) - set(ended):
            client.sendall(b"x" * 10_000)
            assert status(client) == 200, "who is within the bound goes on"


def test_what_was_answered_holds_no_bytes() -> None:
    body = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 90000\r\n\r\n" + b"x" * 90_000
    with serving(Bounds(held_bytes=100_000)) as server, server.connect() as client:
        for _ in range(5):
            client.sendall(body)
            assert status(client) == 200


def test_an_idle_connection_is_kept_for_the_next_request(server: Server) -> None:
    with server.connect() as client:
        client.sendall(ASK)
        assert status(client) == 200
        time.sleep(SHORT.head_s + 0.7)  # longer than a first request may take, shorter than a next one may
        client.sendall(ASK)
        assert status(client) == 200
        assert is_closed(client)


def test_a_websocket_is_answered_as_the_plain_request_that_it_is(server: Server) -> None:
    with server.connect() as client:
        upgrade = b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n"
        client.sendall(ASK[:-2] + upgrade + b"sec-websocket-version: 13\r\n\r\n")
        assert status(client) == 200


def test_beside_one_address_s_many_connections_others_are_served_and_so_is_it() -> None:
    with serving(Bounds(connections=60, connections_of_one=40)) as server:
        held = [server.connect("127.0.0.2") for _ in range(100)]
        assert server.ask("127.0.0.1") == 200
        assert server.ask("127.0.0.2") == 200
        wait_until(lambda: server.connections <= 40, "the oldest have gone")
        held += [server.connect(f"127.0.0.{at}") for at in range(3, 9) for _ in range(39)]
        assert server.ask("127.0.0.1") == 200
        wait_until(lambda: server.connections <= 60, "there are no more than may be")
        for client in held:
            client.close()


def test_a_connection_at_work_does_not_give_way() -> None:
    with serving(Bounds(connections_of_one=2)) as server:
        kept = server.connect()
        kept.sendall(ASK)
        assert status(kept) == 200
        late = [server.connect() for _ in range(5)]
        kept.sendall(ASK)
        assert status(kept) == 200, "those that never asked went first"
        for client in [kept, *late]:
            client.close()


def test_an_old_connection_is_ended_by_an_answer_and_a_client_loses_no_request_to_it() -> None:
    """So that the client's next connection may reach a replica that is new."""
    with serving(Bounds(connection_s=0.5)) as server, httpx.Client(trust_env=False) as client:
        ends, kept, since = 0, 0, time.monotonic()
        while ends < 3:
            answer = client.post(f"http://127.0.0.1:{server.port}/", content=b"abc")
            assert (answer.status_code, answer.text) == (200, "3")
            if answer.headers.get("connection") == "close":
                assert time.monotonic() - since > 0.5
                ends, since = ends + 1, time.monotonic()
            else:
                kept += 1
            assert time.monotonic() - since < 20.0
        assert kept > 3
