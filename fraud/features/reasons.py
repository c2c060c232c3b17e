"""Reasons in words: what a feature's value says to an analyst."""

import math

from fraud.features import FEATURE_NAMES, FEATURES


def reason_text(name: str, value: float) -> str:
    """Say a feature's value in words.

    Examples
    --------
    >>> reason_text("count_1h_by_user", 7.0)
    'transactions of the user in the last 1h before this one: 7 transactions'
    >>> reason_text("device_is_first_by_user", 1.0)
    'the user was never seen with this device up to this time'
    >>> reason_text("category_bucket", 22.0)
    'the category'
    """
    feature = FEATURES[FEATURE_NAMES.index(name)]
    words = feature.description
    if feature.unit == "flag":  # "1 when ..., else 0"
        words = words.removeprefix("1 when ").removesuffix(", else 0")
    if feature.unit == "bucket":  # the number of a bucket says nothing
        words = words.partition(",")[0]
    if math.isnan(value):
        return f"{words}: unknown ({feature.missing})"
    if feature.unit == "flag":
        return words if value else f"not so: {words}"
    if feature.unit == "bucket":
        return words
    if feature.unit == "share":
        return f"{words}: {100.0 * value:,.4g} %"
    return f"{words}: {_quantity(value, feature.unit)}"


def _quantity(value: float, unit: str) -> str:
    """Write a number with its unit; long times in hours or days."""
    if unit == "s" and value >= 3600.0:
        value, unit = (value / 86_400.0, "days") if value >= 172_800.0 else (value / 3600.0, "h")
    return f"{value:,.0f} {unit}" if abs(value) >= 1000.0 else f"{value:.4g} {unit}"
