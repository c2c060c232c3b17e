"""Fills columns of the table ``features`` for features that were added after the vectors were served.

Reads the log; rewrites, in one commit, the stretch of the table that has gaps. A value that was
served is never changed: only nulls are filled (a missing value is NaN).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import Field, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType

from fraud.errors import BadInput, BadState, Unavailable
from fraud.features.passes import Passes, deployed_passes, feature_names
from fraud.log.arrival import COLUMNS, Ints
from fraud.log.matching import match
from fraud.log.reader import SLICE_ROWS, Log
from fraud.log.refold import Refolded, refold, scratch_store
from fraud.log.tables import NO_OPTIONS, Options, Table
from fraud.store import Epoch
from fraud.store.records import BATCH_BITS

_IDENTITY: Final = tuple(name for name in COLUMNS if name != "received_at")


@dataclass(slots=True)
class BackfilledColumns:
    """Columns and rows that a backfill has filled."""

    columns: list[str] = field(default_factory=list)
    """Features that had gaps."""
    vectors: int = 0
    """Rows in which something was filled."""


@dataclass(frozen=True, slots=True)
class _Gaps:
    """Which features have nulls, and from which micro-batch to which."""

    columns: list[str]
    first: Epoch
    last: Epoch
    rows: int
    """Of the table within them."""

    def meet(self, first: Epoch, last: Epoch) -> bool:
        return first <= self.last and last >= self.first

    def predicate(self) -> str:
        (generation, epoch), (last_generation, last_epoch) = self.first, self.last
        return (
            f"(generation > {generation} OR (generation = {generation} AND epoch >= {epoch})) "
            f"AND (generation < {last_generation} "
            f"OR (generation = {last_generation} AND epoch <= {last_epoch}))"
        )


def fill_columns(
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    rows: int = SLICE_ROWS,
    scratch: Path | None = None,
    on_progress: Callable[[int], None] = lambda _vectors: None,
    passes: Passes | None = None,
) -> BackfilledColumns:
    """Compute from the log what is null in the table of features; a second run finds nothing to do.

    Parameters
    ----------
    delta
        Path or URI under which the tables lie.
    options
        Access to the object store, under delta-rs' names.
    rows
        Records held in memory at a time, about.
    scratch
        Folder for the states and the new rows while it runs; the system's temporary one by default.
    on_progress
        Told how many vectors have been filled.
    passes
        What is folded; the primary first.

    Raises
    ------
    BadInput
        When a table is not there.
    BadState
        When the table holds vectors of no transaction; see `fraud parity`.
    Unavailable
        When the table changes or cannot be read meanwhile; nothing is changed, run it again.
    """
    passes = passes or deployed_passes()
    names = feature_names(passes)
    _add_columns(delta, options, names)
    log = Log(delta, options, passes)
    table = _features_of(log, delta)
    gaps = _find_gaps(table, names, log.reach)
    amended = BackfilledColumns()
    if gaps is None:
        return amended
    amended.columns = gaps.columns
    with TemporaryDirectory(prefix="fraud-columns-", dir=scratch) as folder:
        written = 0
        with scratch_store(scratch, passes) as store:
            for found in refold(log, store, store.acquire("backfill-features"), rows):
                if gaps.meet(Epoch.of(found.part.first[0]), found.part.epoch):
                    whole, filled = _fill(log.read_features(found.part), found, gaps, names)
                    # On disk first: the commit must be whole or not at all, memory must not hold it.
                    pq.write_table(whole, f"{folder}/{written:012d}.parquet")
                    written += whole.num_rows
                    amended.vectors += filled
                    on_progress(amended.vectors)
        if written != gaps.rows:
            raise BadState(
                f"{gaps.rows - written:,} served vectors belong to no record of the log; "
                "see `fraud parity`; nothing was changed"
            )
        if amended.vectors:
            _overwrite(table, folder, gaps)
    return amended


def _overwrite(table: Table, folder: str, gaps: _Gaps) -> None:
    """Put the amended rows instead of the old ones, in one commit."""
    found = ds.dataset(folder, schema=table.dataset.schema)
    scanner = found.scanner(batch_size=SLICE_ROWS, batch_readahead=1, fragment_readahead=1)
    try:
        write_deltalake(table.delta, scanner.to_reader(), mode="overwrite", predicate=gaps.predicate())
    except (CommitFailedError, OSError, DeltaError, pa.ArrowException) as error:
        raise Unavailable(f"the table of features was not changed; run the command again: {error}") from error


def _features_of(log: Log, delta: str) -> Table:
    if log.features is None:
        raise BadInput(f"there is no Delta table features under {delta}; the stream writes it")
    return log.features


def _add_columns(delta: str, options: Options, names: Sequence[str]) -> None:
    """Give the table a column for every feature that it does not know, empty."""
    table = _features_of(Log(delta, options), delta)
    missing = [name for name in names if name not in table.columns]
    if missing:
        try:
            table.delta.alter.add_columns([Field(name, PrimitiveType("double")) for name in missing])
        except (CommitFailedError, OSError, DeltaError) as error:
            raise Unavailable(
                f"no column could be added to the table of features; run the command again: {error}"
            ) from error


def _find_gaps(table: Table, names: Sequence[str], until: Epoch | None) -> _Gaps | None:
    counts = dict.fromkeys(names, 0)
    first, last, every = np.iinfo(np.int64).max, -1, []
    for batch in table.batches(("generation", "epoch", *names)):
        number = (batch.column(0).to_numpy().astype(np.int64) << BATCH_BITS) + batch.column(1).to_numpy()
        is_open = np.zeros(len(number), np.bool_)
        inside = np.full(len(number), True) if until is None else number <= until.number
        for name in names:
            column = batch.column(name)
            if column.null_count:
                is_null = np.asarray(column.is_null().to_numpy(zero_copy_only=False)) & inside
                counts[name] += int(is_null.sum())
                is_open |= is_null
        every.append(number)
        if is_open.any():
            first, last = min(first, int(number[is_open].min())), max(last, int(number[is_open].max()))
    if last < 0:
        return None
    rows = sum(int(((number >= first) & (number <= last)).sum()) for number in every)
    return _Gaps([name for name, n in counts.items() if n], Epoch.of(first), Epoch.of(last), rows)


def _fill(served: pa.Table, found: Refolded, gaps: _Gaps, names: Sequence[str]) -> tuple[pa.Table, int]:
    """Fill the nulls of a slice's vectors; returns the rows between the gaps' ends, and how many changed."""
    number = (_integers(served, "generation") << BATCH_BITS) + _integers(served, "epoch")
    served = served.filter(pa.array((number >= gaps.first.number) & (number <= gaps.last.number)))
    settled = found.coordinates[found.is_settled]
    vectors = found.vectors[found.is_settled]
    pairs = match(settled, np.column_stack([_integers(served, name) for name in _IDENTITY]))
    is_filled = np.zeros(served.num_rows, np.bool_)
    for name in gaps.columns:
        values = np.full(served.num_rows, np.nan)
        values[pairs.right] = vectors[pairs.left, names.index(name)]
        is_known = np.zeros(served.num_rows, np.bool_)
        is_known[pairs.right] = True
        column = served.column(name).combine_chunks()
        is_filled |= np.asarray(column.is_null().to_numpy(zero_copy_only=False)) & is_known
        computed = pa.array(values, mask=~is_known)
        at = served.column_names.index(name)
        served = served.set_column(at, name, pc.coalesce(column, computed))
    return served, int(is_filled.sum())


def _integers(table: pa.Table, name: str) -> Ints:
    return np.asarray(table.column(name).to_numpy(), np.int64)
