"""Joins the rows of two tables of the log that describe the same record."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.log.arrival import Ints


@dataclass(frozen=True, slots=True)
class Matched:
    """Which rows belong together.

    Parameters
    ----------
    left, right
        [pairs] positions of the two sides.
    left_only, right_only
        Records that the other side does not have.
    right_repeated
        Rows of the right side beyond the first of the same record.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_only: int
    right_only: int
    right_repeated: int


def match(left: Ints, right: Ints) -> Matched:
    """Match records by their coordinates.

    Parameters
    ----------
    left
        [n, k] whole numbers, each row once.
    right
        [m, k]; of equal rows the first counts.

    Examples
    --------
    >>> import numpy as np
    >>> found = match(np.array([[1], [2]]), np.array([[2], [3], [2]]))
    >>> found.left.tolist(), found.right.tolist(), found.left_only, found.right_only, found.right_repeated
    ([1], [0], 1, 1, 1)
    """
    both = np.concatenate([left, right])
    order = np.lexsort(both.T[::-1])  # stable: the left side first, then the right in its order
    ordered = both[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    is_right = order >= len(left)
    second = np.flatnonzero(~starts & is_right)
    second = second[~is_right[second - 1]]  # directly after the left row of the same record
    repeated = int((~starts & is_right).sum()) - len(second)
    return Matched(
        order[second - 1],
        order[second] - len(left),
        left_only=len(left) - len(second),
        right_only=int((starts & is_right).sum()),
        right_repeated=repeated,
    )
