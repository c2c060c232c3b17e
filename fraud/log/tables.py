"""Reads the log in the order of arrival, a slice at a time, so that memory does not grow with the log.

Reads the Delta tables ``transactions``, ``labels``, ``results``, ``profiles`` and ``features`` (dependency
group ``parity``); no Spark is needed. What is read is one snapshot, cut where the table that lags
furthest behind ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

from fraud.contracts.topics import LABELS, PROFILES, RESULTS
from fraud.errors import BadInput, Unavailable
from fraud.features.events import events_of_labels, events_of_results, events_of_transactions, hash_text
from fraud.features.kernel import NO_KEY, Floats
from fraud.features.passes import PASSES, Passes, sequence_names, sides_beside_primary
from fraud.features.profiles import events_of_profiles
from fraud.log.arrival import COLUMNS, LAST_RANK, RANKS, Ints, Reach, order_between
from fraud.schema import profiles
from fraud.schema.arrow import TIME, transaction_columns
from fraud.schema.deployed import deployed_schema
from fraud.store import Epoch
from fraud.store.records import BATCH_BITS

Options = Mapping[str, str]
NO_OPTIONS: Final[Options] = {}
SLICE_ROWS: Final = 100_000
"""Records of a slice, about; one micro-batch is never parted."""
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRANSACTION_COLUMNS: Final = tuple(column.name for column in transaction_columns(deployed_schema()))
_LABEL_COLUMNS: Final = ("transaction_id", *deployed_schema().key_names, "event_time", "is_fraud")
_RESULT_COLUMNS: Final = (*_LABEL_COLUMNS[:-1], "result_time", "result", "reason_code")
_PROFILE_COLUMNS: Final = (*deployed_schema().key_names, *profiles.COLUMNS)
_WRITTEN: Final = "The stream writes it: run `fraud up`, or name other tables"
_RECENT_COMMITS: Final = 20
_BATCH_ROWS: Final = 32_768


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of one generation of the log: all records from one moment to another, both included.

    Parameters
    ----------
    first, last
        Moments: ``Epoch.number`` and received_at in microseconds.
    is_newest_epoch
        Whether it belongs to the log's newest micro-batch.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    is_newest_epoch: bool

    @property
    def epoch(self) -> Epoch:
        """The micro-batch of its last record."""
        return Epoch.of(self.last[0])

    def filter(self) -> pc.Expression:
        """Select its rows; files and row groups outside are not read."""
        (_, from_us), (_, to_us) = self.first, self.last
        generation, old, new = self._epochs()
        epoch, received = pc.field("epoch"), pc.field("received_at")
        since, until = (pa.scalar(_UNIX + timedelta(microseconds=at), TIME) for at in (from_us, to_us))
        inside = (pc.field("generation") == generation) & (epoch >= old) & (epoch <= new)
        if old == new:
            return inside & (received >= since) & (received <= until)
        return inside & ((epoch > old) | (received >= since)) & ((epoch < new) | (received <= until))

    def predicate(self) -> str:
        """Select its rows in Delta's words."""
        (_, from_us), (_, to_us) = self.first, self.last
        generation, old, new = self._epochs()
        since, until = ((_UNIX + timedelta(microseconds=at)).isoformat() for at in (from_us, to_us))
        return (
            f"generation = {generation} AND epoch >= {old} AND epoch <= {new} "
            f"AND (epoch > {old} OR received_at >= '{since}') "
            f"AND (epoch < {new} OR received_at <= '{until}')"
        )

    def _epochs(self) -> tuple[int, int, int]:
        old, new = Epoch.of(self.first[0]), Epoch.of(self.last[0])
        return old.generation, old.batch, new.batch


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The records of a slice in the order of arrival, each once.

    Parameters
    ----------
    events
        [n, EVENT_COLUMNS] as the kernel reads them.
    transactions
        Positions of the transactions in ``events``.
    coordinates
        [transactions, 4]: generation, epoch, partition and offset.
    received_us
        [transactions].
    sequences
        [n, sequences], each entity's sequence of each event, of each side; NaN where the log does not say.
    repeated
        Rows that a table holds beyond the first of the same record; they are left out.
    epochs
        [n], ``Epoch.number`` of each event's micro-batch.
    """

    events: Floats
    transactions: NDArray[np.int64]
    coordinates: Ints
    received_us: Ints
    sequences: Floats
    repeated: int
    epochs: Ints


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


class Log:
    """One snapshot of the log.

    Parameters
    ----------
    delta
        Path or URI under which the tables lie.
    options
        Access to the object store, under delta-rs' names.
    passes
        Whose sequences it tells, and what folds it (``fraud.log.refold``).

    Raises
    ------
    BadInput
        When the table of transactions is not there.
    Unavailable
        When the tables cannot be read; try again.
    """

    def __init__(self, delta: str, options: Options = NO_OPTIONS, passes: Passes = PASSES) -> None:
        self.passes = passes
        self._sequences = sequence_names(passes)
        self._recorded = (*self._sequences, *(side.hash_name for side in sides_beside_primary(passes)))
        # Opened first, as it is committed last: the others have at least as much.
        self.end = log_end(delta, options)
        """The commit that says so; it may also tell where that is in Kafka."""
        self.reach = Epoch(self.end.generation, self.end.epoch) if self.end else None
        """The newest micro-batch that all tables have; None for tables that no archive of ours wrote."""
        self._labels = find_table(delta, LABELS, options)
        self._results = find_table(delta, RESULTS, options) if deployed_schema().results else None
        self._profiles = find_table(delta, PROFILES, options) if deployed_schema().profiles else None
        self.features = find_table(delta, "features", options)
        """What was served; None when there is no such table."""
        found = find_table(delta, "transactions", options)
        if found is None:
            raise BadInput(f"there is no Delta table {table_uri(delta, 'transactions')}. {_WRITTEN}")
        self._transactions = found

    def slices(self, rows: int = SLICE_ROWS, after: tuple[int, int] | None = None) -> list[Slice]:
        """Cut the log into slices of about so many records, in the order of arrival.

        With ``after``, the last moment of a slice of an older snapshot, only what came later. A micro-batch
        lies in one slice; only the history of generation 0, one micro-batch however long it is, is cut by
        time. The newest micro-batch has slices of its own.
        """
        notices = (self._labels, self._results, self._profiles)
        tables = [table for table in (self._transactions, *notices) if table]
        return slices_of(tables, rows, self.reach, after)

    def read(self, part: Slice) -> Arrivals:
        """Read the records of a slice."""
        transactions = _rows_of(self._transactions, _TRANSACTION_COLUMNS, self._recorded, part)
        events = events_of_transactions(transactions)
        origin, sequences = _origin_of(transactions), _sequences_of(transactions, self._sequences)
        rank = np.full(len(events), LAST_RANK)
        for topic, table, columns, make in (
            (LABELS, self._labels, _LABEL_COLUMNS, events_of_labels),
            (RESULTS, self._results, _RESULT_COLUMNS, events_of_results),
            (PROFILES, self._profiles, _PROFILE_COLUMNS, events_of_profiles),
        ):
            notices = _rows_of(table, columns, self._recorded, part) if table else None
            if notices is not None and notices.num_rows:
                events = np.concatenate([self._with_keys(make(notices), notices), events])
                origin = np.concatenate([_origin_of(notices), origin])
                sequences = np.concatenate([_sequences_of(notices, self._sequences), sequences])
                rank = np.concatenate([np.full(notices.num_rows, RANKS[topic]), rank])
        number = (origin[:, 0] << BATCH_BITS) + origin[:, 1]
        order = order_between(number, origin[:, 2], rank, origin[:, 3], origin[:, 4])
        named = np.column_stack([rank, origin])[order]
        is_new = np.ones(len(order), np.bool_)
        is_new[1:] = (named[1:] != named[:-1]).any(axis=1)
        order = order[is_new]
        where = np.flatnonzero(rank[order] == LAST_RANK)
        chosen = origin[order[where]]
        return Arrivals(
            events[order],
            where,
            chosen[:, [0, 1, 3, 4]],
            chosen[:, 2],
            sequences[order],
            int((~is_new).sum()),
            number[order],
        )

    def scored_of(self, part: Slice) -> list[str]:
        """List the transactions of a slice that the scoring service decided."""
        found = self._transactions.rows(
            ("transaction_id",), part.filter() & (pc.field("source_partition") < 0)
        )
        return list(found.column("transaction_id").to_pylist())

    def _with_keys(self, events: Floats, notices: pa.Table) -> Floats:
        """Give the rows of notices the keys that they left out and the primary entity knew."""
        for side in sides_beside_primary(self.passes):
            if side.hash_name in notices.column_names:
                known = pc.fill_null(notices[side.hash_name], 0).to_numpy().astype(np.float64)
                is_left_out = events[:, side.column] == NO_KEY
                events[is_left_out, side.column] = known[is_left_out]
        return events

    def read_features(self, part: Slice, columns: Sequence[str] | None = None) -> pa.Table:
        """Read what was served for the transactions of a slice; all columns by default."""
        if self.features is None:
            raise BadInput(f"there is no Delta table of features. {_WRITTEN}")
        return self.features.rows(columns or self.features.columns, part.filter())

    def transactions_of(self, hashes: Floats) -> pa.Table:
        """Read the transactions whose id has one of some hashes, each record once, in the order of arrival.

        Returns
        -------
        pyarrow.Table
            ``transaction_id`` and ``COLUMNS``.
        """
        parts = []
        for batch in self._transactions.batches(("transaction_id", *COLUMNS)):
            known = [hash_text(name) for name in batch.column("transaction_id").to_pylist()]
            parts.append(pa.Table.from_batches([batch.filter(pa.array(np.isin(known, hashes)))]))
        keys = [name for name in COLUMNS if name != "received_at"]
        found = pa.concat_tables(parts).group_by(keys, use_threads=False)
        rows = found.aggregate([("transaction_id", "first"), ("received_at", "first")])
        rows = rows.rename_columns([*keys, "transaction_id", "received_at"])
        if self.reach is not None:
            number = (_integers(rows["generation"]) << BATCH_BITS) + _integers(rows["epoch"])
            rows = rows.filter(pa.array(number <= self.reach.number))
        return rows.sort_by([(name, "ascending") for name in COLUMNS])


def slices_of(
    tables: Sequence[Table], rows: int, until: Epoch | None = None, after: tuple[int, int] | None = None
) -> list[Slice]:
    """Cut tables of the log into slices of about so many rows of all of them, in the order of arrival.

    Parameters
    ----------
    until
        The last micro-batch; None for all.
    after
        Moment behind which they begin; None for the beginning.
    """
    moments = [_moments_of(table, until, after) for table in tables]
    number = np.concatenate([found[0] for found in moments])
    received = np.concatenate([found[1] for found in moments])
    if after is not None:
        is_later = (number > after[0]) | ((number == after[0]) & (received > after[1]))
        number, received = number[is_later], received[is_later]
    order = np.lexsort((received, number))
    return _cut(number[order], received[order], rows)


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
        raise BadInput(f"there is no Delta table {table} under {delta}. {_WRITTEN}")
    return found


def micros_of(column: Any) -> NDArray[np.int64]:
    """Read a column of times as microseconds since 1970."""
    return np.asarray(column.cast(TIME).cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def floats_of(column: Any) -> Floats:
    """Read a column of numbers; NaN where there is none."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


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


def _moments_of(table: Table, until: Epoch | None, after: tuple[int, int] | None) -> tuple[Ints, Ints]:
    where = _since(Epoch.of(after[0])) if after else None  # older files are not read
    numbers, times = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    columns = ("generation", "epoch", "received_at")
    for batch in table.batches(columns, where):
        generation, epoch, received = (_integers(batch.column(name)) for name in columns)
        number = (generation << BATCH_BITS) + epoch
        inside = np.full(len(number), True) if until is None else number <= until.number
        numbers.append(number[inside])
        times.append(received[inside])
    return np.concatenate(numbers), np.concatenate(times)


def _since(epoch: Epoch) -> pc.Expression:
    """Select the rows of a micro-batch and of those after it."""
    generation = pc.field("generation")
    later = (generation == epoch.generation) & (pc.field("epoch") >= epoch.batch)
    return (generation > epoch.generation) | later


def _cut(number: Ints, received: Ints, rows: int) -> list[Slice]:
    """Cut sorted moments into slices."""
    slices: list[Slice] = []
    start, n = 0, len(number)
    newest = int(np.searchsorted(number, number[-1])) if n else 0
    while start < n:
        next_generation = (int(number[start] >> BATCH_BITS) + 1) << BATCH_BITS
        limit = int(np.searchsorted(number, next_generation))
        if start < newest:
            limit = min(limit, newest)
        end = min(start + rows, limit)
        if end < limit:
            end = _boundary(number, received, start, end)
        first, last = ((int(number[at]), int(received[at])) for at in (start, end - 1))
        slices.append(Slice(first, last, is_newest_epoch=start >= newest))
        start = end
    return slices


def _boundary(number: Ints, received: Ints, start: int, end: int) -> int:
    """Move the end of a slice to where a micro-batch ends (in the history: to where the time changes)."""
    low, high = (int(np.searchsorted(number, number[end], side)) for side in ("left", "right"))
    if low > start:
        return low
    if number[end] >> BATCH_BITS:
        return high
    times = received[low:high]
    low, high = (low + int(np.searchsorted(times, received[end], side)) for side in ("left", "right"))
    return low if low > start else high


def _rows_of(table: Table, columns: Sequence[str], recorded: Sequence[str], part: Slice) -> pa.Table:
    """Read a slice; a field that is younger than the table has no column in it yet."""
    present = [name for name in (*columns, *recorded) if name in table.columns]
    return table.rows((*present, *COLUMNS), part.filter())


def _sequences_of(table: pa.Table, sequences: Sequence[str]) -> Floats:
    found = np.full((table.num_rows, len(sequences)), np.nan)
    for at, name in enumerate(sequences):
        if name in table.column_names:
            column = table.column(name).cast(pa.float64())
            found[:, at] = column.to_numpy(zero_copy_only=False)
    return found


def _origin_of(table: pa.Table) -> Ints:
    return np.column_stack([_integers(table.column(name)) for name in COLUMNS])


def _integers(column: Any) -> Ints:
    if pa.types.is_timestamp(column.type):
        column = column.cast(TIME)
    return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
