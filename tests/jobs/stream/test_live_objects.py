"""A whole stream whose home is in an object store: killed, moved to an empty disk, without the object store.

Real are the broker, Spark, the feature store (Redis) and the object store (versitygw). The driver's own disk
is another empty folder at each start.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from deltalake import DeltaTable

from fraud.contracts import DEAD_LETTERS, DECISIONS
from fraud.kafka.producer import ProducerSettings
from fraud.runtime.objects import Objects
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from services.simulator import stream
from tests.flow.conftest import Job, wait_until
from tests.flow.test_crash import consumed, dead_letters, decisions
from tests.fraud.store.conftest import run_redis
from tests.jobs.stream.test_live_disk import metric
from tests.jobs.stream.test_live_input import read
from tests.object_store import ObjectStore, run_object_store

pytestmark = pytest.mark.flow

TRANSACTIONS = 1_200
REPEATED = 40
MALFORMED = (b"", b"{", b'{"transaction_id": "x"}')
BATCH_RECORDS = 100
APART = 3
"""Micro-batches that are finished between two faults, at least."""


@dataclass
class ObjectJob(Job):
    """A streaming job that keeps nothing on its own disk."""

    @property
    def settings(self) -> StreamSettings:
        uri, store = (self.options[f"FRAUD_STREAM_{name}"] for name in ("HOME_URI", "STORE_URL"))
        return StreamSettings(home=self.home, home_uri=uri, store_url=store)

    def newest(self, log: str) -> int:
        """Newest micro-batch in one of Spark's logs, as this disk has it; -1: none."""
        found = (self.settings.checkpoint_path / log).glob("[0-9]*")
        return max((int(file.name) for file in found), default=-1)

    def run_until(self, batch: int) -> None:
        """Wait until a micro-batch is finished and a later one is under way."""
        wait_until(lambda: batch <= self.newest("commits") < self.newest("offsets"), self.check)


@dataclass
class World:
    """The real parts, and what was sent."""

    kafka: str
    objects: ObjectStore
    uri: str
    make: Callable[[str], ObjectJob]
    records: int
    labels: int

    def finish(self, job: ObjectJob) -> None:
        wait_until(job.is_ready, job.check)  # by then its disk is filled
        wait_until(lambda: consumed(job) == self.records, job.check)
        job.stop()

    def check(self, job: ObjectJob) -> None:
        """Account for every record: none lost, doubled or changed."""
        found = compare(job.settings.delta_path)
        assert found.errors() == []
        assert found.transactions == TRANSACTIONS
        for table, rows in (
            ("transactions", TRANSACTIONS),
            ("features", TRANSACTIONS),
            ("decisions", TRANSACTIONS),
            ("labels", self.labels),
            ("dead_letters", REPEATED + len(MALFORMED)),
        ):
            assert DeltaTable(f"{job.settings.delta_path}/{table}").to_pyarrow_table().num_rows == rows, table
        published = decisions(read(self.kafka, DECISIONS))  # copies of a repeated micro-batch say the same
        ids = DeltaTable(f"{job.settings.delta_path}/decisions").to_pyarrow_table(columns=["transaction_id"])
        assert published.keys() == set(ids.column("transaction_id").to_pylist())
        assert len(dead_letters(read(self.kafka, DEAD_LETTERS))) == REPEATED + len(MALFORMED)
        assert [one.name for one in Objects(f"{self.uri}/spool").listed()] == ["plan.json"]
        assert {file.name for file in job.home.iterdir()} == {"mirror"}
        assert not {"spool", "delta", "store"} & {file.name for file in (job.home / "mirror").iterdir()}


@pytest.fixture
def world(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """All records lie in Kafka before a job starts; each job has an empty disk of its own."""
    made: list[ObjectJob] = []
    with run_object_store() as objects, run_redis("--appendonly", "no") as store:
        for name, value in objects.environment.items():
            monkeypatch.setenv(name, value)
        uri = f"{objects.uri}/stream"

        def make(name: str) -> ObjectJob:
            options = {
                "FRAUD_STREAM_HOME_URI": uri,
                "FRAUD_STREAM_STORE_URL": store.url(),
                "FRAUD_STREAM_ARCHIVE_S": "1",
                "FRAUD_STREAM_PREDICTOR_DEADLINE_S": "0.2",
                "FRAUD_STREAM_PREDICTOR_WAIT_S": "0",
                "FRAUD_STREAM_MAX_RECORDS_PER_BATCH": str(BATCH_RECORDS),
                "FRAUD_STREAM_ONE_TASK_RECORDS": "0",
            }
            home = tmp_path / name
            home.mkdir()
            job = ObjectJob(home, kafka, "http://127.0.0.1:9", options, tmp_path / f"{name}.log")
            made.append(job)
            return job

        data = generate(GeneratorSettings(transactions=TRANSACTIONS, users=100, merchants=50, seed=5))
        producer = ProducerSettings(bootstrap=kafka)
        labels = data.labels.sort_by("label_time")
        stream.play(data.transactions, labels, producer)
        newest = data.transactions.slice(TRANSACTIONS - REPEATED)  # older ids are no longer remembered
        stream.play(newest, None, producer)
        stream.inject(MALFORMED, producer)
        records = data.transactions.num_rows + labels.num_rows + REPEATED + len(MALFORMED)
        try:
            yield World(kafka, objects, uri, make, records, labels.num_rows)
        finally:
            for job in made:
                job.kill()


def decided_ids(kafka: str) -> set[str]:
    """Transactions with a decision; a micro-batch that runs again publishes its decisions again."""
    return {json.loads(value)["transaction_id"] for value in read(kafka, DECISIONS)}


def test_a_stream_outlives_an_object_store_that_is_away_and_a_driver_that_is_killed_with_its_disk(
    world: World,
) -> None:
    job = world.make("first disk")

    def has_failed(number: int) -> bool:
        try:
            return metric(job, "fraud_stream_query_failures_total") >= number
        except httpx.TransportError:  # too busy to answer just now
            return False

    def failed_times(number: int) -> None:
        wait_until(lambda: has_failed(number), job.check)

    job.start()
    job.run_until(APART)
    world.objects.kill()
    failed_times(2)  # the micro-batch that was planned durably has run again by now
    decided = decided_ids(world.kafka)
    assert 0 < len(decided) < TRANSACTIONS
    assert not job.is_ready()
    failed_times(4)
    assert decided_ids(world.kafka) == decided, "nothing is decided that is not planned durably"
    reached = job.newest("commits")
    world.objects.start()
    job.run_until(reached + APART)
    job.kill()
    reached = job.newest("commits")
    assert consumed(job) < world.records, "it was killed in the middle"
    shutil.rmtree(job.home)
    successor = world.make("second disk")
    successor.start()
    world.finish(successor)
    assert successor.newest("commits") > reached
    world.check(successor)


def test_of_two_drivers_on_two_machines_the_older_ends(world: World) -> None:
    older, newer = world.make("one machine"), world.make("another machine")
    older.start()
    older.run_until(APART)
    newer.start()
    process = older.process
    assert process is not None
    wait_until(lambda: process.poll() is not None, newer.check)
    assert process.returncode != 0
    assert re.search(r"^error: .*taken over", older.log.read_text(), re.MULTILINE)
    world.finish(newer)
    world.check(newer)
