"""How rows travel between passes: a table's rows for one task as Arrow bytes in one row of Spark's.

Spark's shuffle then moves a few values a task, and no row of ours is ever made one of the JVM's and back
(DECISIONS.md, 38).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.log.arrival import order_within, ranks_of

ARROW_ROWS: Final = pa.schema(
    [
        pa.field("to", pa.int32()),  # the task of the next pass
        pa.field("stages", pa.string()),  # in a task's first parcel: the seconds of all stages so far, JSON
        pa.field("parcel", pa.binary()),
    ]
)
ROWS: Final = 20_000
"""Rows of a parcel at most."""
BYTES: Final = 16_000_000
"""Bytes of a parcel, about: a value is held by Spark's JVM, whole."""

Stages = list[dict[str, float]]


def send(table: pa.Table, to: NDArray[Any], stages: Stages, most: int = ROWS) -> Iterator[pa.RecordBatch]:
    """Pack a table by the tasks that its rows go to.

    Parameters
    ----------
    table
        Rows of any schema with ``rows.ORIGIN``.
    to
        [rows] number of the task.
    stages
        Seconds by stage, of the tasks that these rows have been through.
    most
        Rows of a parcel.
    """
    said: str | None = json.dumps(stages)
    for task in np.unique(to).tolist():
        part = table.take(pa.array(np.flatnonzero(to == task)))
        step = min(most, max(1, part.num_rows * BYTES // max(part.nbytes, 1)))
        for first in range(0, part.num_rows, step):
            parcel = _to_bytes(part.slice(first, step))
            yield pa.RecordBatch.from_pylist([{"to": task, "stages": said, "parcel": parcel}], ARROW_ROWS)
            said = None


def receive(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> tuple[pa.Table, Stages]:
    """Unpack what was sent to a task: its rows in arrival order, and the stages so far."""
    tables, stages = [schema.empty_table()], []
    for batch in batches:
        columns: Mapping[str, list[Any]] = batch.to_pydict()
        tables += [pa.ipc.open_stream(parcel).read_all() for parcel in columns["parcel"]]
        stages += [found for said in columns["stages"] if said for found in json.loads(said)]
    return in_arrival_order(pa.concat_tables(tables)), stages


def in_arrival_order(table: pa.Table) -> pa.Table:
    """Sort rows of ``rows.ORIGIN``."""
    time_us = table.column("received_at").cast(pa.int64()).to_numpy()
    rank = ranks_of(np.asarray(table.column("topic").to_numpy(zero_copy_only=False), "U"))
    partition, offset = (table.column(name).to_numpy() for name in ("source_partition", "source_offset"))
    return table.take(pa.array(order_within(time_us, rank, partition, offset)))


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
