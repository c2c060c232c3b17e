"""The Delta tables: where each lies, its snapshot, and its rows, read without Spark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from numpy.typing import NDArray
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from pydantic import ValidationError

from fraud.errors import BadInput, Unavailable
from fraud.features.kernel import Floats
from fraud.log.arrival import Ints, Reach
from fraud.schema.arrow import TIME

Options = Mapping[str, str]
NO_OPTIONS: Final[Options] = {}
WRITTEN: Final = "The stream writes it: run `fraud up`, or name other tables"
_RECENT_COMMITS: Final = 20
_BATCH_ROWS: Final = 32_768


@dataclass(frozen=True)
class Table:
    """A snapshot of one Delta table."""

    uri: str
    delta: DeltaTable

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names, in the table's order."""
        return tuple(field.name for field in self.delta.schema().fields)

    @cached_property
    def dataset(self) -> Any:
        """Its files, with what is known about each one's values."""
        local = SubTreeFileSystem(self.uri, LocalFileSystem()) if is_local(self.uri) else None
        # Local files are read without a detour through Python, which is slow and, at the very end of a
        # process, unsafe: reading threads may still hold Python's file objects.
        return self.delta.to_pyarrow_dataset(filesystem=local)

    def batches(self, columns: Sequence[str], where: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
        """Read rows in no promised order, a part at a time.

        Raises
        ------
        Unavailable
            When the files cannot be read, e.g. because they were vacuumed meanwhile; open the log again.
        """
        try:
            yield from self.dataset.to_batches(
                columns=list(columns),
                filter=where,
                batch_size=_BATCH_ROWS,
                batch_readahead=2,
                fragment_readahead=2,
            )
        except (OSError, DeltaError, pa.ArrowException) as error:
            raise Unavailable(f"the Delta table {self.uri} cannot be read: {error}") from error

    def rows(self, columns: Sequence[str], where: pc.Expression) -> pa.Table:
        """Read all rows that an expression selects."""
        fields = [self.dataset.schema.field(name) for name in columns]
        return pa.Table.from_batches(self.batches(columns, where), pa.schema(fields))


def table_uri(delta: str, table: str) -> str:
    """Name a table as its readers without Spark do."""
    uri = f"{delta.rstrip('/')}/{table}".replace("s3a://", "s3://", 1).removeprefix("file://")
    return str(Path(uri).absolute()) if is_local(uri) else uri


def is_local(uri: str) -> bool:
    """Whether it names a folder of this machine."""
    return "://" not in uri


def find_table(delta: str, table: str, options: Options = NO_OPTIONS) -> Table | None:
    """Open a Delta table; None when there is none.

    Raises
    ------
    Unavailable
        When the place does not answer.
    """
    uri = table_uri(delta, table)
    try:
        if is_local(uri) and not Path(uri).is_dir():
            return None
        if not DeltaTable.is_deltatable(uri, dict(options)):
            return None
        return Table(uri, DeltaTable(uri, storage_options=dict(options)))
    except (OSError, DeltaError) as error:
        raise Unavailable(f"the Delta table {uri} cannot be opened: {error}") from error


def open_table(delta: str, table: str, options: Options = NO_OPTIONS) -> Table:
    """Open a Delta table that must be there.

    Raises
    ------
    BadInput
        When there is none.
    Unavailable
        When the place does not answer.
    """
    found = find_table(delta, table, options)
    if found is None:
        raise BadInput(f"there is no Delta table {table} under {delta}. {WRITTEN}")
    return found


def log_end(delta: str, options: Options = NO_OPTIONS) -> Reach | None:
    """Read the newest micro-batch that all tables have; None where no archive of ours has written.

    Raises
    ------
    Unavailable
        When the place does not answer.
    """
    last = find_table(delta, "dead_letters", options)
    return _reach_of(last.delta) if last else None


def _reach_of(table: DeltaTable) -> Reach | None:
    """Find the newest micro-batch of a table; None when no commit says so."""
    for limit in (_RECENT_COMMITS, None):
        for commit in table.history(limit):
            try:
                return Reach.model_validate_json(commit.get("userMetadata") or "")
            except ValidationError:
                continue  # a commit of somebody else, e.g. OPTIMIZE
    return None


def micros_of(column: Any) -> NDArray[np.int64]:
    """Read a column of times as microseconds since 1970."""
    return np.asarray(column.cast(TIME).cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def floats_of(column: Any) -> Floats:
    """Read a column of numbers; NaN where there is none."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def integers_of(column: Any) -> Ints:
    """Read a column of whole numbers; of times: as microseconds since 1970."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(TIME)
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
