"""Laws of reading and dividing the training data."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fraud.errors import BadInput
from jobs.train.data import NEVER, Examples, build_examples, choose_as_of, read_tables, split_by_time
from jobs.train.settings import parse_time

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
START_US = int(START.timestamp()) * 1_000_000


def make_examples(hours, delays_h, is_fraud):
    event_us = START_US + np.array(hours, np.int64) * HOUR_US
    delay = np.array(delays_h, np.int64)
    return Examples(
        vectors=np.arange(len(event_us), dtype=float)[:, None],  # the row's number tells rows apart
        event_us=event_us,
        label_us=np.where(delay < 0, NEVER, event_us + delay * HOUR_US),
        is_fraud=np.array(is_fraud) & (delay >= 0),
        amount=np.ones(len(event_us)),
    )


rows = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(-1, 600), st.booleans()), min_size=30, max_size=120
)


@settings(deadline=None)
@given(rows, st.integers(0, 2000), st.integers(0, 30), st.floats(0.05, 0.9))
def test_nothing_later_than_the_moment_of_training_is_trained_on(drawn, as_of_h, gap_days, share):
    examples = make_examples(*zip(*drawn, strict=True))
    as_of = START + timedelta(hours=as_of_h)
    as_of_us = START_US + as_of_h * HOUR_US
    end_us = as_of_us - gap_days * 24 * HOUR_US
    try:
        split = split_by_time(examples, as_of, timedelta(days=gap_days), share)
    except BadInput:
        assume(False)
    numbers = [period.vectors[:, 0].astype(int) for period in (split.train, split.validation, split.test)]
    assert len(set(np.concatenate(numbers))) == sum(map(len, numbers)), "no row is in two periods"
    assert set(np.concatenate(numbers[:2])) == set(np.flatnonzero(examples.event_us <= end_us))
    assert set(numbers[2]) == set(
        np.flatnonzero((examples.event_us > as_of_us) & (examples.label_us < NEVER))
    )
    assert split.train.event_us.max() < split.validation.event_us.min()
    for period, chosen in zip((split.train, split.validation), numbers[:2], strict=True):
        known = examples.is_fraud[chosen] & (examples.label_us[chosen] <= as_of_us)
        np.testing.assert_array_equal(period.is_fraud, known)
    np.testing.assert_array_equal(split.test.is_fraud, examples.is_fraud[numbers[2]])


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=20), st.floats(0.01, 0.99))
def test_the_moment_chosen_leaves_the_asked_share_of_time_for_the_test(hours, share):
    event_us = START_US + np.array(hours, np.int64) * HOUR_US
    as_of = choose_as_of(event_us, share)
    span_us = int(event_us.max() - event_us.min())
    left_us = int(event_us.max()) - (as_of - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
    assert left_us == int(span_us * share)


@pytest.mark.parametrize(
    ("as_of_h", "words"),
    [(10, "no transaction is older than 21 days"), (1999, "test"), (24 * 21 + 3, "validation")],
)
def test_a_moment_that_allows_no_training_is_refused_in_words(as_of_h, words):
    hours = [0, 1, 2, 3, 1300, 1301, 1998, 1999, 1999]
    examples = make_examples(hours, [0] * 9, [True, False, True, True, True, False, False, True, False])
    with pytest.raises(BadInput, match=words):
        split_by_time(examples, START + timedelta(hours=as_of_h), timedelta(days=21), 0.2)


def test_labels_of_one_kind_are_refused_naming_the_column():
    hours = list(range(0, 2000, 10))
    examples = make_examples(hours, [0] * len(hours), [False] * len(hours))
    with pytest.raises(BadInput, match=r"0 of them frauds.*is_fraud"):
        split_by_time(examples, START + timedelta(hours=1500), timedelta(days=21), 0.2)


def transactions(count=4):
    times = [START + timedelta(hours=index) for index in range(count)]
    return pa.table(
        {
            "transaction_id": [f"t{index}" for index in range(count)],
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "user_id": ["u"] * count,
            "merchant_id": ["m"] * count,
            "amount": [float(index + 1) for index in range(count)],
        }
    )


def labels(ids=("t0", "t1")):
    time = pa.array([START + timedelta(days=21)] * len(ids), pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "transaction_id": list(ids),
            "user_id": ["u"] * len(ids),
            "merchant_id": ["m"] * len(ids),
            "event_time": time,
            "label_time": time,
            "is_fraud": [True] * len(ids),
        }
    )


def write(folder, transaction_table, label_table):
    pq.write_table(transaction_table, folder / "transactions.parquet")
    pq.write_table(label_table, folder / "labels.parquet")
    return folder


def test_every_transaction_but_duplicates_meets_its_own_label(tmp_path):
    table = pa.concat_tables([transactions(), transactions(2)])
    examples = build_examples(read_tables(write(tmp_path, table, labels(("t3", "t1")))))
    assert len(examples) == 4
    assert examples.is_fraud.tolist() == [False, True, False, True]
    assert (examples.label_us == NEVER).tolist() == [True, False, True, False]
    assert examples.amount.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_the_fingerprint_changes_with_either_table(tmp_path):
    seen = {
        read_tables(write(tmp_path, transactions(count), labels(ids))).fingerprint
        for count in (3, 4)
        for ids in (("t0",), ("t1",))
    }
    assert len(seen) == 4
    assert read_tables(write(tmp_path, transactions(4), labels(("t1",)))).fingerprint in seen


@pytest.mark.parametrize("column", ["transaction_id", "event_time", "user_id", "merchant_id", "amount"])
def test_a_transactions_table_without_a_column_is_refused_naming_it(tmp_path, column):
    with pytest.raises(BadInput, match=f"transactions.parquet lacks the column {column}"):
        read_tables(write(tmp_path, transactions().drop_columns([column]), labels()))


@pytest.mark.parametrize("column", ["transaction_id", "label_time", "is_fraud"])
def test_a_labels_table_without_a_column_is_refused_naming_it(tmp_path, column):
    with pytest.raises(BadInput, match=f"labels.parquet lacks the column {column}"):
        read_tables(write(tmp_path, transactions(), labels().drop_columns([column])))


def test_empty_tables_missing_values_and_missing_files_are_refused_in_words(tmp_path):
    with pytest.raises(BadInput, match=r"transactions\.parquet does not exist"):
        read_tables(tmp_path)
    with pytest.raises(BadInput, match=r"transactions\.parquet has no rows"):
        read_tables(write(tmp_path, transactions(0), labels()))
    with pytest.raises(BadInput, match=r"labels\.parquet has no rows"):
        read_tables(write(tmp_path, transactions(), labels(())))
    holes = transactions().set_column(4, "amount", pa.array([1.0, None, 1.0, None]))
    with pytest.raises(BadInput, match="column amount has 2 missing values"):
        read_tables(write(tmp_path, holes, labels()))
    (tmp_path / "transactions.parquet").write_text("not parquet")
    with pytest.raises(BadInput, match="not a Parquet file"):
        read_tables(tmp_path)


def test_times_that_are_no_timestamps_are_refused(tmp_path):
    table = transactions().set_column(1, "event_time", pa.array(["2026-01-01"] * 4))
    with pytest.raises(BadInput, match="event_time"):
        build_examples(read_tables(write(tmp_path, table, labels())))


def test_a_time_without_an_offset_is_utc_and_nonsense_is_refused():
    assert parse_time("2026-03-01T12:00:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert parse_time("2026-03-01T12:00:00+02:00") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    with pytest.raises(BadInput, match="yesterday"):
        parse_time("yesterday")
