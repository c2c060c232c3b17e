"""From what a person points at to the tables of a training: whose label it is, and what is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.errors import BadInput
from fraud.learn.examples import NEVER, build_examples, divide
from fraud.learn.settings import EvaluateSettings, SourceSettings, TrainSettings
from fraud.learn.tables import read_tables
from fraud.tables import Reading
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION

CASES = Path(__file__).parents[1] / "tables/cases"
START = datetime(2025, 1, 1, tzinfo=UTC)


def told_of(settings: SourceSettings) -> str:
    told: list[str] = []
    read_tables(settings, told.append)
    return "\n".join(told)


def test_a_label_never_goes_to_another_users_row_of_the_same_id() -> None:
    settings = TrainSettings(transactions=CASES / "one_id_two_users.csv")
    examples = build_examples(read_tables(settings))
    assert len(examples) == 3
    assert dict(zip(examples.amount.tolist(), examples.is_fraud.tolist(), strict=True)) == {
        10.5: False,
        11.5: True,
        12.5: False,
    }
    assert "1 transaction ids stand with more than one user, e.g. a" in told_of(settings)


@pytest.mark.parametrize("has_user", [True, False])
def test_a_label_of_a_shared_id_needs_its_user(tmp_path: Path, *, has_user: bool) -> None:
    columns = {
        "transaction_id": ["a", "b"],
        "label_time": [START + timedelta(days=5)] * 2,
        "is_fraud": [True] * 2,
    }
    users = {"user_id": ["u1", "u0"]} if has_user else {}
    pq.write_table(pa.table({**columns, **users}), tmp_path / "labels.parquet")
    settings = TrainSettings(transactions=CASES / "one_id_two_users.csv", labels=tmp_path / "labels.parquet")
    examples = build_examples(read_tables(settings))
    by_amount = dict(zip(examples.amount.tolist(), (examples.label_us < NEVER).tolist(), strict=True))
    assert by_amount == {10.5: False, 11.5: has_user, 12.5: True}
    assert ("1 labels name such an id and no user; left out" in told_of(settings)) is not has_user


def test_how_many_labels_match_is_told(tmp_path: Path) -> None:
    ids = ["t0", *(f"x{i}" for i in range(999))]
    columns = {"transaction_id": ids, "label_time": [START] * 1_000, "is_fraud": [True] * 1_000}
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    settings = TrainSettings(transactions=CASES / "dollars.csv", labels=tmp_path / "labels.parquet")
    assert "1 of 1,000 labels name a transaction of the table" in told_of(settings)


def young(tmp_path: Path) -> TrainSettings:
    """Write 400 transactions, one each 6 hours; every fifth is fraud, all others have no label yet."""
    times = [f"{START + timedelta(hours=6 * i):%Y-%m-%d %H:%M:%S}" for i in range(400)]
    rows = [
        f"t{i},{time},u{i % 7},m{i % 5},{10 + i % 50},{'' if i % 5 else 1}\n" for i, time in enumerate(times)
    ]
    file = tmp_path / "t.csv"
    file.write_text("transaction_id,event_time,user_id,merchant_id,amount,is_fraud\n" + "".join(rows))
    return TrainSettings(transactions=file)


def test_frauds_too_young_for_the_others_labels_are_neither_trained_on_nor_tested(tmp_path: Path) -> None:
    settings = young(tmp_path)
    split = divide(build_examples(read_tables(settings), gap_days=settings.label_gap_days), settings)
    days = 86_400_000_000
    ripe_us = round((START + timedelta(hours=6 * 399) - timedelta(days=21)).timestamp() * 1e6)
    assert split.test.event_us.max() <= ripe_us
    for start in range(int(split.test.event_us.min()), ripe_us - 2 * days, days):
        day = (split.test.event_us >= start) & (split.test.event_us < start + 2 * days)
        assert 0 < split.test.is_fraud[day].sum() < day.sum()
    assert abs(split.test.is_fraud.mean() - 0.2) < 0.1
    assert "labels on transactions of the last 21 days are not used" in told_of(settings)


def test_evaluation_reads_with_the_same_names_and_forms() -> None:
    settings = EvaluateSettings(
        transactions=CASES / "labels_0_1_2.csv",
        columns={"category": "merchant_id"},
        reading=Reading(labels={"2": "unknown"}),
        label_gap_days=1.0,
    )
    assert read_tables(settings).transactions["category"].to_pylist() == ["m0", "m1", "m2"]


def archive(folder: Path, without: str = "") -> None:
    """Write a folder as the platform's archive, from before a feature was added."""
    ids, times = ["t0", "t1"], [START, START + timedelta(days=1)]
    keys = {"transaction_id": ids, "event_time": times, "user_id": ids, "merchant_id": ["m", "m"]}
    pq.write_table(pa.table({**keys, "amount": [1.0, 2.0]}), folder / "transactions.parquet")
    labels = {"label_time": times, "is_fraud": [True, False]}
    pq.write_table(pa.table({**keys, **labels}), folder / "labels.parquet")
    vectors = {name: np.full(2, 7.0) for name in FEATURE_NAMES if name != without}
    served = pa.table({**keys, "features_version": ["older" if without else FEATURES_VERSION] * 2, **vectors})
    pq.write_table(served, folder / "features.parquet")


def test_vectors_from_before_a_feature_was_added_are_computed_and_the_command_is_told(tmp_path: Path) -> None:
    archive(tmp_path)
    assert (build_examples(read_tables(TrainSettings(data=tmp_path))).vectors == 7.0).all()
    archive(tmp_path, without=FEATURE_NAMES[3])
    settings = TrainSettings(data=tmp_path)
    assert (build_examples(read_tables(settings)).amount == [1.0, 2.0]).all()
    assert f"before {FEATURE_NAMES[3]} came" in told_of(settings)
    assert "`fraud replay backfill-features`" in told_of(settings)
    with pytest.raises(BadInput, match="`fraud replay backfill-features` fills them"):
        read_tables(TrainSettings(data=tmp_path, vectors="served"))


def test_the_currency_reaches_the_profile(tmp_path: Path) -> None:
    archive(tmp_path)
    table = pq.read_table(tmp_path / "transactions.parquet").append_column(
        "currency", pa.array(["EUR", "USD"])
    )
    pq.write_table(table, tmp_path / "transactions.parquet")
    assert read_tables(TrainSettings(data=tmp_path)).transactions["currency"].to_pylist() == ["EUR", "USD"]


def one_file(folder: Path, days: list[float | None], is_fraud: list[bool | None]) -> Path:
    """Write a table of transactions with their labels; None: a transaction of 2099."""
    far = datetime(2099, 6, 1, tzinfo=UTC)
    n = len(days)
    columns = {
        "transaction_id": [f"t{i}" for i in range(n)],
        "event_time": [far if day is None else START + timedelta(days=day) for day in days],
        "user_id": ["u"] * n,
        "merchant_id": ["m"] * n,
        "amount": [10.0 + i for i in range(n)],
        "is_fraud": is_fraud,
    }
    pq.write_table(pa.table(columns), folder / "one.parquet")
    return folder / "one.parquet"


def test_a_row_from_the_future_makes_no_young_label_old(tmp_path: Path) -> None:
    path = one_file(tmp_path, [0, 60, 61, None], [False, True, None, True])
    tables = read_tables(TrainSettings(transactions=path, label_gap_days=21))
    assert tables.transactions["transaction_id"].to_pylist() == ["t0", "t1", "t2"]
    assert tables.labels["transaction_id"].to_pylist() == ["t0"]


def test_a_label_from_the_future_is_left_out_and_its_transaction_stays(tmp_path: Path) -> None:
    path = one_file(tmp_path, [0, 1], [False, True])
    table = pq.read_table(path)
    told = pa.array([START + timedelta(days=3), datetime(2099, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    pq.write_table(table.append_column("label_time", told), path)
    tables = read_tables(TrainSettings(transactions=path))
    assert tables.transactions.num_rows == 2
    assert tables.labels["transaction_id"].to_pylist() == ["t0"]
