"""The first pass: validate the records of some Kafka partitions, and hand them on by the primary's key.

Bad records become dead letters here. Who validates a record also says whose it is, so that no record is
read in two ways and the records of a user of a micro-batch always meet in one task.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts import (
    MOST_AHEAD_S,
    SCORED,
    TOO_LARGE,
    AheadBounds,
    Contracts,
    Label,
    Profile,
    Result,
    Transaction,
    bounds_of,
    check_future,
    contracts_of,
    parse_input,
)
from fraud.contracts.future import latest_of
from fraud.contracts.priced import priced
from fraud.contracts.wire import EARLIEST
from fraud.errors import BadRecord
from fraud.features.events import events_of
from fraud.features.layout import layout_of
from fraud.features.passes import EntityPass
from fraud.features.profiles import profiles_of
from fraud.log import rows
from fraud.log.arrival import raise_times
from fraud.money import NO_RATES, Rates
from fraud.runtime.traces import HEADER, valid_parent
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from jobs.stream.tasks.arrow_rows import in_arrival_order, send
from jobs.stream.tasks.context import TaskContext, rates_of
from jobs.stream.tasks.large_records import LargeRecords, refusal_of, sizes_of
from jobs.stream.tasks.stopwatch import Stopwatch

COLUMNS: Final = ("key", "value", "topic", "partition", "offset", "timestamp")
"""Of Spark's Kafka source."""
_BY_BROKER: Final = 1
"""Kafka's number of the timestamp type ``LogAppendTime``."""
SELECTED: Final = (
    *COLUMNS[:-1],
    f"if(timestampType = {_BY_BROKER} or topic = '{SCORED}', timestamp, null) as timestamp",
)
"""``COLUMNS`` as expressions of Spark. A producer's own time (``CreateTime``) is no append time: the producer
could date a record as it likes. What the scoring service has counted is not refused for it."""
SELECTED_TRACED: Final = (
    *SELECTED,
    f"get(filter(headers, one -> one.key = '{HEADER}'), 0).value as {HEADER}",
)
"""The same with the trace that a record's header names: bytes, as Spark hands on texts that are not UTF-8."""
_KINDS: Final = (rows.TRANSACTION, rows.LABEL, rows.DEAD_LETTER, rows.RESULT, rows.PROFILE)
"""Of rows that this pass makes."""
NO_APPEND_TIME: Final = "no_append_time"
_KIND_OF: Final = (
    (Transaction, rows.TRANSACTION),
    (Label, rows.LABEL),
    (Result, rows.RESULT),
    (Profile, rows.PROFILE),
)


def run_validate_pass(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run the pass over whole Kafka partitions (a ``mapInArrow`` function).

    Parameters
    ----------
    context
        Of the micro-batch.
    batches
        ``COLUMNS`` of the Kafka source.

    Yields
    ------
    RecordBatch
        Parcels of ``Rows.validated``, by the primary's key.
    """
    watch = Stopwatch()
    with watch.time("set_aside"):
        taken, sizes = _take(context, batches)
    if taken is None:
        return
    with watch.time("validate"):
        table = validate(taken, context.most_ahead_s, sizes, context.schema, rates_of(context))
    yield from send(table, tasks_of(table, context.passes[0], context.tasks), [watch.seconds])


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the pass to a micro-batch, for ``mapInArrow``."""
    return partial(run_validate_pass, context)


def validate(
    table: pa.Table,
    most_ahead_s: float = MOST_AHEAD_S,
    sizes: NDArray[np.int64] | None = None,
    schema: Schema | None = None,
    rates: Rates = NO_RATES,
) -> pa.Table:
    """Make rows of ``Rows.validated``, in arrival order, of rows of the Kafka source.

    Offset order within a partition always wins: a time that falls behind is raised to the one before it.

    Parameters
    ----------
    table
        ``COLUMNS``; the timestamp is null where the broker has not given it.
    most_ahead_s
        How far a record may be dated ahead of its append time, seconds, where the schema bounds no source.
    sizes
        Bytes of each record as it lay in Kafka, where large ones were set aside.
    schema
        Of the records; by default the deployment's.
    rates
        By which amounts are priced at their append times.
    """
    schema = schema or deployed_schema()
    contracts, of, writer = contracts_of(schema), rows.rows_of(schema), events_of(schema)
    names_of = {
        rows.TRANSACTION: of.transaction_names,
        rows.LABEL: of.label_names,
        rows.RESULT: of.result_names,
        rows.PROFILE: of.profile_names,
    }
    kind_of = _kinds_of(contracts)
    arrivals = _Arrivals(table, bounds_of(schema, most_ahead_s))
    found_sizes = (sizes_of(table) if sizes is None else sizes).tolist()
    raws = table.column("value").to_pylist()
    taken: dict[int, list[Any]] = {kind: [] for kind in _KINDS}
    where: dict[int, list[int]] = {kind: [] for kind in _KINDS}
    keys = table.column("key")
    for i, (topic, raw) in enumerate(zip(table.column("topic").to_pylist(), raws, strict=True)):
        kind = rows.DEAD_LETTER
        try:
            record: Any = parse_input(contracts, topic, raw, found_sizes[i])
            found_kind = kind_of[type(record)]
            if topic != SCORED:  # counted already: the scoring service looked when it came
                arrivals.check(i, record)
                if schema.money is not None and found_kind == rows.TRANSACTION:
                    record = priced(record, schema, rates, arrivals.column[i].as_py())
            kind = found_kind
        except BadRecord as error:
            reason, detail = error.reason, error.detail
            if reason == TOO_LARGE:
                reason, detail = refusal_of(found_sizes[i])
            kept = raw if raw is not None or error.reason == TOO_LARGE else b""
            record = (reason, detail, text_of(keys[i].as_py()), kept)
        taken[kind].append(record)
        where[kind].append(i)
    found = {
        rows.DEAD_LETTER: of.record_table(rows.DEAD_LETTER_NAMES, taken[rows.DEAD_LETTER]),
        **{
            kind: of.record_table(names, list(map(itemgetter(*names), map(vars, taken[kind]))))
            for kind, names in names_of.items()
        },
    }
    parts = [
        writer.of_transactions(found[rows.TRANSACTION]),
        writer.of_labels(found[rows.LABEL]),
        np.zeros((found[rows.DEAD_LETTER].num_rows, layout_of(schema).width)),
    ]
    parts += [writer.of_results(found[rows.RESULT])] if taken[rows.RESULT] else []
    if taken[rows.PROFILE]:
        arrived = arrivals.column.take(pa.array(where[rows.PROFILE]))
        told = found[rows.PROFILE].append_column("received_at", arrived)
        parts.append(profiles_of(schema).of_profiles(told))
    events = np.concatenate(parts)
    kinds = np.repeat(np.array(_KINDS, np.int8), [found[kind].num_rows for kind in _KINDS])
    order = np.argsort(np.concatenate([np.array(where[kind], np.int64) for kind in _KINDS]))
    records = pa.concat_tables(found[kind] for kind in _KINDS).take(pa.array(order))
    columns = [
        pa.array(kinds[order]),
        *(table.column(name) for name in ("topic", "partition", "offset")),
        arrivals.column,
        *records.columns,
        rows.binary_column(events[order]),
        table.column("key"),
        table.column("value"),
        _traces_of(table),
    ]
    return in_arrival_order(pa.table(columns, schema=of.validated))


def _kinds_of(contracts: Contracts) -> dict[type, int]:
    """Tell the kind of row that a record of each model becomes."""
    models = contracts.by_topic.values()
    return {model: next(kind for of, kind in _KIND_OF if issubclass(model, of)) for model in models}


def tasks_of(table: pa.Table, of: EntityPass, tasks: int) -> np.ndarray[Any, Any]:
    """Choose each row's task by its entity's key; dead letters and what has no key are dealt out.

    A row of an entity with two sides has two keys, whose records must meet in one task: all go to one.

    Parameters
    ----------
    table
        With the columns ``row_kind`` and ``event``.
    of
        The pass that the rows go to.
    tasks
        How many there are.
    """
    if of.has_sides:
        return np.zeros(table.num_rows, np.int64)
    events = rows.matrix_of(table.column("event"))
    goes_anywhere = ~of.concerns(events) | (table.column("row_kind").to_numpy() == rows.DEAD_LETTER)
    return np.where(goes_anywhere, np.arange(len(events)), of.keys_of(events).astype(np.int64)) % tasks


def _take(
    context: TaskContext, batches: Iterator[pa.RecordBatch]
) -> tuple[pa.Table | None, NDArray[np.int64]]:
    """Take a task's records, large ones as stubs; None where there are none."""
    from pyspark import TaskContext as SparkTask  # noqa: PLC0415  known only inside a task

    task = SparkTask.get()
    large = LargeRecords(context, task.partitionId() if task else 0)
    parts, sizes = [], []
    for batch in batches:
        part, found = large.set_aside(batch)
        parts.append(part)
        sizes.append(found)
    large.close()
    if not parts:
        return None, np.zeros(0, np.int64)
    return pa.Table.from_batches(parts), np.concatenate(sizes)


def _traces_of(table: pa.Table) -> pa.Array:
    """Read the traces that headers name; a header that is wrong names none."""
    if HEADER not in table.column_names:
        return pa.nulls(table.num_rows, rows.TRACE.type)
    found = [valid_parent(text) or None for text in table.column(HEADER).to_pylist()]
    return pa.array(found, rows.TRACE.type)


def text_of(key: bytes | None) -> str | None:
    """Read a record's key for the dead letter."""
    return None if key is None else key.decode(errors="replace")


class _Arrivals:
    """When the records of a table arrived, as it is recorded.

    Parameters
    ----------
    table
        ``COLUMNS``.
    bounds
        How far a record may be dated ahead.
    """

    def __init__(self, table: pa.Table, bounds: AheadBounds) -> None:
        topic = np.asarray(table.column("topic").to_numpy(zero_copy_only=False), "U")
        partition, offset = (table.column(name).to_numpy() for name in ("partition", "offset"))
        given = table.column("timestamp")
        self._is_missing = given.is_null().to_pylist()  # of which one value is read faster than of an array
        known = pc.fill_null(given.cast(pa.timestamp("us", tz="UTC")), pa.scalar(EARLIEST))
        raised = raise_times(known.cast(pa.int64()).to_numpy(), topic, partition, offset)
        self.column = pa.array(raised).cast(pa.timestamp("us", tz="UTC"))
        self._bounds = bounds
        first = pc.min(self.column).as_py() or EARLIEST
        self._soonest = first + timedelta(seconds=bounds.least_s)  # a record before it is ahead of no arrival

    def check(self, row: int, record: Label | Result | Profile | Transaction) -> None:
        """Refuse a record without an append time, or dated too far ahead of it.

        Raises
        ------
        BadRecord
            With reason ``no_append_time``, or ``future_`` and the field's name.
        """
        if self._is_missing[row]:
            raise BadRecord(NO_APPEND_TIME, _NO_APPEND_TIME_WORDS)
        if latest_of(record) > self._soonest:
            check_future(record, self.column[row].as_py(), self._bounds)


_NO_APPEND_TIME_WORDS: Final = (
    "the record carries its producer's time: set message.timestamp.type=LogAppendTime for the topic, then "
    "send it again with `fraud replay dead-letters`"
)
