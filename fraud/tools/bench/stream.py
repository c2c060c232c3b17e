"""``fraud bench stream``: throughput from a Kafka backlog, and latency at shares of that rate.

Runs the embedded platform in a folder of its own, on free ports. Reads nothing while it measures:
latencies are computed afterwards from the timestamps that the broker gave to transactions and decisions.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client.parser import text_string_to_metric_families

from fraud.contracts import DECISIONS, Decision
from fraud.errors import Unavailable
from fraud.features.kernel import Floats
from fraud.kafka.producer import ProducerSettings
from fraud.kafka.reader import Position, Reader
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.log.spool import spool_at
from fraud.runtime.waiting import wait_until
from fraud.schema.deployed import deployed_schema
from fraud.synthetic import files
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.generate import generate
from fraud.synthetic.pace import Constant
from fraud.synthetic.settings import GeneratorSettings, past_start
from fraud.tools.bench.cost import Cost, Meter
from fraud.tools.bench.keyed_state import KeyedRate, compare_keyed_state
from jobs.backfill.run import backfill
from jobs.stream.settings import StreamSettings
from services.simulator import stream

SENT_AT: Final = "sent_at"
"""Column of labels that are sent beside transactions: the event time of one of these."""
HISTORY: Final = 100_000
"""Transactions from before go-live: what the model is trained on and the store starts with."""
HISTORY_DAYS: Final = 60
"""The time that they span, days."""
PATIENCE_S: Final = 300.0
"""How long nothing may come before the measurement gives up, seconds."""


@dataclass(frozen=True, slots=True)
class Latency:
    """From the broker's append of a transaction to that of its decision, ms."""

    rate: float
    """Transactions a second that were sent."""
    labels_per_s: float
    """Labels a second beside them."""
    transactions: int
    p50_ms: float
    p99_ms: float
    p999_ms: float


@dataclass(frozen=True, slots=True)
class StageTime:
    """A stage of the tasks; one within another is in both."""

    stage: str
    clock_us: float
    """Time by the clock, microseconds a transaction, all tasks together."""


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """What the tasks of a stream have done."""

    transactions: float
    """Decided by the micro-batches that have ended."""
    seconds: dict[str, float]
    """By stage, by the clock."""

    def since(self, before: "TaskTimes") -> list[StageTime]:
        """Tell what a transaction has taken since then, longest stage first."""
        decided = max(1.0, self.transactions - before.transactions)
        spent = {stage: seconds - before.seconds.get(stage, 0.0) for stage, seconds in self.seconds.items()}
        found = [StageTime(stage, seconds / decided * 1e6) for stage, seconds in spent.items() if seconds]
        return sorted(found, key=lambda one: -one.clock_us)


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """What one run measured."""

    users: int
    backlog: int
    transactions_per_s: float
    """Decided, from the end of the first micro-batch to the last decision of the backlog."""
    archived_per_s: float
    """The same until Delta holds them all."""
    latencies: list[Latency]
    keyed: list[KeyedRate]
    """The user fold alone, by engine."""
    costs: list[Cost]
    """Of the backlog's decisions, from the first that came to Delta."""
    stages: list[StageTime]
    """Of the tasks that decided the backlog, the first micro-batch with them."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one run does."""

    users: int
    """Cardholders in the data."""
    backlog: int
    """Transactions that wait in Kafka when the job starts."""
    seconds: float
    """How long each rate is held."""
    rates: tuple[float, ...]
    """Transactions per second if above 1, else shares of the measured throughput."""
    keyed: int = 0
    """Transactions for the comparison with Spark's keyed state; 0 leaves it out."""


FULL: Final = (
    Work(10_000, 200_000, 20.0, (1_000.0, 0.1, 0.5, 0.9), keyed=100_000),
    Work(100_000, 200_000, 0.0, ()),
    Work(1_000_000, 300_000, 0.0, (), keyed=100_000),
)
QUICK: Final = (Work(10_000, 100_000, 15.0, (1_000.0,), keyed=60_000),)
MICRO_BATCH: Final = 20_000


def measure_stream(
    home: Path, work: Work, tell: Callable[[str], None], seed: int = 7, *, labels_per_s: float = 0.0
) -> StreamFigures:
    """Measure the streaming job of an embedded platform made for it in ``home``, which is emptied before.

    Parameters
    ----------
    home
        Folder of the platform.
    work
        What is done.
    tell
        Takes words of progress.
    seed
        Of the data.
    labels_per_s
        Labels that come beside the transactions of each rate.
    """
    users, backlog, seconds, rates = work.users, work.backlog, work.seconds, work.rates
    tell(f"{users:,} users: generating and training")
    settings = own_platform(home)
    paced = int(seconds * sum(rate if rate > 1 else rate * 20_000 for rate in rates))
    total = HISTORY + backlog + paced
    data = _draw(total, users, seed)
    files.write(data, home / "data")
    history = data.transactions.slice(0, HISTORY)
    go_live = pc.max(history.column("event_time")).as_py() + timedelta(microseconds=1)
    known = data.labels.filter(pc.less(data.labels.column("label_time"), pa.scalar(go_live)))
    stream_settings = StreamSettings(home=home / "stream")
    with running(settings):
        platform.up(settings, parts=("broker", "mlflow"))
        urls = {part.name: part.url or "" for part in platform.status(settings)}
        train(TrainSettings.quick(str(home / "data"), as_of=go_live, mlflow_uri=urls["mlflow"], seed=seed))
        backfill(history, known, stream_settings)
        producer = ProducerSettings(bootstrap=urls["broker"])
        stream.play(data.transactions.slice(HISTORY, work.keyed), None, producer)
        keyed = (
            compare_keyed_state(urls["broker"], work.keyed, MICRO_BATCH, home / f"keyed-{users}", tell)
            if work.keyed
            else []
        )
        rest = backlog - work.keyed
        stream.play(data.transactions.slice(HISTORY + work.keyed, rest), None, producer)
        tell(f"{users:,} users: a backlog of {backlog:,} transactions")
        reader = Decisions(urls["broker"])
        platform.up(settings, parts=("stream",))
        already = reader.wait_for(1)
        meter = Meter(lambda: platform.status(settings))
        metrics = metrics_of(settings)
        before = task_times(metrics)
        reader.wait_for(backlog)
        decided = reader.read()
        _wait_for_archive(stream_settings)
        archived = time.time()
        costs = meter.costs(backlog - already)
        stages = task_times(metrics).since(before)
        first, rate = sustained(decided)
        decided_before = data.transactions.slice(HISTORY, backlog).column("transaction_id")
        told = data.labels.filter(pc.is_in(data.labels.column("transaction_id"), decided_before))
        latencies = []
        at = HISTORY + backlog
        for wanted in rates:
            pace = wanted if wanted > 1 else wanted * rate
            part = data.transactions.slice(at, int(pace * seconds))  # the world may end before
            beside = labels_beside(part, told, labels_per_s / pace)
            told = told.slice(beside.num_rows)
            tell(f"{users:,} users: {pace:,.0f} transactions/s for {seconds:.0f} s")
            stream.play(
                part,
                beside if beside.num_rows else None,
                producer,
                Constant(pace),
                by=("event_time", SENT_AT),
            )
            reader.wait_for(part.num_rows)
            latencies.append(_latency(pace, beside.num_rows / seconds, reader.read()))
            at += part.num_rows
    return StreamFigures(
        users=users,
        backlog=backlog,
        transactions_per_s=rate,
        archived_per_s=(backlog - first.count) / (archived - first.end_ms / 1e3),
        latencies=latencies,
        keyed=keyed,
        costs=costs,
        stages=stages,
    )


def _draw(transactions: int, users: int, seed: int) -> DataSet:
    """Draw a world that has happened: the stream refuses what is dated ahead."""
    days = HISTORY_DAYS * transactions // HISTORY
    start = past_start(datetime.now(UTC), days)
    merchants = max(users // 2, 100)
    world = GeneratorSettings(
        transactions=transactions, users=users, merchants=merchants, days=days, start=start, seed=seed
    )
    return generate(world, deployed_schema())


def metrics_of(settings: LocalSettings) -> str:
    """Name the address of the stream's metrics."""
    return next(str(part.url) for part in platform.status(settings) if part.name == "stream")


def task_times(metrics: str) -> TaskTimes:
    """Read what the tasks of a stream have done so far."""
    text = httpx.get(metrics, trust_env=False, timeout=30.0).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return TaskTimes(
        sum(one.value for one in samples if one.name == "fraud_stream_transactions_total"),
        {one.labels["stage"]: one.value for one in samples if one.name == "fraud_stream_stage_seconds_sum"},
    )


class Decisions:
    """Reads the topic ``decisions`` from where it stands now."""

    def __init__(self, bootstrap: str) -> None:
        self._reader = Reader(bootstrap, name="fraud-bench")
        self._reader.begin_at_end(DECISIONS)

    def wait_for(self, count: int) -> int:
        """Wait until that many decisions have arrived since the last read; returns how many have.

        Looks at offsets alone.
        """
        have, changed = -1, time.monotonic()
        while have < count:
            now = sum(end - self._reader.next[at] for at, end in self._ends().items())
            if now != have:
                have, changed = now, time.monotonic()
            elif time.monotonic() - changed > PATIENCE_S:
                raise Unavailable(
                    f"only {have:,} of {count:,} decisions arrived; see the logs (`fraud status`)"
                )
            time.sleep(0.1)
        return have

    def read(self) -> Floats:
        """Read what has arrived; returns [n, 3]: appended, decided, micro-batch (ms, ms, number)."""
        found = []
        for message in self._reader.read_to(self._ends(), PATIENCE_S):
            decision = Decision.model_validate_json(message.value() or b"")
            taken_ms = decision.received_at.timestamp() * 1e3
            found.append((taken_ms, message.timestamp()[1], decision.epoch))
        return np.array(found, np.float64).reshape(-1, 3)

    def _ends(self) -> dict[Position, int]:
        return {at: bounds.end for at, bounds in self._reader.bounds(DECISIONS).items()}


@dataclass(frozen=True, slots=True)
class FirstBatch:
    """The micro-batch in which everything still warms up; it is left out."""

    count: int
    end_ms: float


def sustained(decided: Floats) -> tuple[FirstBatch, float]:
    """Tell the rate from the end of the first micro-batch on."""
    is_first = decided[:, 2] == decided[:, 2].min()
    first = FirstBatch(int(is_first.sum()), float(decided[is_first, 1].max()))
    return first, (len(decided) - first.count) / (decided[:, 1].max() - first.end_ms) * 1e3


def labels_beside(transactions: pa.Table, labels: pa.Table, each: float) -> pa.Table:
    """Take so many labels for each transaction, and deal them out over the times of the transactions.

    Returns
    -------
    pa.Table
        The first labels, with a further column by which they are sent.
    """
    some = labels.slice(0, int(each * transactions.num_rows))
    beside = np.arange(some.num_rows) * transactions.num_rows // max(1, some.num_rows)
    return some.append_column(SENT_AT, transactions.column("event_time").take(pa.array(beside)))


def _latency(rate: float, labels_per_s: float, decided: Floats) -> Latency:
    p50, p99, p999 = np.percentile(decided[:, 1] - decided[:, 0], [50, 99, 99.9]).tolist()
    return Latency(rate, labels_per_s, len(decided), p50, p99, p999)


def own_platform(home: Path) -> LocalSettings:
    """Lay out a platform in an empty folder, on free ports."""
    if home.exists():
        platform.down(LocalSettings(home=home))
        shutil.rmtree(home)
    return LocalSettings(
        home=home,
        kafka_port=0,
        kafka_controller_port=0,
        mlflow_port=0,
        predictor_port=0,
        stream_metrics_port=0,
        scoring_port=0,
    )


@contextmanager
def running(settings: LocalSettings) -> Iterator[None]:
    """Stop the platform at the end."""
    try:
        yield
    finally:
        platform.down(settings)


def _wait_for_archive(settings: StreamSettings) -> None:
    spool = spool_at(settings.spool)
    if not wait_until(lambda: not spool.waiting(""), PATIENCE_S, 0.1):
        raise Unavailable(
            "the results in the spool are not committed to Delta; see the logs (`fraud status`)"
        )
