"""A bad day's data are stopped with words that name the trouble."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fraud.errors import BadInput
from jobs.retrain.settings import Interval, RetrainSettings
from jobs.retrain.validate import validate

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60
GAP = timedelta(days=21)
DAY = Interval(START + timedelta(days=DAYS - 1), START + timedelta(days=DAYS))
STAMP = pa.timestamp("us", "UTC")


def make(per_day=400, fraud=0.02):
    rng = np.random.default_rng(1)
    rows = per_day * DAYS
    micros = np.sort(rng.integers(0, DAYS * 86_400_000_000, rows)) + round(START.timestamp()) * 1_000_000
    ids = [f"t{number}" for number in range(rows)]
    transactions = pa.table(
        {
            "transaction_id": ids,
            "event_time": pa.array(micros, STAMP),
            "user_id": [f"u{number % 97}" for number in range(rows)],
            "merchant_id": [f"m{number % 31}" for number in range(rows)],
            "amount": rng.uniform(1.0, 100.0, rows),
            "category": ["grocery"] * rows,
            "latitude": rng.uniform(-80.0, 80.0, rows),
            "longitude": rng.uniform(-170.0, 170.0, rows),
        }
    )
    labels = pa.table(
        {
            "transaction_id": ids,
            "label_time": pa.array(micros + 3 * 86_400_000_000, STAMP),
            "is_fraud": rng.random(rows) < fraud,
        }
    )
    return transactions, labels


def within(table, interval=DAY):
    time = table["event_time"]
    return pc.and_(
        pc.greater_equal(time, pa.scalar(interval.start)), pc.less(time, pa.scalar(interval.end))
    ).to_numpy()


def change(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


def check(transactions, labels, **limits):
    return validate(transactions, labels, DAY, GAP, RetrainSettings(**limits))


def test_a_usual_day_passes_with_its_figures():
    found = check(*make())
    assert found.is_good, found.failures
    assert found.figures["volume_ratio"] == pytest.approx(1.0, abs=0.2)
    assert found.figures["fraud_share"] == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("amount", -5.0, "range: column amount"),
        ("amount", 1e9, "range: column amount"),
        ("latitude", 99.0, "range: column latitude"),
        ("user_id", "", "range: column user_id"),
    ],
)
def test_a_value_out_of_range_names_its_column(name, value, words):
    transactions, labels = make()
    bad = within(transactions) & (np.cumsum(within(transactions)) == 3)
    kind = transactions[name].type
    values = pc.if_else(pa.array(bad), pa.scalar(value, kind), transactions[name])
    found = check(change(transactions, name, values), labels)
    assert len(found.failures) == 1
    assert words in found.failures[0]
    assert "1 values" in found.failures[0]


def test_half_the_volume_is_borne_and_a_tenth_is_not():
    transactions, labels = make()
    outside = ~within(transactions)
    for every, is_good in ((2, True), (10, False)):
        kept = outside | (np.arange(len(outside)) % every == 0)
        found = check(transactions.filter(pa.array(kept)), labels, min_rows=10)
        assert found.is_good == is_good
    assert "volume:" in found.failures[0]
    nothing = check(transactions.filter(pa.array(outside)), labels)
    assert "at least 100" in nothing.failures[0]


def test_repeated_transactions_are_counted():
    transactions, labels = make()
    day = transactions.filter(pa.array(within(transactions)))
    found = check(pa.concat_tables([transactions, day.slice(0, 50)]), labels)
    assert found.failures == (
        f"duplicates: column transaction_id: 50 of {day.num_rows + 50:,} are repeated, above 0.10%",
    )


def test_a_column_that_went_missing_is_named():
    transactions, labels = make()
    values = pc.if_else(
        pa.array(within(transactions)), pa.scalar(None, pa.string()), transactions["category"]
    )
    found = check(change(transactions, "category", values), labels)
    assert found.failures == ("missing: column category: 100.0% missing against 0.0% before",)


def test_labels_that_stopped_coming_or_call_everything_fraud_are_told():
    transactions, labels = make()
    newest = pc.greater(labels["label_time"], pa.scalar(START + timedelta(days=34))).to_numpy()
    is_fraud = labels["is_fraud"].to_numpy(zero_copy_only=False)
    for wrong, words in ((is_fraud & ~newest, "are labels missing?"), (is_fraud | newest, "above 20.0%")):
        found = check(transactions, change(labels, "is_fraud", pa.array(wrong)))
        assert len(found.failures) == 1
        assert words in found.failures[0]


def test_every_trouble_is_listed_at_once():
    transactions, labels = make()
    inside = pa.array(within(transactions))
    bad = change(transactions, "amount", pc.if_else(inside, -1.0, transactions["amount"]))
    bad = change(bad, "category", pc.if_else(inside, pa.scalar(None, pa.string()), bad["category"]))
    assert len(check(bad, labels).failures) == 2


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-02/2026-01-01", "x/y"])
def test_an_interval_that_is_none_is_refused_in_words(text):
    with pytest.raises(BadInput):
        Interval.parse(text)
