"""The second pass: fold validated records into the users' states, hand them on by merchant.

Reads rows of ``rows.VALIDATED`` of some users, and their states; writes the states. Duplicates become
dead letters here. What the scoring service has counted and decided goes through untouched, to the archive.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts import SCORED, contracts_of, parse_record
from fraud.contracts.future import ahead_rows, future_words
from fraud.contracts.models import sequence_of
from fraud.contracts.wire import LATEST
from fraud.features import kernel
from fraud.features.engine import Folded
from fraud.log import rows
from fraud.schema.features import USER
from fraud.schema.reading import default_schema
from jobs.stream.context import TaskContext, settle, store_of
from jobs.stream.parcels import receive, send
from jobs.stream.scored import kinds_of
from jobs.stream.states import fold_through
from jobs.stream.stopwatch import Stopwatch
from jobs.stream.validate_pass import tasks_of, text_of

_SCORED: Final = contracts_of(default_schema()).scored


def run_user_pass(context: TaskContext, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run the pass over some users' parcels (a ``mapInArrow`` function); yields those of ``rows.PASSED``."""
    table, stages = receive(batches, rows.VALIDATED)
    if not table.num_rows:
        return
    watch = Stopwatch()
    passed = pass_users(context, table, watch)
    settle()
    yield from send(passed, tasks_of(passed, kernel.E_MERCHANT, context.tasks), [*stages, watch.seconds])


def mapped(context: TaskContext) -> partial[Iterator[pa.RecordBatch]]:
    """Bind the pass to a micro-batch, for ``mapInArrow``."""
    return partial(run_user_pass, context)


def pass_users(context: TaskContext, table: pa.Table, watch: Stopwatch) -> pa.Table:
    """Fold records that are in arrival order."""
    kinds = table.column("kind").to_numpy().copy()
    events = rows.matrix_of(table.column("event"))
    is_scored = (table.column("topic").to_numpy(zero_copy_only=False) == SCORED) & (kinds == rows.TRANSACTION)
    scored = np.flatnonzero(is_scored)
    raws = table.column("record").take(pa.array(scored)).to_pylist()
    records = [parse_record(_SCORED, raw) for raw in raws]
    kinds[scored] = kinds_of(store_of(context.store_url), records, context.epoch)
    # Counted in another store and not in this one: the guard holds as for any other record.
    future = _future_of(context, table, kinds)
    kinds[future] = rows.DEAD_LETTER
    with watch.time("user_pass"):
        folded = _fold(context, events, (kinds != rows.DEAD_LETTER) & (kinds != rows.SCORED), watch)
    is_counted = (kinds == rows.TRANSACTION) | (kinds == rows.RECOUNTED)
    is_repeated = is_scored & (kinds == rows.DEAD_LETTER)
    is_repeated[future] = False
    duplicates = np.flatnonzero((is_counted & (folded.outcomes == kernel.DUPLICATE)) | is_repeated)
    kinds[duplicates] = rows.DEAD_LETTER
    is_label = kinds == rows.LABEL
    events[is_label, kernel.E_CENTS] = folded.outcomes[is_label]
    sequences = folded.sequences
    for i, record in zip(scored.tolist(), records, strict=True):
        if kinds[i] == rows.SCORED:
            sequences[i] = getattr(record, sequence_of("user"))
    is_letter = kinds == rows.DEAD_LETTER
    is_kept = is_scored & ~is_letter
    columns = [
        pa.array(kinds),
        *(table.column(field.name) for field in rows.ORIGIN[1:]),
        *_with_letters(table, duplicates, future, context.most_ahead_s).columns,
        rows.binary_column(events),
        rows.binary_column(folded.vectors),
        pa.array(sequences, pa.int64(), mask=is_letter),
        pc.if_else(pa.array(is_kept), table.column("record"), pa.scalar(None, pa.binary())),
    ]
    return pa.table(columns, schema=rows.PASSED)


def _future_of(
    context: TaskContext, table: pa.Table, kinds: np.ndarray[Any, np.dtype[np.int8]]
) -> NDArray[np.int64]:
    recounted = np.flatnonzero(kinds == rows.RECOUNTED)
    if not len(recounted):
        return recounted
    times = table.select(["event_time", "received_at"]).take(pa.array(recounted))
    return recounted[ahead_rows(times, context.most_ahead_s, LATEST)]


def _with_letters(
    table: pa.Table, duplicates: NDArray[np.int64], future: NDArray[np.int64], most_ahead_s: float
) -> pa.Table:
    """Take the ``rows.RECORD_FIELDS``, with dead letters in the place of what is refused here."""
    taken = table.select([field.name for field in rows.RECORD_FIELDS])
    refused = np.concatenate([duplicates, future])
    if not len(refused):
        return taken
    names = ("transaction_id", "event_time", "received_at", "record_key", "record")
    found = zip(*(table[name].take(pa.array(refused)).to_pylist() for name in names), strict=True)
    letters = []
    for at, (known, time, arrival, key, raw) in enumerate(found):
        words = ("duplicate", f"transaction_id {known} was already counted for this user")
        if at >= len(duplicates):
            words = ("future_event_time", future_words("event_time", time, arrival, most_ahead_s))
        letters.append((*words, text_of(key), raw))
    place = np.arange(len(table))
    place[refused] = len(table) + np.arange(len(refused))
    return pa.concat_tables([taken, rows.record_table(rows.DEAD_LETTER_NAMES, letters)]).take(pa.array(place))


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
