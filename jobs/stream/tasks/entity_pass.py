"""One entity's pass: fold the records of a micro-batch into its states, and hand them on by the next entity.

The primary pass reads rows of ``Rows.validated``; duplicates, forged records, and results that cannot be
taken become dead letters there, and labels and results get what they changed. The others read what it hands
on (``Rows.passed_schema``); what does not name their entity goes through untouched. So does what the scoring
service has counted and decided, to the archive. The last pass decides (``jobs.stream.tasks.decide_pass``).
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts import SCORED, parse_record
from fraud.contracts.future import ahead_rows
from fraud.contracts.wire import LATEST
from fraud.features import kernel
from fraud.features.engine import Folded
from fraud.features.passes import (
    EntityPass,
    as_handed_on,
    entity_names,
    have_changed,
    sequence_names,
)
from fraud.features.sides import SeenEvents
from fraud.log import rows
from jobs.stream.tasks.arrow_rows import receive, send
from jobs.stream.tasks.context import TaskContext, settle, store_of
from jobs.stream.tasks.decide_pass import run_decide_pass
from jobs.stream.tasks.letters import untaken_results, with_letters
from jobs.stream.tasks.scored import FORGED, kinds_of
from jobs.stream.tasks.states import fold_through
from jobs.stream.tasks.stopwatch import Stopwatch
from jobs.stream.tasks.validate_pass import tasks_of


def run_entity_pass(
    context: TaskContext, at: int, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Run a pass over the rows of some keys (a ``mapInArrow`` function).

    Parameters
    ----------
    context
        Of the micro-batch.
    at
        Number of the pass, 0 for the primary.
    batches
        What the pass before has sent to this task.

    Yields
    ------
    RecordBatch
        Rows of ``Rows.passed_schema`` for the next pass; of the last one ``rows.SUMMARY``.
    """
    schema = context.rows.passed_schema(context.passes, at - 1) if at else context.rows.validated
    table, stages = receive(batches, schema)
    if not table.num_rows:
        return
    watch = Stopwatch()
    passed = pass_further(context, at, table, watch) if at else pass_primary(context, table, watch)
    settle()
    if at + 1 < len(context.passes):
        to = tasks_of(passed, context.passes[at + 1], context.tasks)
        yield from send(passed, to, [*stages, watch.seconds])
    else:
        yield from run_decide_pass(context, passed, stages, watch)


def mapped(context: TaskContext, at: int) -> partial[Iterator[pa.RecordBatch]]:
    """Bind a pass to a micro-batch, for ``mapInArrow``."""
    return partial(run_entity_pass, context, at)


def pass_primary(context: TaskContext, table: pa.Table, watch: Stopwatch) -> pa.Table:
    """Fold records that are in arrival order into the primary's states."""
    one = context.passes[0]
    kinds = table.column("row_kind").to_numpy().copy()
    events = rows.matrix_of(table.column("event"))
    is_scored = (table.column("topic").to_numpy(zero_copy_only=False) == SCORED) & (kinds == rows.TRANSACTION)
    kinds[is_scored] = _kinds_of_scored(context, table, np.flatnonzero(is_scored))
    forged = np.flatnonzero(kinds == FORGED)
    kinds[forged] = rows.DEAD_LETTER
    # Counted in another store and not in this one: the guard holds as for any other record.
    future = _future_of(context, table, kinds)
    kinds[future] = rows.DEAD_LETTER
    is_folded = (kinds != rows.DEAD_LETTER) & (kinds != rows.SCORED) & one.concerns(events)
    seen = one.see(events, is_folded)
    recorded = _recorded(context, one, kinds, table.column("record"))
    seen, folded = _fold(context, one, seen, watch, recorded=one.recorded(seen, recorded))
    events[seen.rows] = folded.events  # notices with what they leave out of their transactions
    vectors = np.full((len(events), one.end), np.nan)
    one.write(vectors, seen.rows, seen.events, folded.vectors)
    outcomes = np.zeros(len(events))
    outcomes[seen.rows] = folded.outcomes
    (sequences,) = one.sequences_of(len(events), seen, folded.sequences)
    is_counted = (kinds == rows.TRANSACTION) | (kinds == rows.RECOUNTED)
    is_repeated = is_scored & (kinds == rows.DEAD_LETTER)
    is_repeated[np.concatenate([future, forged])] = False
    duplicates = np.flatnonzero((is_counted & (outcomes == kernel.DUPLICATE)) | is_repeated)
    kinds[duplicates] = rows.DEAD_LETTER
    untaken = untaken_results(context.passes, table, np.where(kinds == rows.RESULT, outcomes, 0.0))
    kinds[untaken] = rows.DEAD_LETTER
    is_notice, is_letter = np.isin(kinds, rows.NOTICES), kinds == rows.DEAD_LETTER
    speaks_of_one = is_notice & (kinds != rows.PROFILE)
    events[is_notice] = as_handed_on(events[is_notice], outcomes[is_notice])
    if table["event_time"].null_count:
        place = table.column_names.index("event_time")
        times = rows.completed_times(table["event_time"], np.where(speaks_of_one[:, None], events, np.nan))
        table = table.set_column(place, "event_time", times)
    columns = [
        pa.array(kinds),
        *(table.column(field.name) for field in rows.ORIGIN[1:]),
        *with_letters(
            context, table, outcomes, duplicates=duplicates, future=future, forged=forged, untaken=untaken
        ).columns,
        rows.binary_column(events),
        pc.if_else(pa.array(is_scored & ~is_letter), table.column("record"), pa.scalar(None, pa.binary())),
        table.column(rows.TRACE.name),
        rows.binary_column(vectors),
        pa.array(sequences, pa.int64(), mask=~is_folded | is_letter),
    ]
    return pa.table(columns, schema=context.rows.passed_schema(context.passes, 0))


def pass_further(context: TaskContext, at: int, table: pa.Table, watch: Stopwatch) -> pa.Table:
    """Fold what concerns an entity into its states, and add its part of the vectors."""
    one = context.passes[at]
    events = rows.matrix_of(table.column("event"))
    kinds = table.column("row_kind").to_numpy()
    is_counted = (kinds == rows.TRANSACTION) | (kinds == rows.RECOUNTED)
    is_change = np.isin(kinds, rows.NOTICES) & have_changed(events)
    seen = one.see(events, is_counted | is_change)
    recorded = _recorded(context, one, kinds, table.column("scored"))
    seen, folded = _fold(context, one, seen, watch, recorded=one.recorded(seen, recorded))
    vectors = np.full((len(events), one.end), np.nan)
    vectors[:, : one.first] = rows.matrix_of(table.column("vector"))
    one.write(vectors, seen.rows, seen.events, folded.vectors)
    sequences = one.sequences_of(len(events), seen, folded.sequences)
    columns = [
        *(table.column(name) for name in context.rows.handed_names),
        rows.binary_column(vectors),
        *(table.column(name) for name in sequence_names(context.passes[:at])),
        *(pa.array(of_side, pa.int64(), mask=np.isnan(of_side)) for of_side in sequences),
    ]
    return pa.table(columns, schema=context.rows.passed_schema(context.passes, at))


def _fold(
    context: TaskContext, one: EntityPass, seen: SeenEvents, watch: Stopwatch, *, recorded: kernel.Floats
) -> tuple[SeenEvents, Folded]:
    """Fold what an entity sees into its states; returns that in the order of folding, and the result."""
    with watch.time(f"{one.name}_pass"):
        store = store_of(context.store_url, entity_names(context.passes))
        taken = np.arange(len(seen.rows))
        seen = seen.take(in_recorded_order(taken, one.keys_of(seen.events), recorded))
        return seen, fold_through(store, one, seen.events, (context.epoch, context.token), watch)


def _recorded(
    context: TaskContext, one: EntityPass, kinds: NDArray[np.int8], records: pa.ChunkedArray
) -> kernel.Floats:
    """Read the sequences of another store, [rows, sides]; NaN where nothing is counted again."""
    found = np.full((len(kinds), len(one.sides)), np.nan)
    where = np.flatnonzero(kinds == rows.RECOUNTED)
    for row, raw in zip(where.tolist(), records.take(pa.array(where)).to_pylist(), strict=True):
        scored = parse_record(context.contracts.scored, raw)  # another reader may refuse what this one took
        counted = (getattr(scored, side.sequence) for side in one.sides)
        found[row] = [np.nan if count is None else count for count in counted]
    return found


def in_recorded_order(
    taken: NDArray[np.int64], keys: kernel.Floats, recorded: kernel.Floats
) -> NDArray[np.int64]:
    """Order what is counted again as another store had counted it, within each entity.

    Kafka keeps the order within a partition alone; an entity's records may lie in several.

    Parameters
    ----------
    taken
        Rows that are folded, in the order of arrival.
    keys
        [rows], of the entity.
    recorded
        [rows], its sequence in the other store; NaN: the row keeps its place.

    Examples
    --------
    >>> taken, keys = np.arange(4), np.array([7.0, 7.0, 8.0, 7.0])
    >>> in_recorded_order(taken, keys, np.array([3.0, np.nan, 9.0, 2.0])).tolist()
    [3, 1, 2, 0]
    """
    anew = np.flatnonzero(~np.isnan(recorded[taken]))
    key, sequence = keys[taken][anew], recorded[taken][anew]
    found = taken.copy()
    found[anew[np.lexsort((anew, key))]] = taken[anew[np.lexsort((sequence, key))]]
    return found


def _kinds_of_scored(context: TaskContext, table: pa.Table, scored: NDArray[np.int64]) -> list[int]:
    raws = table.column("record").take(pa.array(scored)).to_pylist()
    records = [parse_record(context.contracts.scored, raw) for raw in raws]
    return kinds_of(store_of(context.store_url, entity_names(context.passes)), records, raws, context.epoch)


def _future_of(
    context: TaskContext, table: pa.Table, kinds: np.ndarray[Any, np.dtype[np.int8]]
) -> NDArray[np.int64]:
    recounted = np.flatnonzero(kinds == rows.RECOUNTED)
    if not len(recounted):
        return recounted
    times = table.select(["event_time", "received_at", *context.bounds.columns]).take(pa.array(recounted))
    return recounted[ahead_rows(times, context.bounds, LATEST)]
