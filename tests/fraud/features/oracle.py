"""Every feature recomputed from the list of arrived records: the words of the table, without its code."""

import math
from dataclasses import dataclass, field
from fractions import Fraction

from fraud.features.events import hash_text, to_microseconds
from fraud.schema.features import (
    FEATURES,
    RIPE_TILE_LEVEL,
    RIPE_US,
    TILES_US,
    WINDOW_TILE_LEVEL,
    WINDOWS,
    WINDOWS_US,
    Entity,
    Feature,
)
from tests.wire import Label, Transaction

NONE = math.nan
HOUR, DAY = 3_600_000_000, 86_400_000_000
LATE, KEPT_FOR, IDLE = 2 * DAY, 32 * DAY, 180 * DAY
FIELDS = {"user": "user_id", "merchant": "merchant_id", "device": "device_id"}


@dataclass
class Seen:
    """One transaction that arrived, and what labels have said of it."""

    record: Transaction
    time: int
    cents: int
    is_fraud: bool = False

    def __getitem__(self, column: str) -> str | None:
        return getattr(self.record, FIELDS.get(column, column))

    def place(self, of: str = "") -> tuple[int, int] | None:
        degrees = getattr(self.record, of + "latitude"), getattr(self.record, of + "longitude")
        return None if None in degrees else (round(degrees[0] * 1e6), round(degrees[1] * 1e6))


@dataclass
class History:
    """What one entity remembers of its transactions; every list is in the order of arrival."""

    entity: Entity
    kept: list[Seen] = field(default_factory=list)
    tiled: list[Seen] = field(default_factory=list)
    newest: float = -math.inf
    known: dict[str, dict[str, int]] = field(default_factory=dict)  # least recently arrived first

    def see(self, now: Seen) -> dict[str, float]:
        if now.time - self.newest > IDLE:
            self.known = {}
        self.newest = max(self.newest, now.time)
        self.kept = [old for old in self.kept if old.time > self.newest - KEPT_FOR]
        before = sorted((old for old in self.kept if old.time <= now.time), key=lambda old: old.time)
        features = [f for f in FEATURES if (f.entity.name if f.entity else "user") == self.entity.name]
        values = {f.name: float(self.value(f, now, before)) for f in features}
        for column, capacity in self.entity.known:
            since = self.known.setdefault(column, {})
            if now[column] is not None:
                since[now[column]] = min(since.pop(now[column], now.time), now.time)
                if len(since) > capacity:
                    del since[next(iter(since))]
        if now.time > self.newest - KEPT_FOR:
            self.kept.append(now)
            if len(self.kept) > self.entity.events:
                oldest = min(self.kept, key=lambda old: old.time)
                self.kept = [old for old in self.kept if old is not oldest]
                self.tiled.append(oldest)
        return values

    def window(self, name: str, time: int, before: list[Seen]) -> list[Seen]:
        start, first_kept = time - WINDOWS_US[name], min((old.time for old in self.kept), default=math.inf)
        inside = [old for old in before if old.time > start]
        if first_kept <= start:
            return inside
        level = WINDOW_TILE_LEVEL[WINDOWS.index(name)]
        width = TILES_US[level]
        longest = max(WINDOWS_US[w] for w, of in zip(WINDOWS, WINDOW_TILE_LEVEL, strict=True) if of == level)
        first = max(start // width, (self.newest - longest - LATE) // width)
        last = time // width - 1 if time < first_kept else math.inf
        return [old for old in self.tiled if first <= old.time // width <= last] + inside

    def ripe(self, far: int, near: int, before: list[Seen]) -> list[Seen]:
        """What is older than the near end; of the tiled, what lies in a day that ended by then."""
        inside = [old for old in before if far < old.time <= near]
        if min((old.time for old in self.kept), default=math.inf) <= far:
            return inside
        width = TILES_US[RIPE_TILE_LEVEL]
        first = max(far // width, (self.newest - WINDOWS_US["30d"] - LATE) // width)
        return [old for old in self.tiled if first <= old.time // width < near // width] + inside

    def value(self, f: Feature, now: Seen, before: list[Seen]) -> Fraction | float:
        if f.statistic == "ripe_fraud_share":
            ripe = self.ripe(now.time - RIPE_US[f.window], now.time - WINDOWS_US[f.base], before)
            return Fraction(sum(old.is_fraud for old in ripe), len(ripe)) if ripe else 0
        window = self.window(f.window, now.time, before) if f.window else []
        base = self.window(f.base, now.time, before) if f.base else []
        kept = [old for old in before if f.window and old.time > now.time - WINDOWS_US[f.window]]
        places = [old for old in (kept if f.window else before) if old.place()]
        cents, n = [old.cents for old in window], len(window)
        std = deviation(cents)
        values = {
            "amount": lambda: Fraction(now.cents, 100),
            "hour": lambda: Fraction(now.time % DAY, HOUR),
            "weekday": lambda: (now.time // DAY + 3) % 7,
            "bucket": lambda: NONE if now[f.column] is None else int(hash_text(now[f.column])) % 64,
            "distance_home": lambda: distance(now.place("home_"), now.place()),
            "count": lambda: n,
            "sum": lambda: Fraction(sum(cents), 100),
            "mean": lambda: Fraction(sum(cents), 100 * n) if n else NONE,
            "std": lambda: std,
            "max": lambda: Fraction(max(cents), 100) if n else NONE,
            "zscore": lambda: (
                (now.cents - Fraction(sum(cents), n)) / 100 / Fraction(max(std, 0.01)) if n > 1 else NONE
            ),
            "velocity": lambda: (
                Fraction(n * WINDOWS_US[f.base], len(base) * WINDOWS_US[f.window]) if base else 0
            ),
            "since_last": lambda: Fraction(now.time - before[-1].time, 10**6) if before else NONE,
            "distance_last": lambda: distance(places[-1].place(), now.place()) if places else NONE,
            "speed_last": lambda: (
                distance(places[-1].place(), now.place()) / max((now.time - places[-1].time) / HOUR, 1 / 60)
                if places
                else NONE
            ),
            "distance_usual": lambda: distance(usual(places, now.place()), now.place()),
            "distinct": lambda: len({old[f.column] for old in kept} - {None}),
            "is_first": lambda: (
                NONE
                if now[f.column] is None
                else self.known.get(f.column, {}).get(now[f.column], math.inf) > now.time
            ),
            "hour_deviation": lambda: (
                Fraction(sum(clock(old, now) for old in kept), len(kept) * HOUR) if kept else NONE
            ),
            "fraud_share": lambda: Fraction(sum(old.is_fraud for old in window), n) if n else 0,
            "since_fraud": lambda: next(
                (Fraction(now.time - old.time, 10**6) for old in reversed(before) if old.is_fraud), NONE
            ),
            "since_first_fraud": lambda: next(
                (Fraction(now.time - old.time, 10**6) for old in kept if old.is_fraud), NONE
            ),
            "fraud_run": lambda: run_of_fraud(before, WINDOWS_US[f.window]),
            "same_merchant": lambda: sum(old["merchant"] == now["merchant"] for old in kept),
            "same_amount": lambda: sum(old.cents == now.cents for old in kept),
        }
        return values[f.statistic]()


def replay(
    records: list[Transaction | Label], user: Entity, merchant: Entity
) -> list[dict[str, float] | None]:
    """Vectors of the transactions, in the order of arrival; None for a label or a duplicate."""
    users: dict[str, History] = {}
    merchants: dict[str, History] = {}
    vectors: list[dict[str, float] | None] = [None] * len(records)
    for i, record in enumerate(records):
        of_user = users.setdefault(record.user_id, History(user))
        of_merchant = merchants.setdefault(record.merchant_id, History(merchant))
        same = [old for old in of_user.kept if old.record.transaction_id == record.transaction_id]
        if isinstance(record, Transaction) and not same:
            facts = (record, to_microseconds(record.event_time), round(record.amount * 100))
            vectors[i] = of_user.see(Seen(*facts)) | of_merchant.see(Seen(*facts))
        if isinstance(record, Label) and same and same[0].is_fraud != record.is_fraud:
            same[0].is_fraud = record.is_fraud
            meant = [
                old
                for old in of_merchant.tiled + sorted(of_merchant.kept, key=lambda old: old.time)
                if old.record.transaction_id == record.transaction_id
                and old.time > of_merchant.newest - KEPT_FOR
                and (old.is_fraud != record.is_fraud or old in of_merchant.kept)
            ]
            for old in meant[-1:]:
                old.is_fraud = record.is_fraud
    return vectors


def run_of_fraud(before: list[Seen], length: int) -> Fraction | float:
    last = max((i for i, old in enumerate(before) if old.is_fraud), default=-1)
    run = [old for old in before[: last + 1] if old.time > before[last].time - length]
    return Fraction(sum(old.is_fraud for old in run), len(run)) if run else NONE


def deviation(cents: list[int]) -> float:
    n = len(cents)
    spread = n * sum(c * c for c in cents) - sum(cents) ** 2
    return math.sqrt(Fraction(spread, n * (n - 1) * 10**4)) if n > 1 else NONE


def clock(a: Seen, b: Seen) -> int:
    apart = abs(a.time % DAY - b.time % DAY)
    return min(apart, DAY - apart)


def usual(places: list[Seen], here: tuple[int, int] | None) -> tuple[Fraction, Fraction] | None:
    if not places or here is None:
        return None
    turns = [(old.place()[1] - here[1] + 180 * 10**6) % (360 * 10**6) - 180 * 10**6 for old in places]
    mean = Fraction(sum(old.place()[0] for old in places), len(places))
    return mean, here[1] + Fraction(sum(turns), len(places))


def distance(a: tuple | None, b: tuple | None) -> float:
    """Great-circle distance by the angle between unit vectors (cross and dot product)."""
    if a is None or b is None:
        return NONE
    (u, v), (s, t) = ([math.radians(float(degrees) / 1e6) for degrees in place] for place in (a, b))
    p = math.cos(u) * math.cos(v), math.cos(u) * math.sin(v), math.sin(u)
    q = math.cos(s) * math.cos(t), math.cos(s) * math.sin(t), math.sin(s)
    cross = [p[i - 2] * q[i - 1] - p[i - 1] * q[i - 2] for i in range(3)]
    return 6371.0088 * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(p, q, strict=True)))
