"""An open-loop load generator: requests leave at their own times, whatever the answers do.

A closed loop waits for an answer before it sends again, and so leaves out just the requests that a slow
server would have made wait (coordinated omission; Tene, "How NOT to Measure Latency"). Here a latency counts
from when a request was due. A connection that the server ends is replaced by a new one. Runs as a process of
its own: ``python -m fraud.tools.bench.load PLAN``, result as JSON.
"""

import asyncio
import json
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

GRACE_S: Final = 5.0
"""How long after the last request answers are waited for."""
REFUSED_S: Final = 0.05
"""Wait before a refused connection is tried again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send."""

    host: str
    port: int
    path: str
    bodies: str
    """File of request bodies, one a line."""
    first: int
    """Of the bodies; the ones before were sent earlier."""
    rate: float
    """Requests a second, at random times (Poisson)."""
    seconds: float
    connections: int = 64
    seed: int = 1
    late_ms: float = 100.0
    """From when on an answer counts as late."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came back."""

    sent: int
    statuses: dict[str, int]
    """By status; ``lost``: no answer."""
    achieved_per_s: float
    """Answers with status 200, from the first request that was due to the last of these answers."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    least_ms: float
    late: int
    """Answers that came later than ``late_ms``."""
    cpu_s: float
    """Of the generator itself."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time; answers must carry their length."""

    def __init__(self, generator: "Generator") -> None:
        self._generator = generator
        self._buffer = b""
        self._due = 0.0
        self.is_busy = False
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, due: float, request: bytes) -> None:
        self._due, self.is_busy = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        self._buffer, self.is_busy = b"", False
        self._generator.take(int(head[9:12]), time.perf_counter() - self._due)
        if b"\r\nconnection: close" in lowered:
            self._transport.close()
        else:
            self._generator.reuse(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._generator.replace(self)


class Generator:
    """Sends a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._free: deque[_Connection] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._latencies: list[float] = []
        self._statuses: dict[str, int] = {}
        self._last = 0.0
        self._left = -1
        self._is_whole = asyncio.Event()
        self._has_ended = False
        self._opening = set[asyncio.Task[None]]()

    async def run(self) -> Loaded:
        """Send, wait for the answers, and count."""
        plan = self._plan
        draw = np.random.default_rng(plan.seed)
        count = int(plan.rate * plan.seconds)
        due = np.cumsum(draw.exponential(1.0 / plan.rate, count))
        requests = self._requests(count)
        for _ in range(plan.connections):
            self._free.append(await self._connect())
        cpu = time.process_time()
        started = time.perf_counter() + 0.1
        at = 0
        while at < count:
            now = time.perf_counter() - started
            while at < count and due[at] <= now:
                self._send(started + float(due[at]), requests[at])
                at += 1
            if at < count:
                await asyncio.sleep(max(0.0, float(due[at]) - (time.perf_counter() - started)))
        self._left = count - sum(self._statuses.values())
        if self._left > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_whole.wait(), GRACE_S)
        self._has_ended = True
        for opening in self._opening:
            opening.cancel()
        self._statuses["lost"] = count - sum(self._statuses.values())
        found = np.array(self._latencies or [np.nan]) * 1e3
        p50, p99, p999 = np.percentile(found, [50, 99, 99.9]).tolist()
        return Loaded(
            sent=count,
            statuses=self._statuses,
            achieved_per_s=len(self._latencies) / max(self._last - started, 1e-9),
            p50_ms=p50,
            p99_ms=p99,
            p999_ms=p999,
            least_ms=float(found.min()),
            late=int((found > plan.late_ms).sum()),
            cpu_s=time.process_time() - cpu,
        )

    def take(self, status: int, latency_s: float) -> None:
        """Take an answer."""
        self._statuses[str(status)] = self._statuses.get(str(status), 0) + 1
        if status == 200:
            self._latencies.append(latency_s)
            self._last = time.perf_counter()
        if self._left > 0:
            self._left -= 1
        if self._left == 0:
            self._is_whole.set()

    def reuse(self, connection: _Connection) -> None:
        """Send what waits over a connection that is free."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def replace(self, connection: _Connection) -> None:
        """Open a connection in place of one that has ended; a request without an answer is lost."""
        with suppress(ValueError):
            self._free.remove(connection)
        if not self._has_ended:
            opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        while not self._has_ended:
            with suppress(OSError):
                self.reuse(await self._connect())
                return
            await asyncio.sleep(REFUSED_S)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: _Connection(self), self._plan.host, self._plan.port)
        return made

    def _send(self, due: float, request: bytes) -> None:
        if self._free:
            self._free.popleft().send(due, request)
        else:  # it waits here, and the wait counts
            self._waiting.append((due, request))

    def _requests(self, count: int) -> list[bytes]:
        plan = self._plan
        lines = Path(plan.bodies).read_bytes().splitlines()[plan.first : plan.first + count]
        lines = [lines[i % len(lines)] for i in range(count)]
        head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: {plan.host}\r\nContent-Type: application/json\r\n"
            "Content-Length: "
        ).encode()
        return [b"%b%d\r\n\r\n%b" % (head, len(line), line) for line in lines]


def main() -> None:
    """Send the plan of the first argument."""
    plan = Plan(**json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(asdict(asyncio.run(Generator(plan).run()))))


if __name__ == "__main__":
    main()
