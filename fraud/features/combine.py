"""Features that are made of other features of the same vector: computed last, after all passes."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from fraud.errors import BadConfig
from fraud.features.kernel import Floats
from fraud.schema.features import Feature
from fraud.schema.operations import COMBINED, Op

LEAST_OPERANDS: Final = 2


def combine(features: Sequence[Feature], vectors: Floats) -> None:
    """Write the combined features of vectors whose other columns are filled.

    Parameters
    ----------
    features
        The columns of the vectors; a combined one may read those that stand before it.
    vectors
        [n, features]; the columns of combined features are written, NaN where missing.

    Raises
    ------
    BadConfig
        When a combined feature reads one that does not stand before it.

    Examples
    --------
    >>> of_both = Feature("ratio", of=("transaction_amount", "hour_of_day"))
    >>> features = (Feature("amount"), Feature("hour"), of_both)
    >>> vectors = np.array([[10.0, 4.0, np.nan]])
    >>> combine(features, vectors)
    >>> float(vectors[0, 2])
    2.5
    """
    for column, feature in enumerate(features):
        if feature.kind.op not in COMBINED:
            continue
        operands = [vectors[:, at] for at in _columns_of(feature, features[:column])]
        vectors[:, column] = _combined(feature.kind.op, operands)


def _columns_of(feature: Feature, before: Sequence[Feature]) -> list[int]:
    names = [one.name for one in before]
    unknown = [name for name in feature.of if name not in names]
    if unknown:
        raise BadConfig(f"{feature.name} reads {unknown[0]!r}, which is not a feature above it")
    if len(feature.of) < LEAST_OPERANDS or (
        feature.kind.op is not Op.GREATEST and len(feature.of) > LEAST_OPERANDS
    ):
        raise BadConfig(f"{feature.name} combines {len(feature.of)} features; name two in `of`")
    return [names.index(name) for name in feature.of]


def _combined(op: Op, operands: list[Floats]) -> Floats:
    first, second = operands[:2]
    if op is Op.DIFFERENCE:
        return _plain(first - second)
    if op is Op.RATIO:
        return _plain(np.divide(first, second, out=np.full(len(first), math.nan), where=second != 0.0))
    greatest = first
    for operand in operands[1:]:
        greatest = np.fmax(greatest, operand)
    return _plain(greatest)


def _plain(values: Floats) -> Floats:
    """Missing has one bit pattern."""
    return np.where(np.isnan(values), math.nan, values)
