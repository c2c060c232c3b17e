"""Tiles: counts and sums of what has left the kept events, by levels of growing width.

A tile of a level is the events of one span of time, ``[number * width, (number + 1) * width)``. The tiles
of a level stand in ``[0, tile_counts[level])`` by growing number, each at most once.
"""

import math

import numpy as np

from fraud.features.kernel.layout import (
    LOW_BITS,
    LOW_MASK,
    MEASURE_COLUMNS,
    S_COUNT,
    S_FRAUD,
    S_HIGH,
    S_LOW,
    S_MAX,
    S_SUM,
    T_COUNT,
    T_FRAUD,
    T_HIGH,
    T_LOW,
    T_MAX,
    T_NUMBER,
    T_SUM,
    TILE_COLUMNS,
    Floats,
)
from fraud.features.kernel.measures import add_measures_of_tiles, add_own_to_tile, begin_tile
from fraud.features.kernel.native import inlined
from fraud.features.kernel.records import Memory, Program
from fraud.features.kernel.reductions import first_after, greatest_of, last_position, total_of


@inlined
def set_horizons(program: Program, memory: Memory, newest: float) -> None:
    """Find the first tile of each level that is kept."""
    for level in range(program.n_levels):
        memory.horizons[level] = math.floor((newest - program.reaches[level]) / program.widths[level])


@inlined
def add_to_tiles(program: Program, memory: Memory, time: float, cents: float, fraud: float) -> None:
    """Add one event that leaves the kept ones to every level that still covers it.

    ``Memory.own`` holds what it adds to the measures.
    """
    tiles = memory.tiles
    squares = np.int64(cents) * np.int64(cents)
    for level in range(program.n_levels):
        number = math.floor(time / program.widths[level])
        if number < memory.horizons[level]:
            continue
        n = memory.tile_counts[level]
        at = n
        while at > 0 and tiles[level, T_NUMBER, at - 1] > number:
            at -= 1
        if at == 0 or tiles[level, T_NUMBER, at - 1] != number:
            for column in range(TILE_COLUMNS + MEASURE_COLUMNS * program.n_measures):
                for i in range(n, at, -1):
                    tiles[level, column, i] = tiles[level, column, i - 1]
                tiles[level, column, at] = 0.0
            tiles[level, T_NUMBER, at] = number
            begin_tile(program, tiles, level, at)
            memory.tile_counts[level] = n + 1
            at += 1
        tiles[level, T_COUNT, at - 1] += 1.0
        tiles[level, T_SUM, at - 1] += cents
        tiles[level, T_HIGH, at - 1] += squares >> LOW_BITS
        tiles[level, T_LOW, at - 1] += squares & LOW_MASK
        tiles[level, T_MAX, at - 1] = max(tiles[level, T_MAX, at - 1], cents)
        tiles[level, T_FRAUD, at - 1] += fraud
        add_own_to_tile(program, memory, level, at - 1)


@inlined
def label_tiles(program: Program, memory: Memory, time: float, change: float) -> None:
    """Change the known fraud of the tiles that hold an event of this time."""
    for level in range(program.n_levels):
        numbers = memory.tiles[level, T_NUMBER, : memory.tile_counts[level]]
        at = last_position(numbers, float(math.floor(time / program.widths[level])))
        if at >= 0:
            memory.tiles[level, T_FRAUD, at] += change


@inlined
def drop_tiles(program: Program, memory: Memory) -> None:
    """Forget the tiles before the levels' horizons."""
    tiles = memory.tiles
    for level in range(program.n_levels):
        n = memory.tile_counts[level]
        gone = 0
        while gone < n and tiles[level, T_NUMBER, gone] < memory.horizons[level]:
            gone += 1
        if gone:
            for column in range(TILE_COLUMNS + MEASURE_COLUMNS * program.n_measures):
                for i in range(gone, n):
                    tiles[level, column, i - gone] = tiles[level, column, i]
            memory.tile_counts[level] = n - gone


@inlined
def add_tile_sums(program: Program, memory: Memory, sums: Floats, t: float, first_kept: float) -> None:
    """Add the tiles to the windows that reach beyond the kept events.

    All events in tiles are not newer than ``first_kept``. For an event at or after it, none lies in
    the future; an older (late) one sees only tiles that ended by its own time.
    """
    tiles = memory.tiles
    for w in range(program.n_windows):
        if first_kept <= t - program.windows[w]:
            continue
        level = program.levels[w]
        width = program.widths[level]
        numbers = tiles[level, T_NUMBER, : memory.tile_counts[level]]
        first = first_after(numbers, math.floor((t - program.windows[w]) / width) - 1.0)
        last = memory.tile_counts[level]
        if t < first_kept:
            last = first_after(numbers, math.floor(t / width) - 1.0)
        if first >= last:
            continue
        sums[S_COUNT, w] += total_of(tiles[level, T_COUNT, first:last])
        sums[S_SUM, w] += total_of(tiles[level, T_SUM, first:last])
        sums[S_HIGH, w] += total_of(tiles[level, T_HIGH, first:last])
        sums[S_LOW, w] += total_of(tiles[level, T_LOW, first:last])
        sums[S_MAX, w] = max(sums[S_MAX, w], greatest_of(tiles[level, T_MAX, first:last]))
        sums[S_FRAUD, w] += total_of(tiles[level, T_FRAUD, first:last])
        add_measures_of_tiles(program, memory, w, level, first, last)
