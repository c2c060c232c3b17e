"""uvicorn's HTTP protocol with limits on what a client may use before its key is checked.

Bounded are the head of a request (bytes, fields), the time for it and for its body, the bytes of a request,
the bytes of all requests, the requests sent ahead of their answers, the time in which an answer is taken,
and connections: in all and by client address. Where there are too many connections, a new one takes the
place of one that waits for its client, of the address that has most; first go those that never sent a whole
request. Where all requests have too many bytes, the one that has sent most is ended. So clients are served
beside others who only hold connections. For ``uvicorn.Config(app, http=bounded(Bounds(...)))``.
"""

import asyncio
import math
import resource
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from typing import Any, ClassVar, Final

from prometheus_client import Counter, Gauge
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTIONS: Final = Gauge("fraud_http_connections", "Open connections of clients.")
REFUSED: Final = Counter(
    "fraud_http_refused_total", "Requests and connections that were closed because of a limit.", ["reason"]
)
SWEEP_S: Final = 0.5
"""How often deadlines are looked at."""
OTHER_FILES: Final = 200
"""Files that a server may have open beside its connections."""
AHEAD: Final = 16
"""Requests that a client may send on one connection before the first is answered."""
_TYPE: Final = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server holds at most."""

    connections: int = 1_000
    """Open at a time."""
    connections_of_one: int = 250
    """Of them, by one client address."""
    head_bytes: int = 32_768
    """Of the request line and all header fields."""
    head_fields: int = 100
    """Header fields."""
    message_bytes: int = 2_100_000
    """Of one request with its framing."""
    held_bytes: int = 256_000_000
    """Of all requests that have no answer yet; beyond, the one that has sent most is ended."""
    head_s: float = 10.0
    """From a connection, or a request's first byte, to the end of its head."""
    body_s: float = 30.0
    """From the head to the end of the body."""
    answer_s: float = 30.0
    """In which a client must take its answer."""
    idle_s: float = 75.0
    """Between two requests."""
    connection_s: float = 60.0
    """Of one connection; then an answer ends it, and the client's next one may reach a new replica."""


class Reading(Enum):
    """What is read of a connection."""

    NOTHING = "between two requests"
    HEAD = "head"
    BODY = "body"


class Gate:
    """The connections of one server.

    Parameters
    ----------
    bounds
        How many there may be, and how long they may take.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._by_address: dict[str, dict[BoundedHttp, None]] = {}
        """Oldest first."""
        self._count = 0
        self._held = 0
        """Bytes of all requests that have no answer yet."""
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, connection: "BoundedHttp") -> bool:
        """Take a connection in; another one may have to go. False where all are at work."""
        own = self._by_address.setdefault(connection.address, {})
        if len(own) >= self.bounds.connections_of_one:
            is_room = _end_one(own)
        elif self._count >= self.bounds.connections:
            is_room = _end_one(max(self._by_address.values(), key=len))
        else:
            is_room = True
        if is_room:
            own[connection] = None
            self._count += 1
            CONNECTIONS.set(self._count)
            self._watch(connection.loop)
        elif not own:
            del self._by_address[connection.address]
        return is_room

    def hold(self, connection: "BoundedHttp", size: int) -> None:
        """Count what a client has sent; where all have sent too much, who has sent most has to go."""
        connection.held += size
        self._held += size
        if self._held > self.bounds.held_bytes:
            alive = (one for own in self._by_address.values() for one in own if one.is_sending)
            most = max(alive, key=lambda one: one.held, default=None)
            if most is not None:
                most.make_room()

    def release(self, connection: "BoundedHttp") -> None:
        """Forget what a client has sent: it has its answer, or none comes."""
        self._held -= connection.held
        connection.held = 0

    def forget(self, connection: "BoundedHttp") -> None:
        """Let a connection go that has ended."""
        self.release(connection)
        own = self._by_address.get(connection.address, {})
        if connection in own:
            del own[connection]
            self._count -= 1
            CONNECTIONS.set(self._count)
            if not own:
                del self._by_address[connection.address]

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is late; continues while there are connections."""
        self._timer = None
        now = loop.time()
        for own in list(self._by_address.values()):
            for connection in list(own):
                connection.look(now)
        if self._count:
            self._watch(loop)


class BoundedHttp(HttpToolsProtocol):
    """One connection; its server's class has the gate."""

    gate: ClassVar[Gate]

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.address = ""
        self.has_asked = False
        """Whether a whole request has arrived."""
        self.held = 0
        """Bytes that it has sent of requests that have no answer yet."""
        self._bounds = self.gate.bounds
        self.timeout_keep_alive = math.ceil(self._bounds.idle_s)  # uvicorn's own timer; by default 5 s
        self._is_admitted = False
        self._reading = Reading.NOTHING
        self._opened = self.since = self.loop.time()
        """When what is read began."""
        self._head_bytes = self._head_fields = self._field_bytes = self._message_bytes = 0
        self._stuck_since: float | None = None
        self._refusal: tuple[int, str, str] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the client, and nothing is being worked on."""
        return self._reading is Reading.BODY or self.cycle is None or self.cycle.response_complete

    @property
    def is_sending(self) -> bool:
        """Whether its request is not whole yet."""
        return self._reading is Reading.BODY and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client in, or tell it that there is no place."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._is_admitted = self.gate.admit(self)
        if not self._is_admitted:
            self._end(429, "connections", "too many connections; close some, or come back later")

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        super().connection_lost(exc)
        self.gate.forget(self)

    def data_received(self, data: bytes) -> None:
        """Read on, within the bounds."""
        if self.transport.is_closing() or self.parser is None:
            return
        self._message_bytes += len(data)
        if self._reading is not Reading.BODY:
            self._head_bytes += len(data)
        if self._message_bytes > self._bounds.message_bytes:
            self._end(413, "message", f"a request may have {self._bounds.message_bytes:,} bytes at most")
            return
        self.gate.hold(self, len(data))
        if self.transport.is_closing():
            return
        super().data_received(data)
        # A field that goes on and on is not counted by the parser's calls before it ends.
        if self._reading is not Reading.BODY and self._head_bytes > self._bounds.head_bytes:
            self._end(*self._long_head())

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._reading, self.since = Reading.HEAD, self.loop.time()
        self._head_fields, self._field_bytes = 0, 0

    def on_url(self, url: bytes) -> None:
        """Read the path."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a field of the head, or after a body."""
        self._head_fields += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        if len(self.pipeline) >= AHEAD:
            self._refuse(
                429, "ahead", f"{AHEAD} requests are unanswered on this connection; read the answers first"
            )
        is_alone = self.cycle is None or self.cycle.response_complete
        super().on_headers_complete()
        self._reading, self.since = Reading.BODY, self.loop.time()
        if is_alone and self.since - self._opened > self._bounds.connection_s:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self.has_asked = True
        self._reading, self.since = Reading.NOTHING, self.loop.time()
        self._head_bytes = self._message_bytes = 0

    def on_response_complete(self) -> None:
        """Count the time until the next request from here."""
        super().on_response_complete()
        self.gate.release(self)
        if self._reading is not Reading.BODY:
            self.since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Tell what is wrong with a request that cannot be read."""
        status, reason, said = self._refusal or (400, "invalid", msg)
        self._end(status, reason, said)

    def _should_upgrade_to_ws(self) -> bool:
        return False  # no service speaks WebSocket; the request is answered as the plain HTTP that it also is

    def _unsupported_upgrade_warning(self) -> None:
        """Write no line for each of them."""

    def look(self, now: float) -> None:
        """End the connection where the client is late."""
        if self.transport.get_write_buffer_size():
            self._stuck_since = self._stuck_since or now
            if now - self._stuck_since > self._bounds.answer_s:
                REFUSED.labels("answer").inc()
                self.transport.abort()
            return
        self._stuck_since = None
        bounds, late_s = self._bounds, now - self.since
        if self.transport.is_closing() or self.pipeline or not self.is_waiting:
            return
        if self._reading is Reading.BODY:
            if late_s > bounds.body_s:
                self._end(408, "body", f"the body did not come within {bounds.body_s:g} s")
        elif self._reading is Reading.HEAD:
            if late_s > bounds.head_s:
                self._end(
                    408, "head", f"the request line and header fields did not come within {bounds.head_s:g} s"
                )
        elif late_s > (bounds.idle_s if self.has_asked else bounds.head_s):
            self.transport.close()

    def make_room(self) -> None:
        """End for the sake of others' requests."""
        self.gate.release(self)
        self._end(429, "bytes", "too many bytes are being read; send less at a time, or try again")

    def give_way(self) -> None:
        """End for another connection's sake."""
        REFUSED.labels("place").inc()
        self.gate.forget(self)
        self.transport.abort()

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > self._bounds.head_bytes or self._head_fields > self._bounds.head_fields:
            self._refuse(*self._long_head())

    def _long_head(self) -> tuple[int, str, str]:
        bounds = self._bounds
        return (
            431,
            "head",
            f"a head may have {bounds.head_bytes:,} bytes and {bounds.head_fields} fields at most",
        )

    def _refuse(self, status: int, reason: str, said: str) -> None:
        """Stop the parser, whose caller answers."""
        self._refusal = status, reason, said
        raise ValueError(said)

    def _end(self, status: int, reason: str, said: str) -> None:
        """Answer, unless this request has its answer or another's is being written, and close."""
        REFUSED.labels(reason).inc()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        is_free = cycle is None or cycle.response_complete
        if self._reading is Reading.BODY:
            is_free = not cycle.response_started
        if is_free:
            self.transport.write(_problem(status, said))
        self.transport.close()


def bounded(bounds: Bounds) -> type[BoundedHttp]:
    """Make the class of one server's connections, which ``uvicorn.Config(http=...)`` takes.

    There are fewer connections where the process may open fewer files.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    class Bounded(BoundedHttp):
        gate = Gate(replace(bounds, connections=max(16, min(bounds.connections, files - OTHER_FILES))))

    return Bounded


def _end_one(connections: dict[BoundedHttp, None]) -> bool:
    """End one that waits for its client: the oldest that never asked for anything, or the longest idle."""
    found = next((one for one in connections if one.is_waiting and not one.has_asked), None)
    if found is None:
        found = min((one for one in connections if one.is_waiting), key=lambda one: one.since, default=None)
    if found is not None:
        found.give_way()
    return found is not None


def _problem(status: int, said: str) -> bytes:
    title = HTTPStatus(status).phrase
    body = f'{{"type":"about:blank","title":"{title}","status":{status},"detail":"{said}"}}'.encode()
    head = f"HTTP/1.1 {status} {title}\r\ncontent-type: {_TYPE.decode()}\r\ncontent-length: {len(body)}\r\n"
    again = "retry-after: 1\r\n" if status == 429 else ""
    return (head + again + "connection: close\r\n\r\n").encode() + body
