"""Entities, statistics and features: names, words, units and the fold's plan derive from them.

The features of a deployment stand in its schema's file. A statistic that no kernel computes yet goes into
``STATISTICS`` and into ``fraud.features.kernel``, with its case in the tests' oracle.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from fraud.schema.fields import AMOUNT_MINOR, NAMED, Field, FieldType
from fraud.schema.fields import COUNTED as NUMBERS
from fraud.schema.kinds import COUNTED
from fraud.schema.sides import OWN_KEY
from fraud.schema.windows import tile, width_us, window_us

HOUR_US: Final = 3_600_000_000
WINDOWS: Final = ("1h", "24h", "7d", "30d")
"""Of an entity that names no others."""
WINDOWS_US: Final = {name: window_us(name) for name in WINDOWS}
"""Window name: its length in microseconds; a window is (t - length, t]."""
IDLE_US: Final = 180 * 24 * HOUR_US
"""An entity silent for longer than this starts anew (its known merchants, devices ... are forgotten)."""
BUCKETS: Final = 64
"""Hash buckets of a categorical feature."""


@dataclass(frozen=True, slots=True)
class Entity:
    """What a state is kept for.

    Parameters
    ----------
    name
        Ends the names of its features.
    events
        How many of its latest events (by event time) are kept one by one; every statistic over a
        window within them is event-exact, older ones are held in tiles.
    distinct
        Columns whose distinct values can be counted in a window (over the kept events).
    known
        Columns whose values are remembered for "first time", with how many values are remembered
        (the least recently seen is forgotten).
    places
        Whether the places of its transactions are kept.
    deduplicates
        Whether it is the pass that finds duplicates and the transactions that labels speak of.
    key
        Field that names it; where its key is several fields together, the name of their hash's column. Its
        own name where empty.
    windows
        What its statistics may look back over, growing; see ``fraud.schema.windows``.
    kept
        Further keys and categories that are kept of its events (for "same", "previous", "usual").
    numbers
        Numbers that are kept of its events, besides those that are measured.
    filters
        Filters whose outcome is kept of its events, besides those that are measured.
    measures
        What is summed besides the amounts of all events: pairs of a number (empty: the amount) and a filter
        (empty: all events).
    hands_on
        Keys of the other entities, which the one that deduplicates keeps of its events: a label names its
        transaction, and need not repeat them.
    kinds
        Of transactions, that count in its history. One of another kind gets its vector and changes nothing.
    zone
        The field by which the clocks of its events are known; empty: they show UTC, or nothing looks at them.
    results
        Whether results change what counts in its history, or by which filters.
    uncounts
        Results that take a transaction out of it.
    tells
        Of the primary: numbers that other entities measure, which it keeps to complete results by.
    profile
        Fields of its profile: what is known of it, told from time to time; see ``fraud.schema.profiles``.
    keeps_kind
        Of the primary: whether another entity does not count all kinds that it counts, so that labels must
        say what they speak of.
    sides
        Of one with two sides: each side's name and the column of an event that holds its key there; see
        ``fraud.schema.sides``.
    """

    name: str
    events: int
    distinct: tuple[str, ...]
    known: tuple[tuple[str, int], ...]
    places: bool = False
    deduplicates: bool = False
    key: str = ""
    windows: tuple[str, ...] = WINDOWS
    kept: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    measures: tuple[tuple[str, str], ...] = ()
    hands_on: tuple[str, ...] = ()
    kinds: tuple[str, ...] = COUNTED
    zone: str = ""
    keeps_kind: bool = False
    results: bool = False
    uncounts: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    profile: tuple[Field, ...] = ()
    sides: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # a schema without has its old version

    @property
    def key_name(self) -> str:
        """Name of the column of an event that holds its key; of two sides, in the rows that it sees."""
        return OWN_KEY if self.sides else self.key or self.name

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the columns of an event that hold its key, of each side."""
        return tuple(column for _, column in self.sides) or (self.key_name,)

    @property
    def side_names(self) -> tuple[str, ...]:
        """Names of its sides; one that is empty where it has no two."""
        return tuple(side for side, _ in self.sides) or ("",)

    @property
    def log_names(self) -> tuple[str, ...]:
        """What the columns of the log call it, of each side."""
        return tuple(f"{self.name}_{side}" if side else self.name for side in self.side_names)

    def seen_from(self, side: str) -> str:
        """Name it as one of its sides.

        Examples
        --------
        >>> account = Entity("account", 64, (), (), sides=(("out", "sender"), ("in", "bank+receiver")))
        >>> account.seen_from("out"), account.seen_from("in")
        ('sender_account', 'in_account')
        """
        if not self.sides:
            return self.name
        word = dict(self.sides)[side]
        return f"{side if '+' in word else word}_{self.name}"

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Keys and categories that are kept of its events."""
        return (*self.distinct, *self.kept)

    @property
    def all_numbers(self) -> tuple[str, ...]:
        """Numbers that are kept of its events, in the order of the state."""
        return tuple(dict.fromkeys([*self.numbers, *(value for value, _ in self.measures if value)]))

    @property
    def all_filters(self) -> tuple[str, ...]:
        """Filters whose outcome is kept of its events, by their bits in the state."""
        return tuple(dict.fromkeys([*self.filters, *(where for _, where in self.measures if where)]))


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


class Op(IntEnum):
    """The kernel's operation of a statistic."""

    AMOUNT = 0
    HOUR_OF_DAY = 1
    DAY_OF_WEEK = 2
    BUCKET = 3
    DISTANCE_FROM_HOME = 4
    COUNT = 5
    SUM = 6
    MEAN = 7
    STD = 8
    MAX = 9
    ZSCORE = 10
    VELOCITY = 11
    SECONDS_SINCE_LAST = 12
    DISTANCE_FROM_LAST = 13
    SPEED_FROM_LAST = 14
    DISTANCE_FROM_USUAL = 15
    DISTINCT = 16
    IS_FIRST = 17
    HOUR_DEVIATION = 18
    FRAUD_SHARE = 19
    SAME_MERCHANT = 20
    SAME_AMOUNT = 21
    SECONDS_SINCE_FRAUD = 22
    FRAUD_RUN = 23
    RIPE_FRAUD_SHARE = 24
    SECONDS_SINCE_FIRST_FRAUD = 25
    MIN = 26
    SHARE = 27
    TREND = 28
    LAST = 29
    PERCENTILE = 30
    SAME = 31
    IS_LAST = 32
    IS_USUAL = 33
    NUMBER = 34
    AGE = 35
    RATIO = 36
    DIFFERENCE = 37
    GREATEST = 38
    DEVIATIONS = 39
    FRAUD_STREAK = 40
    SECONDS_SINCE_STREAK = 41
    SECONDS_SINCE_HONEST = 42
    PROFILE_VALUE = 43
    PROFILE_BUCKET = 44
    PROFILE_AGE = 45
    PROFILE_SINCE = 46
    PROFILE_CHANGED = 47
    PROFILE_SAME = 48
    PROFILE_SHARE = 49
    PROFILE_DISTANCE = 50


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

    ``name``, ``text`` and ``missing`` are templates over the feature's column, value, profile, window, base
    window, entity, percent and operands (``Feature.of``);
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
COMBINED: Final = (Op.RATIO, Op.DIFFERENCE, Op.GREATEST)
"""Computed last, of other features of the vector."""
MEASURED: Final = (Op.COUNT, Op.SUM, Op.MEAN, Op.STD, Op.MAX, Op.MIN, Op.ZSCORE, Op.SHARE)
"""Sums over a window, of any number and any filter."""
SINGLED: Final = (Op.LAST, Op.PERCENTILE, Op.SECONDS_SINCE_LAST)
"""What looks for kept events that fulfil a filter."""
FILTERED: Final = (*MEASURED, Op.VELOCITY, Op.TREND, *SINGLED)
"""What takes a filter."""
VALUED: Final = (*MEASURED, Op.VELOCITY, Op.TREND, Op.LAST, Op.PERCENTILE, Op.NUMBER, Op.PROFILE_SHARE)
"""What takes a number in the place of the amount."""
OF_COLUMN: Final = (Op.SAME, Op.IS_LAST, Op.IS_USUAL)
"""What compares a key or category with those of kept events."""
OF_STREAKS: Final = (Op.FRAUD_STREAK, Op.SECONDS_SINCE_STREAK, Op.SECONDS_SINCE_HONEST)
"""What takes transactions older than its base for honest where no label says fraud."""
PROFILE_TYPES: Final = {
    Op.PROFILE_VALUE: NUMBERS,
    Op.PROFILE_BUCKET: NAMED,
    Op.PROFILE_AGE: frozenset({FieldType.TIME}),
    Op.PROFILE_SAME: NAMED,
    Op.PROFILE_SHARE: frozenset({FieldType.NUMBER}),
    Op.PROFILE_DISTANCE: frozenset({FieldType.PLACE}),
}
"""What a profile's field must be; the others take any."""
OF_PROFILES: Final = (*PROFILE_TYPES, Op.PROFILE_SINCE, Op.PROFILE_CHANGED)
"""What looks at the entity's profile."""
OF_PLACES: Final = (Op.DISTANCE_FROM_LAST, Op.SPEED_FROM_LAST, Op.DISTANCE_FROM_USUAL)
"""What needs the places of kept events."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature vector.

    Examples
    --------
    >>> from fraud.schema.default import USER
    >>> Feature("mean", USER, window="24h").name
    'amount_mean_24h_by_user'
    """

    statistic: str
    entity: Entity | None = None
    """Whose state it reads; None: of the transaction alone."""
    window: str = ""
    base: str = ""
    """The window that a velocity is compared with, or the age of what is ripe."""
    column: str = ""
    monotone: int = 0
    """1: a higher value can only raise the score; -1: only lower it; 0: free."""
    value: str = ""
    """The number that is looked at; empty: the amount."""
    where: str = ""
    """The filter that an event must fulfil to count; empty: all count."""
    percent: int = 50
    """Of a percentile."""
    of: tuple[str, ...] = ()
    """Names of the features that it is made of."""
    called: str = ""
    """Its name, where that is not to be derived."""
    zone: str = ""
    """The field that tells the clocks which it looks at; empty: they show UTC."""
    currency: str = ""
    """Of amounts, where the schema says."""
    profile: str = ""
    """The field of the entity's profile that is looked at."""
    side: str = ""
    """Of an entity with two sides: the one whose history is looked at."""

    @property
    def kind(self) -> Statistic:
        """The statistic it computes."""
        return STATISTICS[self.statistic]

    @property
    def whose(self) -> str:
        """Name of the entity whose history it reads, as one of its sides; empty: of the transaction alone."""
        return self.entity.seen_from(self.side) if self.entity else ""

    @property
    def name(self) -> str:
        """Derived name, unique in the table."""
        with_value = f"_with_{self.value}" if self.value and "{value}" not in self.kind.name else ""
        where = f"_where_{self.where}" if self.where else ""
        return self.called or self._fill(self.kind.name, self.whose) + with_value + where

    @property
    def description(self) -> str:
        """Formula in words."""
        return self._fill(self.kind.text, self._in_text) + self._condition

    @property
    def unit(self) -> str:
        """Unit of the value."""
        if self.kind.unit != "currency units":
            return self.kind.unit
        if self.profile:
            return self.profile
        if self.value == AMOUNT_MINOR:
            return "minor units of its currency"
        return self.value or self.currency or self.kind.unit

    @property
    def missing(self) -> str:
        """What a missing value (NaN) means; empty when there always is a value."""
        missing = self._fill(self.kind.missing, self._in_text)
        return missing and missing + self._condition

    @property
    def default(self) -> float:
        """Value for an entity without history (NaN: missing)."""
        return self.kind.default

    @property
    def is_categorical(self) -> bool:
        """Whether the value is a bucket number, without order."""
        return self.kind.op in (Op.BUCKET, Op.PROFILE_BUCKET)

    @property
    def family(self) -> Family:
        """What it looks at."""
        return self.kind.family

    @property
    def tiles_us(self) -> dict[str, int]:
        """By window: the width of the tiles that hold its events beyond the kept ones, microseconds.

        Empty where no tile is read. Once the entity has more events in the window than are kept one by
        one, the window reaches further back than its length, by less than this.

        Examples
        --------
        >>> from fraud.schema.default import MERCHANT
        >>> Feature("velocity", MERCHANT, window="1h", base="7d").tiles_us
        {'1h': 300000000, '7d': 3600000000}
        """
        if self.entity is None or self.kind.exactness is not Exactness.TILES:
            return {}
        names = [name for name in (self.window, self.base) if name]
        if self.kind.op is Op.RIPE_FRAUD_SHARE:
            return dict.fromkeys(names, tile(self.entity.windows).widths_us[-1])
        return {name: width_us(window_us(name)) for name in names}

    @property
    def exactness(self) -> str:
        """What happens to the value once the entity has more events than are kept one by one.

        Examples
        --------
        >>> from fraud.schema.default import USER
        >>> print(Feature("count", USER, window="1h").exactness.partition("; ")[2])
        beyond, 1h reaches up to 5 min further back (8.3%)
        """
        if self.entity is None or self.kind.exactness is Exactness.EXACT:
            return "event-exact"
        name = self._in_text
        if self.kind.exactness is Exactness.KNOWN:
            latest = dict(self.entity.known)[self.column]
            return f"event-exact within the {name}'s latest {latest} values; older ones count as new"
        kept = f"event-exact within the {name}'s latest {self.entity.events} transactions"
        if self.kind.exactness is Exactness.KEPT:
            return f"{kept}; beyond, over those alone"
        reach = (
            f"{window} reaches up to {_duration(width)} further back ({width / window_us(window):.1%})"
            for window, width in self.tiles_us.items()
        )
        return f"{kept}; beyond, {', '.join(reach)}"

    @property
    def _in_text(self) -> str:
        is_of_side = bool(self.entity and self.entity.sides)
        return self.whose.replace("_", " ") if is_of_side else self.whose

    @property
    def _condition(self) -> str:
        is_of_those = bool(self.value and self.entity and not self.profile)
        with_value = f", of those with {self.value}" if is_of_those else ""
        return with_value + (f", where {self.where}" if self.where else "")

    def _fill(self, template: str, whose: str) -> str:
        first, second = (*self.of, "", "")[:2]
        return template.format(
            column=self.column,
            window=self.window,
            base=self.base,
            entity=whose,
            value=self.value or "amount",
            values=f"values of {self.value}" if self.value else "amounts",
            least="a whole unit" if self.value else "0.01",
            profile=self.profile,
            percent=self.percent,
            first=first,
            second=second,
            clock=f"local time ({self.zone})" if self.zone else "UTC",
            operands="_".join(self.of) if template.startswith("greatest_of") else ", ".join(self.of),
        )


def _duration(length_us: int) -> str:
    hours = length_us / HOUR_US
    if hours >= 1:
        return f"{hours:g} h"
    return f"{60 * hours:g} min" if 60 * hours >= 1 else f"{3600 * hours:g} s"
