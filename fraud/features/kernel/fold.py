"""The loop over the events: the one arithmetic of all callers.

What holds of an entity between two of its events:

- The kept events stand in ``[start, end)`` of the columns of ``Memory.kept``, by growing event time, equal
  times by arrival. They are the latest by event time, at most ``Program.events``, and none is older than
  the newest event time by the retention or more. The room is twice as long, so that it is moved together
  only now and then.
- For each distinct column, ``nexts`` of a kept event is the time of the next kept event with the same value,
  or infinity: it is the last of its value up to t where ``nexts > t``.
- The running window w is ``[firsts[w], end)``: the kept events of ``(now - length, now]``, where ``now`` is
  the time of the last event that was the newest; its sums hold these alone. The kept events are none newer
  than ``now``. A late event looks at windows summed from scratch up to its own place, and then enters the
  running ones. After a state was loaded nothing is running, until an event is the newest.
- An event that leaves the kept ones for want of room is added to the tiles, once to each level; no tile
  holds an event newer than the first kept one.
- Every sum is of whole numbers below 2**53.
"""

import math
from typing import Any, Final

import numpy as np

from fraud.features.kernel.clocks import show_clock
from fraud.features.kernel.keep import (
    forget_known,
    is_recognised,
    keep,
    look_up,
    place_of,
    recognise,
    remember,
)
from fraud.features.kernel.layout import (
    C_ID,
    C_TIME,
    DUPLICATE,
    E_CENTS,
    E_ID,
    E_KIND,
    E_TIME,
    KIND_LABEL,
    KIND_PROFILE,
    KIND_RESULT,
    LINE,
    NEW,
    Floats,
    Ints,
)
from fraud.features.kernel.measures import sum_measures
from fraud.features.kernel.native import SOURCES, borrow, entry, inlined, prefetch, woven
from fraud.features.kernel.profiles import apply_profile, is_idle
from fraud.features.kernel.records import Batch, Cursor, Memory, Program, lay_out, unpack
from fraud.features.kernel.reductions import last_position
from fraud.features.kernel.refunds import has_amount
from fraud.features.kernel.results import apply_result, take_pending
from fraud.features.kernel.state import READABLE, apply_label, fault_of, load, store
from fraud.features.kernel.tiles import add_tile_sums, drop_tiles, set_horizons
from fraud.features.kernel.vector import fill_vector
from fraud.features.kernel.windows import advance, copy_sums, sum_windows

AHEAD: Final = 8  # events


@inlined
def _fetch_ahead(batch: Batch, e: int, width: int) -> None:
    """Ask for the event and the vector that come some events later."""
    row = batch.rows[min(e + AHEAD, batch.rows.shape[0] - 1)]
    columns = batch.events.shape[1]
    for i in range(0, columns, LINE):
        prefetch(batch.events, row * columns + i)
    for i in range(0, width, LINE):
        prefetch(batch.out, row * batch.out.shape[1] + batch.out_first + i)


@inlined
def _counts(program: Program, event: Floats) -> bool:
    """Whether a transaction is kept: its kind counts here, its amount is known, no result un-counts it."""
    if not program.is_plain and program.told >= 0 and np.int64(event[program.told]) & program.uncount:
        return False
    return (program.kinds >> np.int64(event[E_KIND])) & 1 == 1 and not math.isnan(event[E_CENTS])


@woven
def _arrive(program: Program, memory: Memory, cursor: Cursor, t: float, counts: bool) -> Cursor:
    """Count a transaction; forget the oldest; move the running windows on to it if it is the newest.

    After one that does not count here the running windows may end elsewhere, or hold what is forgotten now.
    """
    if is_idle(program, memory, cursor, t):
        forget_known(memory)
    kept, start, end = memory.kept, cursor.start, cursor.end
    is_running, now = cursor.is_running, cursor.now
    newest = max(cursor.newest, t)
    if not counts:
        is_running = False
        now = -math.inf
    elif start == end or kept[C_TIME, end - 1] <= t:
        if is_running:
            advance(program, memory.running, kept, end, t)
        else:
            sum_windows(program, memory.running, kept, start, end, t)
            is_running = True
        now = t
    while start < end and kept[C_TIME, start] <= newest - program.retention_us:
        start += 1
    return Cursor(start, end, newest, cursor.sequence + 1.0, is_running, now)


@woven
def _fold_transaction(
    program: Program, memory: Memory, cursor: Cursor, event: Floats, vector: Floats
) -> Cursor:
    """Write the vector of a new transaction, then keep it; of one that does not count here only its id."""
    t = event[E_TIME]
    counts = _counts(program, event)
    cursor = _arrive(program, memory, cursor, t, counts)
    kept, start, end = memory.kept, cursor.start, cursor.end
    at = place_of(kept, start, end, t)
    is_anew = at < end or not counts
    if is_anew:
        sum_windows(program, memory.other, kept, start, at, t)
    windows = memory.other if is_anew else memory.running
    sums = windows.sums
    sum_measures(program, memory, windows, at)
    n_tiles = 0
    for level in range(program.n_levels):
        n_tiles += memory.tile_counts[level]
    has_tiles = n_tiles > 0
    if has_tiles or end - start == program.events:
        set_horizons(program, memory, cursor.newest)
    if has_tiles:
        drop_tiles(program, memory)
        if not is_anew:
            copy_sums(program, memory.other, memory.running)
            sums = memory.other.sums
        add_tile_sums(program, memory, sums, t, kept[C_TIME, start] if start < end else math.inf)
    if counts:
        remember(program, memory, event, cursor.sequence, memory.slots.is_first)
    else:
        look_up(program, memory, event, memory.slots.is_first)
    fill_vector(program, memory, cursor, windows, sums, at, event, vector)
    if not counts:
        if program.deduplicates:
            recognise(program, memory, event, cursor.sequence)
        return cursor
    if t <= cursor.newest - program.retention_us:
        return cursor
    paid_back = event[program.refund] if not program.is_plain and has_amount(program, event) else 0.0
    event[E_CENTS] -= paid_back  # of the vector the whole amount, of the history what is left
    cursor = keep(program, memory, cursor, at, event)
    event[E_CENTS] += paid_back
    return cursor


@woven
def _fold_entity(
    program: Program, memory: Memory, cursor: Cursor, batch: Batch, first: int, last: int
) -> Cursor:
    """Fold the events of one entity, which are ``rows[first:last]``."""
    width = program.sources.shape[0]
    for e in range(first, last):
        _fetch_ahead(batch, e, width)
        row = batch.rows[e]
        event = batch.events[row]
        vector = batch.out[row, batch.out_first : batch.out_first + width]
        kept_ids = memory.kept[C_ID, cursor.start : cursor.end]
        if event[E_KIND] == KIND_LABEL:
            vector[:] = math.nan
            batch.outcomes[row] = apply_label(program, memory, cursor, event)
        elif not program.is_plain and event[E_KIND] == KIND_RESULT:
            vector[:] = math.nan
            cursor, batch.outcomes[row] = apply_result(program, memory, cursor, event)
        elif not program.is_plain and event[E_KIND] == KIND_PROFILE:
            vector[:] = math.nan
            batch.outcomes[row] = NEW
            apply_profile(program, memory, cursor, event)
        elif program.deduplicates and (
            last_position(kept_ids, event[E_ID]) >= 0 or is_recognised(program, memory, event)
        ):
            vector[:] = math.nan
            batch.outcomes[row] = DUPLICATE
        else:
            batch.outcomes[row] = NEW
            if not program.is_plain and program.deduplicates and program.told >= 0:
                take_pending(program, memory, event)
            if not program.is_plain and program.deduplicates:
                show_clock(program, memory, cursor, event)
            cursor = _fold_transaction(program, memory, cursor, event, vector)
    return cursor


@woven
def _fold_batch(program: Program, memory: Memory, batch: Batch) -> tuple[int, int]:
    """Fold the events of all entities, each from its state; returns the first that cannot be, and why."""
    written = 0
    for g in range(batch.groups.shape[0] - 1):
        state = batch.states[batch.offsets[g] : batch.offsets[g + 1]]
        fault = fault_of(program, state) if state.shape[0] else READABLE
        if fault != READABLE:
            return g, fault
        cursor = load(program, memory, state)
        cursor = _fold_entity(program, memory, cursor, batch, batch.groups[g], batch.groups[g + 1])
        if batch.new_states.shape[0]:
            written += store(program, memory, cursor, batch.new_states[written:])
            batch.new_offsets[g + 1] = written
    return -1, READABLE


def _compile(sources: int, is_plain: bool) -> Any:
    @entry
    def fold(
        program: Floats,
        events: Floats,
        rows: Ints,
        groups: Ints,
        states: Floats,
        offsets: Ints,
        out: Floats,
        out_first: int,
        outcomes: Floats,
        new_states: Floats,
        new_offsets: Ints,
        work: Floats,
    ) -> tuple[int, int]:
        _ = sources  # which makes it part of the key of numba's cache
        batch = Batch(
            borrow(events),
            borrow(rows),
            borrow(groups),
            borrow(states),
            borrow(offsets),
            borrow(out),
            out_first,
            borrow(outcomes),
            borrow(new_states),
            borrow(new_offsets),
        )
        unpacked = unpack(borrow(program), is_plain)
        return _fold_batch(unpacked, lay_out(unpacked, borrow(work)), batch)

    return fold


fold_plain: Final = _compile(SOURCES, True)
"""Fold the events of several entities, each from its state, by a program of the default table's shape.

Parameters
----------
program
    Packed (``records.pack``).
events
    [n, columns of the layout] in arrival order.
rows
    Rows of ``events``, entity by entity, each entity's in arrival order.
groups
    [g + 1], where each entity's events begin in ``rows``.
states, offsets
    The entities' states one after another, not writable, and where each begins [g + 1]; an empty one is new.
out, out_first
    [n, features], whose columns from ``out_first`` on are written; NaN for labels and duplicates.
outcomes
    [n], NEW or DUPLICATE for a transaction; for a label by how much the known fraud changed (-1, 0, 1); for a
    result 0 where it changed nothing, NO_ROOM or NOT_KEPT where it could not be taken.
new_states, new_offsets
    The entities' states after their events. ``new_states`` must be large enough, or of length 0 when
    nobody wants them.
work
    ``records.work_floats`` numbers of any content, for the kernel's own use.

Returns
-------
tuple
    The first group whose state cannot be read, and why (``state.CUT_SHORT`` ...); nothing after it was
    folded. -1 when all could.
"""
fold_any: Final = _compile(SOURCES, False)
"""The same for any program."""
