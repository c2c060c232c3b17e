"""Keeping an event: its place and links, what it drives out, what is remembered of it."""

import math

from fraud.features.kernel.layout import (
    C_CENTS,
    C_FRAUD,
    C_ID,
    C_LAT,
    C_LON,
    C_TIME,
    DAY_US,
    E_CENTS,
    E_ID,
    E_LAT,
    E_LON,
    E_TIME,
    K_SEQUENCE,
    K_SINCE,
    K_VALUE,
    LABEL_FRAUD,
    LABEL_NONE,
    Floats,
)
from fraud.features.kernel.measures import kept_mask, take_own_of_event, take_own_of_kept
from fraud.features.kernel.native import inlined, inner, woven
from fraud.features.kernel.records import Cursor, Memory, Program
from fraud.features.kernel.reductions import last_position
from fraud.features.kernel.tiles import add_to_tiles
from fraud.features.kernel.windows import enter, leave


@inner
def clock_of(t: float) -> float:
    """Microseconds since midnight."""
    return t - math.floor(t / DAY_US) * DAY_US


@inlined
def local_of(program: Program, event: Floats) -> float:
    """Time of an event on the clocks of its place."""
    t: float = event[E_TIME]
    return t + event[program.offset] if program.offset >= 0 else t


@inlined
def place_of(kept: Floats, start: int, end: int, t: float) -> int:
    """Position after the last kept event that is not newer."""
    at = end
    while at > start and kept[C_TIME, at - 1] > t:
        at -= 1
    return at


@inlined
def evict_first(program: Program, memory: Memory, cursor: Cursor) -> None:
    """Move the first kept event to the tiles, and out of the running windows."""
    kept, start = memory.kept, cursor.start
    fraud = 1.0 if kept[C_FRAUD, start] == LABEL_FRAUD else 0.0
    take_own_of_kept(program, memory, start)
    add_to_tiles(program, memory, kept[C_TIME, start], kept[C_CENTS, start], fraud)
    if cursor.is_running:
        for w in range(program.n_windows):
            if memory.running.firsts[w] == start:
                leave(program, memory.running, kept, w, start, cursor.end)
                memory.running.firsts[w] = start + 1


@inlined
def move_to_front(program: Program, memory: Memory, start: int, end: int) -> None:
    """Move the kept events to the beginning of their room, whose end they have reached."""
    for column in range(program.columns + 1):
        for i in range(start, end):
            memory.kept[column, i - start] = memory.kept[column, i]
    for w in range(program.n_windows):
        memory.running.firsts[w] -= start


@inlined
def _copy_values(program: Program, kept: Floats, at: int, event: Floats) -> None:
    """Keep the values that are kept as they are, and which filters the event fulfils."""
    for i in range(program.copies.shape[0]):
        kept[program.copied + i, at] = event[program.copies[i]]
    if program.mask >= 0:
        kept[program.columns - 1, at] = kept_mask(event, program.mask, program.filters)


@inlined
def insert(program: Program, memory: Memory, start: int, at: int, end: int, event: Floats) -> None:
    """Insert an event at its place, and link it with its neighbours of the same value."""
    kept, n_keys = memory.kept, program.distinct.shape[0]
    t = event[E_TIME]
    for column in range(kept.shape[0]):
        for i in range(end, at, -1):
            kept[column, i] = kept[column, i - 1]
    kept[C_TIME, at] = t
    kept[C_CENTS, at] = event[E_CENTS]
    kept[C_ID, at] = event[E_ID]
    kept[C_FRAUD, at] = LABEL_NONE
    if program.has_places:
        kept[C_LAT, at] = event[E_LAT]
        kept[C_LON, at] = event[E_LON]
    if not program.is_plain:
        _copy_values(program, kept, at, event)
    kept[program.columns, at] = clock_of(local_of(program, event))
    for k in range(n_keys):
        value = event[program.distinct[k]]
        values = kept[program.key + k]
        nexts = kept[program.key + n_keys + k]
        following = math.inf
        i = start + last_position(values[start:at], value)
        memory.before[k] = i
        if i >= start:
            following = nexts[i]
            nexts[i] = t
        else:
            for j in range(at + 1, end + 1):
                if values[j] == value:
                    following = kept[C_TIME, j]
                    break
        values[at] = value
        nexts[at] = following


@woven
def keep(program: Program, memory: Memory, cursor: Cursor, at: int, event: Floats) -> Cursor:
    """Keep an event at its place; where there is no room, the first of all goes to the tiles."""
    start, end = cursor.start, cursor.end
    if end - start == program.events:
        if at == start:
            take_own_of_event(program, memory, event)
            add_to_tiles(program, memory, event[E_TIME], event[E_CENTS], 0.0)
            return cursor
        evict_first(program, memory, cursor)
        start += 1
    if end == 2 * program.events:
        move_to_front(program, memory, start, end)
        at -= start
        end -= start
        start = 0
    insert(program, memory, start, at, end, event)
    if cursor.is_running:
        enter(program, memory, at, cursor.now)
    return Cursor(start, end + 1, cursor.newest, cursor.sequence, cursor.is_running, cursor.now)


@inlined
def remember(program: Program, memory: Memory, event: Floats, sequence: float, is_first: Floats) -> None:
    """Look the event's values up among the remembered ones, and remember them."""
    known, counts = memory.known, memory.known_counts
    t = event[E_TIME]
    for k in range(known_values(program)):
        value = event[program.known_columns[k]]
        if value == 0.0:
            is_first[k] = math.nan
            continue
        n = counts[k]
        i = last_position(known[k, K_VALUE, :n], value)
        if i >= 0:
            is_first[k] = 1.0 if known[k, K_SINCE, i] > t else 0.0
            known[k, K_SINCE, i] = min(known[k, K_SINCE, i], t)
            known[k, K_SEQUENCE, i] = sequence
        else:
            is_first[k] = 1.0
            _add_known(program, memory, k, value, t, sequence)


@inlined
def forget_known(memory: Memory) -> None:
    """Forget all remembered values."""
    for k in range(memory.known_counts.shape[0]):
        memory.known_counts[k] = 0


@inlined
def known_values(program: Program) -> int:
    """How many columns of values are remembered for "first time"."""
    n: int = program.known_columns.shape[0]
    if not program.is_plain and program.profile >= 0:
        return program.profile
    if not program.deduplicates:
        return n
    if program.refunds >= 0:
        return program.refunds
    return n - 2 if program.told >= 0 else n - 1


@inlined
def _add_known(program: Program, memory: Memory, k: int, value: float, t: float, sequence: float) -> None:
    """Remember a value that is not known, instead of the longest unseen where there is no room."""
    known, counts = memory.known, memory.known_counts
    i = counts[k]
    if i == program.known_capacities[k]:
        i = _longest_unseen(known[k, K_SEQUENCE, :i])
    else:
        counts[k] = i + 1
    known[k, K_VALUE, i] = value
    known[k, K_SINCE, i] = t
    known[k, K_SEQUENCE, i] = sequence


@inlined
def look_up(program: Program, memory: Memory, event: Floats, is_first: Floats) -> None:
    """Look the event's values up among the remembered ones; nothing is remembered."""
    known = memory.known
    for k in range(known_values(program)):
        value = event[program.known_columns[k]]
        i = last_position(known[k, K_VALUE, : memory.known_counts[k]], value)
        is_known = i >= 0 and known[k, K_SINCE, i] <= event[E_TIME]
        is_first[k] = math.nan if value == 0.0 else 0.0 if is_known else 1.0


@inlined
def is_recognised(program: Program, memory: Memory, event: Floats) -> bool:
    """Whether the primary has looked at a transaction of this id without keeping it."""
    k = program.known_columns.shape[0] - 1
    n = memory.known_counts[k]
    return n > 0 and last_position(memory.known[k, K_VALUE, :n], event[E_ID]) >= 0


@inlined
def recognise(program: Program, memory: Memory, event: Floats, sequence: float) -> None:
    """Remember the id of a transaction that is not kept, so that the primary knows it when it comes again."""
    k = program.known_columns.shape[0] - 1
    _add_known(program, memory, k, event[E_ID], event[E_TIME], sequence)


@inner
def _longest_unseen(sequences: Floats) -> int:
    """Position of the smallest sequence."""
    i = 0
    for j in range(1, sequences.shape[0]):
        if sequences[j] < sequences[i]:
            i = j
    return i
