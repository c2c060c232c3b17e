"""No refused record, of whatever key, text or size, makes a dead letter that Kafka refuses."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import DEAD_LETTERS, TRANSACTIONS, DeadLetter
from fraud.features import kernel
from fraud.schema.arrow import TIME
from jobs.stream.tasks import publish, validate_pass
from jobs.stream.tasks.letters import untaken_results
from jobs.stream.tasks.publish import MOST_LETTER
from tests.deployed import PASSES, SCHEMA, SPOOLED

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SIZES = (0, 1, 300, 150_000, 300_000, 400_000, 700_000, 999_000)
UNITS = (b"x", b"\xff", b"\x00", b'"', b"\\", "\u20ac".encode(), "\U0001f600".encode(), b"\xed\xa0\x80")
BYTES = st.builds(lambda unit, size: (unit * size)[:size], st.sampled_from(UNITS), st.sampled_from(SIZES))


def letters_of(records: list[tuple[bytes | None, bytes | None]]) -> list[tuple[str, str, bytes]]:
    """Validate records of the topic of transactions; what is sent to Kafka for those that are refused."""
    n = len(records)
    source = pa.table(
        {
            "key": pa.array([key for key, _ in records], pa.binary()),
            "value": pa.array([value for _, value in records], pa.binary()),
            "topic": [TRANSACTIONS] * n,
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
            "timestamp": pa.array([NOW] * n, pa.timestamp("us", tz="UTC")),
            "timestampType": pa.array([1] * n, pa.int32()),
        }
    )
    found = validate_pass.validate(source)
    stamp = {"processed_at": NOW, "generation": 1, "epoch": 0, "features_version": "1"}
    spooled = [
        {field.name: {**row, **stamp}.get(field.name) for field in SPOOLED} for row in found.to_pylist()
    ]
    return list(publish.messages(pa.Table.from_pylist(spooled, SPOOLED), SCHEMA))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.none() | BYTES, st.none() | BYTES), min_size=1, max_size=4))
def test_every_refused_record_has_one_letter_that_kafka_takes(
    records: list[tuple[bytes | None, bytes | None]],
) -> None:
    sent = letters_of(records)
    assert {topic for topic, _, _ in sent} == {DEAD_LETTERS}
    assert all(len(key.encode()) + len(value) <= MOST_LETTER + 1_000 for _, key, value in sent)
    origins = [DeadLetter.model_validate_json(value).offset for _, _, value in sent]
    assert origins == list(range(len(records)))


@pytest.mark.parametrize("key", [b"\xff" * 400_000, b"\x00" * 400_000, "\u20ac".encode() * 300_000])
def test_a_key_that_grows_by_its_encoding_is_cut_with_its_origin(key: bytes) -> None:
    ((_, _, message),) = letters_of([(key, b"junk")])
    letter = DeadLetter.model_validate_json(message)
    assert (letter.topic, letter.partition, letter.offset, letter.raw) == (TRANSACTIONS, 0, 0, b"")
    assert len(message) < 50_000


def test_a_small_record_is_kept_whole() -> None:
    ((_, _, message),) = letters_of([(b"u", b"junk \xff")])
    letter = DeadLetter.model_validate_json(message)
    assert (letter.raw, letter.reason) == (b"junk \xff", "invalid_json")


def test_a_result_of_a_transaction_that_no_window_reaches_is_taken_and_one_that_could_count_is_not() -> None:
    """The default windows reach 30 days back, and 2 more for what comes late."""
    ages = [40, 31, 1, 1, None]
    happened = [None if age is None else NOW - timedelta(days=age) for age in ages]
    table = pa.table({"event_time": pa.array(happened, TIME), "received_at": pa.array([NOW] * 5, TIME)})
    outcomes = np.array([kernel.NOT_KEPT, kernel.NOT_KEPT, kernel.NOT_KEPT, 1.0, kernel.NO_ROOM])
    assert untaken_results(PASSES, table, outcomes).tolist() == [1, 2, 4]
