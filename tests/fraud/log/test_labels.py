"""Of several labels of a transaction the last that arrived counts, in features and in training alike."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.learn.examples import build_examples
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.log.arrival import COLUMNS
from fraud.log.labels import in_order_of_arrival
from tests.deployed import FEATURE_NAMES

START = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
N = 12


def moments(minutes: list[float]) -> pa.Array:
    return pa.array([START + timedelta(minutes=float(one)) for one in minutes], TIME)


def world(dice: np.random.Generator, kind: str) -> tuple[pa.Table, pa.Table, list[bool]]:
    """One user's transactions, a last one after all labels, and labels in a random order of arrival.

    Label times are random too, so that the order of arrival and of ``label_time`` differ.
    """
    about = dice.integers(0, N, 40)
    arrival = N + np.sort(dice.permutation(1_000)[:40])
    said = dice.random(40) < 0.5
    expected = [bool(said[about == i][-1]) if (about == i).any() else False for i in range(N)]
    label_time = arrival if kind == "label_time" else N + dice.integers(0, 500, 40)
    minutes = [*range(N), 2_000]
    ids = [f"t{i}" for i in range(N)]
    transactions = pa.table(
        {
            "transaction_id": [*ids, "last"],
            "event_time": moments(minutes),
            "user_id": ["u"] * (N + 1),
            "merchant_id": ["m"] * (N + 1),
            "amount": [5.0] * (N + 1),
        }
    )
    labels = pa.table(
        {
            "transaction_id": [ids[i] for i in about],
            "label_time": moments(label_time),
            "is_fraud": said,
        }
    )
    if kind != "label_time":
        transactions = transactions.append_column("received_at", moments(minutes))
        labels = labels.append_column("received_at", moments(arrival))
    if kind == "log":
        transactions, labels = (as_log(table) for table in (transactions, labels))
    shuffled = labels.take(pa.array(dice.permutation(40)))
    return transactions, shuffled, expected


def as_log(table: pa.Table) -> pa.Table:
    n = table.num_rows
    for name, values in (("generation", [1] * n), ("source_partition", [0] * n), ("source_offset", range(n))):
        table = table.append_column(name, pa.array(values))
    minute = [(one - START) // timedelta(minutes=1) for one in table["received_at"].to_pylist()]
    return table.append_column("epoch", pa.array(minute))


@pytest.mark.parametrize("kind", ["label_time", "received_at", "log"])
@pytest.mark.parametrize("seed", range(5))
def test_training_and_features_let_the_same_label_count(kind: str, seed: int, tmp_path: Path) -> None:
    transactions, labels, expected = world(np.random.default_rng(seed), kind)
    pq.write_table(transactions, tmp_path / "transactions.parquet")
    pq.write_table(labels, tmp_path / "labels.parquet")
    examples = build_examples(read_tables(TrainSettings(data=tmp_path)), vectors="computed")
    assert examples.is_fraud[:N].tolist() == expected
    share = examples.vectors[N, FEATURE_NAMES.index("fraud_share_30d_by_user")]
    assert share == sum(expected) / N
    standing = {row["transaction_id"]: row["is_fraud"] for row in in_order_of_arrival(labels).to_pylist()}
    assert [standing.get(f"t{i}", False) for i in range(N)] == expected


def test_equal_arrivals_count_in_the_order_of_the_table() -> None:
    table = pa.table({"label_time": moments([3, 3, 1]), "transaction_id": ["a", "b", "c"]})
    assert in_order_of_arrival(table)["transaction_id"].to_pylist() == ["c", "a", "b"]
    assert set(COLUMNS) - set(table.column_names)


def test_a_label_of_2099_and_a_transaction_of_2099_are_left_out_of_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The case that was found: training kept the first for ever, the features the second."""
    transactions, labels, _ = world(np.random.default_rng(1), "label_time")
    far = datetime(2099, 6, 1, tzinfo=UTC)
    first = pa.table({"transaction_id": ["t0"], "label_time": pa.array([far], TIME), "is_fraud": [True]})
    now = pa.table({"transaction_id": ["t0"], "label_time": moments([1_500]), "is_fraud": [False]})
    late = transactions.slice(0, 1)
    late = late.set_column(0, "transaction_id", pa.array(["far"]))
    late = late.set_column(1, "event_time", pa.array([far], TIME))
    pq.write_table(pa.concat_tables([late, transactions]), tmp_path / "transactions.parquet")
    pq.write_table(pa.concat_tables([first, labels, now]), tmp_path / "labels.parquet")
    tables = read_tables(TrainSettings(data=tmp_path))
    assert tables.transactions.num_rows == N + 1
    examples = build_examples(tables, vectors="computed")
    assert not examples.is_fraud[0]
    assert [record.args[1] for record in caplog.records] == ["1", "1"]
    wide = read_tables(TrainSettings(data=tmp_path, most_ahead_s=3e9))
    assert wide.transactions.num_rows == N + 2
