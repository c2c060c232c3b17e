"""The compiled loops over a :class:`~fraud.model.trees.forest.Forest` that score rows.

- ``score_few`` walks from the root to a leaf, eight trees side by side: the processor works on one while
  another waits for memory, and no step is a branch that could be guessed wrong. It takes trees of any size.
- ``score_many`` looks at all splits of a tree for many rows at once: the leaves that stay possible are
  bits, and the first one left is the row's leaf (QuickScorer: Lucchese et al., SIGIR 2015). It takes up to
  64 leaves.

Leaves are added up tree by tree, as LightGBM does: the same bits.
"""

from typing import Any, Final

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from fraud.features.kernel.native import entry, inlined
from fraud.model.trees.ranks import SOURCES, Ranks, is_right, left_of, rank_block, rank_row
from fraud.model.trees.text import Floats

SIDE: Final = 8
"""Trees that are walked side by side."""
BLOCK: Final = 256
"""Rows of a block."""
LANES: Final = 32
"""Rows in a block come in multiples of this, so that vector instructions take them all."""


@inlined
def _walk(ranks: Ranks, trees: Any, nodes: Any, values: Floats) -> float:
    """Add up the leaves of one row."""
    n = trees.shape[0] - 1
    at = np.empty(SIDE, np.int64)
    total = 0.0
    whole = n - n % SIDE
    for t in range(0, whole, SIDE):
        depth = 0
        for i in range(SIDE):
            depth = max(depth, trees[t + i, 1])
            at[i] = trees[t + i, 0]
        for _ in range(depth):
            for i in range(SIDE):
                node = nodes[at[i]]
                at[i] = trees[t + i, 0] + left_of(node) + is_right(ranks, node)
        for i in range(SIDE):
            total += values[at[i]]
    for t in range(whole, n):
        place = int(trees[t, 0])
        for _ in range(trees[t, 1]):
            node = nodes[place]
            place = trees[t, 0] + left_of(node) + is_right(ranks, node)
        total += values[place]
    return total


@inlined
def _choose(ranks: Any, splits: Any, masks: Any, first: int, last: int, width: int, left: Any) -> None:
    """Leave to each row of a block the leaves of a tree that its splits allow."""
    every = ~np.uint64(0)
    for r in range(width):
        left[r] = every
    for s in range(first, last):
        column, own, mask = int(splits[s] & np.uint32(0xFFFF)), np.int16(splits[s] >> np.uint32(16)), masks[s]
        for r in range(width):
            left[r] &= every if ranks[column, r] <= own else mask


def _compile_few(sources: int) -> Any:
    @entry
    def score_few(
        rows: Floats,
        columns: Any,
        thresholds: Floats,
        sets: Any,
        words: Any,
        trees: Any,
        nodes: Any,
        values: Floats,
        out: Floats,
    ) -> int:
        ranks = np.empty(columns.shape[0] + sets.shape[0], np.int16)
        for row in range(rows.shape[0]):
            rank_row(rows, row, columns, thresholds, sets, words, ranks)
            out[row] = _walk(ranks, trees, nodes, values)
        return sources

    return score_few


def _compile_many(sources: int) -> Any:
    @entry
    def score_many(
        rows: Floats,
        columns: Any,
        thresholds: Floats,
        sets: Any,
        words: Any,
        trees: Any,
        splits: Any,
        masks: Any,
        leaves: Floats,
        out: Floats,
    ) -> int:
        ranks = np.zeros((columns.shape[0] + sets.shape[0], BLOCK), np.int16)
        room = np.empty(BLOCK), np.empty(BLOCK, np.int64)
        left, total = np.empty(BLOCK, np.uint64), np.empty(BLOCK)
        for start in range(0, rows.shape[0], BLOCK):
            size = min(BLOCK, rows.shape[0] - start)
            width = (size + LANES - 1) // LANES * LANES
            rank_block(rows, start, size, columns, thresholds, sets, words, room, ranks)
            for r in range(width):
                total[r] = 0.0
            for t in range(trees.shape[0] - 1):
                _choose(ranks, splits, masks, trees[t, 2], trees[t + 1, 2], width, left)
                first = trees[t, 3]
                for r in range(width):
                    total[r] += leaves[first + trailing_zeros(left[r])]
            for r in range(size):
                out[start + r] = total[r]
        return sources

    return score_many


score_few = _compile_few(SOURCES)
"""Score row by row, from a :class:`Forest`'s arrays, into ``out``."""
score_many = _compile_many(SOURCES)
"""Score block by block; needs the masks."""
