"""Reads the log in the order of arrival, a slice at a time, so that memory does not grow with the log.

Reads the Delta tables ``transactions``, ``labels``, ``results``, ``profiles`` and ``features`` (dependency
group ``parity``); no Spark is needed. What is read is one snapshot, cut where the table that lags
furthest behind ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts.topics import LABELS, PROFILES, RESULTS
from fraud.errors import BadInput
from fraud.features import kernel
from fraud.features.events import events_of
from fraud.features.hashing import hash_text
from fraud.features.kernel import NO_KEY, Floats
from fraud.features.passes import Passes, passes_of_schema, sequence_names, sides_beside_primary
from fraud.features.profiles import profiles_of
from fraud.log.arrival import COLUMNS, LAST_RANK, RANKS, Ints, order_between
from fraud.log.rows import rows_of
from fraud.log.slices import Slice, slices_of
from fraud.log.tables import NO_OPTIONS, WRITTEN, Options, Table, find_table, integers_of, log_end, table_uri
from fraud.schema import profiles
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import Epoch
from fraud.store.records import BATCH_BITS

SLICE_ROWS: Final = 100_000
"""Records of a slice, about; one micro-batch is never parted."""


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
    left_out: int = 0
    """Transactions that count in no history, as ``Log.most_ahead_us`` says."""


class Log:
    """One snapshot of the log.

    Parameters
    ----------
    delta
        Path or URI under which the tables lie.
    options
        Access to the object store, under delta-rs' names.
    passes
        Whose sequences it tells, and what folds it (``fraud.log.refold``); by default the schema's.
    schema
        Of the records; by default the deployment's.
    most_ahead_us
        Transactions dated further ahead of their arrival count in no history, and move no window: they keep
        their number in the order of arrival alone. None: the log is told as it was counted.

    Raises
    ------
    BadInput
        When the table of transactions is not there.
    Unavailable
        When the tables cannot be read; try again.
    """

    def __init__(
        self,
        delta: str,
        options: Options = NO_OPTIONS,
        passes: Passes | None = None,
        schema: Schema | None = None,
        most_ahead_us: int | None = None,
    ) -> None:
        self.most_ahead_us = most_ahead_us
        self.schema = schema = schema or deployed_schema()
        self.passes = passes = passes or passes_of_schema(schema)
        self._sequences = sequence_names(passes)
        self._recorded = (*self._sequences, *(side.hash_name for side in sides_beside_primary(passes)))
        # Opened first, as it is committed last: the others have at least as much.
        self.end = log_end(delta, options)
        """The commit that says so; it may also tell where that is in Kafka."""
        self.reach = Epoch(self.end.generation, self.end.epoch) if self.end else None
        """The newest micro-batch that all tables have; None for tables that no archive of ours wrote."""
        self._labels = find_table(delta, LABELS, options)
        self._results = find_table(delta, RESULTS, options) if schema.results else None
        self._profiles = find_table(delta, PROFILES, options) if schema.profiles else None
        self.features = find_table(delta, "features", options)
        """What was served; None when there is no such table."""
        found = find_table(delta, "transactions", options)
        if found is None:
            raise BadInput(f"there is no Delta table {table_uri(delta, 'transactions')}. {WRITTEN}")
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
        of, writer = rows_of(self.schema), events_of(self.schema)
        ids = ("transaction_id", *self.schema.key_names, "event_time")
        told = tuple(dict.fromkeys([*ids, "result_time", "result", "reason_code", *of.refund_names]))
        known = (*self.schema.key_names, *profiles.COLUMNS)
        transactions = _rows_of(self._transactions, of.transaction_names, self._recorded, part)
        events = writer.of_transactions(transactions)
        origin, sequences = _origin_of(transactions), _sequences_of(transactions, self._sequences)
        rank = np.full(len(events), LAST_RANK)
        for topic, table, columns, make in (
            (LABELS, self._labels, (*ids, "is_fraud"), writer.of_labels),
            (RESULTS, self._results, told, writer.of_results),
            (PROFILES, self._profiles, known, profiles_of(self.schema).of_profiles),
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
        chosen, arrived = origin[order[where]], events[order]
        left_out = self._leave_out(arrived, where, chosen[:, 2])
        return Arrivals(
            arrived,
            where,
            chosen[:, [0, 1, 3, 4]],
            chosen[:, 2],
            sequences[order],
            int((~is_new).sum()),
            number[order],
            left_out,
        )

    def _leave_out(self, events: Floats, where: Ints, received_us: Ints) -> int:
        """Make those dated too far ahead events of their arrival without an amount: looked at, not kept."""
        if self.most_ahead_us is None:
            return 0
        is_far = events[where, kernel.E_TIME] > received_us + self.most_ahead_us
        events[where[is_far], kernel.E_TIME] = received_us[is_far]
        events[where[is_far], kernel.E_CENTS] = np.nan
        return int(is_far.sum())

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
            raise BadInput(f"there is no Delta table `features`. {WRITTEN}")
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
            number = (integers_of(rows["generation"]) << BATCH_BITS) + integers_of(rows["epoch"])
            rows = rows.filter(pa.array(number <= self.reach.number))
        return rows.sort_by([(name, "ascending") for name in COLUMNS])


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
    return np.column_stack([integers_of(table.column(name)) for name in COLUMNS])
