"""Reasons in words: what a feature's value says to an analyst."""

import math

from fraud.features.definitions import FEATURE_NAMES, FEATURES


def reason_text(name: str, value: float) -> str:
    """Say a feature's value in words.

    Examples
    --------
    >>> reason_text("count_1h_by_user", 7.0)
    'transactions of the user in the last 1h before this one: 7 transactions'
    """
    feature = FEATURES[FEATURE_NAMES.index(name)]
    if math.isnan(value):
        return f"{feature.description}: unknown ({feature.missing})"
    return f"{feature.description}: {value:,.4g} {feature.unit}"
