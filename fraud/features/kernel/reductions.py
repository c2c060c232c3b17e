"""Searches, sums and counts over a column of whole numbers; loops that run in vector registers."""

from typing import Final

import numpy as np

from fraud.features.kernel.layout import DAY_US, LOW_BITS, LOW_MASK, Floats
from fraud.features.kernel.native import inner, whole

BLOCK: Final = 16
FITS: Final = 2.0**62


@inner
def last_position(values: Floats, value: float) -> int:
    """Last position of a value, or -1; by blocks."""
    n = values.shape[0]
    while n >= BLOCK:
        block = values[n - BLOCK : n]
        hits = np.int64(0)
        for i in range(BLOCK):
            hits |= np.int64(block[i] == value)
        if hits:
            break
        n -= BLOCK
    for i in range(n - 1, max(n - BLOCK, 0) - 1, -1):
        if values[i] == value:
            return i
    return -1


@inner
def first_position(values: Floats, value: float) -> int:
    """First position of a value, or the number of values."""
    n = int(values.shape[0])
    for i in range(n):
        if values[i] == value:
            return i
    return n


@inner
def first_after(numbers: Floats, bound: float) -> int:
    """Position of the first of the growing numbers that is greater than the bound."""
    low = 0
    high = numbers.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] > bound:
            high = middle
        else:
            low = middle + 1
    return low


@whole
def total_of(values: Floats) -> float:
    """Sum of whole numbers."""
    total = 0.0
    for i in range(values.shape[0]):
        total += values[i]
    return total


@inner
def squares_of(cents: Floats) -> tuple[np.int64, np.int64]:
    """Sum of squares, as its high and low part (see ``S_HIGH``)."""
    high = np.int64(0)
    low = np.int64(0)
    for i in range(cents.shape[0]):
        squares = np.int64(cents[i]) * np.int64(cents[i])
        high += squares >> LOW_BITS
        low += squares & LOW_MASK
    return high, low


@inner
def spread_of(count: float, total: float, high: float, low: float) -> float:
    """``count * sum of squares - total ** 2``, exactly where it lies below 2**62.

    Whole numbers that wrap around at 2**64 give the exact difference of two products that are far
    greater; the floating-point difference only says whether it fits.
    """
    near = count * (high * 2.0**LOW_BITS + low) - total * total
    squares = (np.int64(high) << LOW_BITS) + np.int64(low)
    exact = np.int64(count) * squares - np.int64(total) * np.int64(total)
    return float(exact) if abs(near) < FITS else near


@whole
def greatest_of(values: Floats) -> float:
    """Greatest of numbers that are not negative, or 0."""
    greatest = 0.0
    for i in range(values.shape[0]):
        greatest = max(greatest, values[i])
    return greatest


@inner
def greatest_of_all(values: Floats) -> float:
    """Greatest of numbers, or minus infinity."""
    greatest = -np.inf
    for i in range(values.shape[0]):
        greatest = max(greatest, values[i])
    return greatest


@inner
def least_of_all(values: Floats) -> float:
    """Least of numbers, or infinity."""
    least = np.inf
    for i in range(values.shape[0]):
        least = min(least, values[i])
    return least


@whole
def count_of(values: Floats, value: float) -> float:
    """How often a value stands there."""
    count = 0.0
    for i in range(values.shape[0]):
        count += 1.0 if values[i] == value else 0.0
    return count


@whole
def count_above(values: Floats, bound: float) -> float:
    """How many values are greater than the bound."""
    count = 0.0
    for i in range(values.shape[0]):
        count += 1.0 if values[i] > bound else 0.0
    return count


@inner
def select(values: Floats, percent: int) -> float:
    """Least of the values that so many per cent of them do not exceed, NaN of none; orders them again.

    By Hoare's selection: the part that holds the wanted rank is halved until it is one value.
    """
    n = values.shape[0]
    if n == 0:
        return np.nan
    rank = max((percent * n + 99) // 100, 1) - 1
    low = 0
    high = n - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return float(values[rank])


@whole
def count_last(values: Floats, nexts: Floats, t: float) -> float:
    """Count the values that are given and do not come again up to this time."""
    count = 0.0
    for i in range(values.shape[0]):
        count += 1.0 if (nexts[i] > t) & (values[i] != 0.0) else 0.0
    return count


@whole
def total_apart(clocks: Floats, clock: float) -> float:
    """Sum the distances on the clock, in microseconds."""
    total = 0.0
    for i in range(clocks.shape[0]):
        apart = abs(clocks[i] - clock)
        total += min(apart, DAY_US - apart)
    return total
