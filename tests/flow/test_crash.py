"""Crashes of the streaming job at random moments, with and without Spark, against a run that nobody disturbs.

The whole backlog lies in Kafka before either job starts, so that both cut it into the same micro-batches.
"""

import json
import random
import re
import time
from contextlib import suppress

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from fraud.contracts import DEAD_LETTERS, DECISIONS, DeadLetter
from fraud.kafka.producer import ProducerSettings
from fraud.kafka.reader import Reader
from fraud.store import open_store
from jobs.stream.offsets import records_of
from services.simulator import stream
from tests.deployed import ENTITIES
from tests.flow.conftest import Job, Parts, wait_until
from tests.wire import Decision

pytestmark = [pytest.mark.flow, pytest.mark.timeout(1800)]

DRIVER_KILLS = 4
WORKER_KILLS = 9
BATCH_RECORDS = "110"
STREAMED = 3_000
REPEATED = 40
LABELS = 1_500
MALFORMED = (b"", b"{", b'{"transaction_id": "x"}')
TOTAL = STREAMED + LABELS + REPEATED + len(MALFORMED)
OPTIONS = {
    "FRAUD_STREAM_MAX_RECORDS_PER_BATCH": BATCH_RECORDS,
    "FRAUD_STREAM_ARCHIVE_S": "1",
    "FRAUD_STREAM_PREDICTOR_DEADLINE_S": "120",
    "FRAUD_STREAM_PREDICTOR_WAIT_S": "120",
}
"""Both runs must decide by the model, however slow the machine is: a fallback would be another decision."""
DIRECT = {"FRAUD_STREAM_ENGINE": "direct"}
WIDTHS = ({"FRAUD_STREAM_ONE_TASK_RECORDS": "0"}, {"FRAUD_STREAM_ONE_TASK_RECORDS": "10000"}, DIRECT, DIRECT)
"""A micro-batch that was cut off runs again in as many tasks, in another number, or without Spark."""
IDENTITY = {
    "transactions": ["transaction_id"],
    "features": ["transaction_id"],
    "decisions": ["transaction_id"],
    "labels": ["source_partition", "source_offset"],
    "dead_letters": ["topic", "source_partition", "source_offset"],
}
MOMENTS = {"processed_at"}  # the wall clock alone may differ


class Follower:
    """Reads a topic from where it stands."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._reader = Reader(kafka, name="crash-test")
        self._reader.begin_at_end(topic)
        self._topic = topic

    def read(self) -> list[bytes]:
        ends = {at: bounds.end for at, bounds in self._reader.bounds(self._topic).items()}
        return [message.value() or b"" for message in self._reader.read_to(ends, 60.0)]


@pytest.fixture(scope="module")
def backlog(parts: Parts) -> int:
    """Transactions, some of them twice, labels and malformed records in Kafka: how many records."""
    producer = ProducerSettings(bootstrap=parts.kafka)
    streamed = parts.data.transactions.slice(parts.data.transactions.num_rows - STREAMED)
    labels = parts.data.labels.sort_by("label_time").slice(0, LABELS)
    stream.play(streamed, labels, producer)
    stream.play(streamed.slice(STREAMED // 2, REPEATED), None, producer)
    malformed = stream.inject(MALFORMED, producer)
    return STREAMED + LABELS + REPEATED + malformed


def finish(job: Job) -> None:
    """Wait until all is taken and archived, and stop."""
    wait_until(lambda: consumed(job) == TOTAL, job.check)
    job.stop()


def consumed(job: Job) -> int:
    """Records that committed micro-batches have taken."""
    checkpoint = job.settings.checkpoint_path
    newest = max((int(file.name) for file in (checkpoint / "commits").glob("[0-9]*")), default=None)
    if newest is None:
        return 0
    found = json.loads((checkpoint / "offsets" / str(newest)).read_text().splitlines()[-1])
    return sum(offset for topic in found.values() for offset in topic.values())


def states(job: Job) -> dict[tuple[str, float], bytes]:
    with open_store(job.settings.store) as store:
        return {(kind, key): state for kind in ENTITIES for key, state in store.scan(kind)}


def table(job: Job, name: str) -> pa.Table:
    found = pa.table(DeltaTable(f"{job.settings.delta_path}/{name}").to_pyarrow_table())
    identity = IDENTITY[name]
    assert found.group_by(identity).aggregate([]).num_rows == found.num_rows, f"{name}: a row came twice"
    kept = [column for column in found.column_names if column not in MOMENTS]
    return found.select(kept).sort_by([(column, "ascending") for column in identity])


def assert_same_bits(found: pa.Table, expected: pa.Table) -> None:
    """Compare tables; missing features are NaN, which Arrow holds unequal to itself."""
    assert found.schema == expected.schema
    for name in expected.column_names:
        pair = [side.column(name).combine_chunks() for side in (found, expected)]
        if pa.types.is_floating(expected.schema.field(name).type):
            assert all(np.array_equal(*parts) for parts in zip(*map(split_bits, pair), strict=True)), name
        else:
            assert pair[0].equals(pair[1]), name


def split_bits(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Which are given, and the bits of the numbers."""
    filled = column.fill_null(0.0).to_numpy(zero_copy_only=False)
    return column.is_valid().to_numpy(zero_copy_only=False), np.ascontiguousarray(filled).view(np.int64)


def decisions(values: list[bytes]) -> dict[str, Decision]:
    """Every decision once; copies of a repeated micro-batch must say the same."""
    found: dict[str, Decision] = {}
    for value in values:
        decision = Decision.model_validate_json(value)
        known = found.setdefault(decision.transaction_id, decision)
        assert decision == known.model_copy(update={"processed_at": decision.processed_at})
    return found


def dead_letters(values: list[bytes]) -> dict[tuple[str, int, int], str]:
    letters = [DeadLetter.model_validate_json(value) for value in values]
    return {(letter.topic, letter.partition, letter.offset): letter.reason for letter in letters}


def test_kills_at_random_moments_lose_repeat_and_change_nothing(parts: Parts, backlog: int) -> None:
    chance = random.Random(11)
    assert backlog == TOTAL
    readers = [Follower(parts.kafka, topic) for topic in (DECISIONS, DEAD_LETTERS)]
    calm = parts.job("calm", **OPTIONS)
    rough = parts.job("rough", **OPTIONS)
    try:
        calm.start()
        finish(calm)
        expected = [reader.read() for reader in readers]

        kinds = ["driver"] * DRIVER_KILLS + ["worker"] * WORKER_KILLS
        chance.shuffle(kinds)
        rough.start()
        killed, directly = {"driver": 0, "worker": 0}, 0
        for kind in kinds:
            goal = rough.commits() + 1
            wait_until(lambda goal=goal: rough.commits() >= goal, rough.check)
            is_direct = rough.options.get("FRAUD_STREAM_ENGINE") == "direct"
            time.sleep(chance.random() * (0.1 if is_direct else 0.6))  # anywhere within the next micro-batch
            if kind == "worker" and not is_direct:
                kill_a_worker(rough, chance)
                killed[kind] += 1
                continue
            rough.kill() if chance.random() < 0.5 else kill_driver_alone(rough)
            killed["driver"] += 1
            directly += is_direct
            rough.options = {**OPTIONS, **chance.choice(WIDTHS)}
            rough.start()
        finish(rough)
        found = [reader.read() for reader in readers]
    finally:
        calm.kill()
        rough.kill()
    assert sum(killed.values()) == DRIVER_KILLS + WORKER_KILLS
    assert min(*killed.values(), directly) > 0, "of each kind: a worker, and a driver with and without Spark"
    assert killed["driver"] > directly
    assert rough.starts == killed["driver"] + 1

    # The offset log tells how much a micro-batch holds.
    assert 0 < (records_of(calm.settings.checkpoint_path, 1) or 0) <= int(BATCH_RECORDS)

    assert states(rough) == states(calm)
    for name in IDENTITY:
        assert_same_bits(table(rough, name), table(calm, name))
    assert table(calm, "transactions").num_rows == STREAMED
    assert table(calm, "dead_letters").num_rows == REPEATED + len(MALFORMED)
    wanted = decisions(expected[0])
    assert len(wanted) == STREAMED
    assert not any(decision.is_fallback for decision in wanted.values())
    got = decisions(found[0])
    assert got.keys() == wanted.keys()
    for name, decision in wanted.items():
        assert got[name] == decision.model_copy(update={"processed_at": got[name].processed_at})
    assert dead_letters(found[1]) == dead_letters(expected[1])
    assert len(found[0]) >= len(expected[0]), "a repeated micro-batch publishes again"


def kill_a_worker(job: Job, chance: random.Random) -> None:
    """SIGKILL to one of the Python workers that Spark has forked."""

    def workers() -> list[psutil.Process]:
        found = []
        for one in job.family():
            with suppress(psutil.NoSuchProcess):  # gone, or a zombie
                if "pyspark.daemon" in " ".join(one.cmdline()) and not one.children():
                    found.append(one)
        return found

    wait_until(lambda: bool(workers()), job.check)
    chance.choice(workers()).kill()


def kill_driver_alone(job: Job) -> None:
    """SIGKILL to the Python driver; its JVM and workers see it gone and end by themselves."""
    family = job.family()
    family[0].kill()
    assert job.process is not None
    job.process.wait()
    psutil.wait_procs(family[1:], timeout=60)


@pytest.mark.usefixtures("backlog")
def test_of_two_drivers_the_older_is_fenced_and_ends_with_a_message(parts: Parts) -> None:
    older = parts.job("twice", **OPTIONS)
    newer = Job(older.home, older.kafka, older.predictor, older.options, parts.folder / "newer.log")
    try:
        older.start()
        wait_until(older.is_ready, older.check)
        newer.start()
        assert older.process is not None
        assert older.process.wait(timeout=120) != 0
        wait_until(newer.is_ready, newer.check)
        assert re.search(r"^error: .*taken over by", older.log.read_text(), re.MULTILINE)
        finish(newer)
        assert (
            table(newer, "transactions").num_rows
            == pc.count_distinct(table(newer, "transactions").column("transaction_id")).as_py()
        )
    finally:
        older.kill()
        newer.kill()
