"""Columns of a build's result, and of what travels between its passes."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.contracts.priced import priced_table
from fraud.errors import BadInput
from fraud.features import kernel
from fraud.features.events import events_of as writer_of
from fraud.features.passes import EntityPass, Passes, are_notices, feature_names
from fraud.features.profiles import profiles_of
from fraud.money import NO_RATES, Rates
from fraud.schema.arrow import TIME
from fraud.schema.schema import Schema


def id_names(schema: Schema) -> tuple[str, ...]:
    """Name the columns that tell a transaction: its id, the entities' keys, its time."""
    return ("transaction_id", *schema.key_names, "event_time")


def _ids(schema: Schema) -> list[pa.Field]:
    return [pa.field(name, TIME if name == "event_time" else pa.string()) for name in id_names(schema)]


def result_schema(passes: Passes, schema: Schema) -> pa.Schema:
    """Lay out a build's result: one row a transaction, duplicates left out; NaN is a missing value.

    ``arrival_sequence`` is its place, from 0, in the one log of all transactions, labels, results and
    profiles; rows of a file stand in that order.
    """
    return pa.schema(
        [
            *_ids(schema),
            pa.field("features_version", pa.string()),
            *(pa.field(name, pa.float64()) for name in feature_names(passes)),
            pa.field("arrival_time", TIME),
            pa.field("arrival_sequence", pa.int64()),
        ]
    )


def arrived_schema(passes: Passes, schema: Schema) -> pa.Schema:
    """Lay out the records in the order of arrival, with the keys of all entities."""
    return pa.schema(
        [
            *_ids(schema),
            pa.field("arrival_us", pa.int64()),
            *(pa.field(name, pa.int64()) for one in passes for name in key_names(one)),
            pa.field("event", pa.binary()),  # the kernel's row, float64
        ]
    )


def numbered_schema(passes: Passes, schema: Schema) -> pa.Schema:
    """Lay out what the primary pass takes."""
    return arrived_schema(passes, schema).append(pa.field("sequence", pa.int64()))


def passed_schema(passes: Passes, schema: Schema) -> pa.Schema:
    """Lay out what a pass hands to the next one: the records, and the vectors as far as they are known."""
    return numbered_schema(passes, schema).append(pa.field("vector", pa.binary()))


def key_name(one: EntityPass) -> str:
    """Name the column of an entity's key."""
    return f"{one.name}_key"


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


def events_of(
    what: str, table: pa.Table, arrival: str, schema: Schema, rates: Rates = NO_RATES
) -> kernel.Floats:
    """Make the kernel's rows of a table of transactions, labels, results or profiles.

    Parameters
    ----------
    rates
        By which transactions are priced whose table does not tell what their amounts were converted to.

    Raises
    ------
    BadInput
        When a required column has missing values, or a value is outside the contract; names it.
    """
    if table.column(arrival).null_count:
        raise BadInput(
            f"column {arrival} of the {what} has {table.column(arrival).null_count} missing values"
        )
    if what == "profiles":
        return profiles_of(schema).of_profiles(table)
    writer = writer_of(schema)
    if what == "transactions":
        return writer.of_transactions(priced_table(table, schema, rates))
    return writer.of_labels(table) if what == "labels" else writer.of_results(table)


def result_columns(table: pa.Table, vectors: kernel.Floats, passes: Passes, schema: Schema) -> pa.Table:
    """Lay vectors out beside their transactions (columns of :func:`numbered_schema`)."""
    times = table.column("arrival_us").cast(pa.timestamp("us")).cast(TIME)
    columns = [
        *(table.column(field.name).cast(field.type) for field in _ids(schema)),
        pa.repeat(pa.scalar(schema.features_version), len(vectors)),
        *(pa.array(np.ascontiguousarray(vectors[:, i])) for i in range(vectors.shape[1])),
        times,
        table.column("sequence"),
    ]
    return pa.table(columns, schema=result_schema(passes, schema))


def passed_batch(
    records: pa.RecordBatch, events: kernel.Floats, vectors: kernel.Floats, of: tuple[Passes, Schema]
) -> pa.RecordBatch:
    """Make a batch of :func:`passed_schema`; notices have, by now, the keys that they left out."""
    passes, laid_out = of[0], passed_schema(*of)
    replaced = {**key_columns(passes, events), "event": pack(events), "vector": pack(vectors)}
    columns = [replaced[name] if name in replaced else records.column(name) for name in laid_out.names]
    return pa.record_batch(columns, schema=laid_out)


def handed_batches(
    records: pa.RecordBatch,
    events: kernel.Floats,
    vectors: kernel.Floats,
    of: tuple[Passes, Schema],
    *,
    is_last: bool,
) -> Iterator[pa.RecordBatch]:
    """Lay out what a pass hands on: to the next pass, or as the result."""
    if not is_last:
        yield passed_batch(records, events, vectors, of)
        return
    rows = np.flatnonzero(~are_notices(events))
    table = pa.Table.from_batches([records.take(pa.array(rows))])
    yield from result_columns(table, vectors[rows], *of).combine_chunks().to_batches()


def pack(floats: kernel.Floats) -> pa.Array:
    """Make one binary value a row of a float64 matrix."""
    n, width = floats.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width * 8)
    data = pa.py_buffer(np.ascontiguousarray(floats))
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), data])


def unpack(column: pa.Array, width: int) -> NDArray[np.float64]:
    """Read a column of binary rows back as a float64 matrix."""
    return np.frombuffer(b"".join(column.to_pylist()), np.float64).reshape(-1, width)
