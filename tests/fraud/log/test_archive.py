"""The archive's Delta tables as readers of the log find them."""

import base64
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from deltalake.exceptions import CommitFailedError

from fraud.contracts import LABELS, TRANSACTIONS
from fraud.decide.experiment import TRIAL_FIELDS
from fraud.errors import Unavailable
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.log.reader import Log
from fraud.log.tables import find_table
from fraud.store import Epoch, open_store
from jobs.parity.compare import compare
from jobs.stream.archiving import Archiving
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.publish import messages
from tests.deployed import SCHEMA, SPOOLED, TABLES
from tests.jobs.stream.tasks.test_passes import kafka, transaction, values
from tests.load.parity import run_batch, spool

ADDED = SPOOLED.names[-1]


@pytest.fixture
def settings(tmp_path: Path) -> StreamSettings:
    return StreamSettings(home=tmp_path / "a home")


@pytest.fixture
def context(settings: StreamSettings) -> TaskContext:
    with open_store(settings.store) as store:
        token, generation = store.acquire("test"), store.generation_of("test")
    return TaskContext(Epoch(generation, 0), token, settings.store, settings.spool_path, (), "", 0.1)


def play(context: TaskContext, batch: int, *, is_good: bool = True) -> Path:
    """Run a micro-batch of 20 records and leave its result where the archive looks; not yet committed."""
    at, first = replace(context, epoch=Epoch(context.epoch.generation, batch)), 20 * batch
    records = values([transaction(i, i % 3, i % 2, i) for i in range(first, first + 20)])
    if not is_good:
        records = [(TRANSACTIONS, 0, b"{")] * 20
    spool(at, run_batch(at, kafka(records, first), np.random.default_rng(batch)))
    return at.spool / at.epoch.name / "part-00000.parquet"


def archiving_of(settings: StreamSettings, limit_bytes: int = 1 << 30) -> Archiving:
    where = settings.spool_path, settings.checkpoint_path, settings.delta_path
    return Archiving(Archive(*where, {}), limit_bytes)


def archive_up_to(settings: StreamSettings, batch: int, **parts: Any) -> int:
    commits = settings.checkpoint_path / "commits"
    commits.mkdir(parents=True, exist_ok=True)
    (commits / str(batch)).touch()
    return Archive(settings.spool_path, settings.checkpoint_path, settings.delta_path, {}, **parts).run(1)


def test_the_log_reaches_as_far_as_the_checkpoint_whatever_the_micro_batches_hold(
    settings: StreamSettings, context: TaskContext
) -> None:
    for batch, is_good in enumerate((True, False, True, True)):
        play(context, batch, is_good=is_good)
        archive_up_to(settings, batch)
        assert Log(settings.delta_path).reach == Epoch(1, batch)
    found = compare(settings.delta_path)
    assert (found.transactions, found.errors()) == (60, [])


def test_the_amount_of_a_chargeback_is_in_the_log(settings: StreamSettings, context: TaskContext) -> None:
    label = {"transaction_id": "t0", "user_id": "u0", "label_time": "2026-02-01T00:00:00Z", "is_fraud": True}
    told = {"reason_code": "10.4", "fraud_type": "account_takeover", "disputed_amount": 4.5}
    records = [*values([transaction(0)]), (LABELS, 0, json.dumps({**label, **told}).encode())]
    spool(context, run_batch(context, kafka(records), np.random.default_rng(0)))
    archive_up_to(settings, 0)
    labels = find_table(settings.delta_path, "labels")
    assert labels is not None
    (row,) = labels.dataset.to_table(columns=[*told, "disputed_currency"]).to_pylist()
    assert row == {**told, "disputed_currency": None}


def test_a_micro_batch_that_cannot_be_removed_is_archived_once(
    settings: StreamSettings, context: TaskContext
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    play(context, 0)
    assert archive_up_to(settings, 0, remove=refuse) == 0
    play(context, 1)
    assert [archive_up_to(settings, 1) for _ in range(3)] == [1, 1, 0]
    assert not list(settings.spool_path.glob("0*"))
    found = compare(settings.delta_path)
    assert (found.transactions, found.errors()) == (40, [])


def test_a_commit_that_meets_another_one_is_made_again(
    settings: StreamSettings, context: TaskContext
) -> None:
    meets = iter([True, False, True])

    def write_or_meet(*given: Any, **options: Any) -> None:
        if next(meets, False):
            raise CommitFailedError("the properties have changed")
        write_deltalake(*given, **options)

    play(context, 0)
    assert archive_up_to(settings, 0, write=write_or_meet) == 1
    assert compare(settings.delta_path).transactions == 20


def test_a_letter_too_long_for_kafka_goes_without_its_record() -> None:
    long = {"row_kind": rows.DEAD_LETTER, "topic": "transactions", "source_partition": 0, "source_offset": 7}
    at = datetime.now(UTC)
    long |= {"received_at": at, "processed_at": at, "epoch": 3, "generation": 1, "reason": "invalid_json"}
    found = [
        json.loads(value)
        for size in (100, 900_000)
        for _, _, value in messages(
            pa.Table.from_pylist([{**long, "detail": "no", "key": "u", "raw": b"x" * size}], SPOOLED), SCHEMA
        )
    ]
    assert [len(base64.b64decode(one["raw"])) for one in found] == [100, 0]
    assert "900,000 bytes are in the Delta table" in found[1]["detail"]


def test_a_micro_batch_that_is_not_committed_is_not_in_the_log(
    settings: StreamSettings, context: TaskContext
) -> None:
    play(context, 0)
    play(context, 1)
    assert archive_up_to(settings, 0) == 1
    assert compare(settings.delta_path).transactions == 20


def test_a_table_that_is_ahead_is_read_as_far_as_all_are_complete(
    settings: StreamSettings, context: TaskContext, tmp_path: Path
) -> None:
    """As between two commits of a round: the transactions are there, their vectors are not yet."""
    play(context, 0)
    archive_up_to(settings, 0)
    shutil.copytree(settings.delta_path, tmp_path / "behind")
    play(context, 1)
    archive_up_to(settings, 1)
    shutil.rmtree(tmp_path / "behind" / "transactions")
    shutil.copytree(f"{settings.delta_path}/transactions", tmp_path / "behind" / "transactions")
    found = compare(str(tmp_path / "behind"))
    assert (found.transactions, found.missing, found.errors()) == (20, 0, [])


def test_a_feature_that_is_added_becomes_a_column_and_older_vectors_lack_it(
    settings: StreamSettings, context: TaskContext
) -> None:
    older = play(context, 0)
    pq.write_table(pq.read_table(older).drop_columns([ADDED]), older)
    archive_up_to(settings, 0)
    play(context, 1)
    archive_up_to(settings, 1)
    found = compare(settings.delta_path)
    assert (found.transactions, found.errors()) == (40, [])
    assert found.features[ADDED].compared == 20
    assert found.features["transaction_amount"].compared == 40


def test_decisions_from_before_experiments_stay_readable_beside_those_of_one(
    settings: StreamSettings, context: TaskContext
) -> None:
    older = play(context, 0)
    pq.write_table(pq.read_table(older).drop_columns(list(TRIAL_FIELDS)), older)
    archive_up_to(settings, 0)
    newer = play(context, 1)
    table = pq.read_table(newer)
    arms = pa.array(["control"] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("arm"), "arm", arms), newer)
    archive_up_to(settings, 1)
    decisions = find_table(settings.delta_path, "decisions")
    assert decisions is not None
    found = decisions.rows(("transaction_id", "arm"), pc.scalar(value=True)).column("arm").to_pylist()
    assert sorted(found, key=str) == [None] * 20 + ["control"] * 20


def test_a_place_that_is_away_is_tried_again_and_what_waits_is_archived_once(
    settings: StreamSettings, context: TaskContext
) -> None:
    def commit(batch: int) -> None:
        play(context, batch)
        commits = settings.checkpoint_path / "commits"
        commits.mkdir(parents=True, exist_ok=True)
        (commits / str(batch)).touch()

    Path(settings.delta_path).touch()  # a file where the tables' folder should be
    archiving = archiving_of(settings, limit_bytes=1)
    assert not archiving.is_full
    for batch in range(3):
        commit(batch)
        archiving.run(1, is_last=True)
        assert "the Delta tables cannot be written" in archiving.trouble
        assert archiving.is_full
    assert len(list(settings.spool_path.glob("0*"))) == 3
    Path(settings.delta_path).unlink()
    archiving.run(1, is_last=True)
    archiving.run(1, is_last=True)
    assert (archiving.trouble, archiving.is_full, archiving.spool_bytes) == ("", False, 0)
    found = compare(settings.delta_path)
    assert (found.transactions, found.errors()) == (60, [])


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_gone_is_not_made_anew_and_goes_on_when_it_is_back(
    settings: StreamSettings, context: TaskContext, tmp_path: Path, table: str
) -> None:
    play(context, 0)
    archive_up_to(settings, 0)
    shutil.move(f"{settings.delta_path}/{table}", tmp_path / "moved")
    play(context, 1)
    with pytest.raises(Unavailable, match=f"{table} is gone"):
        archive_up_to(settings, 1)
    assert not Path(settings.delta_path, table).exists()
    shutil.move(tmp_path / "moved", f"{settings.delta_path}/{table}")
    assert archive_up_to(settings, 1) == 1
    found = compare(settings.delta_path)
    assert (found.transactions, found.errors()) == (40, [])


def test_a_spool_of_an_earlier_release_is_refused_whole(
    settings: StreamSettings, context: TaskContext
) -> None:
    """Also where the older files lie behind those that this release has written."""
    play(context, 0)
    later = settings.spool_path / f"{1:06d}-{7:012d}"
    later.mkdir()
    pq.write_table(pa.table({"kind": pa.array([0], pa.int8())}), later / "part-00000.parquet")
    with pytest.raises(
        Unavailable, match=r"000000000007/part-00000.parquet was written by an earlier release"
    ):
        archive_up_to(settings, 0)
    assert find_table(settings.delta_path, "transactions") is None
