"""Where the kernel leaves the value of each feature, and what it must compute for that."""

from dataclasses import dataclass, field
from typing import Final, TypeVar

from fraud.errors import BadConfig
from fraud.features.hashing import hash_text
from fraud.features.kernel import layout as kernel
from fraud.features.layout import EventLayout
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.operations import (
    COMBINED,
    FILTERED,
    OF_COLUMN,
    OF_PLACES,
    OF_PROFILES,
    OF_STREAKS,
    PROFILE_TYPES,
    VALUED,
    Op,
)
from fraud.schema.profiles import PROFILED
from fraud.schema.windows import window_us

PRESENT: Final = 0
BY_WINDOW: Final = 1
KNOWN: Final = 2
PAIRS: Final = 3
BUCKETS: Final = 4
RIPE: Final = 5
SINGLES: Final = 6
"""Parts of the slots, see ``fraud.features.kernel.records.parts_of``."""
_PRESENT: Final = {
    Op.AMOUNT: kernel.P_AMOUNT,
    Op.HOUR_OF_DAY: kernel.P_HOUR,
    Op.DAY_OF_WEEK: kernel.P_WEEKDAY,
    Op.DISTANCE_FROM_HOME: kernel.P_FROM_HOME,
    Op.SECONDS_SINCE_LAST: kernel.P_SINCE_LAST,
    Op.DISTANCE_FROM_LAST: kernel.P_FROM_LAST,
    Op.SPEED_FROM_LAST: kernel.P_SPEED,
    Op.SECONDS_SINCE_FRAUD: kernel.P_SINCE_FRAUD,
}
_BY_WINDOW: Final = {
    Op.COUNT: kernel.W_COUNT,
    Op.SUM: kernel.W_SUM,
    Op.MEAN: kernel.W_MEAN,
    Op.STD: kernel.W_STD,
    Op.MAX: kernel.W_MAX,
    Op.ZSCORE: kernel.W_ZSCORE,
    Op.FRAUD_SHARE: kernel.W_FRAUD_SHARE,
    Op.FRAUD_RUN: kernel.W_FRAUD_RUN,
    Op.SECONDS_SINCE_FIRST_FRAUD: kernel.W_FIRST_FRAUD,
}
_BY_MEASURE: Final = {
    Op.COUNT: kernel.M_COUNT,
    Op.SUM: kernel.M_SUM,
    Op.MEAN: kernel.M_MEAN,
    Op.STD: kernel.M_STD,
    Op.MAX: kernel.M_MAX,
    Op.MIN: kernel.M_MIN,
    Op.ZSCORE: kernel.M_ZSCORE,
    Op.SHARE: kernel.M_SHARE,
}
_SINGLE: Final = {
    Op.HOUR_DEVIATION: kernel.X_HOURS,
    Op.SAME_AMOUNT: kernel.X_SAME_AMOUNT,
    Op.DISTANCE_FROM_USUAL: kernel.X_USUAL_PLACE,
    Op.SAME_MERCHANT: kernel.X_SAME,
    Op.SAME: kernel.X_SAME,
    Op.DEVIATIONS: kernel.X_DEVIATIONS,
    Op.FRAUD_STREAK: kernel.X_FRAUD_STREAK,
    Op.SECONDS_SINCE_STREAK: kernel.X_SINCE_STREAK,
    Op.SECONDS_SINCE_HONEST: kernel.X_SINCE_HONEST,
    Op.LAST: kernel.X_LAST,
    Op.PERCENTILE: kernel.X_PERCENTILE,
    Op.IS_LAST: kernel.X_IS_LAST,
    Op.IS_USUAL: kernel.X_IS_USUAL,
    Op.NUMBER: kernel.X_NUMBER,
    Op.AGE: kernel.X_AGE,
    Op.VELOCITY: kernel.X_VELOCITY,
    Op.TREND: kernel.X_TREND,
    Op.PROFILE_VALUE: kernel.X_PROFILE_VALUE,
    Op.PROFILE_BUCKET: kernel.X_PROFILE_BUCKET,
    Op.PROFILE_AGE: kernel.X_PROFILE_AGE,
    Op.PROFILE_SINCE: kernel.X_PROFILE_SINCE,
    Op.PROFILE_CHANGED: kernel.X_PROFILE_CHANGED,
    Op.PROFILE_SAME: kernel.X_PROFILE_SAME,
    Op.PROFILE_IS: kernel.X_PROFILE_IS,
    Op.PROFILE_SHARE: kernel.X_PROFILE_SHARE,
    Op.PROFILE_DISTANCE: kernel.X_PROFILE_DISTANCE,
    Op.SECONDS_SINCE_LAST: kernel.X_SINCE_LAST,  # where a filter says of which
}
_SAME_MERCHANT: Final = "merchant"
T = TypeVar("T")
Slot = tuple[int, int, int]
"""Part, row of a part by window, and position."""


@dataclass(slots=True)
class Slotted:
    """The slots of features, and what fills them."""

    slots: list[Slot] = field(default_factory=list)
    """By feature."""
    pairs: list[tuple[int, int]] = field(default_factory=list)
    buckets: list[int] = field(default_factory=list)
    ripe: list[tuple[int, int]] = field(default_factory=list)
    measures: list[tuple[int, int, int]] = field(default_factory=list)
    singles: list[tuple[int, ...]] = field(default_factory=list)
    single_units: list[float] = field(default_factory=list)
    needs_last_place: bool = False
    needs_home: bool = False


def slot_features(
    entity: Entity, features: tuple[Feature, ...], events: EventLayout, key: int, copied: int
) -> Slotted:
    """Find the slot of each feature of an entity's pass.

    Parameters
    ----------
    entity, features, events
        As of ``fraud.features.plan.compile_plan``.
    key, copied
        As of ``fraud.features.kernel.records.Program``.

    Raises
    ------
    BadConfig
        When the entity does not keep what a feature needs, or a statistic does not know one of its
        arguments; names the feature.
    """
    of = _Finder(entity, events, key, copied)
    for feature in features:
        try:
            of.found.slots.append(of.slot(feature))
        except BadConfig as error:
            raise BadConfig(f"{feature.name}: {error}") from error
    return of.found


def is_plain_feature(feature: Feature) -> bool:
    """Tell whether the plain kernel computes a feature."""
    is_plain_op = _SINGLE.get(feature.kind.op, 0) <= kernel.X_PLAIN
    is_plain_use = feature.kind.op in (Op.VELOCITY, Op.SECONDS_SINCE_LAST) and not feature.value
    return is_plain_op or (is_plain_use and not feature.where)


class _Finder:
    """Finds slots, and notes what must be computed for them."""

    def __init__(self, entity: Entity, events: EventLayout, key: int, copied: int) -> None:
        self.entity, self.events, self.key, self.copied = entity, events, key, copied
        self.found = Slotted(measures=[self._measure(*measure) for measure in entity.measures])

    def slot(self, f: Feature) -> Slot:
        op = f.kind.op
        self._check(f)
        if op in _PRESENT and not f.where:
            self.found.needs_last_place |= op in (Op.DISTANCE_FROM_LAST, Op.SPEED_FROM_LAST)
            self.found.needs_home |= op is Op.DISTANCE_FROM_HOME
            return PRESENT, 0, _PRESENT[op]
        if op is Op.RIPE_FRAUD_SHARE:
            return RIPE, 0, _index(self.found.ripe, self._ripe(f))
        if op in (Op.BUCKET, Op.IS_FIRST):
            return self._of_column(f)
        if op is Op.DISTINCT or op in _BY_WINDOW or op in _BY_MEASURE:
            return BY_WINDOW, self._row(f), self._window(f.window)
        if op is Op.VELOCITY and not f.value and not f.where:
            return PAIRS, 0, _index(self.found.pairs, (self._window(f.window), self._window(f.base)))
        return SINGLES, 0, self._single(f)

    def _of_column(self, f: Feature) -> Slot:
        if f.kind.op is Op.BUCKET:
            return BUCKETS, 0, _index(self.found.buckets, self.events.column(f.column))
        return KNOWN, 0, self._position([name for name, _ in self.entity.known], f.column, "known")

    def _row(self, f: Feature) -> int:
        """Row of a statistic over one window."""
        op = f.kind.op
        if op is Op.DISTINCT:
            return kernel.W_DISTINCT + self._position(self.entity.distinct, f.column, "distinct")
        if op in _BY_WINDOW and not f.value and not f.where:
            return _BY_WINDOW[op]
        first = kernel.W_DISTINCT + len(self.entity.distinct)
        return first + kernel.M_ROWS * self._measured(f) + _BY_MEASURE[op]

    def _check(self, f: Feature) -> None:
        op = f.kind.op
        if op in COMBINED:
            raise BadConfig("it combines other features and is not computed from events")
        if f.where and op not in FILTERED:
            raise BadConfig(f"{f.statistic} takes no `where`")
        if f.value and op not in VALUED:
            raise BadConfig(f"{f.statistic} takes no `value`")
        if op is Op.NUMBER and not f.value:
            raise BadConfig("number needs a `value`")
        if op is Op.SHARE and not f.where:
            raise BadConfig("share needs a `where`")
        if op in OF_PLACES and not self.entity.places:
            raise BadConfig(f"the {self.entity.name} keeps no places; set its `places`")
        if not 1 <= f.percent <= 100:
            raise BadConfig(f"a percentile is from 1 to 100, not {f.percent}")

    def _single(self, f: Feature) -> int:
        op = f.kind.op
        if op in OF_PROFILES:
            return self._add_single(*self._of_profile(f))
        single = [_SINGLE[op], self._window(f.window) if f.window else 0, 0, 0, -1, 0]
        unit = 1.0
        if op is Op.SAME_MERCHANT or op in OF_COLUMN:
            column = f.column or _SAME_MERCHANT
            single[kernel.A_KEPT] = self._kept_column(column)
            single[kernel.A_EVENT] = self.events.column(column)
        elif op in (Op.LAST, Op.PERCENTILE):
            single[kernel.A_KEPT] = self._kept_number(f.value)
            single[kernel.A_FILTER] = self._bit(f.where)
            single[kernel.A_NUMBER] = f.percent if op is Op.PERCENTILE else 0
            unit = self.events.unit(f.value)
        elif op is Op.SECONDS_SINCE_LAST:
            single[kernel.A_KEPT] = kernel.C_TIME
            single[kernel.A_FILTER] = self._bit(f.where)
        elif op is Op.NUMBER:
            single[kernel.A_EVENT] = self.events.column(f.value)
            unit = self.events.unit(f.value)
        elif op is Op.AGE:
            single[kernel.A_EVENT] = self._time(f.column)
        elif op is Op.DEVIATIONS:
            single[kernel.A_NUMBER] = self._window(f.base)
        elif op in OF_STREAKS:
            single[kernel.A_NUMBER] = window_us(f.base)
        elif op in (Op.VELOCITY, Op.TREND):
            single[kernel.A_KEPT] = self._measured(f) if f.value or f.where else -1
            single[kernel.A_NUMBER] = self._window(f.base)
        return self._add_single(single, unit)

    def _add_single(self, single: list[int], unit: float) -> int:
        at = _index(self.found.singles, tuple(single))
        if at == len(self.found.single_units):
            self.found.single_units.append(unit)
        return at

    def _of_profile(self, f: Feature) -> tuple[list[int], float]:
        """Find what a statistic of the profile reads, and its unit."""
        op, entry, field = f.kind.op, 1, None
        for field in self.entity.profile:
            if field.name == f.profile:
                break
            entry += len(field.names)
        if field is None or field.name != f.profile:
            raise BadConfig(f"the profile of the {self.entity.name} has no {f.profile!r}")
        if field.type not in PROFILE_TYPES.get(op, PROFILED):
            raise BadConfig(f"{f.profile} is a {field.type}; {f.statistic} does not read that type")
        single = [_SINGLE[op], 0, entry, 0, -1, window_us(f.window) if f.window else 0]
        unit = 10.0**field.scale
        if op is Op.PROFILE_SAME:
            single[kernel.A_EVENT] = self.events.column(f.column)
        elif op is Op.PROFILE_IS:
            single[kernel.A_NUMBER] = int(hash_text(f.equals))
        elif op is Op.PROFILE_SHARE:
            single[kernel.A_EVENT] = self.events.column(f.value) if f.value else kernel.E_CENTS
            unit = self.events.unit(f.value) / unit
        return single, unit

    def _measure(self, value: str, where: str) -> tuple[int, int, int]:
        column = self.events.column(value) if value else kernel.E_CENTS
        if value:
            self.events.unit(value)
        return self._kept_number(value), column, self._bit(where)

    def _measured(self, f: Feature) -> int:
        return self._position(self.entity.measures, (f.value, f.where), "measures")

    def _window(self, name: str) -> int:
        return self._position(self.entity.windows, name, "windows")

    def _ripe(self, f: Feature) -> tuple[int, int]:
        far, near = window_us(f.window), window_us(f.base)
        longest = self.entity.windows[-1]
        if not near < far <= window_us(longest):
            raise BadConfig(
                f"it reads ({f.window}, {f.base}]; the far end must be older, and within {longest}"
            )
        return far, near

    def _kept_column(self, name: str) -> int:
        if name in self.entity.distinct:
            return self.key + self.entity.distinct.index(name)
        return self.copied + self._position(self.entity.kept, name, "kept")

    def _kept_number(self, name: str) -> int:
        if not name:
            return kernel.C_CENTS
        first = self.copied + len(self.entity.kept)
        return first + self._position(self.entity.all_numbers, name, "numbers")

    def _bit(self, name: str) -> int:
        return self._position(self.entity.all_filters, name, "filters") if name else -1

    def _time(self, name: str) -> int:
        if name not in self.events.times:
            raise BadConfig(f"{name!r} is not a time; there are {', '.join(self.events.times) or 'none'}")
        return self.events.column(name)

    def _position(self, of: tuple[T, ...] | list[T], what: T, where: str) -> int:
        if what not in of:
            raise BadConfig(f"the {self.entity.name} does not keep {what!r}; add it to its `{where}`")
        return of.index(what)


def _index(found: list[T], what: T) -> int:
    """Position of something in a list, to which it is added where it is new."""
    if what not in found:
        found.append(what)
    return found.index(what)
