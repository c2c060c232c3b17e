"""The first pass: validate the records of some Kafka partitions, and hand them on by user.

Bad records become dead letters here. Who validates a record also says whose it is, so that no record is
read in two ways and a user's records of a micro-batch always meet in one task.
"""

from collections.abc import Iterator
from functools import partial
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fraud.contracts import CONTRACTS, Label, Transaction, parse_record
from fraud.errors import BadRecord
from fraud.features import kernel
from fraud.features.events import events_of_labels, events_of_transactions
from fraud.log import rows
from fraud.log.arrival import raise_times
from jobs.stream.context import TaskContext
from jobs.stream.parcels import in_arrival_order, send
from jobs.stream.stopwatch import Stopwatch

COLUMNS: Final = ("key", "value", "topic", "partition", "offset", "timestamp")
"""Of Spark's Kafka source."""
_TRANSACTION: Final = attrgetter(*rows.TRANSACTION_NAMES)
_LABEL: Final = attrgetter(*rows.LABEL_NAMES)


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
        Parcels of ``rows.VALIDATED``, by user.
    """
    parts = list(batches)
    if not parts:
        return
    watch = Stopwatch()
    with watch.time("validate"):
        table = validate(pa.Table.from_batches(parts))
    yield from send(table, tasks_of(table, kernel.E_USER, context.tasks), [watch.seconds])


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the pass to a micro-batch, for ``mapInArrow``."""
    return partial(run_validate_pass, context)


def validate(table: pa.Table) -> pa.Table:
    """Make rows of ``rows.VALIDATED``, in arrival order, of rows of the Kafka source.

    Offset order within a partition always wins: a time that falls behind is raised to the one before it.
    """
    raws = table.column("value").to_pylist()
    transactions: list[Transaction] = []
    labels: list[Label] = []
    letters: list[tuple[Any, ...]] = []
    where: tuple[list[int], list[int], list[int]] = ([], [], [])
    keys = table.column("key")
    for i, (topic, raw) in enumerate(zip(table.column("topic").to_pylist(), raws, strict=True)):
        try:
            record = parse_record(CONTRACTS.get(topic, Transaction), raw)
        except BadRecord as error:
            letters.append((error.reason, error.detail, text_of(keys[i].as_py()), raw or b""))
            where[rows.DEAD_LETTER].append(i)
        else:
            if isinstance(record, Label):
                labels.append(record)
                where[rows.LABEL].append(i)
            else:
                transactions.append(record)
                where[rows.TRANSACTION].append(i)
    found = [
        rows.record_table(rows.TRANSACTION_NAMES, list(map(_TRANSACTION, transactions))),
        rows.record_table(rows.LABEL_NAMES, list(map(_LABEL, labels))),
        rows.record_table(rows.DEAD_LETTER_NAMES, letters),
    ]
    events = np.concatenate(
        [
            events_of_transactions(found[rows.TRANSACTION]),
            events_of_labels(found[rows.LABEL]),
            np.zeros((len(letters), kernel.EVENT_COLUMNS)),
        ]
    )
    kinds = np.repeat(np.arange(len(found), dtype=np.int8), [part.num_rows for part in found])
    order = np.argsort(np.concatenate([np.array(part, np.int64) for part in where]))
    records = pa.concat_tables(found).take(pa.array(order))
    columns = [
        pa.array(kinds[order]),
        *(table.column(name) for name in ("topic", "partition", "offset")),
        _arrival(table),
        *records.columns,
        rows.binary_column(events[order]),
        table.column("key"),
        table.column("value"),
    ]
    return in_arrival_order(pa.table(columns, schema=rows.VALIDATED))


def tasks_of(table: pa.Table, column: int, tasks: int) -> np.ndarray[Any, Any]:
    """Choose each row's task by its event's entity; dead letters, which have none, are dealt out.

    Parameters
    ----------
    table
        With the columns ``kind`` and ``event``.
    column
        Of the entity in the event.
    tasks
        How many there are.
    """
    keys = rows.matrix_of(table.column("event"))[:, column].astype(np.int64)
    is_letter = table.column("kind").to_numpy() == rows.DEAD_LETTER
    return np.where(is_letter, np.arange(len(keys)), keys) % tasks


def text_of(key: bytes | None) -> str | None:
    """Read a record's key for the dead letter."""
    return None if key is None else key.decode(errors="replace")


def _arrival(table: pa.Table) -> pa.Array:
    topic = np.asarray(table.column("topic").to_numpy(zero_copy_only=False), "U")
    partition, offset = (table.column(name).to_numpy() for name in ("partition", "offset"))
    time_us = table.column("timestamp").cast(pa.int64()).to_numpy()
    return pa.array(raise_times(time_us, topic, partition, offset)).cast(pa.timestamp("us", tz="UTC"))
