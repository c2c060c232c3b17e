"""Any external table trains: the Handbook's form, few columns, other names, three file formats."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from fraud.errors import BadConfig, BadInput
from fraud.learn.examples import build_examples
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.tables import Reading
from fraud.tools.bench.worlds.handbook import START, draw_handbook
from tests.deployed import FEATURE_NAMES
from tests.load.handbook import LIBRARY, OURS, SAME_TREES, compare

AS_OF_DAY = 70
SOON = 45
"""End of the training: the windows are full and the fraud is steady before it begins."""
FAST = (OURS, SAME_TREES, LIBRARY)
"""The models that are fast to train; the forest is left to the command."""


@pytest.fixture(scope="module")
def table():
    return draw_handbook(customers=1_500, terminals=3_000, days=85, seed=3, events_a_day=0.3)


@pytest.fixture(scope="module")
def parquet(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("handbook") / "table.parquet"
    pq.write_table(table, path)
    return path


def settings(path, **changes):
    given = {
        "transactions": path,
        "as_of": START + timedelta(days=AS_OF_DAY),
        "label_gap_days": 7,
        "train_days": 21,
        "test_days": 14,
        "trials": 0,
        "balance": "none",
        "threads": 2,
        "folds": 2,
    }
    return TrainSettings(**{**given, **changes})


@pytest.mark.parametrize("seed", [0, 1])
def test_on_few_frauds_the_default_trees_gain_from_our_features_over_the_published_ones(seed):
    """7 days of training, 7 of delay, 7 of test, at full size: the form of the published results."""
    found = {result.model: result for result in compare(seed, 7, SOON, models=FAST, folds=1)}
    ours = found.pop(OURS)
    assert ours.pr_auc > max(one.pr_auc for one in found.values()) + 0.02, (ours, found)
    assert ours.pr_auc_new > max(one.pr_auc_new for one in found.values()) + 0.01, (ours, found)


def test_features_of_absent_columns_are_missing_and_no_error(parquet):
    examples = build_examples(read_tables(settings(parquet)))
    column = examples.vectors[:, FEATURE_NAMES.index("distance_from_home")]
    assert np.isnan(column).all()
    assert not np.isnan(examples.vectors[:, FEATURE_NAMES.index("transaction_amount")]).any()


@pytest.mark.parametrize("form", ["csv", "delta", "folder"])
def test_csv_parquet_and_delta_give_the_same_examples(table, tmp_path, form):
    small = table.slice(0, 3_000)
    pq.write_table(small, tmp_path / "small.parquet")
    path = tmp_path / {"csv": "t.csv", "delta": "delta", "folder": "parts"}[form]
    if form == "csv":
        pa_csv.write_csv(small, path)
    elif form == "delta":
        write_deltalake(path, small)
    else:
        path.mkdir()
        for part in range(3):
            pq.write_table(small.slice(1_000 * part, 1_000), path / f"part-{part}.parquet")
    one, other = (build_examples(read_tables(settings(p))) for p in (tmp_path / "small.parquet", path))
    order, again = np.argsort(one.event_us, kind="stable"), np.argsort(other.event_us, kind="stable")
    np.testing.assert_array_equal(one.vectors[order], other.vectors[again])
    np.testing.assert_array_equal(one.is_fraud[order], other.is_fraud[again])
    np.testing.assert_array_equal(one.label_us[order], other.label_us[again])


def test_without_label_time_labels_come_after_the_gap(table, parquet, tmp_path):
    pq.write_table(table.drop_columns(["label_time"]), tmp_path / "t.parquet")
    with_time, without = (build_examples(read_tables(settings(p))) for p in (parquet, tmp_path / "t.parquet"))
    np.testing.assert_array_equal(with_time.label_us, without.label_us)
    np.testing.assert_array_equal(with_time.vectors, without.vectors)


def test_other_names_of_columns_are_a_setting(table, parquet, tmp_path):
    names = {"user_id": "CUSTOMER_ID", "merchant_id": "TERMINAL_ID"}
    renamed = table.rename_columns([names.get(name, name) for name in table.column_names])
    pq.write_table(renamed, tmp_path / "t.parquet")
    one, other = (
        build_examples(read_tables(settings(path, columns=columns)))
        for path, columns in ((parquet, {}), (tmp_path / "t.parquet", names))
    )
    np.testing.assert_array_equal(one.vectors, other.vectors)


@pytest.mark.parametrize(
    "column", ["transaction_id", "event_time", "user_id", "merchant_id", "amount", "is_fraud"]
)
def test_a_missing_required_column_is_named(table, tmp_path, column):
    pq.write_table(table.slice(0, 100).drop_columns([column]), tmp_path / "t.parquet")
    with pytest.raises(BadInput, match=f"lacks the column {column}"):
        read_tables(settings(tmp_path / "t.parquet"))


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("amount", ["much"] * 100, "column amount must hold numbers"),
        ("amount", [-1.0] * 100, "column amount: 100 values are not at least 0"),
        ("event_time", ["soon"] * 100, "column event_time must hold times"),
        ("is_fraud", ["maybe"] * 100, "column is_fraud must hold true or false"),
        ("user_id", [None] * 100, "column user_id has 100 missing values"),
    ],
)
def test_a_wrong_required_column_is_named(table, tmp_path, column, values, words):
    small = table.slice(0, 100)
    wrong = small.set_column(small.column_names.index(column), column, pa.array(values))
    pq.write_table(wrong, tmp_path / "t.parquet")
    with pytest.raises(BadInput, match=words):
        read_tables(settings(tmp_path / "t.parquet"))


def test_zero_amounts_left_out_half_places_and_missing_labels_stop_no_training(table, tmp_path):
    small = table.slice(0, 200)
    zero = pc.if_else(pa.array(np.arange(200) < 5), 0.0, small["amount"])
    label = pc.if_else(pa.array(np.arange(200) < 7), pa.scalar(None, pa.int64()), small["is_fraud"])
    small = small.set_column(small.column_names.index("amount"), "amount", zero)
    small = small.set_column(small.column_names.index("is_fraud"), "is_fraud", label)
    pq.write_table(small.append_column("lat", pa.array([48.0] * 200)), tmp_path / "t.parquet")
    examples = build_examples(read_tables(settings(tmp_path / "t.parquet", reading=Reading(invalid="skip"))))
    assert len(examples) == 195
    assert (examples.label_us == np.iinfo(np.int64).max).sum() == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_days": 7, "train_from": START}, "train_days or train_from, not both"),
        ({"test_days": 7, "test_until": START}, "test_days or test_until, not both"),
        ({"mlflow_uri": "databricks", "experiment": "fraud"}, "experiment must be a workspace path"),
        ({"registry_uri": "databricks-uc", "model_name": "fraud"}, "catalog.schema.model"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_in_words(parquet, changes, words):
    with pytest.raises(BadConfig, match=words):
        settings(parquet, **changes)


def test_databricks_is_a_matter_of_settings(parquet):
    chosen = settings(
        parquet,
        mlflow_uri="databricks",
        registry_uri="databricks-uc",
        experiment="/Shared/fraud",
        model_name="main.risk.fraud",
    )
    assert chosen.model_name == "main.risk.fraud"
