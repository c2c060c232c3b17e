"""Results: what is said of an earlier transaction sets and clears its bits, or takes it out of what counts.

The primary knows the transaction: it completes a result by the transaction's amount, numbers and bits, so
that another entity can also correct its tiles. A result that comes before its transaction waits in the
primary's state, in the order of arrival; the transaction then comes with its bits. One that has no room
there, or whose transaction the primary does not keep any more, changes nothing, and the outcome says so. A
tile's greatest and least stay what they were: what they had been without one event is not known.
"""

import math

import numpy as np

from fraud.features.kernel.keep import is_recognised, recognise
from fraud.features.kernel.layout import (
    C_CENTS,
    C_FRAUD,
    C_ID,
    C_TIME,
    COUNTED_BY_ALL,
    E_CENTS,
    E_CHANGE,
    E_CLEAR,
    E_ID,
    E_SET,
    E_TIME,
    E_TOLD_AT,
    E_WAS_FRAUD,
    K_SEQUENCE,
    K_SINCE,
    K_VALUE,
    KNOWN_COLUMNS,
    LABEL_FRAUD,
    LOW_BITS,
    LOW_MASK,
    M_COUNT,
    M_HIGH,
    M_LOW,
    M_MAX,
    M_MIN,
    M_SUM,
    MEASURE_COLUMNS,
    NO_ROOM,
    NOT_KEPT,
    T_COUNT,
    T_FRAUD,
    T_HIGH,
    T_LOW,
    T_NUMBER,
    T_SUM,
    TILE_COLUMNS,
    Floats,
)
from fraud.features.kernel.measures import fulfils, gather, scatter
from fraud.features.kernel.native import inlined, woven
from fraud.features.kernel.records import Cursor, Memory, Program
from fraud.features.kernel.reductions import last_position
from fraud.features.kernel.refunds import (
    has_amount,
    has_room,
    refusal_of,
    take_refund,
    take_waiting_refunds,
    wait_with_refund,
)
from fraud.features.kernel.state import complete


@inlined
def take_pending(program: Program, memory: Memory, event: Floats) -> None:
    """Give a transaction that arrives now the bits of its earlier results, and their refunds."""
    take_waiting_refunds(program, memory, event)
    k = program.known_columns.shape[0] - 2
    i = last_position(memory.known[k, K_VALUE, : memory.known_counts[k]], event[E_ID])
    bits = np.int64(event[program.told]) & ~np.int64(program.result_bits)
    if i >= 0:
        bits |= scatter(np.int64(memory.known[k, K_SINCE, i]), program.filters)
        _drop_pending(memory, k, i)
    event[program.told] = float(bits)


@inlined
def _drop_pending(memory: Memory, k: int, at: int) -> None:
    n = memory.known_counts[k] - 1
    for row in range(KNOWN_COLUMNS):
        for i in range(at, n):
            memory.known[k, row, i] = memory.known[k, row, i + 1]
    memory.known_counts[k] = n


@inlined
def _forget_old_pending(program: Program, memory: Memory, event: Floats) -> None:
    """Make room: what was said longer ago than a window reaches back waits no more."""
    k = program.known_columns.shape[0] - 2
    for i in range(memory.known_counts[k] - 1, -1, -1):
        if memory.known[k, K_SEQUENCE, i] <= event[E_TOLD_AT] - program.retention_us:
            _drop_pending(memory, k, i)


@inlined
def _is_not_kept(program: Program, memory: Memory, cursor: Cursor, event: Floats) -> bool:
    """Whether a transaction of a result's time would not be among the kept ones, if it arrived."""
    if event[E_TIME] <= cursor.newest - program.retention_us:
        return True
    is_full = cursor.end - cursor.start == program.events
    return is_full and event[E_TIME] < memory.kept[C_TIME, cursor.start]


@inlined
def _wait(program: Program, memory: Memory, cursor: Cursor, event: Floats) -> tuple[Cursor, float]:
    """Keep what a result says until its transaction comes, unless that is known not to come.

    An entity without a transaction is as old as its first result: else the store would forget it at once.
    """
    if is_recognised(program, memory, event):
        return cursor, 0.0
    if _is_not_kept(program, memory, cursor, event):
        return cursor, NOT_KEPT
    known, counts, k = memory.known, memory.known_counts, program.known_columns.shape[0] - 2
    i = last_position(known[k, K_VALUE, : counts[k]], event[E_ID])
    if i < 0 and event[E_SET] == 0.0:
        return cursor, 0.0
    if i < 0 and counts[k] == program.known_capacities[k]:
        _forget_old_pending(program, memory, event)
        if counts[k] == program.known_capacities[k]:
            return cursor, NO_ROOM
    if has_amount(program, event):
        if not has_room(program, memory, cursor, event):
            return cursor, NO_ROOM
        wait_with_refund(program, memory, event)
    if i < 0:
        i = counts[k]
        counts[k] = i + 1
        known[k, K_VALUE, i] = event[E_ID]
        known[k, K_SINCE, i] = 0.0
        known[k, K_SEQUENCE, i] = event[E_TOLD_AT]
    after = np.int64(known[k, K_SINCE, i]) & ~gather(np.int64(event[E_CLEAR]), program.filters)
    known[k, K_SINCE, i] = float(after | gather(np.int64(event[E_SET]), program.filters))
    newest = cursor.newest if cursor.newest > -math.inf else event[E_TOLD_AT]
    return Cursor(cursor.start, cursor.end, newest, cursor.sequence, cursor.is_running, cursor.now), 0.0


@inlined
def _uncount(program: Program, memory: Memory, cursor: Cursor, i: int) -> Cursor:
    """Take a kept event out, as if it had not come; the running windows are summed again."""
    kept, start, end, n_keys = memory.kept, cursor.start, cursor.end, program.distinct.shape[0]
    for k in range(n_keys):
        values = kept[program.key + k]
        nexts = kept[program.key + n_keys + k]
        before = start + last_position(values[start:i], values[i])
        if before >= start:
            nexts[before] = nexts[i]
    for column in range(kept.shape[0]):
        for j in range(i, end - 1):
            kept[column, j] = kept[column, j + 1]
    return Cursor(start, end - 1, cursor.newest, cursor.sequence, False, -math.inf)


@inlined
def _add_to_measure(column: Floats, value: float, sign: float) -> None:
    """Add a value to the sums of a tile's measure, or take it out of them."""
    squares = np.int64(value) * np.int64(value)
    column[M_COUNT] += sign
    column[M_SUM] += sign * value
    column[M_HIGH] += sign * (squares >> LOW_BITS)
    column[M_LOW] += sign * (squares & LOW_MASK)


@inlined
def _correct_tiles(
    program: Program, memory: Memory, event: Floats, before: np.int64, after: np.int64, is_gone: bool
) -> None:
    """Correct the tiles that hold the result's transaction; ``is_gone``: it does not count any more."""
    tiles, measures = memory.tiles, program.measures
    was, now = float(gather(before, program.filters)), float(gather(after, program.filters))
    squares = np.int64(event[E_CENTS]) * np.int64(event[E_CENTS])
    paid_back = event[program.refund] if has_amount(program, event) else 0.0
    for level in range(program.n_levels):
        numbers = tiles[level, T_NUMBER, : memory.tile_counts[level]]
        at = last_position(numbers, float(math.floor(event[E_TIME] / program.widths[level])))
        if at < 0:
            continue
        if is_gone:
            tiles[level, T_COUNT, at] -= 1.0
            tiles[level, T_SUM, at] -= event[E_CENTS]
            tiles[level, T_HIGH, at] -= squares >> LOW_BITS
            tiles[level, T_LOW, at] -= squares & LOW_MASK
            tiles[level, T_FRAUD, at] -= event[E_WAS_FRAUD]
        elif paid_back > 0.0:
            left = np.int64(event[E_CENTS] - paid_back)
            tiles[level, T_SUM, at] -= paid_back
            tiles[level, T_HIGH, at] += (left * left >> LOW_BITS) - (squares >> LOW_BITS)
            tiles[level, T_LOW, at] += (left * left & LOW_MASK) - (squares & LOW_MASK)
        for m in range(program.n_measures):
            value = event[measures[m, 1]]
            if math.isnan(value):
                continue
            left_of_value = value - paid_back if measures[m, 1] == E_CENTS else value
            counted = fulfils(was, measures[m, 2])
            counts = fulfils(now, measures[m, 2]) and not is_gone
            column = tiles[level, TILE_COLUMNS + MEASURE_COLUMNS * m :, at]
            if counted:
                _add_to_measure(column, value, -1.0)
            if counts:
                _add_to_measure(column, left_of_value, 1.0)
            if counts and not counted:
                column[M_MAX] = max(column[M_MAX], left_of_value)
                column[M_MIN] = min(column[M_MIN], left_of_value)


@inlined
def _tell(program: Program, memory: Memory, cursor: Cursor, i: int, event: Floats) -> float:
    """Complete a result by its transaction, kept at ``i``.

    Returns its outcome if it changes something, or why it cannot be taken.
    """
    kept, refusal = memory.kept, refusal_of(program, memory, cursor, i, event)
    if refusal != 0.0:
        return refusal
    complete(program, memory, i, event)
    event[E_CENTS] = kept[C_CENTS, i]
    event[E_WAS_FRAUD] = 1.0 if kept[C_FRAUD, i] == LABEL_FRAUD else 0.0
    for t in range(program.tells.shape[0]):
        event[program.tells[t, 1]] = kept[program.tells[t, 0], i]
    take_refund(program, memory, i, event)
    return float(kept[program.kept_kind, i] + 1.0) if program.kept_kind >= 0 else COUNTED_BY_ALL


@inlined
def _rewrite(
    program: Program, memory: Memory, cursor: Cursor, i: int, event: Floats, after: np.int64
) -> Cursor:
    """Give a kept event its new bits, and the amount that is left of it."""
    if program.mask >= 0:
        memory.kept[program.columns - 1, i] = float(gather(after, program.filters))
    if not has_amount(program, event) or event[program.refund] == 0.0:
        return cursor
    memory.kept[C_CENTS, i] -= event[program.refund]
    return Cursor(cursor.start, cursor.end, cursor.newest, cursor.sequence, False, -math.inf)


@woven
def apply_result(program: Program, memory: Memory, cursor: Cursor, event: Floats) -> tuple[Cursor, float]:
    """Write a result to its transaction; returns the outcome, 0 where nothing changed or it waits."""
    i = last_position(memory.kept[C_ID, cursor.start : cursor.end], event[E_ID]) + cursor.start
    is_kept = i >= cursor.start
    change = float(event[E_CHANGE])
    if program.deduplicates:
        if not is_kept:
            return _wait(program, memory, cursor, event)
        change = _tell(program, memory, cursor, i, event)
        if change <= NO_ROOM:
            return cursor, change
    elif change > 0.0 and (program.kinds >> (np.int64(change) - 1)) & 1 == 0:
        return cursor, change
    before = np.int64(event[program.told])
    after = (before & ~np.int64(event[E_CLEAR])) | np.int64(event[E_SET])
    if before & program.uncount:
        return cursor, change
    is_gone = (after & program.uncount) != 0
    is_paid_back = has_amount(program, event) and event[program.refund] > 0.0
    if is_kept:
        cursor = _rewrite(program, memory, cursor, i, event, after)
    if is_kept and is_gone:
        cursor = _uncount(program, memory, cursor, i)
        if program.deduplicates:
            recognise(program, memory, event, cursor.sequence)
    elif not is_kept and event[E_TIME] > cursor.newest - program.retention_us:
        _correct_tiles(program, memory, event, before, after, is_gone)
    return cursor, change if before != after or is_paid_back else 0.0
