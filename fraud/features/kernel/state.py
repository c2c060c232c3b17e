"""A state in bytes and in memory: whether it can be read, load, store; and the labels of its kept events."""

import math
from typing import Final

import numpy as np

from fraud.features.kernel.keep import clock_of, forget_known
from fraud.features.kernel.layout import (
    C_FRAUD,
    C_ID,
    C_TIME,
    E_ID,
    E_LABEL,
    E_TIME,
    H_EVENTS,
    H_LAYOUT,
    H_NEWEST,
    H_SEQUENCE,
    H_TILES,
    KNOWN_COLUMNS,
    LABEL_FRAUD,
    LABEL_GENUINE,
    LEAST_HEADER,
    MEASURE_COLUMNS,
    S_FRAUD,
    TILE_COLUMNS,
    Floats,
    Ints,
)
from fraud.features.kernel.measures import scatter
from fraud.features.kernel.native import inlined, inner, woven
from fraud.features.kernel.profiles import as_stored, newest_of
from fraud.features.kernel.records import Cursor, Memory, Program
from fraud.features.kernel.reductions import last_position
from fraud.features.kernel.tiles import label_tiles
from fraud.features.kernel.windows import clear

READABLE: Final = 0
CUT_SHORT: Final = 1
OTHER_LAYOUT: Final = 2
OTHER_LENGTH: Final = 3


@inlined
def header_of(program: Program) -> int:
    """How many numbers a state begins with."""
    n_known: int = program.known_columns.shape[0]
    return max(LEAST_HEADER, H_TILES + program.n_levels + n_known)


@inlined
def fault_of(program: Program, state: Floats) -> int:
    """Say why a state cannot be read, or READABLE: the kernel would write where it must not."""
    header = header_of(program)
    if state.shape[0] < header:
        return CUT_SHORT
    if state[H_LAYOUT] != program.layout:
        return OTHER_LAYOUT
    n = state[H_EVENTS]
    is_counted = 0.0 <= n <= program.events
    length = header + n * program.columns
    first_known = H_TILES + program.n_levels
    tile_columns = TILE_COLUMNS + MEASURE_COLUMNS * program.n_measures
    for i in range(H_TILES, first_known):
        is_counted &= 0.0 <= state[i] <= program.most_tiles
        length += state[i] * tile_columns
    for i in range(first_known, header):
        k = i - first_known
        most = program.known_capacities[k] if k < program.known_capacities.shape[0] else 0
        is_counted &= 0.0 <= state[i] <= most
        if not program.is_plain and k == program.profile:
            is_counted &= state[i] == 0.0 or state[i] == most
        length += state[i] * KNOWN_COLUMNS
    return READABLE if is_counted and length == state.shape[0] else OTHER_LENGTH


@inner
def _load_blocks(flat: Floats, at: int, blocks: Floats, counts: Ints, n_blocks: int) -> int:
    """Read the used part of each block (tiles of a level, remembered values) from a flat state."""
    for b in range(n_blocks):
        n = counts[b]
        for column in range(blocks.shape[1]):
            for i in range(n):
                blocks[b, column, i] = flat[at + i]
            at += n
    return at


@inner
def _store_blocks(flat: Floats, at: int, blocks: Floats, counts: Ints, n_blocks: int) -> int:
    """Write the used part of each block to a flat state."""
    for b in range(n_blocks):
        n = counts[b]
        for column in range(blocks.shape[1]):
            for i in range(n):
                flat[at + i] = blocks[b, column, i]
            at += n
    return at


@woven
def load(program: Program, memory: Memory, state: Floats) -> Cursor:
    """Read a state; of length 0: the one of a new entity, whose windows are up to date."""
    clear(program, memory.running)
    forget_known(memory)
    levels = program.n_levels
    for level in range(levels):
        memory.tile_counts[level] = 0
    if state.shape[0] == 0:
        return Cursor(0, 0, -math.inf, 0.0, True, -math.inf)
    n = int(state[H_EVENTS])
    for level in range(levels):
        memory.tile_counts[level] = int(state[H_TILES + level])
    n_known = program.known_columns.shape[0]
    for k in range(n_known):
        memory.known_counts[k] = int(state[H_TILES + levels + k])
    at = header_of(program)
    for column in range(program.columns):
        for i in range(n):
            memory.kept[column, i] = state[at + i]
        at += n
    for i in range(n):
        offset = memory.kept[program.kept_offset, i] if program.kept_offset >= 0 else 0.0
        memory.kept[program.columns, i] = clock_of(memory.kept[C_TIME, i] + offset)
    at = _load_blocks(state, at, memory.tiles, memory.tile_counts, levels)
    _load_blocks(state, at, memory.known, memory.known_counts, n_known)
    newest = newest_of(program, memory, state[H_NEWEST])
    return Cursor(0, n, newest, state[H_SEQUENCE], False, -math.inf)


@woven
def store(program: Program, memory: Memory, cursor: Cursor, state: Floats) -> int:
    """Write a state; returns its length."""
    n = cursor.end - cursor.start
    levels, n_known = program.n_levels, program.known_columns.shape[0]
    header = header_of(program)
    for i in range(header):
        state[i] = 0.0
    state[H_LAYOUT] = program.layout
    state[H_NEWEST] = as_stored(program, memory, cursor.newest)
    state[H_SEQUENCE] = cursor.sequence
    state[H_EVENTS] = n
    for level in range(levels):
        state[H_TILES + level] = memory.tile_counts[level]
    for k in range(n_known):
        state[H_TILES + levels + k] = memory.known_counts[k]
    at = header
    for column in range(program.columns):
        for i in range(n):
            state[at + i] = memory.kept[column, cursor.start + i]
        at += n
    at = _store_blocks(state, at, memory.tiles, memory.tile_counts, levels)
    return _store_blocks(state, at, memory.known, memory.known_counts, n_known)


@inlined
def complete(program: Program, memory: Memory, i: int, event: Floats) -> None:
    """Give a notice what it leaves out of its transaction, kept at ``i``: other keys, the time, bits."""
    if math.isnan(event[E_TIME]):
        event[E_TIME] = memory.kept[C_TIME, i]
    for h in range(program.hands_on.shape[0]):
        column = program.hands_on[h, 1]
        if event[column] == 0.0:
            event[column] = memory.kept[program.hands_on[h, 0], i]
    if program.told >= 0:
        event[program.told] = float(scatter(np.int64(memory.kept[program.columns - 1, i]), program.filters))


@inlined
def apply_label(program: Program, memory: Memory, cursor: Cursor, event: Floats) -> float:
    """Write a label to its transaction, if that is kept; returns by how much the known fraud changed.

    The pass that deduplicates sees what the label says, the others by how much that changed the known fraud,
    times one more than the kind of its transaction where some of them do not count all kinds that it does.
    """
    fraud = memory.kept[C_FRAUD]
    i = last_position(memory.kept[C_ID, cursor.start : cursor.end], event[E_ID]) + cursor.start
    is_kept = i >= cursor.start
    before = fraud[i] if is_kept else LABEL_GENUINE
    change = float(event[E_LABEL])
    if not program.deduplicates:
        if (program.kinds >> (np.int64(abs(change)) - 1)) & 1 == 0:
            return change
        if program.told >= 0 and np.int64(event[program.told]) & program.uncount:
            return change
        change = math.copysign(1.0, change)
    label = LABEL_FRAUD if change > 0.0 else LABEL_GENUINE
    if program.deduplicates:
        change = label - max(before, LABEL_GENUINE) if is_kept else 0.0
        if is_kept:
            complete(program, memory, i, event)
        if program.kept_kind >= 0 and is_kept:
            change *= memory.kept[program.kept_kind, i] + 1.0
    elif not is_kept and event[E_TIME] > cursor.newest - program.retention_us:
        label_tiles(program, memory, event[E_TIME], change)
    if is_kept:
        fraud[i] = label
        turned = (1.0 if label == LABEL_FRAUD else 0.0) - (1.0 if before == LABEL_FRAUD else 0.0)
        for w in range(program.n_windows):
            memory.running.sums[S_FRAUD, w] += turned if i >= memory.running.firsts[w] else 0.0
    return change
