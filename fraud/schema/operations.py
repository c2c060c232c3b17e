"""The kernel's operations: one a kind of statistic, and what each of them takes."""

from enum import IntEnum
from typing import Final

from fraud.schema.fields import NAMED, NUMERIC, FieldType


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
    PROFILE_IS = 51


COMBINED: Final = (Op.RATIO, Op.DIFFERENCE, Op.GREATEST)
"""Computed last, of other features of the vector."""
MEASURED: Final = (Op.COUNT, Op.SUM, Op.MEAN, Op.STD, Op.MAX, Op.MIN, Op.ZSCORE, Op.SHARE)
"""Sums over a window, of any number and any filter."""
SINGLED: Final = (Op.LAST, Op.PERCENTILE, Op.SECONDS_SINCE_LAST)
"""What looks for kept events that fulfil a filter."""
FILTERED: Final = (*MEASURED, Op.VELOCITY, Op.TREND, *SINGLED)
"""What takes a filter."""
VALUED: Final = (*MEASURED, Op.VELOCITY, Op.TREND, Op.LAST, Op.PERCENTILE, Op.NUMBER, Op.PROFILE_SHARE)
"""What takes a number instead of the amount."""
OF_COLUMN: Final = (Op.SAME, Op.IS_LAST, Op.IS_USUAL)
"""What compares a key or category with those of kept events."""
OF_STREAKS: Final = (Op.FRAUD_STREAK, Op.SECONDS_SINCE_STREAK, Op.SECONDS_SINCE_HONEST)
"""What takes transactions older than its base for honest where no label says fraud."""
PROFILE_TYPES: Final = {
    Op.PROFILE_VALUE: NUMERIC,
    Op.PROFILE_BUCKET: NAMED,
    Op.PROFILE_AGE: frozenset({FieldType.TIME}),
    Op.PROFILE_SAME: NAMED,
    Op.PROFILE_IS: NAMED,
    Op.PROFILE_SHARE: frozenset({FieldType.NUMBER}),
    Op.PROFILE_DISTANCE: frozenset({FieldType.PLACE}),
}
"""What a profile's field must be; the others take any."""
OF_PROFILES: Final = (*PROFILE_TYPES, Op.PROFILE_SINCE, Op.PROFILE_CHANGED)
"""What looks at the entity's profile."""
OF_PLACES: Final = (Op.DISTANCE_FROM_LAST, Op.SPEED_FROM_LAST, Op.DISTANCE_FROM_USUAL)
"""What needs the places of kept events."""
