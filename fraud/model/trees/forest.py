"""Trees as flat arrays, made once for a model. Pure.

A **column** is what a split looks at: a feature with one treatment of missing values, or a feature with one
set of categories. The **rank** of a row in a column is how many of the column's thresholds are below its
value, and a split sends ranks up to its own to the left: so NaN, zero as missing, and categories cost
nothing in the trees. LightGBM's rules (``Tree::NumericalDecision``, ``Tree::CategoricalDecision``) are
applied where ranks are made.

Nodes stand level by level, and the right child beside the left one, which makes a step ``child + (rank >
own)``.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fraud.model.trees.text import (
    CATEGORICAL,
    DEFAULT_LEFT,
    MISSING_NAN,
    MISSING_NONE,
    MISSING_SHIFT,
    Floats,
    Ints,
    Tree,
    Unsupported,
)

PLAIN: Final = 0
"""NaN counts as 0."""
ZERO_LEFT: Final = 1
ZERO_RIGHT: Final = 2
"""0 and NaN are missing, and go left or right."""
NAN_LEFT: Final = 3
NAN_RIGHT: Final = 4
CATEGORY: Final = 5
"""Kinds of columns."""
LAST: Final = 32_767
"""A rank that goes right at every split."""
MOST_COLUMNS: Final = 32_767
MOST_THRESHOLDS: Final = 32_000
"""Of a column."""
MOST_NODES: Final = 65_535
"""Of a tree, leaves included."""
MASK_LEAVES: Final = 64
"""Leaves of the largest tree that a mask of bits can describe."""
POINTS: Final = 4
"""Points of the integral that are computed together."""


class Key(NamedTuple):
    """What makes a column."""

    feature: int
    kind: int
    categories: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Forest:
    """A model's trees."""

    columns: npt.NDArray[np.int32]
    """[N, 4]: feature, kind, first threshold, number of them; of numbers, which come first."""
    thresholds: Floats
    sets: npt.NDArray[np.int32]
    """[S, 3]: feature, first word, number of words; columns of categories, which follow those of numbers."""
    words: npt.NDArray[np.uint32]
    """Sets of categories, a bit each; each ends with a word of none."""
    trees: npt.NDArray[np.int32]
    """[T + 1, 4]: first node, depth, first split, first leaf."""
    nodes: npt.NDArray[np.uint64]
    """Column, rank, and left child within the tree; a leaf is its own child whatever the rank."""
    values: Floats
    """Of each node; 0 of a split."""
    splits: npt.NDArray[np.uint32]
    """Column and rank of each split, tree by tree."""
    masks: npt.NDArray[np.uint64]
    """Of each split: the leaves, from left to right, that are possible when a row goes right."""
    leaves: Floats
    """Values from left to right."""
    has_masks: bool
    """Whether no tree has more leaves than a mask has bits."""
    steps: npt.NDArray[np.uint64]
    """Of each split: column, rank, left and right child; a tree's splits are numbered before its leaves."""
    features: npt.NDArray[np.int32]
    """Of each split."""
    joint: Floats
    """Of each node, numbered as in ``steps``: share of the training rows that go its way at its parent's
    feature, at all splits of that feature from the root to here together."""
    twin: npt.NDArray[np.int32]
    """Of each split: the child by which its path left the last split at the same feature; else the root."""
    points: Floats
    """[2, P]: where the integral of the contributions is computed, and weights."""


@dataclass(slots=True)
class _Parts:
    """What grows tree by tree."""

    nodes: list[Ints] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    splits: list[Ints] = field(default_factory=list)
    masks: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    leaves: list[Floats] = field(default_factory=list)
    steps: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    features: list[Ints] = field(default_factory=list)
    joint: list[Floats] = field(default_factory=list)
    twin: list[Ints] = field(default_factory=list)
    trees: list[tuple[int, int, int, int]] = field(default_factory=lambda: [(0, 0, 0, 0)])
    longest: int = 1
    """Most different features on one path."""


def build_forest(trees: list[Tree]) -> Forest:
    """Lay trees out.

    Raises
    ------
    Unsupported
        When they are larger than the arrays' types can say.
    """
    columns = _Columns(trees)
    parts = _Parts()
    for tree in trees:
        _add(parts, tree, columns)
    numbers, thresholds = columns.numbers()
    sets, words = columns.sets()
    return Forest(
        columns=numbers,
        thresholds=thresholds,
        sets=sets,
        words=words,
        trees=np.array(parts.trees, np.int32),
        nodes=np.concatenate(parts.nodes).astype(np.uint64),
        values=np.concatenate(parts.values),
        splits=np.concatenate(parts.splits).astype(np.uint32),
        masks=np.concatenate(parts.masks),
        leaves=np.concatenate(parts.leaves),
        has_masks=max(len(tree.value) for tree in trees) <= MASK_LEAVES,
        steps=np.concatenate(parts.steps),
        features=np.concatenate(parts.features).astype(np.int32),
        joint=np.concatenate(parts.joint),
        twin=np.concatenate(parts.twin).astype(np.int32),
        points=points_for(parts.longest),
    )


def points_for(features: int) -> Floats:
    """Choose points of Gauss and Legendre that are exact for so many features on a path, in groups of four.

    The integrand is a polynomial of degree ``features - 1``; n points are exact to degree 2 n - 1.
    """
    count = -(-features // 2)
    at, weight = np.polynomial.legendre.leggauss(max(POINTS, -(-count // POINTS) * POINTS))
    return np.stack([(at + 1.0) / 2.0, weight / 2.0])


class _Columns:
    """The columns of a model: of numbers, then of categories, each by feature."""

    def __init__(self, trees: list[Tree]) -> None:
        found: dict[Key, set[float]] = {}
        for tree in trees:
            for split in range(len(tree.feature)):
                found.setdefault(_key(tree, split), set()).add(float(tree.threshold[split]))
        keys = sorted(found, key=lambda key: (key.kind == CATEGORY, key))
        self._numbers = {key: number for number, key in enumerate(keys)}
        self._thresholds = {key: sorted(found[key]) for key in keys if key.kind != CATEGORY}
        self._ranks = {
            key: {value: rank for rank, value in enumerate(values)}
            for key, values in self._thresholds.items()
        }
        most = max((len(values) for values in self._thresholds.values()), default=0)
        if len(keys) > MOST_COLUMNS or most > MOST_THRESHOLDS:
            raise Unsupported(f"{len(keys)} columns, {most} thresholds of one: too many")

    def place(self, tree: Tree, split: int) -> tuple[int, int]:
        """Find a split's column and rank."""
        key = _key(tree, split)
        rank = 0 if key.kind == CATEGORY else self._ranks[key][float(tree.threshold[split])]
        return self._numbers[key], rank

    def numbers(self) -> tuple[npt.NDArray[np.int32], Floats]:
        """Lay the columns of numbers out, and their thresholds."""
        rows, thresholds = [], list[float]()
        for key, values in self._thresholds.items():
            rows.append((key.feature, key.kind, len(thresholds), len(values)))
            thresholds += values
        return np.array(rows, np.int32).reshape(-1, 4), np.array(thresholds, np.float64)

    def sets(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
        """Lay the columns of categories out, and their sets."""
        rows, words = [], list[int]()
        for key in self._numbers:
            if key.kind == CATEGORY:
                rows.append((key.feature, len(words), len(key.categories)))
                words += [*key.categories, 0]
        return np.array(rows, np.int32).reshape(-1, 3), np.array(words, np.uint32)


def _key(tree: Tree, split: int) -> Key:
    feature, decision = int(tree.feature[split]), int(tree.decision[split])
    if decision & CATEGORICAL:
        return Key(feature, CATEGORY, tree.sets[int(tree.threshold[split])])
    missing, is_left = decision >> MISSING_SHIFT, bool(decision & DEFAULT_LEFT)
    if missing == MISSING_NONE:
        return Key(feature, PLAIN, ())
    if missing == MISSING_NAN:
        return Key(feature, NAN_LEFT if is_left else NAN_RIGHT, ())
    return Key(feature, ZERO_LEFT if is_left else ZERO_RIGHT, ())


def _add(parts: _Parts, tree: Tree, columns: _Columns) -> None:
    """Append one tree."""
    old, child, parent = _lay_out(tree)
    n = len(old)
    if n > MOST_NODES:
        raise Unsupported(f"a tree of {len(tree.value)} leaves is too large")
    is_split = old >= 0
    splits = np.flatnonzero(is_split)
    placed = np.array([columns.place(tree, split) if split >= 0 else (0, LAST) for split in old.tolist()])
    compared = placed[:, 0] | placed[:, 1] << 16
    parts.nodes.append(compared | child << 32)
    parts.values.append(np.where(is_split, 0.0, tree.value[np.where(is_split, 0, ~old)]))
    parts.splits.append(compared[splits])
    masks, leaves = _masks(child, is_split)
    parts.masks.append(masks[splits])
    parts.leaves.append(parts.values[-1][leaves])
    number = np.argsort(np.concatenate([splits, leaves]))
    ways = (number[child[splits]] | number[child[splits] + 1] << 16).astype(np.uint64)
    parts.steps.append(compared[splits].astype(np.uint64) | ways << np.uint64(32))
    parts.features.append(tree.feature[old[splits]])
    depth, longest = _measure_paths(parts, tree, old, parent, number)
    parts.longest = max(parts.longest, longest)
    node, _, split, leaf = parts.trees[-1]
    parts.trees[-1] = node, depth, split, leaf
    parts.trees.append((node + n, 0, split + len(splits), leaf + len(leaves)))


def _lay_out(tree: Tree) -> tuple[Ints, Ints, Ints]:
    """Lay nodes out level by level: LightGBM's number, left child (of a leaf: itself), parent."""
    old = [0 if len(tree.feature) else ~0]
    child: list[int] = []
    parent = [-1]
    for at, node in enumerate(old):  # grows as it goes
        if node < 0:
            child.append(at)
            continue
        child.append(len(old))
        old += [int(tree.left[node]), int(tree.right[node])]
        parent += [at, at]
    return np.array(old), np.array(child), np.array(parent)


def _masks(child: Ints, is_split: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.uint64], Ints]:
    """Make each split's mask, and list the leaves from left to right."""
    n = len(child)
    below = np.ones(n, np.int64)
    for node in range(n - 1, -1, -1):
        if is_split[node]:
            below[node] = below[child[node]] + below[child[node] + 1]
    first = np.zeros(n, np.int64)
    for node in range(n):
        if is_split[node]:
            first[child[node]] = first[node]
            first[child[node] + 1] = first[node] + below[child[node]]
    masks = np.zeros(n, np.uint64)
    if below[0] <= MASK_LEAVES:
        for node in np.flatnonzero(is_split).tolist():
            gone = (1 << int(below[child[node]])) - 1 << int(first[node])
            masks[node] = ~gone & 2**64 - 1
    leaves = np.flatnonzero(~is_split)
    return masks, leaves[np.argsort(first[leaves])]


def _measure_paths(parts: _Parts, tree: Tree, old: Ints, parent: Ints, number: Ints) -> tuple[int, int]:
    """Append what contributions need; returns the depth, and the most different features on a path."""
    n = len(old)
    count = [int(tree.count[node]) if node >= 0 else int(tree.leaf_count[~node]) for node in old.tolist()]
    joint, twin, depth = np.ones(n), np.zeros(n, np.int64), [0] * n
    left: list[dict[int, int]] = [{} for _ in range(n)]
    """Of each node: each feature of its path, and the child by which the path left it last."""
    for node in range(1, n):
        up = int(parent[node])
        feature = int(tree.feature[old[up]])
        twin[up] = left[up].get(feature, 0)
        joint[node] = count[node] / max(count[up], 1) * joint[twin[up]]
        left[node] = {**left[up], feature: node}
        depth[node] = depth[up] + 1
    order = np.argsort(number)
    parts.joint.append(joint[order])
    parts.twin.append(number[twin[order]][: len(tree.feature)])
    return max(depth), max(len(path) for path in left)
