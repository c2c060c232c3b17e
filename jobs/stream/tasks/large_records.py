"""Records that are too large: they skip the passes and become dead letters.

Writes them to the spool as they come, so that a task never holds many of them: whole up to ``MOST_RAW``, the
beginning of longer ones. A stub without the value continues, and becomes the letter on Kafka.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraud.contracts import MOST_RECORD, TOO_LARGE, check_size
from fraud.contracts.wire import EARLIEST
from fraud.errors import BadRecord
from fraud.log import rows
from jobs.stream.tasks.context import TaskContext

if TYPE_CHECKING:
    from fraud.log.spool import ResultFile

MOST_RAW: Final = 1_048_576
"""Bytes of a refused record and of its key that are kept; only compressed ones can be longer."""
MOST_UNPACKED: Final = 100_000_000
"""Bytes to which a zstd batch of Kafka may unpack where it is read in bounded memory (DECISIONS.md, 50)."""
UNKNOWN_SIZE: Final = 2**62
"""Size of a record that would unpack to more than that."""
SIZE: Final = pa.field("size", pa.int64())
"""Column of batches that were read in bounded memory: bytes of key and value."""
KEY_STUB: Final = 1_000
"""Bytes of a large record's key that go on."""


class LargeRecords:
    """Sets large records aside, into one spool file of the task.

    Parameters
    ----------
    context
        Of the micro-batch.
    part
        Number of the task.
    """

    def __init__(self, context: TaskContext, part: int) -> None:
        self._context = context
        self._part = f"large-{part:05d}"
        self._schema = context.rows.spooled_schema(context.passes)
        self._file: ResultFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def set_aside(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
        """Write the large ones; returns the batch with stubs in their place, and all records' sizes."""
        sizes = sizes_of(batch)
        if SIZE.name in batch.schema.names:
            sizes = batch.column(SIZE.name).to_numpy()
            batch = batch.drop_columns([SIZE.name])
        where = np.flatnonzero(sizes > MOST_RECORD)
        if not len(where):
            return batch, sizes
        self._write(batch.take(pa.array(where)), sizes[where])
        is_large = pa.array(sizes > MOST_RECORD)
        for name, kept in (("key", KEY_STUB), ("value", None)):
            column = batch.column(name)
            stub = pc.binary_slice(column, 0, kept) if kept else pa.scalar(None, column.type)
            at = batch.schema.get_field_index(name)
            batch = batch.set_column(at, batch.schema.field(name), pc.if_else(is_large, stub, column))
        return batch, sizes

    def close(self) -> None:
        """Finish the file, if there is one."""
        if self._writer is not None and self._file is not None:
            self._writer.close()
            self._file.finish()

    def _write(self, batch: pa.RecordBatch, sizes: NDArray[np.int64]) -> None:
        if self._writer is None:
            self._file = self._context.result_file(self._part)
            self._writer = pq.ParquetWriter(
                self._file.path, self._schema, compression="lz4", use_dictionary=False, write_statistics=False
            )
        now = datetime.now(UTC)
        letters = [
            self._letter(row, size, now) for row, size in zip(batch.to_pylist(), sizes.tolist(), strict=True)
        ]
        self._writer.write_table(pa.Table.from_pylist(letters, self._schema))

    def _letter(self, row: dict[str, Any], size: int, now: datetime) -> dict[str, Any]:
        reason, detail = refusal_of(size)
        raw, key = row["value"] or b"", row["key"]
        if len(raw) > MOST_RAW:
            detail += f"; the first {MOST_RAW:,} bytes are kept"
        return {
            "row_kind": rows.DEAD_LETTER,
            "topic": row["topic"],
            "source_partition": row["partition"],
            "source_offset": row["offset"],
            "received_at": row["timestamp"] or EARLIEST,  # the broker has not said when
            "reason": reason,
            "detail": detail,
            "key": None if key is None else key[:MOST_RAW].decode(errors="replace"),
            "raw": raw[:MOST_RAW],
            "processed_at": now,
            "generation": self._context.epoch.generation,
            "epoch": self._context.epoch.batch,
        }


def sizes_of(table: pa.Table | pa.RecordBatch) -> NDArray[np.int64]:
    """Count the bytes of key and value of each record."""
    columns = (table.column(name).cast(pa.binary()) for name in ("key", "value"))
    lengths = (pc.fill_null(pc.binary_length(column), 0) for column in columns)
    key, value = (np.asarray(length, np.int64) for length in lengths)
    return key + value


def without_written(table: pa.Table) -> pa.Table:
    """Leave out the stubs: their records are in the spool already."""
    is_stub = pc.and_(pc.equal(table.column("row_kind"), rows.DEAD_LETTER), pc.is_null(table.column("raw")))
    return table.filter(pc.invert(is_stub))


def refusal_of(size: int) -> tuple[str, str]:
    """Say why a large record is refused: reason and detail."""
    if size == UNKNOWN_SIZE:
        return TOO_LARGE, f"it would unpack to over {MOST_UNPACKED:,} bytes and lies in Kafka alone"
    try:
        check_size(size)
    except BadRecord as error:
        return error.reason, error.detail
    raise ValueError(f"a record of {size} bytes is not large")
