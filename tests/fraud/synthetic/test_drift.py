"""Laws of the injected drift: nothing changes without it or before it, and each kind does what it says."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fraud.errors import BadConfig
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.drift import NEW_PATTERN, strength_at
from fraud.synthetic.encoding import encode_labels, encode_transactions
from fraud.synthetic.fraud_patterns import PATTERNS
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import DAY_US, Drift, GeneratorSettings

SMALL = GeneratorSettings(transactions=2_000, users=200, merchants=100)
SETTINGS = GeneratorSettings(transactions=20_000, users=2_000, merchants=800, days=60, drift_day=30)
KINDS = [kind for kind in Drift if kind is not Drift.NONE]


def drifting(kind: Drift, **changes) -> DataSet:
    return generate(SETTINGS.model_copy(update={"drift": kind, **changes}))


def day_of(made: DataSet) -> np.ndarray:
    return (made.transactions["event_time"].cast(pa.int64()).to_numpy() - SETTINGS.start_us) // DAY_US


@pytest.fixture(scope="module")
def steady() -> DataSet:
    return generate(SETTINGS)


def test_without_drift_the_records_are_those_of_the_first_release():
    made = generate(SMALL)
    labels = made.labels.drop_columns(["fraud_type", "reason_code", "disputed_amount"])  # which came later
    records = [json.loads(raw) for raw in encode_transactions(made.transactions) + encode_labels(labels)]
    assert hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest() == (
        "06ca0faff257f7a710cab691093e380b36eba1c61cdde226f81c1a3f28f3f0da"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_drift_nothing_differs_and_the_sums_stay(steady, kind):
    made = drifting(kind)
    before = pc.less(
        made.transactions["event_time"],
        pa.scalar(SETTINGS.start_us + SETTINGS.drift_us).cast(pa.timestamp("us", tz="UTC")),
    )
    old = made.transactions.filter(before)
    assert old.num_rows > 5_000
    assert old == steady.transactions.slice(0, old.num_rows)
    assert made.transactions != steady.transactions
    assert made.transactions.num_rows == SETTINGS.transactions
    assert made.patterns.num_rows == steady.patterns.num_rows
    labels = made.labels.sort_by("event_time")
    assert labels.slice(0, old.num_rows) == steady.labels.sort_by("event_time").slice(0, old.num_rows)
    assert drifting(kind) == made


@pytest.mark.parametrize("kind", [Drift.SUDDEN, Drift.GRADUAL, Drift.SEASONAL])
def test_prices_and_channels_follow_the_drift(steady, kind):
    made = drifting(kind)
    days = np.arange(60)
    height = strength_at(days * DAY_US + DAY_US // 2, SETTINGS.model_copy(update={"drift": kind}))
    high, low = np.isin(day_of(made), days[height > 0.6]), np.isin(day_of(made), days[height < 0.05])
    ratio = made.transactions["amount"].to_numpy() / steady.transactions["amount"].to_numpy()
    is_online = pc.equal(made.transactions["channel"], "online").fill_null(False).to_numpy()
    assert np.median(ratio[high]) > 1.2
    assert np.median(ratio[low]) < 1.05
    assert is_online[high].mean() > is_online[low].mean() + 0.05


def test_a_gradual_change_only_grows_and_a_seasonal_one_returns_to_nothing():
    times = np.arange(30 * DAY_US, 60 * DAY_US, DAY_US)
    gradual, seasonal = (
        strength_at(times, SETTINGS.model_copy(update={"drift": kind}))
        for kind in (Drift.GRADUAL, Drift.SEASONAL)
    )
    assert np.all(np.diff(gradual) >= 0)
    assert gradual[-1] == 1.0
    assert seasonal[[0, 28]] == pytest.approx([0.0, 0.0])
    assert seasonal[14] == 1.0


def test_the_new_pattern_takes_over_its_share_of_the_fraud_from_its_day_on(steady):
    made = drifting(Drift.NEW_PATTERN)
    fraud = pc.is_in(made.transactions["transaction_id"], value_set=made.patterns["transaction_id"])
    days = day_of(made)[fraud.to_numpy()]
    is_new = pc.equal(made.patterns["pattern"], NEW_PATTERN).to_numpy()
    assert not is_new[days < 30].any()
    assert 0.3 < is_new[days >= 30].mean() < 0.5
    assert set(made.patterns["pattern"].to_pylist()) == {*PATTERNS, NEW_PATTERN}
    rows = made.transactions.filter(fraud).filter(pa.array(is_new))
    assert set(rows["channel"].drop_null().to_pylist()) == {"contactless"}
    assert not set(rows["device_id"].drop_null().to_pylist()) & set(
        steady.transactions["device_id"].drop_null().to_pylist()
    )


def test_a_drift_after_the_end_is_refused():
    with pytest.raises(BadConfig, match="before the end"):
        GeneratorSettings(days=60, drift="sudden", drift_day=60)
