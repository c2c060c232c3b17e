"""Profiles of a synthetic world: what a bank knows of payers and sellers, and what changes of it.

Each entity is told of once, when the period begins. Honest people move, change their phone numbers and get
other limits now and then. Whoever takes an account over changes the address (a field whose name says address,
phone or email) hours before the first purchase, and raises a limit where there is one. A limit follows what
its holder honestly spends; a merchant's risk class follows its trade.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator
from numpy.typing import NDArray

from fraud.schema.arrow import TIME
from fraud.schema.fields import Field, FieldType
from fraud.schema.profiles import COLUMNS
from fraud.schema.schema import Schema
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.payments import of_patterns
from fraud.synthetic.places import CATEGORIES, ZONES
from fraud.synthetic.settings import DAY_US, GeneratorSettings

HOUR_US: Final = 3_600_000_000
TAKEN_OVER: Final = 0.7
"""Share of account takeovers before which the address is changed."""
RAISED: Final = 0.4
"""Share of them before which a limit is raised, too."""
MOVED: Final = 0.1
"""Share of the entities whose address changes honestly within 120 days; as many get another limit."""
EPISODE_US: Final = 3 * DAY_US
"""Takeovers of one entity that lie further apart are two."""
LIMITS: Final = np.array([500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0])
_CONTACT: Final = ("address", "phone", "email")
_SEGMENTS: Final = ("retail", "student", "premium")
_CLASSES: Final = ("low", "medium", "high")
Told = tuple[int, dict[str, Any]]
"""A time, and what is told then."""


def profiles_table(data: DataSet, made: pa.Table, settings: GeneratorSettings, schema: Schema) -> pa.Table:
    """Make the profiles of the entities that have any, by profile_time.

    Parameters
    ----------
    data
        In the packaged schema's columns.
    made
        The same transactions in the schema's columns.
    """
    rng = np.random.default_rng([settings.seed, 15])
    world = _World(data, settings)
    keys = dict(zip((one.name for one in schema.entities), schema.keys, strict=True))
    rows: list[tuple[Any, ...]] = []
    for entity, fields in schema.profiles:
        names = [field.name for field in keys[entity]]
        for key, found in _rows_of(made, names).items():
            whose = [dict(zip(names, key, strict=True)).get(name) for name in schema.key_names]
            for time_us, told in _history(rng, world, fields, np.array(found)):
                at = datetime.fromtimestamp(time_us / 1e6, UTC)
                rows.append((entity, *whose, at, json.dumps(told, sort_keys=True)))
    names = [COLUMNS[0], *schema.key_names, *COLUMNS[1:]]
    types = [TIME if name == COLUMNS[1] else pa.string() for name in names]
    columns = [[row[at] for row in rows] for at in range(len(names))]
    table = pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names=names
    )
    return table.sort_by(COLUMNS[1])


@dataclass(frozen=True)
class _World:
    """What is known of the rows."""

    data: DataSet
    settings: GeneratorSettings

    @cached_property
    def time_us(self) -> NDArray[np.int64]:
        return np.asarray(self.data.transactions["event_time"].cast(pa.int64()).to_numpy(), np.int64)

    @cached_property
    def amount(self) -> NDArray[np.float64]:
        found = np.asarray(self.data.transactions["amount"].to_numpy(), np.float64).copy()
        found[of_patterns(self.data)[0]] = np.nan
        return found

    @cached_property
    def is_takeover(self) -> NDArray[np.bool_]:
        names = self.data.patterns
        taken = names["transaction_id"].filter(pc.equal(names["pattern"], "account_takeover"))
        ids = self.data.transactions["transaction_id"]
        return np.asarray(pc.is_in(ids, value_set=taken.combine_chunks()).to_numpy(), np.bool_)

    @cached_property
    def users(self) -> dict[str, dict[str, Any]]:
        return {row["user_id"]: row for row in self.data.users.to_pylist()}

    @cached_property
    def user(self) -> list[str]:
        found: list[str] = self.data.transactions["user_id"].to_pylist()
        return found

    @cached_property
    def category(self) -> list[str | None]:
        found: list[str | None] = self.data.transactions["category"].to_pylist()
        return found


def _rows_of(made: pa.Table, names: list[str]) -> dict[tuple[str, ...], list[int]]:
    found: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*(made[name].to_pylist() for name in names), strict=True)):
        if None not in key:
            found.setdefault(key, []).append(row)
    return found


def _history(
    rng: Generator, world: _World, fields: tuple[Field, ...], rows: NDArray[np.int64]
) -> Iterator[Told]:
    """Make the profiles of one entity: the first one, its honest changes, and those of a takeover."""
    start = world.settings.start_us
    first: dict[str, Any] = {}
    for field in fields:
        values = _value(rng, world, field, rows)
        first |= dict(zip(field.names, values, strict=True))
    yield start, first
    contact = [field.name for field in fields if any(word in field.name for word in _CONTACT)]
    limits = [field.name for field in fields if field.type is FieldType.NUMBER and "limit" in field.name]
    chance = MOVED * world.settings.days / 120
    for names, change in ((contact, _another), (limits, _doubled)):
        if names and rng.random() < chance:
            yield start + int(rng.integers(world.settings.span_us)), change(rng, first, names)
    for time_us in _takeovers(world, rows):
        if contact and rng.random() < TAKEN_OVER:
            before = int(rng.integers(HOUR_US // 6, 20 * HOUR_US))
            raised = _doubled(rng, first, limits) if rng.random() < RAISED else {}
            yield max(start + 1, time_us - before), _another(rng, first, contact) | raised


def _takeovers(world: _World, rows: NDArray[np.int64]) -> list[int]:
    """Find when an entity is taken over: the first purchase of each time."""
    times = np.sort(world.time_us[rows[world.is_takeover[rows]]])
    begins = np.ones(len(times), np.bool_)
    begins[1:] = np.diff(times) > EPISODE_US
    return [int(time) for time in times[begins]]


def _another(rng: Generator, _first: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: f"{name[:1]}-{int(rng.integers(1 << 40)):010x}" for name in names}


def _doubled(_rng: Generator, first: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: 2.0 * first[name] for name in names}


def _value(rng: Generator, world: _World, field: Field, rows: NDArray[np.int64]) -> tuple[Any, ...]:
    """Make the first value of a field; a place has two."""
    user = world.users[world.user[rows[0]]]
    if field.type is FieldType.PLACE:
        return user["home_latitude"], user["home_longitude"]
    make = next((make for word, make in _BY_WORD.items() if word in field.name), None)
    return ((make or _BY_TYPE[field.type])(rng, world, rows, user),)


def _limit(_rng: Generator, world: _World, rows: NDArray[np.int64], _user: dict[str, Any]) -> float:
    amounts = world.amount[rows]
    spent = float(np.nanmean(amounts)) if not np.isnan(amounts).all() else 50.0
    return float(LIMITS[np.argmin(np.abs(LIMITS - 12.0 * spent))])


def _risk(_rng: Generator, world: _World, rows: NDArray[np.int64], _user: dict[str, Any]) -> str:
    risk = {one.name: one.risk for one in CATEGORIES}.get(world.category[rows[0]] or "", 1.0)
    return _CLASSES[int(np.digitize(risk, [0.9, 1.5]))]


def _since(rng: Generator, world: _World, _rows: NDArray[np.int64], _user: dict[str, Any]) -> str:
    return (world.settings.start.astimezone(UTC) - timedelta(days=int(rng.integers(1, 2_000)))).isoformat()


Maker = Callable[[Generator, _World, NDArray[np.int64], dict[str, Any]], Any]
_BY_WORD: Final[dict[str, Maker]] = {
    "limit": _limit,
    "risk": _risk,
    "country": lambda _rng, _world, _rows, user: user["country"],
    "segment": lambda rng, _world, _rows, _user: _SEGMENTS[int(rng.integers(len(_SEGMENTS)))],
    "mcc": lambda _rng, world, rows, _user: world.category[rows[0]] or "other",
}
_BY_TYPE: Final[dict[FieldType, Maker]] = {
    **dict.fromkeys(
        (FieldType.KEY, FieldType.CATEGORY),
        lambda rng, _world, _rows, _user: f"v-{int(rng.integers(1 << 40)):010x}",
    ),
    FieldType.NUMBER: _limit,
    FieldType.FLAG: lambda rng, _world, _rows, _user: bool(rng.random() < 0.5),
    FieldType.TIME: _since,
    FieldType.ZONE: lambda _rng, _world, _rows, user: ZONES.get(user["country"], "UTC"),
}
