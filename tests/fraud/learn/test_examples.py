"""Laws of reading and dividing the training data."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fraud.errors import BadInput
from fraud.learn import tables as train_tables
from fraud.learn.evaluation import labelled
from fraud.learn.examples import NEVER, Examples, build_examples, divide, forward_folds, split_by_time, thin
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import in_order_of_arrival
from fraud.settings.base import parse_time
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION


def read_tables(folder, **settings):
    return train_tables.read_tables(TrainSettings(data=folder, **settings))


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
        user=np.arange(len(event_us)) % 7,
        category=np.zeros(len(event_us), np.int64),
    )


rows = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(-1, 600), st.booleans()), min_size=30, max_size=120
)


@given(rows, st.integers(0, 2000), st.integers(0, 30))
def test_nothing_later_than_the_moment_of_training_is_trained_on(drawn, as_of_h, gap_days):
    examples = make_examples(*zip(*drawn, strict=True))
    as_of = START + timedelta(hours=as_of_h)
    as_of_us = START_US + as_of_h * HOUR_US
    end_us = as_of_us - gap_days * 24 * HOUR_US
    try:
        split = split_by_time(examples, as_of, as_of - timedelta(days=gap_days))
    except BadInput:
        assume(False)
    train, test = (period.vectors[:, 0].astype(int) for period in (split.train, split.test))
    assert set(train) == set(np.flatnonzero(examples.event_us < end_us))
    assert set(test) == set(np.flatnonzero((examples.event_us >= as_of_us) & (examples.label_us < NEVER)))
    known = examples.is_fraud[train] & (examples.label_us[train] <= as_of_us)
    np.testing.assert_array_equal(split.train.is_fraud, known)
    np.testing.assert_array_equal(split.test.is_fraud, examples.is_fraud[test])


@given(rows, st.integers(1, 5), st.floats(0.1, 0.9))
def test_each_block_is_held_from_what_comes_before_it_and_none_is_held_twice(drawn, count, share):
    examples = make_examples(*zip(*drawn, strict=True))
    try:
        folds = forward_folds(examples, count, share)
    except BadInput:
        assume(False)
    held = np.concatenate([fold.held for fold in folds])
    assert len(set(held)) == len(held)
    for fold in folds:
        assert examples.event_us[fold.fit].max() < examples.event_us[fold.held].min()
        for part in (fold.fit, fold.held):
            assert 0 < examples.is_fraud[part].sum() < len(part)


def test_periods_are_set_by_days_or_by_dates_alike():
    hours = list(range(0, 2400, 2))
    examples = make_examples(hours, [24] * len(hours), np.arange(len(hours)) % 3 == 0)
    as_of = START + timedelta(days=60)
    by_days = divide(examples, TrainSettings(as_of=as_of, label_gap_days=7, train_days=14, test_days=21))
    by_dates = divide(
        examples,
        TrainSettings(
            as_of=as_of,
            label_gap_days=99,
            train_until=as_of - timedelta(days=7),
            train_from=as_of - timedelta(days=21),
            test_until=as_of + timedelta(days=21),
        ),
    )
    for period in ("train", "test"):
        one, other = getattr(by_days, period), getattr(by_dates, period)
        np.testing.assert_array_equal(one.event_us, other.event_us)
    assert len(by_days.train) == 14 * 12
    assert len(by_days.test) == 21 * 12 + 1


def archive(days=90, at_day=90.0, stray_label_day=None):
    """Examples of an archive at a moment: a fraud's label comes after 3 days, an honest one's after 21."""
    hours = np.arange(0, days * 24, 2)
    is_fraud = np.arange(len(hours)) % 10 == 0
    delay = np.where(is_fraud, 3 * 24, 21 * 24)
    delay = np.where(hours + delay <= at_day * 24, delay, -1)
    if stray_label_day is not None:
        delay[0] = stray_label_day * 24 - hours[0]
    return make_examples(hours, delay, is_fraud)


@pytest.mark.parametrize("stray", [None, 30_000])
def test_the_test_ends_where_honest_labels_have_not_come_yet(stray):
    given = TrainSettings(as_of=START + timedelta(days=50), label_gap_days=21)
    test = divide(archive(stray_label_day=stray), given).test
    assert test.event_us.max() <= START_US + (90 - 21) * 24 * HOUR_US
    assert 0.08 < test.is_fraud.mean() < 0.12
    evaluated = labelled(archive(stray_label_day=stray), START + timedelta(days=50), None, 21)
    np.testing.assert_array_equal(evaluated.event_us, test.event_us)


def test_where_all_labels_are_known_the_whole_period_is_tested():
    examples = archive(at_day=200.0)
    test = divide(examples, TrainSettings(as_of=START + timedelta(days=50), label_gap_days=21)).test
    assert test.event_us.max() == examples.event_us.max()


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=20), st.floats(0.01, 0.99))
def test_the_moment_chosen_leaves_the_asked_share_of_time_for_the_test(hours, share):
    assume(max(hours) > min(hours))
    examples = make_examples(hours, [0] * len(hours), [False] * len(hours))
    with pytest.raises(BadInput) as refused:
        divide(examples, TrainSettings(test_share=share))
    span = timedelta(hours=max(hours) - min(hours))
    as_of = START + timedelta(hours=max(hours)) - span * share
    assert as_of.isoformat(timespec="seconds")[:16] in str(refused.value) or "train" in str(refused.value)


def test_thinning_keeps_every_fraud_and_the_order_of_time():
    examples = make_examples(range(1000), [0] * 1000, np.arange(1000) % 50 == 0)
    few = thin(examples, 100, seed=1)
    assert len(few) == 100
    assert few.is_fraud.sum() == 20
    assert (np.diff(few.event_us) > 0).all()


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.booleans())
@example([False, True, True, True, False], False)
@example([True, True], True)
def test_rows_that_stand_together_are_taken_without_a_copy(mask, are_numbers):
    examples = make_examples(range(len(mask)), [0] * len(mask), [False] * len(mask))
    chosen = np.flatnonzero(mask)
    taken = examples.take(chosen if are_numbers else np.array(mask))
    assert taken.vectors[:, 0].tolist() == chosen.tolist()
    assert taken.user.tolist() == (chosen % 7).tolist()
    together = len(chosen) > 0 and chosen[-1] - chosen[0] + 1 == len(chosen)
    assert np.shares_memory(taken.vectors, examples.vectors) == together


def test_rows_named_in_another_order_or_twice_stay_as_named():
    examples = make_examples(range(6), [0] * 6, [False] * 6)
    for rows in ([3, 2, 1], [2, 2, 3], [1, 3, 2, 4]):
        assert examples.take(np.array(rows)).vectors[:, 0].tolist() == rows


@pytest.mark.parametrize(
    ("as_of_h", "words"),
    [(10, "no transaction lies between"), (2100, "test")],
)
def test_a_moment_that_allows_no_training_is_refused_in_words(as_of_h, words):
    hours = [0, 1, 2, 3, 1300, 1301, 1998, 1999, 1999]
    examples = make_examples(hours, [0] * 9, [True, False, True, True, True, False, False, True, False])
    with pytest.raises(BadInput, match=words):
        split_by_time(examples, START + timedelta(hours=as_of_h), START + timedelta(hours=as_of_h - 21 * 24))


def test_labels_of_one_kind_are_refused_naming_the_column():
    hours = list(range(0, 2000, 10))
    examples = make_examples(hours, [0] * len(hours), [False] * len(hours))
    with pytest.raises(BadInput, match=r"0 of them frauds.*is_fraud"):
        split_by_time(examples, START + timedelta(hours=1500), START + timedelta(hours=1000))


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
    with pytest.raises(BadInput, match="as a CSV, JSON, Parquet or Delta table"):
        read_tables(tmp_path)


def test_times_may_be_text_and_nonsense_is_refused_naming_the_column(tmp_path):
    text = transactions().set_column(1, "event_time", pa.array(["2026-01-01 00:00:00"] * 4))
    examples = build_examples(read_tables(write(tmp_path, text, labels())))
    assert set(examples.event_us) == {START_US}
    table = transactions().set_column(1, "event_time", pa.array(["yesterday"] * 4))
    with pytest.raises(BadInput, match="column event_time must hold times"):
        read_tables(write(tmp_path, table, labels()))


def test_labels_of_frauds_alone_make_what_is_old_enough_honest(tmp_path):
    tables = read_tables(write(tmp_path, transactions(100), labels(("t3", "t90"))))
    examples = build_examples(tables, gap_days=1)
    assert examples.is_fraud.sum() == 2
    assert (examples.label_us < NEVER).sum() == 100 - 24 + 1
    assert not examples.is_fraud[examples.label_us == NEVER].any()


def test_of_several_labels_the_last_holds_and_since_it_was_first_said(tmp_path):
    says = [
        ("t0", 2, True),
        ("t0", 5, False),  # a mistake, taken back
        ("t1", 9, True),
        ("t1", 3, False),  # found out later; the rows come in any order
        ("t2", 2, True),
        ("t2", 8, True),  # said again
        ("t300", 15, True),
        ("t301", 15, False),  # of the test
    ]
    ids, days, truths = zip(*says, strict=True)
    times = pa.array([START + timedelta(days=day) for day in days], pa.timestamp("us", "UTC"))
    table = labels(ids)
    for name, values in (("label_time", times), ("is_fraud", pa.array(truths))):
        table = table.set_column(table.column_names.index(name), name, values)
    examples = build_examples(read_tables(write(tmp_path, transactions(400), table)))
    assert examples.is_fraud[:3].tolist() == [False, True, True]
    assert ((examples.label_us[:3] - START_US) // (24 * HOUR_US)).tolist() == [5, 9, 2]
    train_end = START + timedelta(hours=30)
    for day, expected in ((4, [False, False, True]), (10, [False, True, True])):
        split = split_by_time(examples, START + timedelta(days=day), train_end)
        assert split.train.is_fraud[:3].tolist() == expected


def served(tables, version=FEATURES_VERSION):
    vectors = build_examples(tables).vectors + 1.0
    columns = {name: vectors[:, index] for index, name in enumerate(FEATURE_NAMES)}
    return pa.table(
        {
            "transaction_id": tables.transactions["transaction_id"],
            "features_version": [version] * len(vectors),
            **columns,
        }
    )


def test_served_vectors_are_taken_where_all_are_there_else_computed(tmp_path):
    tables = read_tables(write(tmp_path, transactions(6), labels()))
    computed = build_examples(tables).vectors
    pq.write_table(served(tables), tmp_path / "features.parquet")
    np.testing.assert_array_equal(build_examples(read_tables(tmp_path)).vectors, computed + 1.0)
    pq.write_table(served(tables, "other"), tmp_path / "features.parquet")
    np.testing.assert_array_equal(build_examples(read_tables(tmp_path)).vectors, computed)
    pq.write_table(served(tables).slice(2), tmp_path / "features.parquet")
    np.testing.assert_array_equal(build_examples(read_tables(tmp_path)).vectors, computed)
    assert len(build_examples(read_tables(tmp_path), vectors="served")) == 4


def test_the_archive_is_read_in_its_order_of_arrival():
    def log(table, epochs, offsets):
        n = table.num_rows
        received = pa.array([START + timedelta(days=50)] * n, pa.timestamp("us", "UTC"))
        for name, values in (
            ("generation", [1] * n),
            ("epoch", epochs),
            ("received_at", received),
            ("source_partition", [0] * n),
            ("source_offset", offsets),
        ):
            table = table.append_column(name, pa.array(values))
        return table

    ordered, ordered_labels = in_order_of_arrival(
        log(transactions(3), [2, 1, 1], [0, 5, 4]), log(labels(("t0", "t1")), [1, 2], [9, 9])
    )
    ranks = [*ordered["arrival_time"].cast(pa.int64()).to_pylist()]
    assert ranks == [4, 2, 1]
    assert ordered_labels["arrival"].cast(pa.int64()).to_pylist() == [0, 3]


def test_a_time_without_an_offset_is_utc_and_nonsense_is_refused():
    assert parse_time("2026-03-01T12:00:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert parse_time("2026-03-01T12:00:00+02:00") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    with pytest.raises(BadInput, match="yesterday"):
        parse_time("yesterday")
