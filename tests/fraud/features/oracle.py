"""Every feature recomputed from the list of arrived records: the words of the table, without its code."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest

from fraud.contracts.zones import offset_us
from fraud.features.events import to_microseconds
from fraud.features.hashing import hash_text
from fraud.schema.default import FEATURES
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.fields import Field, FieldType
from tests.wire import Label, Transaction

NONE = math.nan
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
LATE, IDLE = 2 * DAY, 180 * DAY
WIDTHS = (5 * SECOND, MINUTE, 5 * MINUTE, HOUR, DAY)
MOST_TILES = 720


def length(name: str) -> int:
    return int(name[:-1]) * {"m": MINUTE, "h": HOUR, "d": DAY}[name[-1]]


def width(name: str) -> int:
    return max(wide for wide in WIDTHS if 12 * wide <= length(name))


@dataclass
class ArrivedRecord:
    """One transaction, label or result that arrived, and what has been said of it since."""

    identity: str
    time: int | None
    cents: int | None = 0  # None: of a currency without a rate
    keys: dict[str, str | None] = field(default_factory=dict)
    place: tuple[int, int] | None = None
    home: tuple[int, int] | None = None
    numbers: dict[str, int | None] = field(default_factory=dict)  # also times
    filters: set[str] = field(default_factory=set)
    label: bool | None = None  # of a label: what it says
    kind: str = "purchase"
    offset: int | None = 0  # of the clocks at its place; None: the profile's, else UTC
    is_fraud: bool = False
    told: tuple[set[str], set[str]] | None = None  # of a result: filters that hold now, and that do no more
    told_at: int = 0
    of: str = ""  # of a profile: its entity; its keys are that one's alone
    profile: dict[str, object] | None = None  # what it tells; None: not known any more
    fields: tuple[Field, ...] = ()  # of a profile: all that it could tell
    refund: int | None = None  # of a refund: what it pays back, in cents
    paid_back: int = 0  # of a transaction: by refunds that came before it
    held: dict[str, set[int | None]] = field(default_factory=dict)  # of a tiled one: amounts it counted with
    by_side: dict[str, set[str]] = field(default_factory=dict)  # filters that read the side: where they hold

    def __getitem__(self, column: str) -> str | None:
        return self.keys.get(column)

    def number(self, name: str) -> int | None:
        return self.numbers.get(name) if name else self.cents

    def counts(self, f: Feature) -> bool:
        return (not f.where or f.where in self.filters) and self.number(f.value) is not None

    def counted(self, f: Feature) -> list[int]:
        """What it has counted with in its tile, whose greatest and least are not taken back."""
        amounts = self.held.get(f.where, set())
        found = {self.number(f.value)} if f.value and amounts else amounts
        return [number for number in found if number is not None]


@dataclass
class Told:
    """One value of a profile."""

    value: object
    since: int
    last: int
    has_changed: bool


@dataclass
class History:
    """What one entity remembers of its transactions; every list is in the order of arrival."""

    entity: Entity
    features: list[Feature]
    units: dict[str, int]
    kept: list[ArrivedRecord] = field(default_factory=list)
    tiled: list[ArrivedRecord] = field(default_factory=list)
    newest: float = -math.inf
    known: dict[str, dict[str, int]] = field(default_factory=dict)  # least recently arrived first
    looked_at: list[str] = field(default_factory=list)
    waiting: dict[str, set[str]] = field(default_factory=dict)  # results that came before their transactions
    waits_since: dict[str, int] = field(default_factory=dict)
    gone: list[ArrivedRecord] = field(default_factory=list)  # taken out of tiles
    refunds: set[tuple[str, int]] = field(default_factory=set)  # transactions and times
    early: dict[tuple[str, int], int] = field(default_factory=dict)  # refunds before their transactions
    profile: dict[str, Told] = field(default_factory=dict)
    told_at: float = -math.inf  # when a profile arrived last

    @property
    def kept_for(self) -> int:
        return length(self.entity.windows[-1]) + LATE

    def forget_if_idle(self, time: int) -> None:
        if time - max(self.newest, self.told_at) > IDLE:
            self.known, self.looked_at, self.waiting = {}, [], {}
            self.refunds, self.early = set(), {}
            self.profile, self.told_at = {}, -math.inf

    def take(self, told: ArrivedRecord) -> None:
        """Take in a profile: of each value the newest by its own time holds."""
        self.forget_if_idle(told.told_at)
        self.told_at = max(self.told_at, told.told_at)
        for name, value in told.profile.items():
            old = self.profile.get(name)
            if old is None:
                self.profile[name] = Told(value, told.time, told.time, has_changed=False)
            elif told.time >= old.last:
                is_same = value == old.value
                since = old.since if is_same else told.time
                self.profile[name] = Told(value, since, told.time, old.has_changed or not is_same)

    def of_profile(self, f: Feature, now: ArrivedRecord) -> Fraction | float:
        told = self.profile.get(f.profile)
        if told is None:
            return NONE
        unit = 10 ** next(one.scale for one in self.entity.profile if one.name == f.profile)
        own, value = now.number(f.value), told.value
        if f.statistic == "profile_since":
            return Fraction(max(now.time - told.since, 0), SECOND)
        if f.statistic == "profile_changed":
            return told.has_changed and told.since > now.time - length(f.window)
        if value is None:
            return NONE
        return {
            "profile_value": lambda: Fraction(value, unit),
            "profile_bucket": lambda: int(hash_text(value)) % 64,
            "profile_age": lambda: Fraction(now.time - value, SECOND),
            "profile_is": lambda: value == f.equals,
            "profile_same": lambda: NONE if now[f.column] is None else now[f.column] == value,
            "profile_share": lambda: (
                NONE if own is None or not value else Fraction(own * unit, value * self.units[f.value])
            ),
            "profile_distance": lambda: distance(value, now.place),
        }[f.statistic]()

    def offset_of(self, now: ArrivedRecord) -> int:
        """Of its own zone, else of the profile's, else UTC."""
        if now.offset is not None:
            return now.offset
        self.forget_if_idle(now.time)
        zone = next((one.name for one in self.entity.profile if one.type is FieldType.ZONE), "")
        told = self.profile[zone].value if zone in self.profile else None
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now.time)
        return 0 if told is None else offset_us(str(told), moment)

    def see(self, now: ArrivedRecord, sides: set[str]) -> dict[str, float]:
        self.forget_if_idle(now.time)
        self.newest = max(self.newest, now.time)
        self.kept = [old for old in self.kept if old.time > self.newest - self.kept_for]
        before = sorted((old for old in self.kept if old.time <= now.time), key=lambda old: old.time)
        of_sides = [f for f in self.features if f.side in sides]
        values = {f.name: float(self.value(f, now, before)) for f in of_sides}
        if now.kind not in self.entity.kinds or now.cents is None or now.filters & set(self.entity.uncounts):
            self.looked_at = [*self.looked_at, now.identity][-64:]
            return values
        for column, capacity in self.entity.known:
            since = self.known.setdefault(column, {})
            if now[column] is not None:
                since[now[column]] = min(since.pop(now[column], now.time), now.time)
                if len(since) > capacity:
                    del since[next(iter(since))]
        if now.time > self.newest - self.kept_for:
            now.cents = max(now.cents - now.paid_back, 0)
            self.kept.append(now)
            if len(self.kept) > self.entity.events:
                oldest = min(self.kept, key=lambda old: old.time)
                self.kept = [old for old in self.kept if old is not oldest]
                self.tiled.append(oldest)
                oldest.held = {name: {oldest.cents} for name in ("", *oldest.filters)}
        return values

    def has_left(self, time: int | None) -> bool:
        """Whether a transaction of this time is older than those that are kept one by one."""
        if time is None:
            return False
        is_full = len(self.kept) == self.entity.events
        oldest = min((old.time for old in self.kept), default=math.inf)
        return time <= self.newest - self.kept_for or (is_full and time < oldest)

    def wait(self, told: ArrivedRecord) -> None:
        """Remember a result of a transaction that has not come."""
        sets, clears = told.told
        if self.has_left(told.time):
            return
        if told.identity not in self.waiting:
            if len(self.waiting) == 64 and sets:
                latest = told.told_at - self.kept_for
                self.waiting = {one: of for one, of in self.waiting.items() if self.waits_since[one] > latest}
            if not sets or len(self.waiting) == 64:
                return
            self.waits_since[told.identity] = told.told_at
        self.waiting[told.identity] = (self.waiting.get(told.identity, set()) - clears) | sets
        if told.refund is not None and (told.identity, told.told_at) not in self.refunds:
            self.refunds.add((told.identity, told.told_at))
            self.early[told.identity, told.told_at] = told.refund
        self.newest = told.told_at if self.newest == -math.inf else self.newest

    def pay_back(self, told: ArrivedRecord, of: ArrivedRecord) -> int:
        """Remember a refund; returns by how much the amount of its transaction falls."""
        if told.refund is None or (told.identity, told.told_at) in self.refunds:
            return 0
        self.refunds.add((told.identity, told.told_at))
        return min(told.refund, of.cents)

    def paid_back_before(self, identity: str) -> int:
        """Sum up the refunds that came before a transaction, which has arrived now."""
        mine = [key for key in self.early if key[0] == identity]
        return sum(self.early.pop(key) for key in mine)

    def change(self, identity: str, before: set[str], after: set[str], paid_back: int) -> None:
        """Let other filters hold of a transaction and another amount, or take it out of what counts."""
        meant = [
            old
            for old in self.tiled + sorted(self.kept, key=lambda old: old.time)
            if old.identity == identity and old.filters == before
        ]
        is_gone = after & set(self.entity.uncounts)
        for old in meant[-1:]:
            is_kept = any(old is one for one in self.kept)
            if not is_kept and old.time <= self.newest - self.kept_for:
                return
            old.filters = set(after)
            if is_kept or not is_gone:
                old.cents -= paid_back
            for name in after - before if not is_kept and not is_gone else ():
                old.held.setdefault(name, set()).add(old.cents)
            if is_gone:
                self.gone += [] if is_kept else [old]
                self.kept = [one for one in self.kept if one is not old]
                self.tiled = [one for one in self.tiled if one is not old]
                self.looked_at = [*self.looked_at, identity][-64:]

    def extremes(self, f: Feature, time: int, before: list[ArrivedRecord]) -> list[int]:
        """Values among which the greatest and the least are found."""
        now = [old for old in before if old.time > time - length(f.window) and old.counts(f)]
        counted = [number for old in self.tiles(f.window, time) for number in old.counted(f)]
        return [old.number(f.value) for old in now] + counted

    def oldest_tile(self, wide: int) -> int:
        """Number of the first tile of this width that is not forgotten."""
        longest = max(length(name) for name in self.entity.windows if width(name) == wide)
        return (self.newest - min(longest + LATE, MOST_TILES * wide)) // wide

    def window(self, name: str, time: int, before: list[ArrivedRecord]) -> list[ArrivedRecord]:
        inside = [old for old in before if old.time > time - length(name)]
        gone = list(map(id, self.gone))
        return [old for old in self.tiles(name, time) if id(old) not in gone] + inside

    def tiles(self, name: str, time: int) -> list[ArrivedRecord]:
        """What is in the tiles of a window, also what does not count any more."""
        start, first_kept = time - length(name), min((old.time for old in self.kept), default=math.inf)
        if first_kept <= start:
            return []
        wide = width(name)
        first = max(start // wide, self.oldest_tile(wide))
        last = time // wide - 1 if time < first_kept else math.inf
        return [old for old in self.tiled + self.gone if first <= old.time // wide <= last]

    def ripe(self, far: int, near: int, before: list[ArrivedRecord]) -> list[ArrivedRecord]:
        """What is older than the near end; of the tiled, what is in a tile that ended by then."""
        inside = [old for old in before if far < old.time <= near]
        if min((old.time for old in self.kept), default=math.inf) <= far:
            return inside
        wide = width(self.entity.windows[-1])
        first = max(far // wide, self.oldest_tile(wide))
        return [old for old in self.tiled if first <= old.time // wide < near // wide] + inside

    def value(self, f: Feature, now: ArrivedRecord, before: list[ArrivedRecord]) -> Fraction | float:
        if f.profile:
            return self.of_profile(f, now)
        if f.statistic == "ripe_fraud_share":
            ripe = self.ripe(now.time - length(f.window), now.time - length(f.base), before)
            return Fraction(sum(old.is_fraud for old in ripe), len(ripe)) if ripe else 0
        window = self.window(f.window, now.time, before) if f.window else []
        base = self.window(f.base, now.time, before) if f.base else []
        kept = [old for old in before if not f.window or old.time > now.time - length(f.window)]
        places = [old for old in kept if old.place]
        own, unit = now.number(f.value), self.units[f.value]
        numbers = [old.number(f.value) for old in window if old.counts(f)]
        base_numbers = [old.number(f.value) for old in base if old.counts(f)]
        kept_numbers = [old.number(f.value) for old in kept if old.counts(f)]
        named = [old[f.column] for old in kept if old[f.column] is not None] if f.column else []
        n, std = len(numbers), deviation(numbers, unit)
        ripe_by = now.time - length(f.base) if f.base else 0
        of_base = [old for old in before if old.time > ripe_by]
        values = {
            "amount": lambda: NONE if now.cents is None else Fraction(now.cents, unit),
            "hour": lambda: Fraction((now.time + now.offset) % DAY, HOUR),
            "weekday": lambda: ((now.time + now.offset) // DAY + 3) % 7,
            "bucket": lambda: NONE if now[f.column] is None else int(hash_text(now[f.column])) % 64,
            "distance_home": lambda: distance(now.home, now.place),
            "count": lambda: n,
            "sum": lambda: Fraction(sum(numbers), unit),
            "mean": lambda: Fraction(sum(numbers), unit * n) if n else NONE,
            "std": lambda: std,
            "max": lambda: Fraction(max(self.extremes(f, now.time, before)), unit) if n else NONE,
            "min": lambda: Fraction(min(self.extremes(f, now.time, before)), unit) if n else NONE,
            "zscore": lambda: (
                (own - Fraction(sum(numbers), n)) / unit / max(Fraction(std), Fraction(1, unit))
                if n > 1 and own is not None
                else NONE
            ),
            "share": lambda: Fraction(n, len(window)) if window else NONE,
            "velocity": lambda: (
                Fraction(n * length(f.base), len(base_numbers) * length(f.window)) if base_numbers else 0
            ),
            "trend": lambda: (
                Fraction(sum(numbers), n) / Fraction(sum(base_numbers), len(base_numbers))
                if n and sum(base_numbers)
                else NONE
            ),
            "last": lambda: Fraction(kept_numbers[-1], unit) if kept_numbers else NONE,
            "median": lambda: ranked(kept_numbers, 50, unit),
            "percentile": lambda: ranked(kept_numbers, f.percent, unit),
            "number": lambda: NONE if own is None else Fraction(own, unit),
            "age": lambda: (
                NONE if now.number(f.column) is None else Fraction(now.time - now.number(f.column), SECOND)
            ),
            "since_last": lambda: next(
                (
                    Fraction(now.time - old.time, SECOND)
                    for old in reversed(before)
                    if not f.where or f.where in old.filters
                ),
                NONE,
            ),
            "distance_last": lambda: distance(places[-1].place, now.place) if places else NONE,
            "speed_last": lambda: (
                distance(places[-1].place, now.place) / max((now.time - places[-1].time) / HOUR, 1 / 60)
                if places
                else NONE
            ),
            "distance_usual": lambda: distance(usual(places, now.place), now.place),
            "distinct": lambda: len(set(named)),
            "is_first": lambda: (
                NONE
                if now[f.column] is None
                else self.known.get(f.column, {}).get(now[f.column], math.inf) > now.time
            ),
            "is_last": lambda: NONE if now[f.column] is None or not named else named[-1] == now[f.column],
            "is_usual": lambda: (
                NONE
                if now[f.column] is None or not named
                else named.count(now[f.column]) == max(Counter(named).values())
            ),
            "hour_deviation": lambda: (
                Fraction(sum(clock(old, now) for old in kept), len(kept) * HOUR) if kept else NONE
            ),
            "fraud_share": lambda: Fraction(sum(old.is_fraud for old in window), n) if n else 0,
            "since_fraud": lambda: next(
                (Fraction(now.time - old.time, SECOND) for old in reversed(before) if old.is_fraud), NONE
            ),
            "since_first_fraud": lambda: next(
                (Fraction(now.time - old.time, SECOND) for old in kept if old.is_fraud), NONE
            ),
            "fraud_run": lambda: run_of_fraud(before, length(f.window)),
            "fraud_streak": lambda: len(streak(before, ripe_by)[0]),
            "since_streak": lambda: since(streak(before, ripe_by)[0], now),
            "since_honest": lambda: since(streak(before, ripe_by)[1], now),
            "deviations": lambda: sum(
                old.cents * len(of_base) > 3 * sum(other.cents for other in of_base) for old in kept
            ),
            "same_merchant": lambda: (
                NONE if now["merchant"] is None else sum(old["merchant"] == now["merchant"] for old in kept)
            ),
            "same": lambda: NONE if now[f.column] is None else named.count(now[f.column]),
            "same_amount": lambda: sum(old.cents == now.cents for old in kept),
        }
        return values[f.statistic]()


Table = tuple[Entity, list[Feature]]


def replay_seen(
    records: list[ArrivedRecord], tables: list[Table], units: dict[str, int], of_results: Sequence[str] = ()
) -> list[dict[str, float] | None]:
    """Vectors of the transactions, in the order of arrival; None for a label, a result or a duplicate.

    The first table is the primary's; an entity that a record does not name knows nothing of it.
    """
    histories: list[dict[str, History]] = [{} for _ in tables]
    vectors: list[dict[str, float] | None] = [None] * len(records)
    for i, record in enumerate(records):
        if take(histories, tables, record, units):
            continue
        own = histories[0].get(record[tables[0][0].key_name])
        same = [old for old in own.kept if old.identity == record.identity] if own else []
        is_notice = record.label is not None or record.told is not None
        known = same[0].keys if is_notice and same else {}  # what a notice may leave out
        primary, *others = (
            (of.setdefault(key, History(entity, features, {"": 100, **units})), sides)
            for of, (entity, features) in zip(histories, tables, strict=True)
            for key, sides in named_by(record, known, entity).items()
        )
        primary = primary[0]
        if not is_notice and not same and record.identity not in primary.looked_at:
            vectors[i] = {f.name: NONE for _, features in tables for f in features}
            now = copy_of(record)
            now.filters = (now.filters - set(of_results)) | primary.waiting.pop(now.identity, set())
            now.paid_back = primary.paid_back_before(now.identity)
            now.offset = primary.offset_of(now)
            for history, sides in ((primary, {""}), *others):
                vectors[i] |= history.see(seen_as(now, history.entity, sides), sides)
        if record.told is not None and same:
            before, (sets, clears) = same[0].filters, record.told
            after, paid_back = (before - clears) | sets, primary.pay_back(record, same[0])
            for history, sides in ((primary, {""}), *others) if after != before or paid_back else ():
                holding = {name for name, where in same[0].by_side.items() if where & sides}
                history.change(record.identity, before | holding, after | holding, paid_back)
        elif record.told is not None and record.identity not in primary.looked_at:
            primary.wait(record)
        if record.label is not None and same and same[0].is_fraud != record.label:
            same[0].is_fraud = record.label
            for history, _ in others:
                tell(history, record)
    return vectors


def take(
    histories: list[dict[str, History]], tables: list[Table], record: ArrivedRecord, units: dict[str, int]
) -> bool:
    """Tell one entity of its profile; False where the record is none."""
    if record.profile is None:
        return False
    at = [entity.name for entity, _ in tables].index(record.of)
    entity, features = tables[at]
    whole = {"": 100, **units}
    histories[at].setdefault(record[entity.key_name], History(entity, features, whole)).take(record)
    return True


def named_by(record: ArrivedRecord, known: dict[str, str | None], entity: Entity) -> dict[str, set[str]]:
    """Names of the entity in a record, each with the sides on which it stands there."""
    found: dict[str, set[str]] = {}
    for side, column in entity.sides or (("", entity.key_name),):
        name = record[column] or known.get(column)
        if name is not None:
            found.setdefault(name, set()).add(side)
    return found


def seen_as(record: ArrivedRecord, entity: Entity, sides: set[str]) -> ArrivedRecord:
    """A record in the history of an account that stands on these sides of it: without the account's names."""
    found = copy_of(record)
    for side, column in entity.sides:
        (other,) = (of for name, of in entity.sides if name != side)
        own = {column, *column.split("+")} - {other, *other.split("+")}
        if side in sides:
            found.keys = {name: None if name in own else key for name, key in found.keys.items()}
    found.filters |= {name for name, where in record.by_side.items() if where & sides}
    return found


def copy_of(record: ArrivedRecord) -> ArrivedRecord:
    """Each entity learns of labels and results on its own."""
    found = ArrivedRecord(**{name: getattr(record, name) for name in ArrivedRecord.__dataclass_fields__})
    found.filters = set(record.filters)
    return found


def tell(history: History, label: ArrivedRecord) -> None:
    """Tell a further entity of a label that changed what the primary knows."""
    meant = [
        old
        for old in history.tiled + sorted(history.kept, key=lambda old: old.time)
        if old.identity == label.identity
        and old.time > history.newest - history.kept_for
        and (old.is_fraud != label.label or old in history.kept)
    ]
    for old in meant[-1:]:
        old.is_fraud = label.label


def replay(
    records: list[Transaction | Label], user: Entity, merchant: Entity
) -> list[dict[str, float] | None]:
    """Vectors of the default table."""
    tables = [
        (entity, [f for f in FEATURES if (f.entity.name if f.entity else "user") == entity.name])
        for entity in (user, merchant)
    ]
    return replay_seen([seen_of(record) for record in records], tables, {})


def seen_of(record: Transaction | Label) -> ArrivedRecord:
    keys = {"user": record.user_id, "merchant": record.merchant_id}
    time = None if record.event_time is None else to_microseconds(record.event_time)
    if isinstance(record, Label):
        return ArrivedRecord(record.transaction_id, time, keys=keys, label=record.is_fraud)
    further = {"category": record.category, "country": record.country, "device": record.device_id}
    return ArrivedRecord(
        record.transaction_id,
        time,
        round(record.amount * 100),
        {**keys, **further, "channel": record.channel},
        microdegrees(record.latitude, record.longitude),
        microdegrees(record.home_latitude, record.home_longitude),
    )


def microdegrees(*degrees: float | None) -> tuple[int, ...] | None:
    return None if None in degrees else tuple(round(degree * 1e6) for degree in degrees)


def run_of_fraud(before: list[ArrivedRecord], length_us: int) -> Fraction | float:
    last = max((i for i, old in enumerate(before) if old.is_fraud), default=-1)
    run = [old for old in before[: last + 1] if old.time > before[last].time - length_us]
    return Fraction(sum(old.is_fraud for old in run), len(run)) if run else NONE


def streak(before: list[ArrivedRecord], ripe_by: int) -> tuple[list[ArrivedRecord], list[ArrivedRecord]]:
    """The frauds in a row that are known, and the honest transaction before them, if any."""
    row: list[ArrivedRecord] = []
    for old in reversed(before):
        if old.is_fraud:
            row.insert(0, old)
        elif old.time <= ripe_by:
            return row, [old]
    return row, []


def since(row: list[ArrivedRecord], now: ArrivedRecord) -> Fraction | float:
    return Fraction(now.time - row[0].time, SECOND) if row else NONE


def ranked(numbers: list[int], percent: int, unit: int) -> Fraction | float:
    """The least number that so many per cent of them do not exceed."""
    return next(
        (
            Fraction(number, unit)
            for number in sorted(numbers)
            if 100 * sum(other <= number for other in numbers) >= percent * len(numbers)
        ),
        NONE,
    )


def deviation(numbers: list[int], unit: int) -> float:
    n = len(numbers)
    spread = n * sum(c * c for c in numbers) - sum(numbers) ** 2
    return math.sqrt(Fraction(spread, n * (n - 1) * unit**2)) if n > 1 else NONE


def clock(a: ArrivedRecord, b: ArrivedRecord) -> int:
    apart = abs((a.time + a.offset) % DAY - (b.time + b.offset) % DAY)
    return min(apart, DAY - apart)


def usual(places: list[ArrivedRecord], here: tuple[int, int] | None) -> tuple[Fraction, Fraction] | None:
    if not places or here is None:
        return None
    turns = [(old.place[1] - here[1] + 180 * 10**6) % (360 * 10**6) - 180 * 10**6 for old in places]
    mean = Fraction(sum(old.place[0] for old in places), len(places))
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


def assert_equal_to_oracle(features, vectors, expected, where=""):
    """Compare vectors with the oracle's mappings; None: a label or a duplicate, whose vector is missing."""
    for row, (vector, values) in enumerate(zip(vectors, expected, strict=True)):
        if values is None:
            assert np.isnan(vector).all()
            continue
        for feature, value in zip(features, vector.tolist(), strict=True):
            tolerance = TOLERANCES.get(feature.unit, {"abs": 0.0, "rel": 1e-11})
            near = pytest.approx(values[feature.name], nan_ok=True, **tolerance)
            assert value == near, f"{where}row {row}: {feature.name}"


TOLERANCES = {"km": {"abs": 3e-4, "rel": 1e-9}, "km/h": {"abs": 2e-2, "rel": 1e-9}}
"""Of a distance: two formulas differ by some decimetres where places are near opposite."""
