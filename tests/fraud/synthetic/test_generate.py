"""Laws of the generator: what holds for any settings, and what makes its data worth learning from."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fraud.errors import BadInput
from fraud.synthetic.baselines import single_column_pr_auc
from fraud.synthetic.fraud_patterns import PATTERNS
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.synthetic.tables import MATURITY_US
from tests.wire import Label, Transaction

SMALL = GeneratorSettings(transactions=2_000, users=200, merchants=100)
any_settings = st.builds(
    GeneratorSettings,
    transactions=st.integers(100, 1_500),
    users=st.integers(20, 300),
    merchants=st.integers(30, 200),
    fraud_rate=st.sampled_from([0.0, 0.001, 0.02, 0.3, 0.5]),
    seed=st.integers(0, 2**32 - 1),
    days=st.sampled_from([14, 31, 120, 400]),
)


def microseconds(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.int64()).to_numpy()


def without_version(kind) -> set[str]:
    return set(kind.model_fields) - {"schema_version"}


@hypothesis_settings(max_examples=25)
@given(any_settings)
def test_every_data_set_is_complete_sorted_and_legal(settings):
    made = generate(settings)
    times = microseconds(made.transactions["event_time"])
    label_times = microseconds(made.labels["label_time"])
    delays = label_times - microseconds(made.labels["event_time"])
    is_fraud = made.labels["is_fraud"].to_numpy()
    assert made.transactions.num_rows == made.labels.num_rows == settings.transactions
    assert is_fraud.sum() == made.patterns.num_rows == round(settings.transactions * settings.fraud_rate)
    assert pc.count_distinct(made.transactions["transaction_id"]).as_py() == settings.transactions
    assert set(made.labels["transaction_id"].to_pylist()) == set(
        made.transactions["transaction_id"].to_pylist()
    )
    assert np.all(np.diff(times) >= 0)
    assert np.all(np.diff(label_times) >= 0)
    assert times[0] >= settings.start_us
    assert times[-1] < settings.start_us + settings.span_us
    assert np.all(delays > 0)
    assert np.all(delays <= MATURITY_US)
    assert np.all(delays[~is_fraud] == MATURITY_US)
    for row in made.transactions.slice(0, 100).to_pylist():
        Transaction.model_validate(row)


@hypothesis_settings(max_examples=5)
@given(any_settings)
def test_the_same_settings_give_the_same_data(settings):
    assert generate(settings) == generate(settings)


def test_another_seed_gives_other_data():
    assert generate(SMALL) != generate(SMALL.model_copy(update={"seed": 8}))


def test_columns_are_the_contracts_fields(data_set):
    assert set(data_set.transactions.column_names) == without_version(Transaction) - {"kind"}  # purchases
    assert set(data_set.labels.column_names) == without_version(Label) - {"disputed_currency"}  # one currency
    for table, name in ((data_set.transactions, "event_time"), (data_set.labels, "label_time")):
        assert table.schema.field(name).type == pa.timestamp("us", tz="UTC")


def test_rows_are_legal_records_and_labels_repeat_their_transaction(data_set):
    transactions = {row["transaction_id"]: row for row in data_set.transactions.slice(0, 3_000).to_pylist()}
    for row in transactions.values():
        Transaction.model_validate(row)
    checked = 0
    for row in data_set.labels.slice(0, 6_000).to_pylist():
        Label.model_validate(row)
        if row["transaction_id"] in transactions:
            transaction = transactions[row["transaction_id"]]
            assert {name: row[name] for name in ("user_id", "merchant_id", "event_time")} == {
                name: transaction[name] for name in ("user_id", "merchant_id", "event_time")
            }
            checked += 1
    assert checked > 1_000


def test_labels_name_their_source_and_fraud_takes_days(data_set):
    is_fraud = data_set.labels["is_fraud"]
    fraud = data_set.labels.filter(is_fraud)
    honest = data_set.labels.filter(pc.invert(is_fraud))
    assert set(fraud["source"].to_pylist()) == {"chargeback", "customer", "analyst"}
    assert set(honest["source"].to_pylist()) == {"maturity"}
    delays = microseconds(fraud["label_time"]) - microseconds(fraud["event_time"])
    assert timedelta(days=2) < timedelta(microseconds=float(np.median(delays))) < timedelta(days=4)


def test_a_chargeback_takes_back_the_whole_amount_and_nothing_else_does(data_set):
    amounts = dict(
        zip(
            data_set.transactions["transaction_id"].to_pylist(),
            data_set.transactions["amount"].to_pylist(),
            strict=True,
        )
    )
    for label in data_set.labels.select(["transaction_id", "source", "disputed_amount"]).to_pylist():
        is_chargeback = label["source"] == "chargeback"
        assert label["disputed_amount"] == (amounts[label["transaction_id"]] if is_chargeback else None)


def test_identifiers_give_nothing_away(data_set):
    late = data_set.transactions.slice(data_set.transactions.num_rows // 2)
    frauds = set(data_set.patterns["transaction_id"].to_pylist())
    ids = late["transaction_id"].to_pylist()
    order = np.argsort(np.argsort(ids)) / len(ids)
    is_fraud = np.array([one in frauds for one in ids])
    assert {len(one) for one in ids} == {17}
    assert abs(order[is_fraud].mean() - order[~is_fraud].mean()) < 0.06
    devices = data_set.transactions["device_id"].drop_null().to_pylist()
    assert {len(one) for one in devices} == {17}


def test_every_pattern_is_there_even_in_a_small_data_set(data_set):
    assert set(data_set.patterns["pattern"].to_pylist()) == set(PATTERNS)
    assert set(generate(SMALL).patterns["pattern"].to_pylist()) == set(PATTERNS)


def test_fraud_keeps_its_share_in_every_period(data_set, settings):
    frauds = pc.is_in(
        data_set.transactions["transaction_id"], value_set=data_set.patterns["transaction_id"]
    ).to_numpy()
    offset = microseconds(data_set.transactions["event_time"]) - settings.start_us
    part = offset * 6 // settings.span_us
    for number in range(6):
        assert 0.6 < frauds[part == number].mean() / settings.fraud_rate < 1.6


def test_activity_is_heavy_tailed_and_people_come_back(data_set):
    counts = np.array(sorted(Counter(data_set.transactions["user_id"].to_pylist()).values(), reverse=True))
    assert counts[: len(counts) // 10].sum() > 0.4 * counts.sum()
    pairs = Counter(
        zip(
            data_set.transactions["user_id"].to_pylist(),
            data_set.transactions["merchant_id"].to_pylist(),
            strict=True,
        )
    )
    assert sum(count for count in pairs.values() if count > 1) > 0.4 * data_set.transactions.num_rows


@pytest.mark.parametrize("name", ["device_id", "latitude", "country", "category", "channel", "currency"])
def test_gateways_leave_fields_out(data_set, name):
    assert 0 < data_set.transactions[name].null_count < data_set.transactions.num_rows


def test_places_come_in_pairs(data_set):
    for one, other in (("latitude", "longitude"), ("home_latitude", "home_longitude")):
        assert data_set.transactions[one].is_null().equals(data_set.transactions[other].is_null())


@pytest.mark.parametrize("seed", [5, 7, 23])
def test_no_raw_column_gives_fraud_away(seed):
    scores = single_column_pr_auc(
        generate(GeneratorSettings(transactions=50_000, users=5_000, merchants=2_500, seed=seed))
    )
    assert max(scores.values()) < 0.25, scores
    assert 0.015 < scores["random"] < 0.03
    assert {"amount", "hour", "distance_from_home", "category", "channel", "country"} <= set(scores)


def test_single_columns_of_an_honest_world_are_refused():
    honest = generate(SMALL.model_copy(update={"fraud_rate": 0.0}))
    with pytest.raises(BadInput, match="one class"):
        single_column_pr_auc(honest)
