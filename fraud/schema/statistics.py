"""The statistics that a feature may be: one table of names, words and units, by operation of the kernel.

A statistic that no kernel computes yet gets its operation in ``fraud.schema.operations``, its line in
``STATISTICS``, its arithmetic in ``fraud.features.kernel``, and its case in the tests' oracle.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from fraud.schema.operations import Op

BUCKETS: Final = 64
"""Hash buckets of a categorical feature."""


class Family(StrEnum):
    """What a statistic looks at; groups the table for people."""

    TRANSACTION = "transaction"
    """The transaction alone."""
    VOLUME = "volume"
    """How often and how much: counts, sums, means, standard deviations, greatest amounts."""
    VELOCITY = "velocity"
    """A short window's pace against a long one's."""
    ZSCORE = "zscore"
    """The amount against the entity's history."""
    RECENCY = "recency"
    """Time since the last transaction."""
    PLACE = "place"
    """Distances and implied speed."""
    DISTINCT = "distinct"
    """How many different merchants, categories, countries, users."""
    FIRST_TIME = "first_time"
    """Never seen before with this merchant, category, country, device."""
    HABIT = "habit"
    """The hour of the day against the usual ones."""
    REPETITION = "repetition"
    """The same merchant or the same amount again."""
    PROFILE = "profile"
    """What is known of the entity itself, and the transaction against it."""
    RISK = "risk"
    """Share of fraud by the labels that have arrived."""
    COMBINED = "combined"
    """Made of other features of the same vector."""


class Exactness(IntEnum):
    """How far a statistic reaches beyond the kept events of its entity."""

    EXACT = 0
    """The same, whatever the entity's volume."""
    TILES = 1
    """Beyond the kept events, a window's start is rounded down to a tile."""
    KEPT = 2
    """Over the kept events alone: beyond them, the latest ones of the window."""
    KNOWN = 3
    """Over the remembered values: beyond them, the latest ones."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One kind of number that the kernel computes.

    ``name``, ``text`` and ``missing`` are templates over the feature's column, value, profile, the word that
    it is compared with, window, base window, entity, percent and operands (``Feature.of``);
    ``missing`` says what a missing value means, or is empty when there is always one.
    """

    op: Op
    family: Family
    name: str
    text: str
    unit: str
    missing: str = ""
    exactness: Exactness = Exactness.EXACT
    default: float = float("nan")

    @property
    def meaning(self) -> str:
        """What it is, with the names of the settings, in capitals, where a feature has their values.

        Examples
        --------
        >>> STATISTICS["count"].meaning
        'transactions of the ENTITY in the last WINDOW before this one'
        """
        return self.text.format(
            column="FIELD",
            window="WINDOW",
            base="BASE",
            entity="ENTITY",
            value="VALUE",
            values="VALUEs",
            least="0.01",
            profile="PROFILE",
            equals="EQUALS",
            percent="PERCENT",
            first="the first of OF",
            second="the second",
            operands="OF",
            clock="local time or UTC",
        )


_NOT_TOLD: Final = "the {entity}'s {profile} is not known"
_NO_HISTORY: Final = "no transaction of the {entity} in the window"
STATISTICS: Final[dict[str, Statistic]] = {
    "amount": Statistic(
        Op.AMOUNT, Family.TRANSACTION, "transaction_amount", "the transaction's amount", "currency units"
    ),
    "hour": Statistic(
        Op.HOUR_OF_DAY, Family.TRANSACTION, "hour_of_day", "hours since midnight {clock}, with fractions", "h"
    ),
    "weekday": Statistic(
        Op.DAY_OF_WEEK, Family.TRANSACTION, "day_of_week", "0 is Monday, in {clock}", "days"
    ),
    "bucket": Statistic(
        Op.BUCKET,
        Family.TRANSACTION,
        "{column}_bucket",
        f"the {{column}}, hashed to one of {BUCKETS} buckets (categorical)",
        "bucket",
        "the transaction names no {column}",
    ),
    "distance_home": Statistic(
        Op.DISTANCE_FROM_HOME,
        Family.PLACE,
        "distance_from_home",
        "great-circle distance from the cardholder's registered home to the place of the transaction",
        "km",
        "the place or the home is not known",
    ),
    "count": Statistic(
        Op.COUNT,
        Family.VOLUME,
        "count_{window}_by_{entity}",
        "transactions of the {entity} in the last {window} before this one",
        "transactions",
        exactness=Exactness.TILES,
        default=0.0,
    ),
    "sum": Statistic(
        Op.SUM,
        Family.VOLUME,
        "{value}_sum_{window}_by_{entity}",
        "sum of the {entity}'s {values} in the last {window} before this one",
        "currency units",
        exactness=Exactness.TILES,
        default=0.0,
    ),
    "mean": Statistic(
        Op.MEAN,
        Family.VOLUME,
        "{value}_mean_{window}_by_{entity}",
        "mean of the {entity}'s {values} in the last {window} before this one",
        "currency units",
        _NO_HISTORY,
        Exactness.TILES,
    ),
    "std": Statistic(
        Op.STD,
        Family.VOLUME,
        "{value}_std_{window}_by_{entity}",
        "sample standard deviation of the {entity}'s {values} in the last {window} before this one",
        "currency units",
        "fewer than two transactions of the {entity} in the window",
        Exactness.TILES,
    ),
    "max": Statistic(
        Op.MAX,
        Family.VOLUME,
        "{value}_max_{window}_by_{entity}",
        "greatest {value} of the {entity} in the last {window} before this one",
        "currency units",
        _NO_HISTORY,
        Exactness.TILES,
    ),
    "zscore": Statistic(
        Op.ZSCORE,
        Family.ZSCORE,
        "{value}_zscore_{window}_by_{entity}",
        "({value} - mean) / max(standard deviation, {least}) over the {entity}'s last {window} before "
        "this one",
        "standard deviations",
        "fewer than two transactions of the {entity} in the window",
        Exactness.TILES,
    ),
    "velocity": Statistic(
        Op.VELOCITY,
        Family.VELOCITY,
        "velocity_{window}_{base}_by_{entity}",
        "the {entity}'s transactions per hour in the last {window}, over those per hour in the last {base}",
        "ratio",
        exactness=Exactness.TILES,
        default=0.0,
    ),
    "since_last": Statistic(
        Op.SECONDS_SINCE_LAST,
        Family.RECENCY,
        "seconds_since_last_by_{entity}",
        "time since the {entity}'s latest transaction not after this one",
        "s",
        "no earlier transaction of the {entity} is kept",
        Exactness.KEPT,
    ),
    "distance_last": Statistic(
        Op.DISTANCE_FROM_LAST,
        Family.PLACE,
        "distance_from_last_by_{entity}",
        "great-circle distance from the {entity}'s latest known place",
        "km",
        "this place or the last one is not known",
        Exactness.KEPT,
    ),
    "speed_last": Statistic(
        Op.SPEED_FROM_LAST,
        Family.PLACE,
        "speed_from_last_by_{entity}",
        "distance_from_last over the time between (at least a minute)",
        "km/h",
        "this place or the last one is not known",
        Exactness.KEPT,
    ),
    "distance_usual": Statistic(
        Op.DISTANCE_FROM_USUAL,
        Family.PLACE,
        "distance_from_usual_{window}_by_{entity}",
        "great-circle distance from the mean of the {entity}'s places in the last {window}",
        "km",
        "this place is not known, or none in the window is",
        Exactness.KEPT,
    ),
    "distinct": Statistic(
        Op.DISTINCT,
        Family.DISTINCT,
        "{column}_distinct_{window}_by_{entity}",
        "distinct values of {column} in the {entity}'s last {window} before this one",
        "values",
        exactness=Exactness.KEPT,
        default=0.0,
    ),
    "is_first": Statistic(
        Op.IS_FIRST,
        Family.FIRST_TIME,
        "{column}_is_first_by_{entity}",
        "1 when the {entity} was never seen with this {column} up to this time, else 0",
        "flag",
        "the transaction names no {column}",
        Exactness.KNOWN,
        default=1.0,
    ),
    "hour_deviation": Statistic(
        Op.HOUR_DEVIATION,
        Family.HABIT,
        "hour_deviation_{window}_by_{entity}",
        "mean distance on the clock between this transaction and the {entity}'s in the last {window}",
        "h",
        _NO_HISTORY,
        Exactness.KEPT,
    ),
    "fraud_share": Statistic(
        Op.FRAUD_SHARE,
        Family.RISK,
        "fraud_share_{window}_by_{entity}",
        "share of the {entity}'s transactions of the last {window} that a label already arrived calls fraud",
        "share",
        exactness=Exactness.TILES,
        default=0.0,
    ),
    "ripe_fraud_share": Statistic(
        Op.RIPE_FRAUD_SHARE,
        Family.RISK,
        "fraud_share_{window}_ripe_{base}_by_{entity}",
        "share of the {entity}'s transactions of the last {window}, without the last {base} (too young for a "
        "verdict), that a label already arrived calls fraud",
        "share",
        exactness=Exactness.TILES,
        default=0.0,
    ),
    "since_first_fraud": Statistic(
        Op.SECONDS_SINCE_FIRST_FRAUD,
        Family.RISK,
        "seconds_since_first_fraud_{window}_by_{entity}",
        "time since the earliest of the {entity}'s transactions of the last {window} that a label already "
        "arrived calls fraud",
        "s",
        "no transaction of the {entity} in the window that is kept is known to be fraud",
        Exactness.KEPT,
    ),
    "since_fraud": Statistic(
        Op.SECONDS_SINCE_FRAUD,
        Family.RISK,
        "seconds_since_fraud_by_{entity}",
        "time since the {entity}'s latest transaction that a label already arrived calls fraud",
        "s",
        "no transaction of the {entity} that is kept is known to be fraud",
        Exactness.KEPT,
    ),
    "fraud_run": Statistic(
        Op.FRAUD_RUN,
        Family.RISK,
        "fraud_share_{window}_to_last_fraud_by_{entity}",
        "share of fraud, by the labels already arrived, in the {window} that end with the {entity}'s latest "
        "known fraud: 1 where everything before it was fraud too",
        "share",
        "no transaction of the {entity} that is kept is known to be fraud",
        Exactness.KEPT,
    ),
    "fraud_streak": Statistic(
        Op.FRAUD_STREAK,
        Family.RISK,
        "fraud_streak_ripe_{base}_by_{entity}",
        "the {entity}'s latest transactions in a row that labels already arrived call fraud. One of the last "
        "{base} without such a label is passed over; an older one ends the row",
        "transactions",
        exactness=Exactness.KEPT,
        default=0.0,
    ),
    "since_streak": Statistic(
        Op.SECONDS_SINCE_STREAK,
        Family.RISK,
        "seconds_since_fraud_streak_ripe_{base}_by_{entity}",
        "time since the first transaction of the {entity}'s fraud_streak_ripe_{base}",
        "s",
        "the {entity}'s latest transaction is not known to be fraud",
        Exactness.KEPT,
    ),
    "since_honest": Statistic(
        Op.SECONDS_SINCE_HONEST,
        Family.RISK,
        "seconds_since_honest_ripe_{base}_by_{entity}",
        "time since the {entity}'s latest transaction that is at least {base} old and that no label already "
        "arrived calls fraud",
        "s",
        "no such transaction of the {entity} is kept",
        Exactness.KEPT,
    ),
    "deviations": Statistic(
        Op.DEVIATIONS,
        Family.ZSCORE,
        "deviation_count_{window}_{base}_by_{entity}",
        "the {entity}'s transactions of the last {window} before this one whose amount is above three times "
        "the mean of the last {base}",
        "transactions",
        exactness=Exactness.KEPT,
        default=0.0,
    ),
    "same_merchant": Statistic(
        Op.SAME_MERCHANT,
        Family.REPETITION,
        "same_merchant_count_{window}_by_{entity}",
        "the {entity}'s transactions at this merchant in the last {window} before this one",
        "transactions",
        exactness=Exactness.KEPT,
        default=0.0,
    ),
    "same_amount": Statistic(
        Op.SAME_AMOUNT,
        Family.REPETITION,
        "same_amount_count_{window}_by_{entity}",
        "the {entity}'s transactions of exactly this amount in the last {window} before this one",
        "transactions",
        exactness=Exactness.KEPT,
        default=0.0,
    ),
    "min": Statistic(
        Op.MIN,
        Family.VOLUME,
        "{value}_min_{window}_by_{entity}",
        "least {value} of the {entity} in the last {window} before this one",
        "currency units",
        _NO_HISTORY,
        Exactness.TILES,
    ),
    "share": Statistic(
        Op.SHARE,
        Family.VOLUME,
        "share_{window}_by_{entity}",
        "share of the {entity}'s transactions in the last {window} before this one",
        "share",
        _NO_HISTORY,
        Exactness.TILES,
    ),
    "trend": Statistic(
        Op.TREND,
        Family.VELOCITY,
        "{value}_trend_{window}_{base}_by_{entity}",
        "mean of the {entity}'s {values} in the last {window} before this one, over that in the last {base}",
        "ratio",
        "no transaction of the {entity} in one of the windows, or the mean of the last {base} is 0",
        Exactness.TILES,
    ),
    "last": Statistic(
        Op.LAST,
        Family.RECENCY,
        "{value}_last_by_{entity}",
        "{value} of the {entity}'s latest transaction not after this one",
        "currency units",
        "no earlier transaction of the {entity} is kept",
        Exactness.KEPT,
    ),
    "median": Statistic(
        Op.PERCENTILE,
        Family.VOLUME,
        "{value}_median_{window}_by_{entity}",
        "least of the {entity}'s {values} in the last {window} before this one that half of them do "
        "not exceed",
        "currency units",
        _NO_HISTORY,
        Exactness.KEPT,
    ),
    "percentile": Statistic(
        Op.PERCENTILE,
        Family.VOLUME,
        "{value}_p{percent}_{window}_by_{entity}",
        "least of the {entity}'s {values} in the last {window} before this one that {percent} % of them do "
        "not exceed",
        "currency units",
        _NO_HISTORY,
        Exactness.KEPT,
    ),
    "same": Statistic(
        Op.SAME,
        Family.REPETITION,
        "same_{column}_count_{window}_by_{entity}",
        "the {entity}'s transactions with this {column} in the last {window} before this one",
        "transactions",
        "the transaction names no {column}",
        Exactness.KEPT,
        default=0.0,
    ),
    "is_last": Statistic(
        Op.IS_LAST,
        Family.REPETITION,
        "{column}_is_last_by_{entity}",
        "1 when the {column} is that of the {entity}'s latest transaction that names one, else 0",
        "flag",
        "the transaction names no {column}, or none of the {entity} that is kept does",
        Exactness.KEPT,
    ),
    "is_usual": Statistic(
        Op.IS_USUAL,
        Family.HABIT,
        "{column}_is_usual_{window}_by_{entity}",
        "1 when the {entity} has no {column} more often in the last {window} before this one, else 0",
        "flag",
        "the transaction names no {column}, or none of the {entity} in the window that is kept does",
        Exactness.KEPT,
    ),
    "number": Statistic(
        Op.NUMBER,
        Family.TRANSACTION,
        "transaction_{value}",
        "the transaction's {value}",
        "currency units",
        "the transaction has no {value}",
    ),
    "age": Statistic(
        Op.AGE,
        Family.TRANSACTION,
        "{column}_age",
        "time from {column} to the transaction",
        "s",
        "the transaction has no {column}",
    ),
    "profile_value": Statistic(
        Op.PROFILE_VALUE,
        Family.PROFILE,
        "{profile}_of_{entity}",
        "the {entity}'s {profile}, by its profile",
        "currency units",
        _NOT_TOLD,
    ),
    "profile_bucket": Statistic(
        Op.PROFILE_BUCKET,
        Family.PROFILE,
        "{profile}_bucket_of_{entity}",
        f"the {{entity}}'s {{profile}} by its profile, hashed to one of {BUCKETS} buckets (categorical)",
        "bucket",
        _NOT_TOLD,
    ),
    "profile_age": Statistic(
        Op.PROFILE_AGE,
        Family.PROFILE,
        "{profile}_age_of_{entity}",
        "time from the {entity}'s {profile}, by its profile, to the transaction",
        "s",
        _NOT_TOLD,
    ),
    "profile_since": Statistic(
        Op.PROFILE_SINCE,
        Family.PROFILE,
        "seconds_since_{profile}_of_{entity}",
        "time since the profile that gave the {entity}'s {profile} its value; 0 where that is later",
        "s",
        "no profile has told the {entity}'s {profile}",
    ),
    "profile_changed": Statistic(
        Op.PROFILE_CHANGED,
        Family.PROFILE,
        "{profile}_changed_{window}_of_{entity}",
        "1 when a profile of the last {window} gave the {entity}'s {profile} another value, else 0; the "
        "first value is no change",
        "flag",
        "no profile has told the {entity}'s {profile}",
    ),
    "profile_same": Statistic(
        Op.PROFILE_SAME,
        Family.PROFILE,
        "{column}_is_{profile}_of_{entity}",
        "1 when the transaction's {column} is the {entity}'s {profile}, by its profile, else 0",
        "flag",
        "the transaction names no {column}, or the {entity}'s {profile} is not known",
    ),
    "profile_is": Statistic(
        Op.PROFILE_IS,
        Family.PROFILE,
        "{profile}_is_{word}_of_{entity}",
        "1 when the {entity}'s {profile}, by its profile, is {equals}, else 0",
        "flag",
        _NOT_TOLD,
    ),
    "profile_share": Statistic(
        Op.PROFILE_SHARE,
        Family.PROFILE,
        "{value}_over_{profile}_of_{entity}",
        "the transaction's {value} over the {entity}'s {profile}, by its profile",
        "ratio",
        "the transaction has no {value}, or the {entity}'s {profile} is not known or 0",
    ),
    "profile_distance": Statistic(
        Op.PROFILE_DISTANCE,
        Family.PROFILE,
        "distance_from_{profile}_of_{entity}",
        "great-circle distance from the {entity}'s {profile}, by its profile, to the transaction's place",
        "km",
        "the place of the transaction or the {entity}'s {profile} is not known",
    ),
    "ratio": Statistic(
        Op.RATIO,
        Family.COMBINED,
        "{first}_over_{second}",
        "{first} / {second}",
        "ratio",
        "one of the two is missing, or {second} is 0",
    ),
    "difference": Statistic(
        Op.DIFFERENCE,
        Family.COMBINED,
        "{first}_minus_{second}",
        "{first} - {second}",
        "difference",
        "one of the two is missing",
    ),
    "greatest": Statistic(
        Op.GREATEST,
        Family.COMBINED,
        "greatest_of_{operands}",
        "greatest of {operands}",
        "as its operands",
        "all of them are missing",
    ),
}
