"""Writes what was found as a schema's file: fields, entities, first features, the ``source:`` part."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import yaml

from fraud.schema.expressions import Column, columns_of, parse_expression
from fraud.schema.fields import CORE_NAMES, FieldType
from fraud.schema.source import Join, Reading
from jobs.init import names
from jobs.init.fields import scale_of
from jobs.init.guess import ColumnGuess, Guess

_KEYS: Final = {
    "user_id": "user",
    "merchant_id": "merchant",
    "device_id": "device",
    "account_id": "account",
    "ip": "ip",
    "email": "email",
}
"""Fields that name an entity, and the entity."""
_LEAST_ROWS: Final = 1.2
"""Rows of each key, below which an entity has no history."""
_TOO_FEW: Final = 1_000
"""Rows that do not tell whether there is one."""
_OTHERS: Final = 5
"""Numbers that get features of the history."""


def schema_text(guess: Guess, name: str) -> str:
    """Write the schema's file."""
    fields = {one.our: one for one in guess.found.values() if one.type is not None}
    entities = dict(_entities(guess, fields))
    parts = [
        f"# Written by `fraud init` from {name}; `fraud schema check` checks a change.",
        "format: 1",
        f"name: {_scalar(name[:64])}",
        "fields:",
        *_field_lines(guess, fields, entities),
        "entities:",
        *(f"  {entity}: {_flow(part)}" for entity, part in entities.items()),
        "features:",
        *(
            f"  - {_flow(feature) if isinstance(feature, dict) else feature}"
            for feature in _features(guess, fields, entities)
        ),
        "new: count_30d_by_user",
        *_segments(fields),
        "source:",
        *_source_lines(guess),
    ]
    return "\n".join(parts) + "\n"


def _field_lines(
    guess: Guess, fields: Mapping[str, ColumnGuess], entities: Mapping[str, Any]
) -> Iterator[str]:
    places = {"latitude": "place", "home_latitude": "home"}
    keys = {part["key"] for part in entities.values()}
    for our, one in fields.items():
        if our in CORE_NAMES or our.endswith("longitude"):
            continue
        if our in places:
            longitude = our.replace("latitude", "longitude")
            yield f"  {places[our]}: {_flow({'type': 'place', 'columns': [our, longitude]})}"
            continue
        part: dict[str, Any] = {"type": "key" if our in keys else str(one.type)}
        if our == "user_id":
            part["required"] = True
        if one.type is FieldType.NUMBER and our not in keys:
            scale = _scale(guess, one)
            part |= {"scale": scale} if scale else {}
        if our in {"user_id", "email", "ip", "device_id"} or names.PERSONAL & {*names.words(our)}:
            part["personal"] = True
        yield f"  {our}: {_flow(part)}"


def _scale(guess: Guess, one: ColumnGuess) -> int:
    expression = parse_expression(one.text)
    read = [guess.look.columns[name] for name in columns_of(expression)]
    inner = expression if isinstance(expression, Column) else getattr(expression, "arguments", [None])[0]
    is_plain = isinstance(inner, Column) and len(read) == 1
    return (scale_of(read[0]) or 0) if is_plain else 2


def _entities(guess: Guess, fields: Mapping[str, ColumnGuess]) -> Iterator[tuple[str, dict[str, Any]]]:
    is_placed = "latitude" in fields
    remembered = [
        our
        for our, one in fields.items()
        if our != "user_id" and one.type in {FieldType.KEY, FieldType.CATEGORY}
    ]
    for our, entity in _KEYS.items():
        if our not in fields or (our != "user_id" and not _has_history(guess, fields[our])):
            continue
        part: dict[str, Any] = {"key": our}
        if our == "user_id":
            part |= {"primary": True, "events": 512}
            part |= {"place": "place"} if is_placed else {}
            part |= {"remember": dict.fromkeys(remembered[:6], 64)} if remembered else {}
        yield entity, part


def _has_history(guess: Guess, one: ColumnGuess) -> bool:
    expression = parse_expression(one.text)
    if not isinstance(expression, Column):
        return True
    seen = guess.look.columns[expression.name]
    if len(seen.present) < _TOO_FEW:
        return True
    return len(seen.present) / max(1, seen.distinct) >= _LEAST_ROWS


def _features(guess: Guess, fields: Mapping[str, ColumnGuess], entities: Mapping[str, Any]) -> Iterator[Any]:
    of_type = {kind: [our for our, one in fields.items() if one.type is kind] for kind in FieldType}
    keys = {part["key"] for part in entities.values()}
    categories = [our for our in of_type[FieldType.CATEGORY] if our not in keys and our != "currency"]
    numbers = [our for our in (*of_type[FieldType.NUMBER], *of_type[FieldType.FLAG]) if our not in keys]
    yield "amount"
    yield from ["hour", "weekday"] if _has_hours(guess) else ["weekday"]
    if categories:
        yield {"statistic": "bucket", "field": categories}
    for our in numbers:
        yield {"statistic": "number", "value": our}
    if of_type[FieldType.TIME]:
        yield {"statistic": "age", "field": of_type[FieldType.TIME]}
    yield from _of_user(fields, entities, categories)
    for our in [one for one in of_type[FieldType.NUMBER] if one not in keys][:_OTHERS]:
        yield {"statistic": ["mean", "zscore"], "entity": "user", "value": our, "window": "30d"}
    for entity in entities:
        if entity != "user":
            yield from _of_other(entity)


def _of_user(
    fields: Mapping[str, ColumnGuess], entities: Mapping[str, Any], categories: list[str]
) -> Iterator[Any]:
    user = {"entity": "user"}
    yield {"statistic": ["count", "sum", "mean", "max"], **user, "window": ["1h", "24h", "7d", "30d"]}
    yield {"statistic": ["std", "zscore"], **user, "window": ["7d", "30d"]}
    yield {"statistic": "deviations", **user, "window": ["24h", "7d", "30d"], "base": "30d"}
    yield {"statistic": "velocity", **user, "window": "24h", "base": "30d"}
    yield {"statistic": "since_last", **user}
    yield {"statistic": "hour_deviation", **user, "window": "30d"}
    yield {"statistic": "same_amount", **user, "window": "24h"}
    counted = [part["key"] for entity, part in entities.items() if entity != "user"] + categories[:3]
    if counted:
        yield {"statistic": "distinct", **user, "field": counted, "window": ["24h", "7d"]}
        yield {"statistic": "is_first", **user, "field": counted}
    if "latitude" in fields:
        yield {"statistic": ["distance_last", "speed_last"], **user}
        yield {"statistic": "distance_usual", **user, "window": "30d"}
    if {"latitude", "home_latitude"} <= set(fields):
        yield "distance_home"
    yield {"statistic": "fraud_share", **user, "window": ["7d", "30d"]}
    yield {"statistic": ["since_fraud"], **user}


def _of_other(entity: str) -> Iterator[Any]:
    yield {"statistic": ["count", "mean"], "entity": entity, "window": ["1h", "24h", "7d"]}
    yield {"statistic": "zscore", "entity": entity, "window": "7d"}
    yield {"statistic": "distinct", "entity": entity, "field": "user_id", "window": ["24h", "7d"]}
    yield {"statistic": "fraud_share", "entity": entity, "window": ["7d", "30d"]}
    yield {"statistic": "ripe_fraud_share", "entity": entity, "window": "30d", "base": "7d"}
    yield {"statistic": ["fraud_streak", "since_streak", "since_honest"], "entity": entity, "base": "7d"}


def _has_hours(guess: Guess) -> bool:
    return "no time of the day" not in guess.found["event_time"].why


def _segments(fields: Mapping[str, ColumnGuess]) -> Iterator[str]:
    found = [our for our in ("category", "channel", "country") if our in fields]
    if found:
        yield f"segments: {_flow(found)}"


def _source_lines(guess: Guess) -> Iterator[str]:
    if guess.look.joins:
        yield "  joins:"
        yield from (f"    - {_flow(_join(one))}" for one in guess.look.joins)
    yield "  columns:"
    for our, one in guess.found.items():
        yield f"    {our}: {_scalar(one.text)}"
    reading = _reading(guess)
    if reading:
        yield "  read:"
        for name, value in reading.items():
            yield f"    {name}: {_flow(value) if isinstance(value, dict) else _scalar(value)}"


def _join(join: Join) -> dict[str, str]:
    return {"table": join.table, "by": join.by, **({"key": join.key} if join.key != join.by else {})}


def _reading(guess: Guess) -> dict[str, Any]:
    """Write what the file's texts mean, as found and as said."""
    usual = Reading().model_dump()
    said = {name: value for name, value in guess.reading.model_dump().items() if value != usual[name]}
    found = {"separator": guess.look.separator, "encoding": guess.look.encoding}
    return {**{name: value for name, value in found.items() if value}, **said}


def _flow(value: Any) -> str:
    """Write a value of YAML in one line."""
    if isinstance(value, np.generic):
        value = value.item()
    return (
        str(yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True))
        .strip()
        .removesuffix("\n...")
        .strip()
    )


def _scalar(value: str) -> str:
    return _flow(value)
