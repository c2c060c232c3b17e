"""Honest clients of both paths, who lose nothing: they send again until they are answered.

The API's clients send a transaction under the same id again after an error or a timeout, as a gateway does;
a latency counts from when the transaction was due to its answer. Kafka's client leaves that to its producer.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, Self

import httpx
from confluent_kafka import Producer

from fraud.contracts import TRANSACTIONS

TIMEOUT_S: Final = 5.0
PATIENCE_S: Final = 180.0
"""How long the last answers may take, seconds."""
MOST_AT_ONCE: Final = 32
"""Requests under way; httpx's pool takes long over many that wait in it."""
LONGEST_RETRY_S: Final = 2.0
REPEAT_EVERY: Final = 100
"""One of so many transactions is sent to Kafka twice."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent; both paths have the same cardholders and merchants."""

    seed: int
    rate: float
    """Transactions a second, half on each path."""
    users: int
    merchants: int
    burst: int
    """Transactions that are sent to Kafka at once, at the start."""


def make_transaction(name: str, load: Load, chance: random.Random) -> dict[str, Any]:
    """Make a transaction of this moment."""
    return {
        "transaction_id": name,
        "event_time": datetime.now(UTC).isoformat(),
        "user_id": f"u-{chance.randrange(load.users)}",
        "merchant_id": f"m-{chance.randrange(load.merchants)}",
        "device_id": f"d-{chance.randrange(load.users)}",
        "amount": round(chance.lognormvariate(3.0, 1.0) + 0.01, 2),
        "currency": "EUR",
        "channel": "chip",
    }


class _Client:
    """Runs in a thread of its own; ``with`` starts and ends it."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop_sending()
        self._thread.join()

    def stop_sending(self) -> None:
        """Send no more; at the end of ``with``, what was sent is waited for."""
        self._stop.set()


class KafkaClient(_Client):
    """Sends to the topic ``transactions`` from a thread of its own; ``with`` starts and ends it."""

    def __init__(self, bootstrap: str, load: Load) -> None:
        super().__init__("kafka-client", self._run)
        self.delivered: set[str] = set()
        self.failed: set[str] = set()
        """Those of which Kafka did not say in time that it has them."""
        self._load = load
        self._chance = random.Random(f"kafka {load.seed}")
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "message.timeout.ms": 600_000,
                "linger.ms": 2,
                "log_level": 0,
            }
        )

    def _run(self) -> None:
        for number in count():
            is_burst = number < self._load.burst
            if not is_burst and self._stop.wait(self._chance.expovariate(self._load.rate / 2)):
                break
            self._send(f"kafka-{self._load.seed}-{number}", 2 if number % REPEAT_EVERY == 0 else 1)
        self._producer.flush(PATIENCE_S)

    def _send(self, name: str, copies: int) -> None:
        record = make_transaction(name, self._load, self._chance)
        self.failed.add(name)
        while copies:
            try:
                self._producer.produce(
                    TRANSACTIONS, json.dumps(record).encode(), record["user_id"], on_delivery=self._take
                )
                copies -= 1
            except BufferError:  # let it drain
                self._producer.poll(0.1)
        self._producer.poll(0)

    def _take(self, error: Any, message: Any) -> None:
        if error is None:
            name = json.loads(message.value())["transaction_id"]
            self.delivered.add(name)
            self.failed.discard(name)


class ApiClients(_Client):
    """Send to ``POST /v1/score`` from a thread of its own; ``with`` starts and ends it."""

    def __init__(self, url: str, load: Load) -> None:
        super().__init__("api", lambda: asyncio.run(self._run()))
        self.answered: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, str] = {}
        """Answers that say that another try is of no use."""
        self.names: set[str] = set()
        """Of all that were sent."""
        self.latencies: list[tuple[float, float]] = []
        """When each was due, by the monotonic clock, and milliseconds from then to the answer."""
        self._url, self._load = url, load
        self._chance = random.Random(f"api {load.seed}")

    @property
    def unanswered(self) -> set[str]:
        """Names of those that never got an answer."""
        return self.names - self.answered.keys() - self.refused.keys()

    async def _run(self) -> None:
        due, tasks = time.monotonic(), set[asyncio.Task[None]]()
        room = asyncio.Semaphore(MOST_AT_ONCE)
        async with httpx.AsyncClient(base_url=self._url, timeout=TIMEOUT_S, trust_env=False) as client:
            while not self._stop.is_set():
                due += self._chance.expovariate(self._load.rate / 2)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                name = f"api-{self._load.seed}-{len(self.names)}"
                self.names.add(name)
                record = make_transaction(name, self._load, self._chance)
                task = asyncio.create_task(self._send(client, room, record, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)

    async def _send(
        self, client: httpx.AsyncClient, room: asyncio.Semaphore, record: dict[str, Any], due: float
    ) -> None:
        name, wait_s = record["transaction_id"], 0.25
        while True:
            with suppress(httpx.HTTPError):
                async with room:
                    answer = await client.post("/v1/score", json=record)
                if answer.is_success:
                    break
                if answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    self.refused[name] = f"{answer.status_code}: {answer.text[:200]}"
                    return
            wait_s = min(2.0 * wait_s, LONGEST_RETRY_S)
            await asyncio.sleep(random.uniform(0.5, 1.0) * wait_s)
        self.answered[name] = answer.json()
        self.latencies.append((due, (time.monotonic() - due) * 1e3))
