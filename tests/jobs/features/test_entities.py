"""The parallel build: its passes over any entities, as Spark hands them batches, against one process."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fraud.features.batch import fold_passes
from fraud.features.passes import EntityPass, Passes, feature_names
from jobs.features import layout, parallel, two_sides
from tests.deployed import SCHEMA
from tests.fraud.features.entities import START, drawn_passes, drawn_records
from tests.fraud.features.streams import events_of


def numbered(records: list[Any], passes: Passes) -> pa.Table:
    """Lay records out as they are numbered in the order of arrival."""
    events, n = events_of(records), len(records)
    columns = {
        "transaction_id": [record.transaction_id for record in records],
        "user_id": [record.user_id for record in records],
        "merchant_id": [record.merchant_id for record in records],
        "event_time": [record.event_time for record in records],
        "arrival_us": np.full(n, int(START.timestamp() * 1e6)),
        **layout.key_columns(passes, events),
        "event": layout.pack(events),
        "sequence": np.arange(n),
    }
    schema = layout.numbered_schema(passes, SCHEMA)
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def by_key(table: pa.Table, one: EntityPass, rows: int) -> Iterator[pa.RecordBatch]:
    """Give a partition in the order that Spark sorts it into, some rows at a time."""
    order = [(layout.key_name(one), "ascending"), ("sequence", "ascending")]
    yield from table.sort_by(order).combine_chunks().to_batches(max_chunksize=rows)


@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(passes=drawn_passes(), records=drawn_records(), rows=st.integers(1, 9))
def test_the_parallel_passes_give_what_the_fold_in_one_process_gives(
    passes: Passes, records: list[Any], rows: int
) -> None:
    table = numbered(records, passes)
    for at, one in enumerate(passes):
        if one.has_sides:
            parted = pa.Table.from_batches(two_sides.part(one, iter(table.to_batches(max_chunksize=rows))))
            folded = pa.Table.from_batches(two_sides.run((passes, SCHEMA), at, by_key(parted, one, rows)))
            in_order = folded.sort_by("sequence").combine_chunks().to_batches(max_chunksize=rows)
            found = list(two_sides.merge((passes, SCHEMA), at, iter(in_order)))
        else:
            found = list(parallel._run_pass((passes, SCHEMA), at, by_key(table, one, rows)))
        schema = (
            layout.passed_schema(passes, SCHEMA)
            if at + 1 < len(passes)
            else layout.result_schema(passes, SCHEMA)
        )
        table = pa.Table.from_batches(found, schema)
    expected = fold_passes(events_of(records), passes=passes, keep_states=False)
    table = table.sort_by("arrival_sequence")
    sequence = table["arrival_sequence"].to_numpy()
    is_new = [not hasattr(record, "is_fraud") for record in records] & ~np.isnan(expected.vectors[:, 0])
    assert sequence.tolist() == np.flatnonzero(is_new).tolist()
    vectors = np.column_stack([table[name].to_numpy() for name in feature_names(passes)])
    np.testing.assert_array_equal(vectors, expected.vectors[sequence])
