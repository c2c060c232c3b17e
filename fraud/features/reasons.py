"""Reasons in words: one sentence per statistic, with the usual value beside the present one.

The usual value comes from the same vector: a longer window of the same statistic. Analysts read these
sentences in the console, and cardholders may get them in letters.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.schema.deployed import deployed_schema
from fraud.schema.features import Feature
from fraud.schema.schema import Schema
from fraud.schema.windows import window_us

_WHOLE: Final = {
    *("count", "distinct", "same", "same_merchant", "same_amount"),
    *("deviations", "fraud_streak"),
}
_SUMMED: Final = {"count", "sum"}
_COMPARED: Final = {"mean", "std", "max", "min", "distinct"}
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SENTENCES: Final = {
    "amount": "The amount is {n}",
    "number": "The {value} is {n}",
    "hour": "The time is {clock} UTC",
    "weekday": "The day is a {day}",
    "bucket": "The {column} of this transaction raises the score",
    "distance_home": "{n} km from the cardholder's home",
    "count": "{n} {transactions} of this {entity} in {window}",
    "sum": "The {values} of this {entity} in {window} add up to {n}",
    "mean": "The average {value} of this {entity} in {window} is {n}",
    "std": "The {values} of this {entity} in {window} vary by {n} (standard deviation)",
    "max": "The largest {value} of this {entity} in {window} is {n}",
    "min": "The smallest {value} of this {entity} in {window} is {n}",
    "zscore": "The {value} is {size} standard {deviations} {side} the average of this {entity} in {window}",
    "velocity": "This {entity} has {n} times as many transactions per hour in {window} as in {base}",
    "since_last": "{time} since the previous transaction of this {entity}",
    "distance_last": "{n} km from the previous known place of this {entity}",
    "speed_last": "A speed of {n} km/h since the previous known place of this {entity}",
    "distance_usual": "{n} km from the usual place of this {entity} in {window}",
    "distinct": "{n} different {columns} of this {entity} in {window}",
    "hour_deviation": "{n} {hours} from the usual time of day of this {entity} in {window}",
    "fraud_share": "{percentage} of the transactions of this {entity} in {window} are known fraud",
    "ripe_fraud_share": "{percentage} of the transactions of this {entity} in {window}, without {base}, are "
    "known fraud",
    "since_first_fraud": "The first known fraud of this {entity} in {window} was {time} ago",
    "since_fraud": "The latest known fraud of this {entity} was {time} ago",
    "fraud_run": "{percentage} of the transactions of this {entity} in the {span} up to its latest known "
    "fraud were fraud",
    "fraud_streak": "{n} known {frauds} in a row, up to the latest transaction of this {entity}",
    "since_streak": "The known frauds in a row of this {entity} began {time} ago",
    "since_honest": "{time} since a transaction of this {entity} that was not known to be fraud after {ripe}",
    "deviations": "{n} {transactions} of this {entity} in {window} above 3 times its average of {base}",
    "same_merchant": "{n} {transactions} of this {entity} at the same merchant in {window}",
    "same_amount": "{n} {transactions} of this {entity} with exactly this amount in {window}",
    "same": "{n} {transactions} of this {entity} with the same {column} in {window}",
    "share": "{percentage} of the transactions of this {entity} in {window}",
    "trend": "The average {value} of this {entity} in {window} is {n} times that of {base}",
    "last": "The previous {value} of this {entity} was {n}",
    "median": "Half of the {values} of this {entity} in {window} are at most {n}",
    "percentile": "{percent} % of the {values} of this {entity} in {window} are at most {n}",
    "age": "{time} since the {column}",
    "profile_value": "The {profile} of this {entity} is {n}",
    "profile_bucket": "The {profile} of this {entity} raises the score",
    "profile_age": "{time} since the {profile} of this {entity}",
    "profile_since": "The {profile} of this {entity} has been unchanged for {time}",
    "profile_share": "The {value} is {percentage} of the {profile} of this {entity}",
    "profile_distance": "{n} km from the {profile} of this {entity}",
}
_FLAGS: Final = {
    "is_first": (
        "This {entity} was seen with this {column} before",
        "The first transaction of this {entity} with this {column}",
    ),
    "is_last": (
        "Another {column} than in the previous transaction of this {entity}",
        "The same {column} as in the previous transaction of this {entity}",
    ),
    "profile_changed": (
        "The {profile} of this {entity} did not change in {window}",
        "The {profile} of this {entity} changed in {window}",
    ),
    "profile_same": (
        "The {column} is not the {profile} of this {entity}",
        "The {column} is the {profile} of this {entity}",
    ),
    "profile_is": (
        "The {profile} of this {entity} is not {equals}",
        "The {profile} of this {entity} is {equals}",
    ),
    "is_usual": (
        "Not the most frequent {column} of this {entity} in {window}",
        "The most frequent {column} of this {entity} in {window}",
    ),
}


@dataclass(frozen=True, slots=True)
class _Usual:
    """Where a vector holds what is usual for a feature."""

    index: int
    in_words: Callable[[float, float], str]
    """From the feature's value and the one at ``index``, neither missing."""


def reason_text(
    name: str, value: float, vector: NDArray[np.float64] | None = None, schema: Schema | None = None
) -> str:
    """Say a feature's value in words.

    Parameters
    ----------
    name, value
        The feature and its value.
    vector
        All features of the transaction, in the order of the table; without it no usual value is named.
    schema
        That declares the feature; by default the deployment's.

    Examples
    --------
    >>> reason_text("count_1h_by_user", 7.0)
    '7 transactions of this user in the last hour'
    >>> from fraud.schema.reading import default_schema
    >>> names = default_schema().feature_names
    >>> vector = np.full(len(names), np.nan)
    >>> vector[names.index("count_30d_by_user")] = 90.0
    >>> reason_text("count_24h_by_user", 32.0, vector)
    '32 transactions of this user in the last 24 hours; usually 2'
    >>> reason_text("device_is_first_by_user", 1.0)
    'The first transaction of this user with this device'
    """
    schema = schema or deployed_schema()
    feature = schema.features[schema.feature_names.index(name)]
    if math.isnan(value):
        return _missing(feature)
    flags = _FLAGS.get(feature.statistic)
    template = flags[bool(value)] if flags else _SENTENCES.get(feature.statistic, "{description}: {n}")
    said = template.format_map(_Words(feature, value))
    return said + _condition(feature) + _usually(name, value, vector, schema)


_WORDS: Final[Mapping[str, Callable[[Feature, float], str]]] = {
    "n": lambda feature, value: f"{value:.0f}" if feature.statistic in _WHOLE else quantity(value),
    "transactions": lambda _, value: "transaction" if value == 1.0 else "transactions",
    "frauds": lambda _, value: "fraud" if value == 1.0 else "frauds",
    "entity": lambda feature, _: _spaced(feature.whose) if feature.entity else "transaction",
    "window": lambda feature, _: in_words(feature.window),
    "base": lambda feature, _: in_words(feature.base),
    "span": lambda feature, _: in_words(feature.window).removeprefix("the last "),
    "ripe": lambda feature, _: in_words(feature.base).removeprefix("the last "),
    "column": lambda feature, _: _spaced(feature.column),
    "profile": lambda feature, _: _spaced(feature.profile),
    "equals": lambda feature, _: feature.equals,
    "columns": lambda feature, value: (
        _spaced(feature.column) if value == 1.0 else plural(_spaced(feature.column))
    ),
    "value": lambda feature, _: _spaced(feature.value or "amount"),
    "values": lambda feature, _: plural(_spaced(feature.value or "amount")),
    "percent": lambda feature, _: str(feature.percent),
    "percentage": lambda _, value: f"{100.0 * value:.3g} %",
    "time": lambda _, value: duration(value),
    "clock": lambda _, value: f"{round(value * 60.0) // 60 % 24:02d}:{round(value * 60.0) % 60:02d}",
    "day": lambda _, value: _DAYS[int(value) % 7],
    "size": lambda _, value: f"{abs(value):.3g}",
    "deviations": lambda _, value: "deviation" if abs(value) == 1.0 else "deviations",
    "hours": lambda _, value: "hour" if value == 1.0 else "hours",
    "side": lambda _, value: "above" if value >= 0.0 else "below",
    "description": lambda feature, _: feature.description[:1].upper() + feature.description[1:],
}
"""What a template may name, of a feature and its value."""


class _Words(dict[str, str]):
    """The words of one feature and value, each made when a template names it."""

    def __init__(self, feature: Feature, value: float) -> None:
        super().__init__()
        self._of = feature, value

    def __missing__(self, name: str) -> str:
        return _WORDS[name](*self._of)


def _missing(feature: Feature) -> str:
    """Say why there is no value."""
    words = feature.missing or "no value"
    words = words.replace("in the window", f"in {in_words(feature.window)}").replace("names no", "has no")
    for whose in [feature.whose] if feature.entity else []:
        for written in (whose, _spaced(whose)):
            words = words.replace(f"the {written}", f"this {_spaced(whose)}")
    return words[:1].upper() + words[1:]


def _condition(feature: Feature) -> str:
    return f", counting only {feature.where.replace('_', ' ')}" if feature.where else ""


def _usually(name: str, value: float, vector: NDArray[np.float64] | None, schema: Schema) -> str:
    usual = None if vector is None else _usual_of(name, schema)
    if usual is None or vector is None or math.isnan(vector[usual.index]):
        return ""
    return usual.in_words(value, float(vector[usual.index]))


@lru_cache(maxsize=4096)
def _usual_of(name: str, schema: Schema) -> _Usual | None:
    """Find what a feature is compared with: a longer window of its statistic, or the average amount."""
    names = schema.feature_names
    feature = schema.features[names.index(name)]
    if feature.statistic in {"amount", "zscore"} and not feature.value:
        average = _longest(schema, "mean", feature if feature.entity else None)
        if average is None:
            return None
        return _Usual(
            names.index(average.name),
            lambda _value, usual: f"; usually {quantity(usual)} (average of {in_words(average.window)})",
        )
    if feature.statistic not in _SUMMED | _COMPARED:
        return None
    longer = _longest(schema, feature.statistic, feature)
    if longer is None or window_us(longer.window) <= window_us(feature.window):
        return None
    index = names.index(longer.name)
    if feature.statistic in _COMPARED:
        return _Usual(index, lambda _value, usual: f"; in {in_words(longer.window)}: {quantity(usual)}")
    own, whole = window_us(feature.window), window_us(longer.window)

    def rate(value: float, all_: float) -> str:
        usual = max(all_ - value, 0.0) * own / (whole - own)
        return f"; usually {quantity(usual)}" if usual >= 0.1 else "; usually almost none"

    return _Usual(index, rate)


def _longest(schema: Schema, statistic: str, like: Feature | None) -> Feature | None:
    """Find a statistic's longest window; of the same entity, number and filter, or of the primary entity."""
    whose = like.whose if like else next((one.whose for one in schema.features if one.entity), "")
    value, where, column = (like.value, like.where, like.column) if like else ("", "", "")
    found = [
        one
        for one in schema.features
        if one.statistic == statistic
        and (one.whose, one.value, one.where, one.column) == (whose, value, where, column)
    ]
    return max(found, key=lambda one: window_us(one.window), default=None)


def in_words(window: str) -> str:
    """Write a window in words.

    Examples
    --------
    >>> in_words("1h"), in_words("24h"), in_words("7d")
    ('the last hour', 'the last 24 hours', 'the last 7 days')
    """
    if not window:
        return ""
    count, unit = int(window[:-1]), {"m": "minute", "h": "hour", "d": "day"}[window[-1]]
    return f"the last {unit}" if count == 1 else f"the last {count} {unit}s"


def quantity(value: float) -> str:
    """Write a number as people do.

    Examples
    --------
    >>> [quantity(number) for number in (0.25, 2.0, 45.2, 12345.6)]
    ['0.25', '2', '45.2', '12,346']
    """
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """Write a time in its largest fitting unit.

    Examples
    --------
    >>> [duration(number) for number in (1.0, 90.0, 7200.0, 864000.0)]
    ['1 second', '90 seconds', '2 hours', '10 days']
    """
    units = {"day": 86_400.0, "hour": 3_600.0, "minute": 60.0}
    unit, size = next(
        ((unit, size) for unit, size in units.items() if seconds >= 2.0 * size), ("second", 1.0)
    )
    count = round(seconds / size)
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def plural(word: str) -> str:
    """Write more than one of something.

    Examples
    --------
    >>> [plural(word) for word in ("merchant", "category", "address", "day")]
    ['merchants', 'categories', 'addresses', 'days']
    """
    if word.endswith("y") and word[-2:-1] not in {"a", "e", "i", "o", "u"}:
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
