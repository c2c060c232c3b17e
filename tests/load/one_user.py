"""One user with 200,000 transactions beside everybody else: ``uv run python -m tests.load.one_user``.

Starts the embedded platform in a home of its own, sends transactions of many cardholders through Kafka and
through the scoring service, and after a while all of one cardholder's at once through Kafka. Prints how fast
they were decided, and the latency of the others before, while and after: of the API from due to answered, of
the stream from Kafka's append of a transaction to that of its decision. At the end everything is settled
(``tests.load.ledger``). Exits with 1 where anything was lost, doubled, or differs.
"""

import argparse
import json
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from fraud.contracts import DECISIONS, TRANSACTIONS
from fraud.errors import Unavailable
from fraud.kafka.reader import Reader
from fraud.local import platform
from jobs.stream.settings import StreamSettings
from tests.fraud.kafka.broker import read_all
from tests.load.clients import ApiClients, KafkaClient, Load, make_transaction
from tests.load.ledger import Ledger, Sent, quantiles, records_in, settle
from tests.load.storm import begin, drain, settings_in

USER: Final = "u-with-everything"
PATIENCE_S: Final = 1_800.0
LATE_S: Final = 5.0
"""After the last of them was decided, until "after" begins, seconds."""


@dataclass(frozen=True)
class Rush:
    """The transactions of the one user."""

    names: set[str]
    missing: int
    """That had no decision in time."""
    began: float
    """By the monotonic clock, as the next."""
    ended: float
    began_ms: float
    ended_ms: float

    @property
    def rate(self) -> float:
        """Decided a second."""
        return (len(self.names) - self.missing) / (self.ended - self.began)


def rush(bootstrap: str, load: Load, count: int) -> Rush:
    """Send all of them at once, and wait until each is decided."""
    with Reader(bootstrap) as reader:
        reader.begin_at_end(DECISIONS)
        began, began_ms = time.monotonic(), time.time() * 1e3
        names = _send(bootstrap, load, count)
        print(f"sent {count:,} in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        left, give_up = set(names), time.monotonic() + PATIENCE_S
        while left and time.monotonic() < give_up:
            left -= {json.loads(one.value() or b"{}")["transaction_id"] for one in reader.take(1.0)}
    return Rush(names, len(left), began, time.monotonic(), began_ms, time.time() * 1e3)


def _send(bootstrap: str, load: Load, count: int) -> set[str]:
    chance, names = random.Random(f"one user {load.seed}"), set()
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
    for number in range(count):
        record = {**make_transaction(f"one-{load.seed}-{number}", load, chance), "user_id": USER}
        names.add(record["transaction_id"])
        while True:
            try:
                producer.produce(TRANSACTIONS, json.dumps(record).encode(), USER)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    if producer.flush(PATIENCE_S):
        raise Unavailable("Kafka did not take the transactions of the one user")
    return names


def stream_latencies(bootstrap: str, rushed: Rush) -> list[tuple[float, float]]:
    """Of the others: when Kafka appended a transaction, and milliseconds from then to its decision."""
    appended, found = _append_times(bootstrap, TRANSACTIONS), _append_times(bootstrap, DECISIONS)
    others = [name for name in appended if name in found and name not in rushed.names]
    return [(appended[name], found[name] - appended[name]) for name in others]


def _append_times(bootstrap: str, topic: str) -> dict[str, float]:
    """Tell when the first record of each transaction was appended, milliseconds."""
    times: dict[str, float] = {}
    for one in read_all(bootstrap, topic):
        times.setdefault(json.loads(one.value() or b"{}")["transaction_id"], float(one.timestamp()[1]))
    return times


def phases(latencies: list[tuple[float, float]], began: float, ended: float, late: float) -> list[str]:
    """Write the latencies before, while and after, a line each."""
    parts = {
        "before": [took for at, took in latencies if at < began],
        "while": [took for at, took in latencies if began <= at <= ended],
        "after": [took for at, took in latencies if at > ended + late],
    }
    return [f"{name:<7} {len(found):>7,} transactions, {quantiles(found)}" for name, found in parts.items()]


def run(given: argparse.Namespace, home: Path) -> tuple[Ledger, list[str]]:
    """Send, wait, drain, stop the platform, and settle."""
    settings = settings_in(home)
    try:
        urls = begin(settings)
        load = Load(given.seed, given.rate, given.users, given.merchants, 0)
        api, kafka = ApiClients(urls["scoring"], load), KafkaClient(urls["broker"], load)
        with kafka, api:
            time.sleep(given.calm_s)
            rushed = rush(urls["broker"], load, given.transactions)
            time.sleep(given.calm_s + LATE_S)
            api.stop_sending()
            kafka.stop_sending()
        delivered = kafka.delivered | rushed.names
        sent = Sent(delivered, kafka.failed, api.answered, api.refused, api.unanswered, api.names)
        stream = StreamSettings(home=home / "stream")
        drain(stream, sent)
        topic, published = (records_in(urls["broker"], name) for name in (TRANSACTIONS, DECISIONS))
        waited = stream_latencies(urls["broker"], rushed)
    finally:
        platform.down(settings)
    account = settle(stream, sent, len(topic), published, home / "rebuilt")
    account.latencies = api.latencies
    account.wrong["of the one user, without a decision in time"] = rushed.missing
    lines = [
        f"the one user: {len(rushed.names):,} transactions, {rushed.rate:,.0f} decided a second",
        "the others, API, from due to answered:",
        *phases(api.latencies, rushed.began, rushed.ended, LATE_S),
        "the others, stream, from Kafka's append to that of the decision:",
        *phases(waited, rushed.began_ms, rushed.ended_ms, 1e3 * LATE_S),
    ]
    return account, lines


def main() -> None:
    """Read the arguments, run, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transactions", type=int, default=200_000, help="of the one user")
    parser.add_argument("--calm-s", type=float, default=30.0, help="load alone, before and after")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="of the others a second, half on each path")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--merchants", type=int, default=60)
    parser.add_argument("--home", type=Path, default=Path(".fraud-storm"), help="given up at the next run")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the platform is stopped
    account, lines = run(given, given.home.absolute())
    print("\n".join([account.table(), *lines]))  # noqa: T201
    sys.exit(int(bool(account.errors())))


if __name__ == "__main__":
    main()
