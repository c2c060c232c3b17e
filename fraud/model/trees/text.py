"""LightGBM's text of a model, read tree by tree. Pure."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraud.errors import FraudError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CATEGORICAL: Final = 1
DEFAULT_LEFT: Final = 2
"""Bits of a split's ``decision``; above them stands how it treats missing values."""
MISSING_SHIFT: Final = 2
MISSING_NONE: Final = 0
MISSING_ZERO: Final = 1
MISSING_NAN: Final = 2


class Unsupported(FraudError):
    """A model of a kind that our evaluator does not compute; use the booster itself."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, as LightGBM writes it. A child is a split (>= 0), or a leaf (``~child``)."""

    feature: Ints
    """Of each split."""
    threshold: Floats
    """Of each split: the greatest value that goes left; of a categorical one its place in ``sets``."""
    decision: Ints
    left: Ints
    right: Ints
    count: Ints
    """Training rows at each split."""
    value: Floats
    """Of each leaf."""
    leaf_count: Ints
    """Training rows at each leaf."""
    sets: tuple[tuple[int, ...], ...]
    """Words of 32 bits: the categories that go left."""


def read_trees(text: str) -> list[Tree]:
    """Read a model's trees.

    Parameters
    ----------
    text
        What ``Booster.model_to_string`` gives.

    Raises
    ------
    Unsupported
        When the score is not the plain sum of one constant leaf a tree.
    """
    head, *blocks = text.split("\nend of trees", maxsplit=1)[0].split("\nTree=")
    given = _entries(head)
    if given.get("num_tree_per_iteration") != "1":
        raise Unsupported(
            f"{given.get('num_tree_per_iteration')} trees in each iteration, only 1 is computed"
        )
    if "average_output" in given:
        raise Unsupported("the trees' outputs are averaged (a random forest), only sums are computed")
    if not blocks:
        raise Unsupported("no trees")
    return [_read(_entries(block)) for block in blocks]


def _entries(block: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in block.splitlines())}


def _read(given: dict[str, str]) -> Tree:
    if given.get("is_linear", "0") != "0":
        raise Unsupported("leaves with linear models, only constant leaves are computed")
    try:
        bounds, words = _ints(given, "cat_boundaries"), _ints(given, "cat_threshold")
        return Tree(
            feature=_ints(given, "split_feature"),
            threshold=_array(given, "threshold", np.float64),
            decision=_ints(given, "decision_type"),
            left=_ints(given, "left_child"),
            right=_ints(given, "right_child"),
            count=_ints(given, "internal_count"),
            value=_array(given, "leaf_value", np.float64),
            leaf_count=_ints(given, "leaf_count"),
            sets=tuple(tuple(words[start:end].tolist()) for start, end in pairwise(bounds.tolist())),
        )
    except (KeyError, ValueError) as error:
        raise Unsupported(f"this LightGBM writes trees in another form: {error!r}") from error


def _ints(given: dict[str, str], name: str) -> Ints:
    return np.asarray(_array(given, name, np.int64), np.int64)


def _array(given: dict[str, str], name: str, kind: Any) -> Any:
    return np.array(given.get(name, "").split(), dtype=kind)
