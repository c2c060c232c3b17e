"""The first pass: validate records, fold them into the users' states, hand them on by merchant.

Reads the raw Kafka rows of some users, and their states; writes the states. Bad records and
duplicates become dead letters here. What the scoring service has counted and decided goes through
untouched, to the archive.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.contracts import LABELS, SCORED, Label, ScoredTransaction, Transaction, parse_record
from fraud.errors import BadRecord
from fraud.features import kernel
from fraud.features.definitions import USER
from fraud.features.engine import Folded
from fraud.features.events import event_of_label, event_of_transaction, stack_events
from fraud.log.arrival import order_within, raise_times
from jobs.stream import rows
from jobs.stream.context import TaskContext, settle, store_of
from jobs.stream.scored import kinds_of
from jobs.stream.states import fold_through
from jobs.stream.stopwatch import Stopwatch

BATCH_ROWS: Final = 10_000
_CONTRACTS: Final[dict[str, type[Label | Transaction]]] = {LABELS: Label, SCORED: ScoredTransaction}


def run_user_pass(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run the pass over one partition (a ``mapInArrow`` function).

    Parameters
    ----------
    context
        Of the micro-batch.
    batches
        Columns key, value, topic, partition, offset, timestamp of the Kafka source, and routed_user,
        by which Spark chose this partition.

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
    watch = Stopwatch()
    raws = table.column("value").to_pylist()
    with watch.time("validate"):
        kinds, values, events, scored = _parse(table, raws)
    kinds[list(scored)] = kinds_of(store_of(context.store_url), list(scored.values()), context.epoch)
    is_repeated = np.zeros(len(kinds), np.bool_)
    is_repeated[list(scored)] = kinds[list(scored)] == rows.DEAD_LETTER
    with watch.time("user_pass"):
        folded = _fold(context, events, (kinds != rows.DEAD_LETTER) & (kinds != rows.SCORED), watch)
    outcomes = folded.outcomes
    is_counted = (kinds == rows.TRANSACTION) | (kinds == rows.RECOUNTED)
    duplicates = np.flatnonzero((is_counted & (outcomes == kernel.DUPLICATE)) | is_repeated)
    keys = table.column("key").to_pylist() if len(duplicates) else []
    for i in duplicates.tolist():
        detail = f"transaction_id {values[i][0]} was already counted for this user"
        values[i] = rows.dead_letter_values("duplicate", detail, _text(keys[i]), raws[i])
    kinds[duplicates] = rows.DEAD_LETTER
    is_label = kinds == rows.LABEL
    events[is_label, kernel.E_CENTS] = outcomes[is_label]
    route = np.where(kinds == rows.DEAD_LETTER, np.arange(len(kinds)), events[:, kernel.E_MERCHANT]).astype(
        np.int64
    )
    sequences = folded.sequences
    sequences[list(scored)] = [
        record.user_sequence if kinds[i] == rows.SCORED else sequences[i] for i, record in scored.items()
    ]
    kept: list[bytes | None] = [None] * len(raws)
    for i in scored:
        kept[i] = raws[i] if kinds[i] != rows.DEAD_LETTER else None
    columns = [
        pa.array(kinds, pa.int8()),
        *(table.column(name).combine_chunks() for name in ("topic", "partition", "offset", "timestamp")),
        *rows.record_columns(values),
        pa.array(route),
        _binary(events),
        _binary(folded.vectors),
        pa.array(sequences, pa.int64(), mask=kinds == rows.DEAD_LETTER),
        pa.array(kept, pa.binary()),
        pa.array([json.dumps(watch.seconds), *[None] * (len(raws) - 1)][: len(raws)], pa.string()),
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
    arrival = raise_times(time, topic, partition, offset)
    order = order_within(arrival, topic == LABELS, partition, offset)
    stamps = pa.array(arrival[order]).cast(pa.timestamp("us", tz="UTC"))
    sorted_table = table.take(pa.array(order))
    return sorted_table.set_column(sorted_table.column_names.index("timestamp"), "timestamp", stamps)


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the pass to a micro-batch, for ``mapInArrow``."""
    return partial(run_user_pass, context)


def _parse(
    table: pa.Table, raws: list[bytes | None]
) -> tuple[NDArray[np.int8], list[list[Any]], kernel.Floats, dict[int, ScoredTransaction]]:
    topics, keys = table.column("topic").to_pylist(), table.column("key").to_pylist()
    is_routed = "routed_user" in table.column_names
    routed = table.column("routed_user").to_pylist() if is_routed else [None] * len(raws)
    kinds = np.empty(len(raws), np.int8)
    values: list[list[Any]] = []
    events: list[tuple[float, ...]] = []
    scored: dict[int, ScoredTransaction] = {}
    for i, (topic, raw) in enumerate(zip(topics, raws, strict=True)):
        try:
            record: Label | Transaction = parse_record(_CONTRACTS.get(topic, Transaction), raw)
            if is_routed and record.user_id != routed[i]:
                _refuse_route(record.user_id, routed[i])
        except BadRecord as error:
            kinds[i] = rows.DEAD_LETTER
            values.append(rows.dead_letter_values(error.reason, error.detail, _text(keys[i]), raw))
            events.append((0.0,) * kernel.EVENT_COLUMNS)
        else:
            if isinstance(record, Label):
                kinds[i] = rows.LABEL
                values.append(rows.label_values(record))
                events.append(event_of_label(record))
            else:
                kinds[i] = rows.TRANSACTION
                values.append(rows.transaction_values(record))
                events.append(event_of_transaction(record))
                if isinstance(record, ScoredTransaction):
                    scored[i] = record
    return kinds, values, stack_events(events), scored


def _refuse_route(user_id: str, routed: str | None) -> None:
    """Refuse JSON that two parsers read differently (a name given twice, NaN, numbers beyond any type).

    Spark chose the task by what its parser found. A user's records in two tasks of one micro-batch
    would overwrite each other's state.
    """
    raise BadRecord("invalid_json", f"user_id reads as {user_id!r} here and as {routed!r} for the routing")


def _fold(
    context: TaskContext, events: kernel.Floats, is_counted: NDArray[np.bool_], watch: Stopwatch
) -> Folded:
    """Fold the records that count into the users' states; the others keep an empty vector."""
    store = store_of(context.store_url)
    found = fold_through(store, USER, events[is_counted], (context.epoch, context.token), watch)
    vectors = np.full((len(events), found.vectors.shape[1]), np.nan)
    outcomes, sequences = np.zeros(len(events)), np.zeros(len(events))
    vectors[is_counted], outcomes[is_counted] = found.vectors, found.outcomes
    sequences[is_counted] = found.sequences
    return Folded(vectors, outcomes, found.states, sequences)


def _binary(floats: kernel.Floats) -> pa.Array:
    """One binary value a row of a float64 matrix."""
    n, width = floats.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width * 8)
    data = pa.py_buffer(np.ascontiguousarray(floats))
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), data])


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode(errors="replace")
