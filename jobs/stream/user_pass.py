"""The first pass: validate records, fold them into the users' states, hand them on by merchant.

Reads the raw Kafka rows of some users, and their states; writes the states. Bad records and
duplicates become dead letters here.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.contracts import LABELS, Label, Transaction, parse_record
from fraud.errors import BadRecord
from fraud.features import kernel
from fraud.features.definitions import USER
from fraud.features.engine import fold_events
from fraud.features.events import event_of_label, event_of_transaction, stack_events
from fraud.store import Kind
from jobs.stream import rows
from jobs.stream.context import TaskContext, settle, store_of

BATCH_ROWS: Final = 10_000


def run_user_pass(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run the pass over one partition (a ``mapInArrow`` function).

    Parameters
    ----------
    context
        Of the micro-batch.
    batches
        Columns key, value, topic, partition, offset, timestamp of the Kafka source.

    Yields
    ------
    RecordBatch
        Rows of ``rows.PASSED``.
    """
    parts = list(batches)
    if not parts:
        return
    table = in_arrival_order(pa.Table.from_batches(parts))
    passed = pass_users(context, table)
    settle()
    yield from passed.to_batches(max_chunksize=BATCH_ROWS)


def pass_users(context: TaskContext, table: pa.Table) -> pa.Table:
    """Validate and fold records that are in arrival order."""
    raws = table.column("value").to_pylist()
    kinds, values, events = _parse(table.column("topic").to_pylist(), table.column("key").to_pylist(), raws)
    folded = _fold(context, events, kinds != rows.DEAD_LETTER)
    vectors, outcomes = folded
    duplicates = np.flatnonzero((kinds == rows.TRANSACTION) & (outcomes == kernel.DUPLICATE))
    keys = table.column("key").to_pylist() if len(duplicates) else []
    for i in duplicates.tolist():
        detail = f"transaction_id {values[i][0]} was already counted for this user"
        values[i] = rows.dead_letter_values("duplicate", detail, _text(keys[i]), raws[i])
    kinds[duplicates] = rows.DEAD_LETTER
    is_label = kinds == rows.LABEL
    events[is_label, kernel.E_CENTS] = outcomes[is_label]
    route = np.where(kinds == rows.DEAD_LETTER, np.arange(len(kinds)), events[:, kernel.E_MERCHANT]).astype(np.int64)
    columns = [
        pa.array(kinds, pa.int8()),
        *(table.column(name).combine_chunks() for name in ("topic", "partition", "offset", "timestamp")),
        *rows.record_columns(values),
        pa.array(route),
        _binary(events),
        _binary(vectors),
    ]
    return pa.table(columns, schema=rows.PASSED)


def in_arrival_order(table: pa.Table) -> pa.Table:
    """Sort Kafka rows by arrival: append time, labels before transactions, partition, offset.

    Offset order within a partition always wins: a time that falls behind is raised to the one before it.
    """
    topic = np.asarray(table.column("topic").to_numpy(zero_copy_only=False), "U")
    partition = table.column("partition").to_numpy()
    offset = table.column("offset").to_numpy()
    time = table.column("timestamp").cast(pa.int64()).to_numpy()
    by_offset = np.lexsort((offset, partition, topic))
    raised = _raise_within(time[by_offset], topic[by_offset], partition[by_offset])
    arrival = np.empty_like(time)
    arrival[by_offset] = raised
    order = np.lexsort((offset, partition, topic != LABELS, arrival))
    stamps = pa.array(arrival[order]).cast(pa.timestamp("us", tz="UTC"))
    sorted_table = table.take(pa.array(order))
    return sorted_table.set_column(sorted_table.column_names.index("timestamp"), "timestamp", stamps)


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the pass to a micro-batch, for ``mapInArrow``."""
    return partial(run_user_pass, context)


def _raise_within(time: NDArray[np.int64], topic: NDArray[Any], partition: NDArray[Any]) -> NDArray[np.int64]:
    """Running maximum within each topic partition (rows are grouped by it)."""
    changes = np.flatnonzero((topic[1:] != topic[:-1]) | (partition[1:] != partition[:-1])) + 1
    return np.concatenate([np.maximum.accumulate(run) for run in np.split(time, changes)])


def _parse(
    topics: list[str], keys: list[bytes | None], raws: list[bytes | None]
) -> tuple[NDArray[np.int8], list[list[Any]], kernel.Floats]:
    kinds = np.empty(len(raws), np.int8)
    values: list[list[Any]] = []
    events: list[tuple[float, ...]] = []
    for i, (topic, raw) in enumerate(zip(topics, raws, strict=True)):
        try:
            if topic == LABELS:
                label = parse_record(Label, raw)
                kinds[i] = rows.LABEL
                values.append(rows.label_values(label))
                events.append(event_of_label(label))
            else:
                transaction = parse_record(Transaction, raw)
                kinds[i] = rows.TRANSACTION
                values.append(rows.transaction_values(transaction))
                events.append(event_of_transaction(transaction))
        except BadRecord as error:
            kinds[i] = rows.DEAD_LETTER
            values.append(rows.dead_letter_values(error.reason, error.detail, _text(keys[i]), raw))
            events.append((0.0,) * kernel.EVENT_COLUMNS)
    return kinds, values, stack_events(events)


def _fold(
    context: TaskContext, events: kernel.Floats, is_good: NDArray[np.bool_]
) -> tuple[kernel.Floats, kernel.Floats]:
    """Fold the good records into the users' states; the others keep an empty vector."""
    good = events[is_good]
    keys = np.unique(good[:, kernel.E_USER]).tolist()
    store = store_of(context.store_url)
    states = dict(zip(keys, store.read(Kind.USER, keys, context.epoch), strict=True))
    folded = fold_events(USER, good, states)
    store.write(Kind.USER, folded.states, context.epoch, context.token)
    vectors = np.full((len(events), folded.vectors.shape[1]), np.nan)
    outcomes = np.zeros(len(events))
    vectors[is_good] = folded.vectors
    outcomes[is_good] = folded.outcomes
    return vectors, outcomes


def _binary(floats: kernel.Floats) -> pa.Array:
    """One binary value a row of a float64 matrix."""
    n, width = floats.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width * 8)
    data = pa.py_buffer(np.ascontiguousarray(floats))
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), data])


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode(errors="replace")
