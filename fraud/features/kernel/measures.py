"""Measures: sums by value and filter, over the kept events of every window and in tiles.

A measure is a value (the amount or a number of the record) of the events that fulfil a filter; an event
without the value, or that does not fulfil the filter, is not in it. The sums of the amount over all events
are no measure: ``windows`` keeps those up from event to event. These are summed from scratch for every
transaction; an entity that declares none pays nothing.
"""

import math

import numpy as np

from fraud.features.kernel.layout import (
    LOW_BITS,
    LOW_MASK,
    M_COUNT,
    M_HIGH,
    M_LOW,
    M_MAX,
    M_MEAN,
    M_MIN,
    M_ROWS,
    M_SHARE,
    M_STD,
    M_SUM,
    M_ZSCORE,
    MEASURE_COLUMNS,
    S_COUNT,
    TILE_COLUMNS,
    W_DISTINCT,
    Floats,
    Ints,
)
from fraud.features.kernel.native import inlined, inner, whole_or_nan
from fraud.features.kernel.records import Memory, Program, Windows
from fraud.features.kernel.reductions import greatest_of_all, least_of_all, spread_of, total_of


@inner
def fulfils(mask: float, bit: int) -> bool:
    """Tell whether a bit of a mask is set; -1 stands for no filter."""
    return bit < 0 or (np.int64(mask) >> bit) & 1 == 1


@inner
def gather(bits: np.int64, filters: Ints) -> np.int64:
    """Take the bits that an entity keeps of an event's, in its own places."""
    found = np.int64(0)
    for i in range(filters.shape[0]):
        found |= ((bits >> filters[i]) & 1) << i
    return found


@inner
def scatter(bits: np.int64, filters: Ints) -> np.int64:
    """Put the bits that an entity keeps into their places of an event's."""
    found = np.int64(0)
    for i in range(filters.shape[0]):
        found |= ((bits >> i) & 1) << filters[i]
    return found


@inner
def kept_mask(event: Floats, mask: int, filters: Ints) -> float:
    """Gather the bits that an entity keeps of an event's mask."""
    return float(gather(np.int64(event[mask]), filters))


@inlined
def take_own_of_event(program: Program, memory: Memory, event: Floats) -> None:
    """Note what an event adds to each measure."""
    measures = program.measures
    mask = 0.0
    if program.mask >= 0:
        mask = kept_mask(event, program.mask, program.filters)
    for m in range(program.n_measures):
        memory.own[m] = event[measures[m, 1]] if fulfils(mask, measures[m, 2]) else math.nan


@inlined
def take_own_of_kept(program: Program, memory: Memory, i: int) -> None:
    """Note what a kept event adds to each measure."""
    kept, measures = memory.kept, program.measures
    mask = kept[program.columns - 1, i] if program.mask >= 0 else 0.0
    for m in range(program.n_measures):
        memory.own[m] = kept[measures[m, 0], i] if fulfils(mask, measures[m, 2]) else math.nan


@inlined
def begin_tile(program: Program, tiles: Floats, level: int, at: int) -> None:
    """Give a tile that holds nothing yet the greatest and the least of nothing."""
    for m in range(program.n_measures):
        first = TILE_COLUMNS + MEASURE_COLUMNS * m
        tiles[level, first + M_MAX, at] = -math.inf
        tiles[level, first + M_MIN, at] = math.inf


@inlined
def add_own_to_tile(program: Program, memory: Memory, level: int, at: int) -> None:
    """Add to a tile what an event adds to each measure."""
    tiles = memory.tiles
    for m in range(program.n_measures):
        value = memory.own[m]
        if math.isnan(value):
            continue
        first = TILE_COLUMNS + MEASURE_COLUMNS * m
        squares = np.int64(value) * np.int64(value)
        tiles[level, first + M_COUNT, at] += 1.0
        tiles[level, first + M_SUM, at] += value
        tiles[level, first + M_HIGH, at] += squares >> LOW_BITS
        tiles[level, first + M_LOW, at] += squares & LOW_MASK
        tiles[level, first + M_MAX, at] = max(tiles[level, first + M_MAX, at], value)
        tiles[level, first + M_MIN, at] = min(tiles[level, first + M_MIN, at], value)


@whole_or_nan
def _sums_of(
    values: Floats, masks: Floats, bit: int
) -> tuple[float, float, np.int64, np.int64, float, float]:
    """Count, sum, squares (high and low part), greatest and least of the values that fulfil a filter."""
    count = 0.0
    total = 0.0
    high = np.int64(0)
    low = np.int64(0)
    greatest = -np.inf
    least = np.inf
    for i in range(values.shape[0]):
        if values[i] == values[i] and (bit < 0 or (np.int64(masks[i]) >> bit) & 1):
            value = values[i]
            squares = np.int64(value) * np.int64(value)
            count += 1.0
            total += value
            high += squares >> LOW_BITS
            low += squares & LOW_MASK
            greatest = max(greatest, value)
            least = min(least, value)
    return count, total, high, low, greatest, least


@inlined
def sum_measures(program: Program, memory: Memory, windows: Windows, at: int) -> None:
    """Sum the kept events before position ``at`` that lie in each window.

    A longer window is a shorter one and what came before it.
    """
    kept, measures = memory.kept, program.measures
    for m in range(program.n_measures):
        sums = memory.measured[m]
        masks = kept[program.columns - 1]  # the bits of the filters, where there are any
        end = at
        for w in range(program.n_windows):
            first = windows.firsts[w]
            values = kept[measures[m, 0], first:end]
            count, total, high, low, greatest, least = _sums_of(values, masks[first:end], measures[m, 2])
            sums[M_COUNT, w] = count + (sums[M_COUNT, w - 1] if w else 0.0)
            sums[M_SUM, w] = total + (sums[M_SUM, w - 1] if w else 0.0)
            sums[M_HIGH, w] = high + (sums[M_HIGH, w - 1] if w else 0.0)
            sums[M_LOW, w] = low + (sums[M_LOW, w - 1] if w else 0.0)
            sums[M_MAX, w] = max(greatest, sums[M_MAX, w - 1]) if w else greatest
            sums[M_MIN, w] = min(least, sums[M_MIN, w - 1]) if w else least
            end = first


@inlined
def add_measures_of_tiles(
    program: Program, memory: Memory, w: int, level: int, first: int, last: int
) -> None:
    """Add tiles of a level to the measures of a window."""
    for m in range(program.n_measures):
        sums = memory.measured[m]
        columns = memory.tiles[level, TILE_COLUMNS + MEASURE_COLUMNS * m :]
        for row in range(M_MAX):
            sums[row, w] += total_of(columns[row, first:last])
        sums[M_MAX, w] = max(sums[M_MAX, w], greatest_of_all(columns[M_MAX, first:last]))
        sums[M_MIN, w] = min(sums[M_MIN, w], least_of_all(columns[M_MIN, first:last]))


@inlined
def fill_measures(program: Program, memory: Memory, sums: Floats, event: Floats) -> None:
    """Statistics of the measures' sums, by window."""
    for m in range(program.n_measures):
        rows = memory.slots.by_window[W_DISTINCT + program.distinct.shape[0] + M_ROWS * m :]
        of = memory.measured[m]
        unit = program.measure_units[m]
        own = event[program.measures[m, 1]]
        for w in range(program.n_windows):
            count = of[M_COUNT, w]
            total = of[M_SUM, w]
            spread = spread_of(count, total, of[M_HIGH, w], of[M_LOW, w])
            std = math.sqrt(spread / (count * (count - 1.0))) / unit if count > 1.0 else math.nan
            score = (own * count - total) / (count * unit) / max(1.0 / unit, std)
            rows[M_COUNT, w] = count
            rows[M_SUM, w] = total / unit
            rows[M_MEAN, w] = total / (count * unit) if count > 0.0 else math.nan
            rows[M_STD, w] = std
            rows[M_MAX, w] = of[M_MAX, w] / unit if count > 0.0 else math.nan
            rows[M_MIN, w] = of[M_MIN, w] / unit if count > 0.0 else math.nan
            rows[M_ZSCORE, w] = score if count > 1.0 and not math.isnan(own) else math.nan
            rows[M_SHARE, w] = count / sums[S_COUNT, w] if sums[S_COUNT, w] > 0.0 else math.nan
