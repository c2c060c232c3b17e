"""No record, of whatever key, value, size or encoding, ends the query: laws over passes and letters."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.contracts import DEAD_LETTERS, LABELS, MOST_RECORD, SCORED, TRANSACTIONS, DeadLetter
from fraud.log import rows
from fraud.store import Epoch, open_store
from jobs.stream.tasks import decide_pass, entity_pass, validate_pass
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.large_records import MOST_RAW, LargeRecords, without_written
from jobs.stream.tasks.publish import MOST_LETTER, messages
from jobs.stream.tasks.score import Decisions
from jobs.stream.tasks.scored import Decided
from jobs.stream.tasks.stopwatch import Stopwatch
from tests.deployed import SCHEMA, SPOOLED
from tests.jobs.stream.tasks.test_passes import START, transaction

SIZES = (0, 1, 300, MOST_RECORD - 1, MOST_RECORD, MOST_RECORD + 1, 300_000, 400_000, 999_000, MOST_RAW + 5)
UNITS = (b"x", b"\xff", b"\x00", b'"', b"\\", "\u20ac".encode(), "\U0001f600".encode(), b"\xed\xa0\x80", b"[")
TEXTS = st.builds(lambda unit, size: (unit * size)[:size], st.sampled_from(UNITS), st.sampled_from(SIZES))
BOUNDARY = b'{"transaction_id": "t", "user_sequence": 1' + b"0" * 400 + b"}"
RECORDS = st.tuples(
    st.sampled_from((TRANSACTIONS, LABELS, SCORED, "a-topic-of-nobody")),
    st.none() | TEXTS,
    st.none() | TEXTS | st.binary(max_size=200) | st.just(BOUNDARY),
)


@pytest.fixture
def context(tmp_path: Path) -> TaskContext:
    url = f"lmdb://{tmp_path / 'store'}"
    with open_store(url) as store:
        token, generation = store.acquire("test"), store.generation_of("test")
    return TaskContext(Epoch(generation, 0), token, url, tmp_path / "spool", (), "http://127.0.0.1:9", 0.1)


def source(records: list[tuple[str, bytes | None, bytes | None]]) -> pa.RecordBatch:
    """Rows of the Kafka source."""
    n = len(records)
    return pa.record_batch(
        {
            "key": pa.array([key for _, key, _ in records], pa.binary()),
            "value": pa.array([value for _, _, value in records], pa.binary()),
            "topic": pa.array([topic for topic, _, _ in records]),
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
            "timestamp": pa.array([START] * n, pa.timestamp("us", tz="UTC")),
        }
    )


def run(context: TaskContext, batch: pa.RecordBatch) -> tuple[pa.Table, pa.Table]:
    """Run all passes without Spark and model; returns the spooled rows and what was set aside."""
    large = LargeRecords(context, 0)
    stubs, sizes = large.set_aside(batch)
    large.close()
    table = validate_pass.validate(pa.Table.from_batches([stubs]), sizes=sizes)
    watch = Stopwatch()
    passed = entity_pass.pass_further(context, 1, entity_pass.pass_primary(context, table, watch), watch)
    n = passed.column("row_kind").to_pylist().count(rows.TRANSACTION)
    decisions = Decisions(["approve"] * n, [[]] * n, [None] * n, [None] * n)
    vectors = rows.matrix_of(passed.column("vector"))
    decided = Decided(passed, context.passes, context.contracts)
    spooled = decide_pass.spool_table(context, passed, vectors=vectors, decisions=decisions, decided=decided)
    file = context.spool / context.epoch.name / "large-00000.parquet"
    aside = pq.read_table(file) if file.exists() else SPOOLED.empty_table()
    file.unlink(missing_ok=True)
    return spooled, aside


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RECORDS, min_size=1, max_size=8))
def test_every_hostile_record_has_one_letter_that_kafka_takes_and_one_row_for_delta(
    context: TaskContext,
    records: list[tuple[str, bytes | None, bytes | None]],
) -> None:
    spooled, aside = run(context, source(records))
    found: dict[tuple[str, int, int], DeadLetter] = {}
    for topic, key, value in messages(spooled, SCHEMA):
        assert topic == DEAD_LETTERS
        assert len(key.encode()) + len(value) <= MOST_LETTER + 1_000
        letter = DeadLetter.model_validate_json(value)
        found[letter.topic, letter.partition, letter.offset] = letter
    assert sorted(found) == sorted((topic, 0, at) for at, (topic, _, _) in enumerate(records))
    kept = pa.concat_tables([without_written(spooled), aside])
    raws = dict(zip(kept.column("source_offset").to_pylist(), kept.column("raw").to_pylist(), strict=True))
    assert raws == {at: (value or b"")[:MOST_RAW] for at, (_, _, value) in enumerate(records)}


@pytest.mark.parametrize("key", [b"\xff" * 400_000, b"\x00" * 300_000, None])
def test_a_record_larger_than_kafka_takes_as_a_letter_is_cut_there_and_whole_in_delta(
    context: TaskContext,
    key: bytes | None,
) -> None:
    value = b"junk" if key else b"x" * 950_000
    spooled, aside = run(context, source([(TRANSACTIONS, key, value)]))
    ((_, _, message),) = messages(spooled, SCHEMA)
    letter = DeadLetter.model_validate_json(message)
    assert (letter.reason, letter.topic, letter.offset, letter.raw) == ("too_large", TRANSACTIONS, 0, b"")
    assert len(message) < 50_000
    assert aside.column("raw").to_pylist() == [value]
    assert aside.column("key").to_pylist() == [key.decode(errors="replace") if key else None]
    assert without_written(spooled).num_rows == 0


def test_what_a_task_hands_on_is_small_however_large_its_records_are(context: TaskContext) -> None:
    batch = source([(TRANSACTIONS, b"k", b"y" * 900_000)] * 20)
    stubs, _ = LargeRecords(context, 0).set_aside(batch)
    table = validate_pass.validate(pa.Table.from_batches([stubs]), sizes=np.full(20, 900_001))
    assert table.nbytes < 20 * 2_000


def test_a_valid_transaction_with_a_long_key_is_decided(context: TaskContext) -> None:
    raw = json.dumps(transaction(1)).encode()
    spooled, aside = run(context, source([(TRANSACTIONS, b"\xff" * 10_000, raw)]))
    assert spooled.column("row_kind").to_pylist() == [rows.TRANSACTION]
    assert aside.num_rows == 0


def test_a_duplicate_with_a_long_key_is_a_letter_that_kafka_takes(
    context: TaskContext,
) -> None:
    raw = json.dumps(transaction(1)).encode()
    key = b"\x00" * (MOST_RECORD - len(raw))
    spooled, _ = run(context, source([(TRANSACTIONS, key, raw)] * 2))
    letters = [value for topic, _, value in messages(spooled, SCHEMA) if topic == DEAD_LETTERS]
    assert [DeadLetter.model_validate_json(one).reason for one in letters] == ["duplicate"]
