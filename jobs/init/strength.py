"""How well one column alone tells frauds from others: leaks are those that do it too well."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
_LEAST_FRAUDS: Final = 20
_SEED: Final = 5


def strength_of(column: pa.Array, is_fraud: Bools) -> float:
    """Measure the area under a column's curve, turned to be 0.5 to 1.

    Numbers are compared by size, and as every value by its share of fraud: learnt on one half of the rows,
    drawn at random (a table may alternate), tried on the other.

    Returns
    -------
    float
        NaN: fewer than 20 frauds.

    Examples
    --------
    >>> fraud = np.arange(100) < 30
    >>> strength_of(pa.array(np.where(fraud, "a", "b")), fraud)
    1.0
    """
    if is_fraud.sum() < _LEAST_FRAUDS or is_fraud.all():
        return float("nan")
    found = [_by_share(_codes(column), is_fraud)]
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        found.append(area(np.nan_to_num(values, nan=-1e300), is_fraud))
    return max(found)


def area(values: NDArray[np.generic], is_fraud: Bools) -> float:
    """Compute the area under the curve of a score, turned so that it is 0.5 to 1."""
    positives, negatives = int(is_fraud.sum()), int((~is_fraud).sum())
    if not positives or not negatives:
        return 0.5
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    found = (float(ranks[is_fraud].sum()) - positives * (positives + 1) / 2) / (positives * negatives)
    return max(found, 1 - found)


def _codes(column: pa.Array) -> NDArray[np.int64]:
    coded = column.dictionary_encode()
    indices = coded.indices.fill_null(len(coded.dictionary))
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int64)


def _by_share(codes: NDArray[np.int64], is_fraud: Bools) -> float:
    order = np.random.default_rng(_SEED).permutation(len(codes))
    learnt, tried = order[: len(order) // 2], order[len(order) // 2 :]
    size = int(codes.max()) + 1
    frauds = np.bincount(codes[learnt], weights=is_fraud[learnt], minlength=size)
    rows = np.bincount(codes[learnt], minlength=size)
    shares = (frauds + is_fraud[learnt].mean()) / (rows + 1)
    return area(shares[codes[tried]], is_fraud[tried])
