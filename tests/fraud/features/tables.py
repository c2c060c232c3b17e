"""Random feature tables over random fields, and random streams of their records."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from fraud.features.clocks import zone_number
from fraud.features.hashing import hash_joined, hash_text
from fraud.features.layout import CODES, REFUND, EventLayout
from fraud.features.passes import Passes, passes_of
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.fields import Field, FieldType
from fraud.schema.kinds import COUNTED_KINDS, KINDS
from fraud.schema.statistics import STATISTICS
from tests.fraud.features.oracle import DAY, HOUR, MINUTE, SECOND, ArrivedRecord, length

KEYS = ("card", "account", "device", "ip", "email", "terminal", "merchant", "mcc", "country")
WINDOWS = (
    "1m",
    "5m",
    "10m",
    "30m",
    "1h",
    "2h",
    "6h",
    "11h",
    "12h",
    "24h",
    "3d",
    "7d",
    "14d",
    "30d",
    "60d",
    "90d",
)
NUMBERS = (("items", 1.0), ("weight", 1000.0), ("points", 10.0))
TIMES = ("opened_at",)
FILTERS = (("online", "channel == 'online'"), ("abroad", "country != home"), ("night", "hour < 6"))
OF_RESULTS = (
    ("declined", "..."),
    ("no_funds", "... && reason_code == '51'"),
    ("reversed", "..."),
    ("refunded", "..."),
)
TOLD: list[tuple[set[str], set[str]]] = [
    (set(), {"declined", "no_funds"}),  # authorised
    ({"declined"}, {"no_funds"}),
    ({"declined", "no_funds"}, set()),
    ({"reversed"}, set()),
    ({"refunded"}, set()),
    ({"refunded"}, set()),
]
"""What results of a transaction let hold, and hold no more."""
UNITS = {name: int(unit) for name, unit in NUMBERS}
JOINED = "card+terminal"
JOINS = (JOINED, "ip+terminal")
BY_SIDE = (("received", "side == 'in'"), ("sent_online", "side == 'out' && channel == 'online'"))
SIDES = ("out", "in")
START = 1_772_323_200_000_000  # 2026-03-01
STEPS = [
    0,
    0,
    1,
    SECOND,
    5 * SECOND,
    MINUTE - 1,
    MINUTE,
    4 * MINUTE,
    11 * MINUTE,
    HOUR,
    6 * HOUR,
    DAY,
    3 * DAY,
]
JUMPS = [13 * DAY, 30 * DAY, 62 * DAY, 92 * DAY, 93 * DAY, 181 * DAY]
LATE = [1, SECOND, MINUTE, 10 * MINUTE, HOUR, 11 * HOUR, DAY, 2 * DAY, 49 * HOUR, 31 * DAY, 91 * DAY]
OFFSETS = [0, 2 * HOUR, -5 * HOUR, 5 * HOUR + 45 * MINUTE, 14 * HOUR, -12 * HOUR]
PLACES = [(48.1, 11.5), (48.1, 11.6), (-33.9, 151.2), (0.0, 179.9), (0.0, -179.9), (90.0, 0.0)]
PROFILE = (
    Field("limit", FieldType.NUMBER, scale=2),
    Field("gold", FieldType.FLAG),
    Field("segment", FieldType.CATEGORY),
    Field("since", FieldType.TIME),
    Field("home", FieldType.PLACE),
)
CLOCK = Field("clock", FieldType.ZONE)
OF_TRANSACTION = ("amount", "hour", "weekday", "bucket", "distance_home", "number", "age")
BY_VALUE = ("sum", "mean", "std", "max", "min", "zscore")


@dataclass(frozen=True)
class Drawn:
    """A table: the columns of events, and by entity (the primary first) what is computed."""

    layout: EventLayout
    tables: tuple[tuple[Entity, tuple[Feature, ...]], ...]

    @property
    def passes(self) -> Passes:
        features = [feature for _, features in self.tables for feature in features]
        return passes_of([entity for entity, _ in self.tables], features, self.layout)


def draw_table(dice: random.Random) -> Drawn:
    """Draw fields, entities with all that they may keep, and features of all statistics over these."""
    keys = tuple(dice.sample(KEYS, len(KEYS)))
    with_results = OF_RESULTS if dice.random() < 0.6 else ()
    sides = draw_sides(dice)
    by_side = [*BY_SIDE, *((f"{name}:in", text) for name, text in BY_SIDE)] if sides else []
    possible = [*FILTERS, *with_results, *by_side]
    filters = tuple(dice.sample(possible, len(possible)))
    of_results = tuple(name for name, _ in with_results)
    zone = dice.choice(["", "zone"])
    layout = EventLayout(
        (*keys, *JOINS),
        NUMBERS,
        TIMES,
        filters,
        zone=zone,
        of_results=of_results,
        refunds=bool(of_results),
        by_side=tuple(name for name, _ in BY_SIDE) if sides else (),
    )
    names = [dice.choice(keys), *dice.sample([*keys, JOINED], dice.randint(0, 2))]
    told = {f"by_{name}": _draw_profile(dice) for name in dict.fromkeys(names)}
    profiles = tuple((name, sum(len(one.names) for one in of)) for name, of in told.items() if of)
    told_zone = CLOCK.name if zone and told[f"by_{names[0]}"] and dice.random() < 0.5 else ""
    if told_zone:
        told[f"by_{names[0]}"] = _with_clock(dice, told[f"by_{names[0]}"])
        profiles = tuple((name, sum(len(one.names) for one in of)) for name, of in told.items() if of)
    layout = replace(layout, profiles=profiles, told_zone=told_zone)
    entities = [
        replace(
            _draw_entity(dice, name, layout, is_primary=not i),
            zone=layout.zone,
            profile=told[f"by_{name}"],
        )
        for i, name in enumerate(dict.fromkeys(names))
    ]
    if sides:
        account = replace(_draw_entity(dice, "sides", layout, is_primary=False), zone=layout.zone)
        entities.insert(dice.randint(1, len(entities)), replace(account, sides=sides))
    spoken_of = ("purchase", *entities[0].kinds)
    uncounted = {kind for one in entities[1:] for kind in spoken_of if kind not in one.kinds}
    entities[0] = replace(entities[0], keeps_kind=bool(uncounted))
    columns = [column for entity in entities[1:] for column in entity.key_names]
    entities[0] = handing_on(entities[0], list(dict.fromkeys(columns)))
    if of_results:
        entities[0] = telling(entities[0], entities[1:], layout)
    return Drawn(layout, tuple((entity, _draw_features(dice, entity, layout)) for entity in entities))


def _draw_profile(dice: random.Random) -> tuple[Field, ...]:
    """Draw the fields of an entity's profile; half of the entities have none."""
    return tuple(dice.sample(PROFILE, dice.choice([0, 0, 0, 1, 3, len(PROFILE)])))


def _with_clock(dice: random.Random, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Let a profile tell a zone, too, in any place."""
    at = dice.randint(0, len(fields))
    return (*fields[:at], CLOCK, *fields[at:])


def draw_sides(dice: random.Random) -> tuple[tuple[str, str], ...]:
    """Draw the keys of an entity with two sides, or none."""
    if dice.random() < 0.5:
        return ()
    columns = JOINS if dice.random() < 0.2 else dice.sample(KEYS, 2)
    return tuple(zip(SIDES, columns, strict=True))


def filters_of(entity: Entity, layout: EventLayout) -> list[str]:
    """Filters that features of an entity may name: those that read the side where it has two."""
    names = [name for name in entity.all_filters if ":" not in name]
    return names if entity.sides else [name for name in names if name not in layout.by_side]


def _draw_entity(dice: random.Random, key: str, layout: EventLayout, *, is_primary: bool) -> Entity:
    windows = tuple(sorted(dice.sample(WINDOWS, dice.randint(1, 12)), key=length))
    others = dice.sample([name for name in KEYS if name != key], 7)
    distinct = tuple(others[: dice.randint(0, 7)])
    filters = [name for name, _ in layout.filters if ":" not in name]
    if key != "sides":
        filters = [name for name in filters if name not in layout.by_side]
    measures = list(product(["", "items", "weight", "points"], ["", *filters]))
    return Entity(
        f"by_{key}",
        events=dice.choice([1, 2, 3, 4, 6, 40]),
        distinct=distinct,
        known=tuple((name, dice.randint(1, 3)) for name in dice.sample(others, dice.randint(0, 5))),
        places=dice.random() < 0.5,
        deduplicates=is_primary,
        key=key,
        windows=windows,
        kept=tuple(name for name in others if name not in distinct)[: dice.randint(0, 4)],
        numbers=tuple(dice.sample(list(UNITS), dice.randint(0, 3))),
        filters=tuple(dice.sample(filters, dice.randint(0, 3))),
        measures=tuple(dice.sample(measures, dice.randint(0, 5))),
        kinds=dice.choice([COUNTED_KINDS, COUNTED_KINDS, KINDS, ("refund", "reversal"), ("purchase",)]),
        results=bool(layout.of_results),
        refunds=layout.refunds,
        uncounts=dice.choice([(), ("reversed",), ("reversed", "declined")]) if layout.of_results else (),
    )


def handing_on(primary: Entity, keys: Sequence[str]) -> Entity:
    """Let the primary keep the keys of other entities, as a schema's does."""
    missing = [name for name in keys if name not in primary.all_columns]
    return replace(primary, hands_on=tuple(keys), kept=(*primary.kept, *missing))


def telling(primary: Entity, others: Sequence[Entity], layout: EventLayout) -> Entity:
    """Let the primary keep what completes results for other entities, as a schema's does."""
    tells = tuple(dict.fromkeys(value for one in others for value, _ in one.measures if value))
    numbers = tuple(dict.fromkeys([*primary.numbers, *tells]))
    return replace(primary, tells=tells, numbers=numbers, filters=tuple(name for name, _ in layout.filters))


def all_features(entity: Entity, layout: EventLayout) -> list[Feature]:
    """Every feature that an entity can have, by what it keeps."""
    windows = entity.windows
    pairs = [(a, b) for a, b in product(windows, windows) if length(a) < length(b)]
    measures = dict.fromkeys([("", ""), *entity.measures])
    of_kept = list(product(["", *entity.all_numbers], ["", *filters_of(entity, layout)]))
    columns = entity.all_columns
    found = [
        *(Feature(kind, entity, w) for kind in ("hour_deviation", "same_amount") for w in windows),
        *(
            Feature(kind, entity, w)
            for kind in ("fraud_share", "since_first_fraud", "fraud_run")
            for w in windows
        ),
        *(Feature("since_last", entity, where=f) for f in ["", *filters_of(entity, layout)]),
        *(Feature("deviations", entity, a, b) for a, b in product(windows, windows)),
        *(
            Feature(kind, entity, base=b)
            for kind, b in product(("fraud_streak", "since_streak", "since_honest"), windows)
        ),
        Feature("since_fraud", entity),
        *(Feature("ripe_fraud_share", entity, b, a) for a, b in pairs),
        *(Feature("distinct", entity, w, column=c) for c, w in product(entity.distinct, windows)),
        *(
            Feature(kind, entity, w, column=c)
            for kind, c, w in product(("same", "is_usual"), columns, windows)
        ),
        *(Feature("is_last", entity, column=c) for c in columns),
        *(Feature("is_first", entity, column=c) for c, _ in entity.known),
        *(Feature(k, entity, w, value=v, where=f) for k, w, (v, f) in product(BY_VALUE, windows, measures)),
        *(Feature("count", entity, w, value=v, where=f) for w, (v, f) in product(windows, measures)),
        *(
            Feature(k, entity, a, b, value=v, where=f)
            for k, (a, b), (v, f) in product(("velocity", "trend"), pairs, measures)
        ),
        *(Feature("share", entity, w, value=v, where=f) for w, (v, f) in product(windows, measures) if f),
        *(Feature("last", entity, value=v, where=f) for v, f in of_kept),
        *(Feature("median", entity, w, value=v, where=f) for w, (v, f) in product(windows, of_kept)),
        *(
            Feature("percentile", entity, w, value=v, where=f, percent=p)
            for w, (v, f), p in product(windows, of_kept, (1, 90, 100))
        ),
    ]
    found += _of_profile(entity, layout)
    if ("", "") not in entity.measures:
        found = [f for f in found if f.statistic != "min" or f.value or f.where]
    if entity.places:
        found += [Feature("distance_last", entity), Feature("speed_last", entity)]
        found += [Feature("distance_usual", entity, w) for w in windows]
    if "merchant" in columns:
        found = [f for f in found if f.statistic != "same" or f.column != "merchant"]  # of the same name
        found += [Feature("same_merchant", entity, w) for w in windows]
    if entity.deduplicates:
        found += [Feature(kind) for kind in ("amount", "hour", "weekday", "distance_home")]
        found += [Feature("number", value=name) for name in UNITS] + [Feature("age", column=c) for c in TIMES]
        found += [Feature("bucket", column=c) for c in layout.keys if c not in JOINS]
    return found


def _of_profile(entity: Entity, layout: EventLayout) -> list[Feature]:
    names = {kind: [one.name for one in entity.profile if one.type is kind] for kind in FieldType}
    every = [one.name for one in entity.profile]
    counted = [*names[FieldType.NUMBER], *names[FieldType.FLAG]]
    return [
        *(Feature("profile_value", entity, profile=p) for p in counted),
        *(Feature("profile_bucket", entity, profile=p) for p in names[FieldType.CATEGORY]),
        *(
            Feature("profile_is", entity, profile=p, equals=w)
            for p, w in product(names[FieldType.CATEGORY], "ab")
        ),
        *(Feature("profile_age", entity, profile=p) for p in names[FieldType.TIME]),
        *(Feature("profile_since", entity, profile=p) for p in every),
        *(Feature("profile_changed", entity, w, profile=p) for w, p in product(["10m", "24h", "90d"], every)),
        *(
            Feature("profile_same", entity, column=c, profile=p)
            for c, p in product([c for c in layout.keys if c not in JOINS], names[FieldType.CATEGORY])
        ),
        *(
            Feature("profile_share", entity, value=v, profile=p)
            for v, p in product(["", "items"], names[FieldType.NUMBER])
        ),
        *(Feature("profile_distance", entity, profile=p) for p in names[FieldType.PLACE]),
    ]


def _draw_features(dice: random.Random, entity: Entity, layout: EventLayout) -> tuple[Feature, ...]:
    """Draw some features of each statistic, in any order."""
    possible = all_features(entity, layout)
    by_kind = {kind: [f for f in possible if f.statistic == kind] for kind in STATISTICS}
    drawn = [f for of in by_kind.values() for f in dice.sample(of, min(len(of), dice.randint(0, 3)))]
    if entity.sides:
        drawn = [replace(feature, side=dice.choice(SIDES)) for feature in drawn]
    return tuple(dice.sample(drawn, len(drawn)))


def draw_stream(dice: random.Random, drawn: Drawn, n: int) -> list[ArrivedRecord]:
    """Draw records in the order of arrival: late ones, duplicates, labels, results, what misses keys."""
    primary = drawn.tables[0][0].key_name
    steps = [*STEPS, *STEPS[:8] * dice.randint(0, 3), *JUMPS[: dice.randint(0, 6)]]
    records: list[ArrivedRecord] = []
    made: list[ArrivedRecord] = []
    clock = START
    for number in range(n):
        results = ["result"] * 4 + ["unknown result", "early"] if drawn.layout.of_results else []
        told = [entity for entity, _ in drawn.tables if entity.profile]
        results += ["profile"] * 3 if told else []
        kind = dice.choice(["new"] * 8 + ["again", "label", "label", "unknown"] + results)
        if kind == "profile":
            records.append(_draw_told(dice, dice.choice(told), clock))
        elif kind in {"new", "early"} or not made:
            clock += dice.choice(steps)
            late = dice.choice(LATE) if dice.random() < 0.15 else 0
            made.append(_draw_record(dice, f"t{number}", clock - late, primary))
            made[-1].kind = dice.choice([*["purchase"] * 6, *KINDS])
            made[-1].offset = dice.choice(OFFSETS) if drawn.layout.zone else 0
            if drawn.layout.told_zone and dice.random() < 0.7:
                made[-1].offset = None
            if dice.random() < 0.05:
                made[-1].cents = None
            early = dice.choice([1, 1, 2, 3]) if kind == "early" else 0
            records += [_notice(dice, made[-1], primary, made[-1].identity, TOLD) for _ in range(early)]
            records.append(made[-1])
        elif kind == "again":
            records.append(made[-min(dice.randint(1, 12), len(made))])
        else:
            past = made[-min(dice.randint(1, 12), len(made))]
            identity = "t-1" if "unknown" in kind else past.identity
            told = TOLD if "result" in kind else []
            records.append(_notice(dice, past, primary, identity, told))
    return records


def _draw_told(dice: random.Random, entity: Entity, clock: int) -> ArrivedRecord:
    """Draw a profile: of some of the fields, now and then older than what is known, or known no more."""
    key = entity.key_name
    name = dice.choice(["a", "a", "b"])
    keys = dict.fromkeys(key.split("+"), name) | {key: "a b" if key == JOINED else name}
    if key == JOINED:
        keys |= {"card": "a", "terminal": "b"}
    values = {
        "limit": [None, 0, 1, 50_000, 100_000],
        "gold": [None, 0, 1],
        "segment": [None, "a", "b", "c"],
        "since": [None, START - 400 * DAY, clock],
        "home": [None, *map(_microdegrees, PLACES)],
        "clock": [None, "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "+05:45", "-03:30", "Z"],
    }
    fields = dice.sample(entity.profile, dice.randint(1, len(entity.profile)))
    told = {one.name: dice.choice(values[one.name]) for one in fields}
    time = clock - (dice.choice(LATE) if dice.random() < 0.3 else 0)
    return ArrivedRecord(
        "", time, None, keys, told_at=clock, of=entity.name, profile=told, fields=entity.profile
    )


def _notice(
    dice: random.Random,
    past: ArrivedRecord,
    primary: str,
    identity: str,
    told: Sequence[tuple[set[str], set[str]]],
) -> ArrivedRecord:
    """Draw a result, or where none may be told a label, of a transaction of which it leaves something out."""
    keys = {name: key for name, key in past.keys.items() if name == primary or dice.random() < 0.6}
    for joined in JOINS:
        if joined in keys and None in (keys.get(part) for part in joined.split("+")):
            keys[joined] = None
    time = past.time if dice.random() < 0.6 else None
    if told:
        at, what = past.time + dice.choice([0, SECOND, DAY]), dice.choice(told)
        refund = dice.choice([None, 1, 2, 500, 10**9]) if what[0] == {"refunded"} else None
        return ArrivedRecord(identity, time, None, keys, told=what, told_at=at, refund=refund)
    return ArrivedRecord(identity, time, keys=keys, label=dice.random() < 0.7)


def _draw_record(dice: random.Random, identity: str, time: int, primary: str) -> ArrivedRecord:
    keys: dict[str, str | None] = {name: dice.choice([None, "a", "b", "c"]) for name in KEYS}
    keys[primary] = dice.choice(["a", "a", "b"])
    for joined in JOINS:
        both = [keys[name] for name in joined.split("+")]
        keys[joined] = None if None in both else " ".join(map(str, both))
    if primary == JOINED:
        keys |= {"card": "a", "terminal": "b", JOINED: "a b"}
    whole = [None, -(10**9), -7, -1, 0, 1, 2, 3, 250, 10**9]
    numbers = {name: dice.choice(whole) for name in UNITS}
    opened = dice.choice([None, time, time - 400 * DAY, time + DAY, 1])
    return ArrivedRecord(
        identity,
        time,
        dice.choice([1, 2, 2, 999, 2550, 123_456, 10**9]),
        keys,
        _microdegrees(dice.choice([None, *PLACES])),
        _microdegrees(dice.choice([None, *PLACES])),
        {**numbers, "opened_at": opened},
        {name for name, _ in FILTERS if dice.random() < 0.4},
        by_side={name: set(dice.sample(SIDES, dice.randint(0, 2))) for name, _ in BY_SIDE},
    )


def _microdegrees(place: tuple[float, float] | None) -> tuple[int, int] | None:
    return place and (round(place[0] * 1e6), round(place[1] * 1e6))


def rows_of(records: list[ArrivedRecord], layout: EventLayout) -> np.ndarray:
    """Make the kernel's rows."""
    rows = np.full((len(records), layout.width), math.nan)
    for row, record in zip(rows, records, strict=True):
        row[:4] = (
            CODES[record.kind],
            math.nan if record.time is None else record.time,
            math.nan if record.cents is None else record.cents,
            hash_text(record.identity),
        )
        row[4:6] = record.place or (math.nan, math.nan)
        row[6:8] = record.home or (math.nan, math.nan)
        if record.label is not None:
            row[0], row[2] = 1.0, float(record.label)
        if record.told is not None:
            row[0], row[7] = -1.0, record.told_at
            row[4:6] = [sum(2.0 ** layout.bit(name) for name in names) for names in record.told]
        if record.refund is not None:
            row[layout.column(REFUND)] = record.refund
        if record.profile is not None:
            _fill_profile(row, record, layout)
            continue
        for name in layout.keys:
            row[layout.column(name)] = hash_text(record[name])
            if name in JOINS:
                row[layout.column(name)] = hash_joined([record[part] for part in name.split("+")])
        for name, number in record.numbers.items():
            row[layout.column(name)] = math.nan if number is None else number
        if layout.zone:
            row[layout.column(layout.zone)] = math.nan if record.offset is None else record.offset
        row[layout.mask] = sum(2.0 ** layout.bit(name) for name in holding(record, layout))
    return rows


def holding(record: ArrivedRecord, layout: EventLayout) -> set[str]:
    """Filters that hold of a record; those that read the side, by side."""
    by_side = record.by_side.items() if layout.by_side else ()
    names = {(name if at == "out" else f"{name}:in") for name, where in by_side for at in where}
    return record.filters | names


def _fill_profile(row: np.ndarray, record: ArrivedRecord, layout: EventLayout) -> None:
    row[0], row[3], row[7] = -2.0, 0.0, record.told_at
    row[2] = [name for name, _ in layout.profiles].index(record.of)
    key = record.of.removeprefix("by_")
    row[8 : 8 + len(layout.keys)] = 0.0
    parts = [record[part] for part in key.split("+")]
    row[layout.column(key)] = hash_joined(parts) if key == JOINED else hash_text(record[key])
    at = layout.profile
    for field in record.fields:
        for part in range(len(field.names)):
            if field.name in record.profile:
                row[at] = _as_told(field, record.profile[field.name], part)
            at += 1


def _as_told(field: Field, value: object, part: int) -> float:
    if value is None:
        return math.inf
    if field.type is FieldType.PLACE:
        return float(value[part])
    if field.type is FieldType.ZONE:
        return zone_number(str(value))
    return hash_text(value) if field.type is FieldType.CATEGORY else float(value)
