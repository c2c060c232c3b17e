"""How much several primaries take: `uv run python -m tests.load.shards`.

Two measurements, of states of 3,000 bytes, ``appendfsync always`` unless ``--appendfsync`` says otherwise:

- *States*: the stream's writes and reads in groups of 500. Requests are packed once and sent repeatedly,
  so that the servers, each pinned to a core, are what is busy.
- *Commits*: two clients count transactions of a user and a merchant as the scoring service does.

Processor time of each process is printed; from it follows, apart from what was measured, the rate at which
the busiest server's one thread would be full. ``--cluster`` adds the first one over two nodes of a Redis
Cluster.
"""

import argparse
import itertools
import multiprocessing
import os
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from redis.connection import Connection
from rich.console import Console
from rich.table import Table

from fraud.store import Answer, Change, Epoch, open_store
from fraud.store.redis.scripts import WRITE
from fraud.store.ring import place_of_key
from fraud.store.value import header_of, version_of
from fraud.tools.bench.machine import describe_machine
from tests.fraud.store.conftest import RedisServer, run_redis, shards_url, wait_until

STATE = struct.pack("<3d", 0.0, 5.0, 1.0) + b"\0" * 2_976
STATES, GROUP, BUCKETS = 20_000, 500, 64
ENTITIES = ("user", "merchant")
CLIENTS = 2
EPOCH = Epoch(1, 1)
Act = Callable[[float], Iterator[int]]
"""Yields once when it is ready, then runs so many seconds and yields how much was done."""


@dataclass
class Found:
    """One measurement."""

    what: str
    rate: float
    client: float
    """Cores that the clients took."""
    servers: list[float]
    """Cores that each server took."""

    @property
    def full_at(self) -> float:
        """Rate at which the busiest server would take a whole core."""
        return self.rate / max(self.servers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--primaries", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--appendfsync", default="always", choices=["always", "everysec", "no"])
    parser.add_argument("--cluster", action="store_true")
    of = parser.parse_args()
    options = ("--appendonly", "yes", "--appendfsync", of.appendfsync)
    table = Table("measured", "rate/s", "clients, cores", "servers, cores", "computed: full at, /s")
    for size in of.primaries:
        with servers_of(size, options) as servers:
            prefix = uuid.uuid4().hex
            url = shards_url(servers, prefix=uuid.uuid4().hex)
            for name, act in states_of(servers, _groups(size, prefix)).items():
                add(table, measure(f"{size}: states {name}", servers, act, of.seconds))
            add(
                table,
                measure(f"{size}: commits", servers, partial(commits, url), of.seconds),
            )
    if of.cluster:
        with servers_of(2, (*options, "--cluster-enabled", "yes"), has_port=True) as servers:
            tags = as_cluster(servers)
            for name, act in states_of(servers, _buckets(tags)).items():
                add(table, measure(f"cluster of 2: states {name}", servers, act, of.seconds))
    console = Console(width=140)
    console.print(table)
    console.print(f"{describe_machine()}; appendfsync {of.appendfsync}; load {os.getloadavg()[0]:.1f}")


@contextmanager
def servers_of(size: int, options: Sequence[str], *, has_port: bool = False) -> Iterator[list[RedisServer]]:
    """Start servers, each pinned to a core; nodes of a cluster must have a port."""
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        ports = [("--port", str(_free_port())) if has_port else () for _ in range(size)]
        servers = [stack.enter_context(run_redis(*options, *port)) for port in ports]
        for at, server in enumerate(servers):
            assert server.process is not None
            for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {cores[at % len(cores)]})
        yield servers


def measure(what: str, servers: Sequence[RedisServer], act: Act, seconds: float) -> Found:
    """Let an act prepare itself, then run, and see what it took."""
    running = act(seconds)
    next(running)
    before, own, began = [_cpu(server) for server in servers], sum(os.times()[:4]), time.monotonic()
    done = next(running)
    took = time.monotonic() - began
    used = [(_cpu(server) - earlier) / took for server, earlier in zip(servers, before, strict=True)]
    return Found(what, done / took, (sum(os.times()[:4]) - own) / took, used)


def add(table: Table, found: Found) -> None:
    """Show one measurement."""
    servers = " + ".join(f"{cores:.2f}" for cores in found.servers)
    table.add_row(found.what, f"{found.rate:,.0f}", f"{found.client:.2f}", servers, f"{found.full_at:,.0f}")


def states_of(servers: Sequence[RedisServer], parts: list[list[tuple[str, list[int]]]]) -> dict[str, Act]:
    """Acts that write and read all states: by server, groups of keys under a prefix."""
    writes, reads = [], []
    for groups in parts:
        writes.append([(_pack(*_write(prefix, keys)), len(keys)) for prefix, keys in groups])
        reads.append(
            [(_pack("MGET", f"{prefix}:term", *_names(prefix, keys)), len(keys)) for prefix, keys in groups]
        )
    for server, groups in zip(servers, parts, strict=True):
        with server.client() as client:
            for prefix in {prefix for prefix, _ in groups}:
                client.hset(f"{prefix}:meta", "token", 1)
    _send(
        servers,
        [[(_pack(*_write(*one, Epoch(1, 0))), len(one[1])) for one in groups] for groups in parts],
        0.0,
    )
    return {
        "written": partial(_sending, servers, writes),
        "read": partial(_sending, servers, reads),
    }


def commits(url: str, seconds: float) -> Iterator[int]:
    """Commit in several processes; yields how many counted."""
    spawn = multiprocessing.get_context("fork")
    counted, ready = spawn.Queue(), spawn.Barrier(CLIENTS + 1)
    clients = [
        spawn.Process(target=_commit, args=(url, at, seconds, (ready, counted))) for at in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    ready.wait(60.0)
    yield 0
    ready.wait(60.0)
    total = sum(counted.get(timeout=60.0 + seconds) for _ in clients)
    for client in clients:
        client.join()
    yield total


def as_cluster(servers: Sequence[RedisServer]) -> list[list[str]]:
    """Give each node its share of the slots; returns tags that lie in them."""
    found: list[list[str]] = [[] for _ in servers]
    each = 16_384 // len(servers)
    for at, server in enumerate(servers):
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", at * each, (at + 1) * each - 1)
            client.config_set("cluster-require-full-coverage", "no")
            found[at] = [
                f"{{b{tag}}}"
                for tag in range(4 * BUCKETS)
                if client.execute_command("CLUSTER", "KEYSLOT", f"b{tag}") // each == at
            ][: BUCKETS // len(servers)]
    for server in servers:
        with server.client() as client:
            wait_until(partial(_is_up, client), "the cluster's node takes requests")
    return found


def _is_up(client: Any) -> bool:
    found: dict[str, str] = client.execute_command("CLUSTER INFO")
    return found["cluster_state"] == "ok"


def _groups(size: int, prefix: str) -> list[list[tuple[str, list[int]]]]:
    parts: list[list[int]] = [[] for _ in range(size)]
    for key in range(1, STATES + 1):
        parts[place_of_key(float(key), size)].append(key)
    return [[(prefix, part[at : at + GROUP]) for at in range(0, len(part), GROUP)] for part in parts]


def _buckets(tags: list[list[str]]) -> list[list[tuple[str, list[int]]]]:
    count = sum(map(len, tags))
    names = [tag for own in tags for tag in own]
    keys = {name: list(range(at + 1, STATES + 1, count)) for at, name in enumerate(names)}
    return [[(tag, keys[tag]) for tag in own] for own in tags]


def _names(prefix: str, keys: Sequence[int]) -> list[str]:
    return [f"{prefix}:user:{key}" for key in keys]


def _write(prefix: str, keys: Sequence[int], epoch: Epoch = EPOCH) -> list[Any]:
    names = [f"{prefix}:meta", f"{prefix}:newest:user", *_names(prefix, keys)]
    arguments: list[Any] = [1, header_of(epoch, 0)[:8]]
    for key in keys:
        arguments += (key, "5.0", STATE)
    return ["EVAL", WRITE, len(names), *names, *arguments, ""]


def _pack(*command: Any) -> bytes:
    return b"".join(Connection().pack_command(*command))  # type: ignore[no-untyped-call]


def _sending(
    servers: Sequence[RedisServer], parts: list[list[tuple[bytes, int]]], seconds: float
) -> Iterator[int]:
    _send(servers, parts, 0.0)
    yield 0
    yield _send(servers, parts, time.monotonic() + seconds)


def _send(servers: Sequence[RedisServer], parts: list[list[tuple[bytes, int]]], until: float) -> int:
    """Send packed requests to each server in a thread of its own, one after the other's answer."""
    done = [0] * len(servers)

    def run(at: int) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(servers[at].socket))
            while not done[at] or time.monotonic() < until:  # all of them at least once
                for request, count in parts[at]:
                    connection.sendall(request)
                    _receive(connection, count)
                    done[at] += count

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(servers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done)


def _receive(connection: socket.socket, count: int) -> None:
    """Read an answer whole: `ok` and a number, or a list of the states and the term."""
    buffer = connection.recv(1 << 20)
    assert not buffer.startswith(b"-"), buffer[:300]
    if buffer.startswith(b"*2\r\n"):
        assert b"ok" in buffer, buffer[:300]
        return
    # The term is missing, and all values have one length, which the first one tells.
    head = f"*{count + 1}\r\n$-1\r\n$".encode()
    length = buffer[len(head) : buffer.index(b"\r\n", len(head))]
    size = len(head) - 1 + count * (len(length) + int(length) + 5)
    seen = len(buffer)
    while seen < size:
        seen += len(connection.recv(1 << 20))


def _commit(url: str, at: int, seconds: float, to: tuple[Any, Any]) -> None:
    ready, counted = to
    with open_store(url, ENTITIES) as store:
        answers, identity = store.answers(), store.identity()
        answer = Answer(b"f" * 16, b"b" * 300, b"r" * 3_000)
        done, first = 0, time.time_ns() // 1_000
        ready.wait(60.0)
        ready.wait(60.0)
        until = time.monotonic() + seconds
        for number in itertools.count():
            if time.monotonic() > until:
                break
            keys = {"user": float(first + number * 7_919), "merchant": float(first // 3 + number * 104_729)}
            name = f"{at}-{first}-{number}"
            found = answers.look(name, tuple(keys.items()))
            changes = [Change(*one, STATE, version_of(was)) for one, was in found.stored.items()]
            done += answers.commit(name, answer, changes, identity)
    counted.put(done)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port if port < 55_000 else _free_port()  # the cluster's bus takes 10,000 more


def _cpu(server: RedisServer) -> float:
    with server.client() as client:
        found: Any = client.info("cpu")
    return float(found["used_cpu_user"] + found["used_cpu_sys"])


if __name__ == "__main__":
    main()
