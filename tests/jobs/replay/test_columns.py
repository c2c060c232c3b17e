"""A feature that was added after vectors were served gets the values that the log gives."""

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from fraud.errors import BadState
from jobs.parity.compare import compare
from jobs.replay.columns import fill_columns
from jobs.stream.settings import StreamSettings

ADDED = "distance_from_usual_30d_by_user"


def features(settings: StreamSettings) -> pa.Table:
    table = DeltaTable(f"{settings.delta_path}/features").to_pyarrow_table()
    return table.sort_by(
        [(name, "ascending") for name in ("generation", "source_partition", "source_offset")]
    )


@pytest.mark.parametrize("rows", [300, 100_000])
def test_filled_columns_equal_what_would_have_been_served(log_copy: StreamSettings, rows: int) -> None:
    expected = features(log_copy)
    older = DeltaTable(f"{log_copy.delta_path}/features")
    older.update(updates={ADDED: "NULL"}, predicate="generation = 0 OR epoch <= 4")
    gaps = features(log_copy)[ADDED].null_count
    amended = fill_columns(log_copy.delta_path, rows=rows)
    assert (amended.columns, amended.vectors) == ([ADDED], gaps)
    assert same(expected, features(log_copy))
    assert compare(log_copy.delta_path).errors() == []


def test_a_column_that_the_table_does_not_have_is_added(log_copy: StreamSettings) -> None:
    expected = features(log_copy)
    older = expected.drop_columns([ADDED])
    write_deltalake(f"{log_copy.delta_path}/features", older, mode="overwrite", schema_mode="overwrite")
    assert fill_columns(log_copy.delta_path).vectors == expected.num_rows
    assert same(expected, features(log_copy))


def test_filling_again_changes_nothing(log_copy: StreamSettings) -> None:
    DeltaTable(f"{log_copy.delta_path}/features").update(updates={ADDED: "NULL"}, predicate="epoch = 3")
    fill_columns(log_copy.delta_path)
    version = DeltaTable(f"{log_copy.delta_path}/features").version()
    assert fill_columns(log_copy.delta_path).vectors == 0
    assert DeltaTable(f"{log_copy.delta_path}/features").version() == version


def test_a_served_value_is_never_changed(log_copy: StreamSettings) -> None:
    table = DeltaTable(f"{log_copy.delta_path}/features")
    table.update(updates={ADDED: "NULL"}, predicate="epoch = 3")
    table.update(updates={"transaction_amount": "-1.0"}, predicate="epoch = 3")
    fill_columns(log_copy.delta_path)
    served = DeltaTable(f"{log_copy.delta_path}/features").to_pyarrow_table(filters=[("epoch", "=", 3)])
    assert set(served["transaction_amount"].to_pylist()) == {-1.0}
    assert served[ADDED].null_count == 0


def test_vectors_that_the_log_does_not_know_stop_it_before_anything_changes(log_copy: StreamSettings) -> None:
    table = DeltaTable(f"{log_copy.delta_path}/features")
    table.update(updates={ADDED: "NULL"}, predicate="generation = 1")
    DeltaTable(f"{log_copy.delta_path}/transactions").delete("epoch = 5")
    DeltaTable(f"{log_copy.delta_path}/labels").delete("epoch = 5")
    version = DeltaTable(f"{log_copy.delta_path}/features").version()
    with pytest.raises(BadState, match="parity"):
        fill_columns(log_copy.delta_path, rows=1)
    assert DeltaTable(f"{log_copy.delta_path}/features").version() == version


def same(left: pa.Table, right: pa.Table) -> bool:
    """Equal with NaN equal to NaN."""
    return all(
        np.array_equal(
            (of_left := left[name].to_numpy(zero_copy_only=False)),
            right[name].to_numpy(zero_copy_only=False),
            equal_nan=of_left.dtype.kind == "f",  # whole numbers with nulls too
        )
        for name in left.column_names
    )
