"""Hostile clients beside honest ones: ``uv run python -m tests.load.hostile --minutes 10``.

Starts the scoring service on a home of its own, with a model in its own registry (without a broker unless
``--kafka`` names one: decisions wait in the outbox). Honest clients send transactions at a set rate, at
first alone, then beside every kind of hostile client at once; each kind comes from an address of its own.
Prints the honest p50 and p99 of both, the answers by status, and the server's memory of its own. Exits with 1
where there was a 5xx, an honest request without an answer, or more memory than ``--most-mib``.
"""

import argparse
import asyncio
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import psutil

from fraud.tools.bench.load import Loaded, Plan
from tests.services.predictor.conftest import Registry, make_model
from tests.services.scoring.samples import TRANSACTION

START_S: Final = 600.0
"""How long the service may take to start, seconds: a kernel may have to be compiled."""
PIECE: Final = b"x" * 65_536
HEAD: Final = b"POST /v1/score/batch HTTP/1.1\r\nhost: x\r\n"
WRONG: Final = orjson.dumps({"transactions": [{f"field {at}": 1 for at in range(32)}] * 480})
BRACKETS: Final = b'{"transactions":[' + b",".join([b"[]"] * 300_000) + b"]}"
BOMB: Final = gzip.compress(b" " * 50_000_000)
ALONE: Final = 0.25
"""Of the time, in which the honest clients are alone."""
Answers = Counter[str]


class Hostile:
    """One kind of client, from one address.

    Parameters
    ----------
    port
        Of the service.
    source
        Address that it comes from.
    answers
        Counts what it is answered, by status; ``0``: closed without an answer.
    """

    def __init__(self, port: int, source: str, answers: Answers) -> None:
        self._port, self._source, self._answers = port, source, answers

    async def send(self, *parts: bytes, hold: bool = True) -> None:
        """Connect, send, and wait for an answer or the end."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(self._source, 0), limit=1_000_000
        )
        head = b""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            for part in parts:
                writer.write(part)
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n") if hold else b""
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
        self._answers[head[9:12].decode() or "0"] += 1
        writer.close()

    async def half_body(self) -> None:
        """Announce a body, send half of it."""
        await self.send(HEAD + b"content-length: 100000\r\n\r\n" + b"x" * 50_000)

    async def endless_header(self) -> None:
        """Send one header of 97 MB."""
        await self.send(HEAD + b"x: ", *[PIECE] * 1_500)

    async def many_headers(self) -> None:
        """Send 1.2 million headers."""
        await self.send(HEAD, *[b"a: b\r\n" * 10_000] * 120)

    async def silent(self) -> None:
        """Connect, and say nothing."""
        await self.send(b"")

    async def wrong_batch(self) -> None:
        """Send 480 transactions of fields that there are not."""
        await self.send(_post("/v1/score/batch", WRONG))

    async def brackets(self) -> None:
        """Send 300,000 empty lists."""
        await self.send(_post("/v1/score/batch", BRACKETS))
        await asyncio.sleep(0.1)

    async def deep(self) -> None:
        """Send JSON that is nested 260 to 1,000 deep."""
        for depth in (260, 1_000):
            nested = b"[" * depth + b"]" * depth
            await self.send(_post("/v1/score/batch", b'{"transactions":[' + nested + b"]}"))
            await self.send(_post("/v1/models/fraud:predict", b'{"instances":[' + nested + b"]}"))
        await asyncio.sleep(0.1)

    async def bomb(self) -> None:
        """Send gzip that unpacks to 50 MB."""
        await self.send(_post("/v1/score/batch", BOMB, "content-encoding: gzip\r\n"))
        await asyncio.sleep(0.1)

    async def websocket(self) -> None:
        """Ask for a WebSocket."""
        upgrade = b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n"
        await self.send(
            b"GET /v1/score HTTP/1.1\r\nhost: x\r\n" + upgrade + b"sec-websocket-version: 13\r\n\r\n"
        )
        await asyncio.sleep(0.1)

    async def slow_reader(self) -> None:
        """Ask for much, and take none of it."""
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(self._source, 0), limit=1
        )
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with suppress(ConnectionError):
            for _ in range(12):
                writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(30.0)
        writer.close()

    async def events(self) -> None:
        """Follow the console's events, and take none."""
        await self.send(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")


def _post(path: str, body: bytes, more: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{more}content-length: {len(body)}\r\n\r\n".encode() + body


KINDS: Final[dict[str, int]] = {
    "half_body": 200,
    "endless_header": 2,
    "many_headers": 2,
    "silent": 600,
    "wrong_batch": 4,
    "brackets": 2,
    "deep": 2,
    "bomb": 2,
    "websocket": 1,
    "slow_reader": 50,
}
"""How many clients there are of each kind."""


async def attack(port: int, seconds: float, kinds: dict[str, int], answers: dict[str, Answers]) -> None:
    """Let all kinds loose for a time; who is thrown out comes again."""
    until = time.monotonic() + seconds
    clients = []
    for number, (kind, count) in enumerate(kinds.items()):
        hostile = Hostile(port, f"127.0.1.{number + 1}", answers.setdefault(kind, Counter()))
        clients += [_again(getattr(hostile, kind), until) for _ in range(count)]
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*clients), seconds)


async def _again(once: Callable[[], Awaitable[None]], until: float) -> None:
    while time.monotonic() < until:
        with suppress(OSError):
            await once()
        await asyncio.sleep(0.05)


class Memory:
    """Follows the memory that is the server's own: not the store's file, which is mapped."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self.most = process, 0.0

    async def follow(self) -> None:
        """Look four times a second."""
        while True:
            self.most = max(self.most, self.now())
            await asyncio.sleep(0.25)

    def now(self) -> float:
        """MiB."""
        found: Any = self._process.memory_info()
        return float(found.rss - found.shared) / 2**20


def start(home: Path, kafka: str, port: int, **more: str) -> "subprocess.Popen[bytes]":
    """Start the service with a model, and further settings."""
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}")
    registry.register(make_model(3))
    environment = {
        "FRAUD_SCORING_PORT": str(port),
        "FRAUD_SCORING_STORE_URL": f"lmdb://{home / 'store'}",
        "FRAUD_SCORING_KAFKA_BOOTSTRAP": kafka,
        "FRAUD_SCORING_MLFLOW_URI": registry.uri,
        **more,
    }
    with (home / "scoring.log").open("wb") as log:
        command = [sys.executable, "-m", "services.scoring.main"]
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(port: int, process: "subprocess.Popen[bytes]", home: Path) -> None:
    """Wait until the service answers with its model."""
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/v2/models/fraud/ready", trust_env=False).is_success:
                return
        time.sleep(0.2)
    sys.exit(f"the service did not start; see {home / 'scoring.log'}")


def write_bodies(file: Path, count: int) -> None:
    """Write honest transactions of 500 cardholders."""
    lines = [
        orjson.dumps(
            {
                **TRANSACTION,
                "transaction_id": f"t-{at}",
                "user_id": f"u-{at % 500}",
                "merchant_id": f"m-{at % 97}",
            }
        )
        for at in range(count)
    ]
    file.write_bytes(b"\n".join(lines))


async def honest(plan: Plan) -> Loaded:
    """Send the honest load from a process of its own."""
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fraud.tools.bench.load", json.dumps(asdict(plan)), stdout=subprocess.PIPE
    )
    written, _ = await made.communicate()
    return Loaded(**json.loads(written))


def said(name: str, loaded: Loaded) -> str:
    """Write one line."""
    statuses = " ".join(f"{status}: {count}" for status, count in sorted(loaded.statuses.items()) if count)
    return (
        f"honest clients {name}: {loaded.sent} sent, p50 {loaded.p50_ms:.1f} ms, p99 {loaded.p99_ms:.1f} ms, "
        f"p99.9 {loaded.p999_ms:.1f} ms; {statuses}"
    )


def failures(port: int) -> int:
    """Count the server's own 5xx; 503 is one, too: nothing is unavailable that it needs."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30.0).text
    lines = [line for line in text.splitlines() if line.startswith("fraud_scoring_requests_total{")]
    return round(sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'status="5' in line))


async def run(given: argparse.Namespace, home: Path, port: int, process: psutil.Process) -> int:
    """Run both parts and print; returns the exit status."""
    bodies, seconds = home / "transactions.jsonl", given.minutes * 60.0
    write_bodies(bodies, int(given.rate * seconds) + 2_000)
    memory, answers = Memory(process), dict[str, Answers]()
    at_start = failures(port)  # its probes said 503 while the model was loaded
    first = int(given.rate * 3.0)
    await honest(Plan("127.0.0.1", port, "/v1/score", str(bodies), 0, given.rate, 3.0))
    alone = Plan("127.0.0.1", port, "/v1/score", str(bodies), first, given.rate, seconds * ALONE)
    before = await honest(alone)
    print(said("alone", before), flush=True)  # noqa: T201
    at_first = memory.now()
    following = asyncio.create_task(memory.follow())
    rest_s = seconds * (1.0 - ALONE)
    beside = Plan(
        "127.0.0.1", port, "/v1/score", str(bodies), first + before.sent, given.rate, rest_s, connections=32
    )
    attacking = [attack(port, rest_s + 2.0, {kind: KINDS[kind] for kind in given.kinds}, answers)]
    if given.console:
        attacking.append(attack(given.console, rest_s + 2.0, {"events": 300}, answers))
    loaded, _ = await asyncio.gather(honest(beside), asyncio.gather(*attacking))
    following.cancel()
    print(said("beside hostile ones", loaded))  # noqa: T201
    for kind, found in answers.items():
        print(f"  {kind}: {dict(sorted(found.items()))}")  # noqa: T201
    wrong = (
        failures(port)
        - at_start
        + sum(count for found in answers.values() for s, count in found.items() if s >= "500")
    )
    lost = loaded.statuses.get("lost", 0)
    print(f"5xx: {wrong}; honest requests without an answer: {lost}")  # noqa: T201
    print(f"memory of the server: {at_first:.0f} MiB before, {memory.most:.0f} at most")  # noqa: T201
    return int(wrong > 0 or lost > 0 or memory.most > given.most_mib)


def main() -> None:
    """Read the arguments, start the service, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0, help="honest requests a second")
    parser.add_argument("--home", type=Path, default=Path(".fraud-hostile"), help="given up at the next run")
    parser.add_argument("--kafka", default="127.0.0.1:9", help="a broker that takes the decisions")
    parser.add_argument("--console", type=int, default=0, help="port of a console on this machine")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--most-mib", type=float, default=1_000.0, help="memory of the server's own")
    given = parser.parse_args()
    home = given.home.absolute()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    port = free_port()
    process = start(home, given.kafka, port)
    try:
        wait(port, process, home)
        status = asyncio.run(run(given, home, port, psutil.Process(process.pid)))
    finally:
        process.terminate()
        process.wait(30)
    sys.exit(status)


if __name__ == "__main__":
    main()
