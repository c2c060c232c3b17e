"""Columns of a build's result, and of what travels between its passes."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.contracts.priced import priced_table
from fraud.errors import BadInput
from fraud.features import FEATURES_VERSION, kernel
from fraud.features.events import events_of_labels, events_of_results, events_of_transactions
from fraud.features.passes import EntityPass, Passes, are_notices, feature_names
from fraud.features.profiles import events_of_profiles
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_rates, deployed_schema

_IDS: Final = [
    pa.field("transaction_id", pa.string()),
    *(pa.field(name, pa.string()) for name in deployed_schema().key_names),
    pa.field("event_time", TIME),
]


def result_schema(passes: Passes) -> pa.Schema:
    """Lay out a build's result: one row a transaction, duplicates left out; NaN is a missing value.

    ``arrival_sequence`` is its place, from 0, in the one log of all transactions, labels, results and
    profiles; rows of a file stand in that order.
    """
    return pa.schema(
        [
            *_IDS,
            pa.field("features_version", pa.string()),
            *(pa.field(name, pa.float64()) for name in feature_names(passes)),
            pa.field("arrival_time", TIME),
            pa.field("arrival_sequence", pa.int64()),
        ]
    )


def arrived_schema(passes: Passes) -> pa.Schema:
    """Lay out the records in the order of arrival, with the keys of all entities."""
    return pa.schema(
        [
            *_IDS,
            pa.field("arrival_us", pa.int64()),
            *(pa.field(name, pa.int64()) for one in passes for name in key_names(one)),
            pa.field("event", pa.binary()),  # the kernel's row, float64
        ]
    )


def numbered_schema(passes: Passes) -> pa.Schema:
    """Lay out what the primary pass takes."""
    return arrived_schema(passes).append(pa.field("sequence", pa.int64()))


def passed_schema(passes: Passes) -> pa.Schema:
    """Lay out what a pass hands to the next one: the records, and the vectors as far as they are known."""
    return numbered_schema(passes).append(pa.field("vector", pa.binary()))


def key_name(one: EntityPass) -> str:
    """Name the column of an entity's key."""
    return f"{one.name}_key"


_NOTICES: Final = {
    "labels": events_of_labels,
    "results": events_of_results,
    "profiles": events_of_profiles,
}


def sides_name(one: EntityPass) -> str:
    """Name the column of the sides from which an entity with two sees a record."""
    return f"{one.name}_sides"


def key_names(one: EntityPass) -> tuple[str, ...]:
    """Name the columns by which a pass gathers its records."""
    return (key_name(one), sides_name(one)) if one.has_sides else (key_name(one),)


def key_columns(passes: Passes, events: kernel.Floats) -> dict[str, pa.Array]:
    """Make the columns of the entities' keys; of one with two sides, whose pass parts the records, zeros."""
    zeros = np.zeros(len(events), np.int64)
    return {
        name: pa.array(zeros if one.has_sides else one.keys_of(events).astype(np.int64))
        for one in passes
        for name in key_names(one)
    }


def events_of(what: str, table: pa.Table, arrival: str) -> kernel.Floats:
    """Make the kernel's rows of a table of transactions, labels, results or profiles.

    Raises
    ------
    BadInput
        When a required column has missing values, or a value is outside the contract; names it.
    """
    if table.column(arrival).null_count:
        raise BadInput(
            f"column {arrival} of the {what} has {table.column(arrival).null_count} missing values"
        )
    if what != "transactions":
        return _NOTICES[what](table)
    return events_of_transactions(priced_table(table, deployed_schema(), deployed_rates()))


def result_columns(table: pa.Table, vectors: kernel.Floats, passes: Passes) -> pa.Table:
    """Lay vectors out beside their transactions (columns of :func:`numbered_schema`)."""
    times = table.column("arrival_us").cast(pa.timestamp("us")).cast(TIME)
    columns = [
        *(table.column(field.name).cast(field.type) for field in _IDS),
        pa.repeat(pa.scalar(FEATURES_VERSION), len(vectors)),
        *(pa.array(np.ascontiguousarray(vectors[:, i])) for i in range(vectors.shape[1])),
        times,
        table.column("sequence"),
    ]
    return pa.table(columns, schema=result_schema(passes))


def passed_batch(
    records: pa.RecordBatch, events: kernel.Floats, vectors: kernel.Floats, passes: Passes
) -> pa.RecordBatch:
    """Make a batch of :func:`passed_schema`; notices have, by now, the keys that they left out."""
    schema = passed_schema(passes)
    replaced = {**key_columns(passes, events), "event": pack(events), "vector": pack(vectors)}
    columns = [replaced[name] if name in replaced else records.column(name) for name in schema.names]
    return pa.record_batch(columns, schema=schema)


def handed_batches(
    records: pa.RecordBatch, events: kernel.Floats, vectors: kernel.Floats, passes: Passes, *, is_last: bool
) -> Iterator[pa.RecordBatch]:
    """Lay out what a pass hands on: to the next pass, or as the result."""
    if not is_last:
        yield passed_batch(records, events, vectors, passes)
        return
    rows = np.flatnonzero(~are_notices(events))
    table = pa.Table.from_batches([records.take(pa.array(rows))])
    yield from result_columns(table, vectors[rows], passes).combine_chunks().to_batches()


def pack(floats: kernel.Floats) -> pa.Array:
    """Make one binary value a row of a float64 matrix."""
    n, width = floats.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width * 8)
    data = pa.py_buffer(np.ascontiguousarray(floats))
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), data])


def unpack(column: pa.Array, width: int) -> NDArray[np.float64]:
    """Read a column of binary rows back as a float64 matrix."""
    return np.frombuffer(b"".join(column.to_pylist()), np.float64).reshape(-1, width)
