"""The features computed event by event in plain Python: what the fold is measured against.

Deques and dictionaries with running sums, as one would write it by hand. It does less than the fold:
events must come in order of time, labels do not reach it, state grows with an entity's volume (no tiles,
no bound on what is remembered), and states stay objects, never bytes. Where the fold is event-exact,
both give the same.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from fraud.features.plan import EVENT_COLUMN
from fraud.schema.default import FEATURES
from fraud.schema.entities import WINDOWS_US, Entity
from fraud.schema.features import Feature
from fraud.schema.windows import window_us

__all__ = ["PlainFold"]

DAY_US: Final = 86_400_000_000.0
HOUR_US: Final = 3_600_000_000.0
KEPT_US: Final = 32 * DAY_US
EARTH_KM: Final = 6371.0088
NONE: Final = math.nan
T = TypeVar("T")
Reader = Callable[["_State", "_Event"], float]


@dataclass(slots=True)
class _Event:
    """One transaction."""

    time: float
    cents: int
    clock: float
    """Microseconds since midnight."""
    place: tuple[float, float] | None
    home: tuple[float, float] | None
    values: dict[str, float]
    """Hashes by column; 0 where the transaction names none."""
    is_fraud: bool = False


class _Window:
    """The transactions of one window, with their running sums."""

    def __init__(self, length: float, columns: Sequence[str]) -> None:
        self.length = length
        self.events: deque[_Event] = deque()
        self.cents = self.squares = self.frauds = 0
        self.greatest: deque[_Event] = deque()  # falling amounts: the first is the maximum
        self.seen: dict[str, Counter[float]] = {column: Counter() for column in columns}
        self.amounts: Counter[int] = Counter()

    def advance(self, time: float) -> None:
        while self.events and self.events[0].time <= time - self.length:
            gone = self.events.popleft()
            self.cents -= gone.cents
            self.squares -= gone.cents * gone.cents
            self.frauds -= gone.is_fraud
            if self.greatest[0] is gone:
                self.greatest.popleft()
            _lower(self.amounts, gone.cents)
            for column, seen in self.seen.items():
                _lower(seen, gone.values[column])

    def add(self, event: _Event) -> None:
        self.events.append(event)
        self.cents += event.cents
        self.squares += event.cents * event.cents
        while self.greatest and self.greatest[-1].cents <= event.cents:
            self.greatest.pop()
        self.greatest.append(event)
        self.amounts[event.cents] += 1
        for column, seen in self.seen.items():
            seen[event.values[column]] += 1

    def deviation(self) -> float:
        n = len(self.events)
        if n < 2:
            return NONE
        return math.sqrt((n * self.squares - self.cents * self.cents) / (n * (n - 1))) / 100.0


class _State:
    """All that is remembered of one entity."""

    def __init__(self, entity: Entity) -> None:
        self.windows = {name: _Window(length, entity.distinct) for name, length in WINDOWS_US.items()}
        self.known: dict[str, set[float]] = {column: set() for column, _ in entity.known}
        self.by_id: dict[float, _Event] = {}
        self.kept: deque[tuple[float, float]] = deque()  # time and id
        self.last: _Event | None = None
        self.last_place: _Event | None = None
        self.young: deque[float] = deque()  # times of those too young to be known as honest
        self.honest = -math.inf  # time of the latest that is not


class PlainFold:
    """Computes the vectors of one entity kind, one transaction at a time.

    Parameters
    ----------
    entity
        USER or MERCHANT.

    Examples
    --------
    >>> from fraud.schema.default import MERCHANT
    >>> event = (0.0, 1.77e15, 1000.0, 1.0, *(math.nan,) * 4, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0)
    >>> PlainFold(MERCHANT).fold(event)[0]
    0
    """

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._key = EVENT_COLUMN[entity.name]
        self._columns = {name: column for name, column in EVENT_COLUMN.items() if name != entity.name}
        own = [f for f in FEATURES if f.entity == entity or (f.entity is None and entity.deduplicates)]
        self._readers = [_reader(feature) for feature in own]
        self._states: defaultdict[float, _State] = defaultdict(lambda: _State(entity))

    def fold(self, row: tuple[float, ...]) -> list[float]:
        """Compute the vector of a transaction, then remember it.

        Parameters
        ----------
        row
            Columns of an event, see ``fraud.features.kernel``.

        Returns
        -------
        list[float]
            The features of the entity's pass, in the vector's order; empty for a duplicate.
        """
        state = self._states[row[self._key]]
        if self._entity.deduplicates and row[3] in state.by_id:
            return []
        event = self._event(row)
        if state.last is not None and event.time < state.last.time:
            raise ValueError("events must come in the order of their times")
        for window in state.windows.values():
            window.advance(event.time)
        vector = [read(state, event) for read in self._readers]
        self._keep(state, event, row[3])
        return vector

    def _event(self, row: tuple[float, ...]) -> _Event:
        time, lat, lon, home_lat, home_lon = row[1], row[4], row[5], row[6], row[7]
        return _Event(
            time,
            int(row[2]),
            time % DAY_US,
            None if math.isnan(lat) else (lat, lon),
            None if math.isnan(home_lat) else (home_lat, home_lon),
            {name: row[column] for name, column in self._columns.items()},
        )

    def _keep(self, state: _State, event: _Event, identity: float) -> None:
        while state.kept and state.kept[0][0] <= event.time - KEPT_US:
            del state.by_id[state.kept.popleft()[1]]
        state.kept.append((event.time, identity))
        state.by_id[identity] = event
        for window in state.windows.values():
            window.add(event)
        for column, known in state.known.items():
            known.add(event.values[column])
        state.young.append(event.time)
        state.last = event
        if event.place:
            state.last_place = event


def _lower(counts: Counter[T], value: T) -> None:
    counts[value] -= 1
    if not counts[value]:
        del counts[value]


def _reader(feature: Feature) -> Reader:
    """Make the function that computes one feature."""
    window, base, column = feature.window, feature.base, feature.column
    readers: dict[str, Reader] = {
        "amount": lambda _, now: now.cents / 100.0,
        "hour": lambda _, now: now.clock / HOUR_US,
        "weekday": lambda _, now: (now.time // DAY_US + 3) % 7,
        "bucket": lambda _, now: now.values[column] % 64 if now.values[column] else NONE,
        "distance_home": lambda _, now: _distance(now.home, now.place),
        "count": lambda state, _: len(state.windows[window].events),
        "sum": lambda state, _: state.windows[window].cents / 100.0,
        "mean": lambda state, _: _mean(state.windows[window]),
        "std": lambda state, _: state.windows[window].deviation(),
        "max": lambda state, _: _greatest(state.windows[window]),
        "zscore": lambda state, now: _zscore(state.windows[window], now.cents),
        "velocity": lambda state, _: _velocity(state.windows[window], state.windows[base]),
        "since_fraud": lambda _, __: NONE,  # labels do not reach it
        "fraud_run": lambda _, __: NONE,
        "since_first_fraud": lambda _, __: NONE,
        "ripe_fraud_share": lambda _, __: 0.0,
        "fraud_streak": lambda _, __: 0.0,
        "since_streak": lambda _, __: NONE,
        "since_honest": lambda state, now: _since_honest(state, now, window_us(base)),
        "deviations": lambda state, _: _deviations(state.windows[window], state.windows[base]),
        "since_last": lambda state, now: _since(state.last, now),
        "distance_last": lambda state, now: _from_last(state, now)[0],
        "speed_last": lambda state, now: _from_last(state, now)[1],
        "distance_usual": lambda state, now: _from_usual(state.windows[window], now),
        "distinct": lambda state, _: _distinct(state.windows[window].seen[column]),
        "is_first": lambda state, now: _is_first(state.known[column], now.values[column]),
        "hour_deviation": lambda state, now: _apart(state.windows[window], now.clock),
        "fraud_share": lambda state, _: _share(state.windows[window]),
        "same_merchant": lambda state, now: state.windows[window].seen["merchant"][now.values["merchant"]],
        "same_amount": lambda state, now: state.windows[window].amounts[now.cents],
    }
    return readers[feature.statistic]


def _mean(window: _Window) -> float:
    n = len(window.events)
    return window.cents / (100.0 * n) if n else NONE


def _greatest(window: _Window) -> float:
    return window.greatest[0].cents / 100.0 if window.greatest else NONE


def _share(window: _Window) -> float:
    n = len(window.events)
    return window.frauds / n if n else 0.0


def _zscore(window: _Window, cents: int) -> float:
    n = len(window.events)
    return (cents - window.cents / n) / 100.0 / max(window.deviation(), 0.01) if n > 1 else NONE


def _deviations(window: _Window, base: _Window) -> int:
    n = len(base.events)
    return sum(old.cents * n > 3 * base.cents for old in window.events) if n else 0


def _since_honest(state: _State, now: _Event, age: float) -> float:
    while state.young and state.young[0] <= now.time - age:
        state.honest = state.young.popleft()
    return (now.time - state.honest) / 1e6 if state.honest > now.time - KEPT_US else NONE


def _velocity(window: _Window, base: _Window) -> float:
    n = len(base.events)
    return len(window.events) * base.length / (n * window.length) if n else 0.0


def _since(last: _Event | None, now: _Event) -> float:
    return NONE if last is None or last.time <= now.time - KEPT_US else (now.time - last.time) / 1e6


def _from_last(state: _State, now: _Event) -> tuple[float, float]:
    last = state.last_place
    if last is None or last.time <= now.time - KEPT_US or now.place is None:
        return NONE, NONE
    km = _distance(last.place, now.place)
    return km, km / (max(now.time - last.time, 60e6) / HOUR_US)


def _from_usual(window: _Window, now: _Event) -> float:
    places = [old.place for old in window.events if old.place]
    if now.place is None or not places:
        return NONE
    lon = now.place[1]
    turns = sum((place[1] - lon + 180e6) % 360e6 - 180e6 for place in places)
    return _distance((sum(lat for lat, _ in places) / len(places), lon + turns / len(places)), now.place)


def _distinct(seen: Counter[float]) -> int:
    return len(seen) - (0.0 in seen)


def _is_first(known: set[float], value: float) -> float:
    return float(value not in known) if value else NONE


def _apart(window: _Window, clock: float) -> float:
    if not window.events:
        return NONE
    total = 0.0
    for old in window.events:
        apart = abs(old.clock - clock)
        total += min(apart, DAY_US - apart)
    return total / (len(window.events) * HOUR_US)


def _distance(a: tuple[float, float] | None, b: tuple[float, float] | None) -> float:
    if a is None or b is None:
        return NONE
    if a == b:
        return 0.0
    lat, lon, to_lat, to_lon = (math.radians(degrees / 1e6) for degrees in (*a, *b))
    rise = math.sin((to_lat - lat) / 2) ** 2
    rise += math.cos(lat) * math.cos(to_lat) * math.sin((to_lon - lon) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, rise)))
