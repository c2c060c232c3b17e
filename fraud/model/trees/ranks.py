"""Rows as ranks, and a step from node to node: what the evaluator's loops share.

numba's cache on disk notices changes of the file that a loop stands in, not of those it calls: each loop
carries :data:`SOURCES` in a closure, which numba makes part of the cache's key.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraud.features.kernel.native import digest_sources, inlined
from fraud.model.trees.forest import LAST, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT

SOURCES: Final = digest_sources(Path(__file__).parent)
"""Changes with any line of the evaluator."""
Ranks = npt.NDArray[np.int16]
ZERO: Final = 1.0000000180025095e-35
"""LightGBM reads smaller numbers as 0."""


@inlined
def _category(value: float) -> int:
    """Cut a value to a whole number; what can be in no set becomes very large."""
    is_category = value > -1.0 and value < 2147483648.0  # false for NaN
    return int(value) if is_category else 2147483647


@inlined
def _rank_in_set(category: int, words: Any, first: int, size: int) -> int:
    """Rank a category in a set's column: in the set goes left."""
    known = min(category, 32 * size)  # the bit of a word that is always 0
    is_in = (words[first + (known >> 5)] >> np.uint32(known & 31)) & np.uint32(1)
    return LAST - LAST * int(is_in)


@inlined
def _read_number(value: float, kind: int) -> float:
    """Read a number as LightGBM does: tiny ones are 0, and NaN where the column does not know it."""
    is_zero = abs(value) <= ZERO or (value != value and kind < NAN_LEFT)  # noqa: PLR0124  (NaN)
    return 0.0 if is_zero else value


@inlined
def _is_missing(number: float, kind: int) -> bool:
    return (number == 0.0 and (ZERO_LEFT <= kind <= ZERO_RIGHT)) or number != number  # noqa: PLR0124


@inlined
def _missing_rank(kind: int) -> int:
    return LAST if kind in (ZERO_RIGHT, NAN_RIGHT) else 0


@inlined
def _below(value: float, thresholds: Any, first: int, size: int) -> int:
    """Count the thresholds below a value."""
    at = first
    while size > 1:
        half = size >> 1
        at += half * int(thresholds[at + half - 1] < value)
        size -= half
    return at - first + int(thresholds[at] < value)


@inlined
def rank_row(rows: Any, row: int, columns: Any, thresholds: Any, sets: Any, words: Any, ranks: Ranks) -> None:
    """Rank one row in every column."""
    n = columns.shape[0]
    for c in range(n):
        kind = columns[c, 1]
        number = _read_number(rows[row, columns[c, 0]], kind)
        rank = _below(number, thresholds, columns[c, 2], columns[c, 3])
        ranks[c] = _missing_rank(kind) if _is_missing(number, kind) else rank
    for s in range(sets.shape[0]):
        ranks[n + s] = _rank_in_set(_category(rows[row, sets[s, 0]]), words, sets[s, 1], sets[s, 2])


@inlined
def _rank_numbers(
    rows: Any, start: int, n: int, columns: Any, c: int, thresholds: Any, room: Any, ranks: Any
) -> None:
    """Rank a block's rows in a column of numbers: all take a step of the search, then the next."""
    numbers, at = room
    feature, kind, first, size = columns[c, 0], columns[c, 1], columns[c, 2], columns[c, 3]
    for r in range(n):
        numbers[r] = _read_number(rows[start + r, feature], kind)
        at[r] = first
    while size > 1:
        half = size >> 1
        for r in range(n):
            at[r] += half * int(thresholds[at[r] + half - 1] < numbers[r])
        size -= half
    missing = _missing_rank(kind)
    for r in range(n):
        rank = at[r] - first + int(thresholds[at[r]] < numbers[r])
        ranks[c, r] = missing if _is_missing(numbers[r], kind) else rank


@inlined
def rank_block(
    rows: Any,
    start: int,
    n: int,
    columns: Any,
    thresholds: Any,
    sets: Any,
    words: Any,
    room: Any,
    ranks: Any,
) -> None:
    """Rank a block's rows in every column."""
    for c in range(columns.shape[0]):
        _rank_numbers(rows, start, n, columns, c, thresholds, room, ranks)
    categories, feature = room[1], -1
    for s in range(sets.shape[0]):
        if sets[s, 0] != feature:
            feature = sets[s, 0]
            for r in range(n):
                categories[r] = _category(rows[start + r, feature])
        c, first, size = columns.shape[0] + s, sets[s, 1], sets[s, 2]
        for r in range(n):
            ranks[c, r] = _rank_in_set(categories[r], words, first, size)


@inlined
def is_right(ranks: Any, node: Any) -> int:
    """Say whether a row goes right at a node: 1, else 0."""
    return int(ranks[int(node & np.uint64(0xFFFF))] > np.int16((node >> np.uint64(16)) & np.uint64(0xFFFF)))


@inlined
def left_of(node: Any) -> int:
    """Find a node's left child, by its place in the tree."""
    return int(node >> np.uint64(32))


@inlined
def ways_of(step: Any) -> tuple[int, int]:
    """Find a split's left and right child in a forest's ``steps``."""
    return int((step >> np.uint64(32)) & np.uint64(0xFFFF)), int(step >> np.uint64(48))
