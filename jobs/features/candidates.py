"""Features that a schema could have and has not: entity x window x statistic, each as a line of the file."""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from fraud.errors import BadConfig, BadInput
from fraud.schema.fields import FieldType
from fraud.schema.reading import parse_schema
from fraud.schema.schema import Schema
from fraud.settings.definition import read_yaml

WINDOWS: Final = ("10m", "1h", "24h", "7d", "30d", "90d")
_SUMS: Final = ("count", "sum", "mean", "std", "max", "zscore", "fraud_share")
_LONG: Final = ("7d", "30d", "90d")
_PAIRS: Final = (("1h", "7d"), ("24h", "30d"), ("7d", "90d"))
_COUNTED: Final = 4
"""Fields whose different values are counted, and numbers that are summed, of each entity."""

_TOP: Final = re.compile(r"[A-Za-z]")
"""Beginning of a line that is a key of the file itself."""

Line = dict[str, Any]


def candidates(schema: Schema) -> dict[str, Line]:
    """List the lines of one feature each that the schema allows and does not have, by the features' names."""
    found: dict[str, Line] = {}
    for line in _all(schema):
        name = _name_of(schema, line)
        if name:
            found.setdefault(name, line)
    return found


def extended(schema: Schema, lines: list[Line]) -> Schema:
    """Make the schema with further features; its fields, entities and filters stay.

    Raises
    ------
    BadConfig
        When a line is none that the schema allows.
    """
    raw, name = schema.source
    content, _ = read_yaml(raw, name)
    content = {**content, "features": [*content["features"], *lines]}
    text = yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return parse_schema(text.encode(), name)


def with_lines(schema: Schema, lines: list[Line]) -> str:
    """Write the schema's file with further lines at the end of its features; comments and order stay.

    Raises
    ------
    BadInput
        When the file's features are not a list of lines.
    """
    raw, name = schema.source
    rows = raw.decode().splitlines()
    start = next((at for at, row in enumerate(rows) if row.rstrip() == "features:"), None)
    if start is None:
        raise BadInput(f"{name} has no line `features:`; add the lines by hand")
    end = next((at for at in range(start + 1, len(rows)) if _TOP.match(rows[at])), len(rows))
    while not rows[end - 1].strip() or rows[end - 1].lstrip().startswith("#"):
        end -= 1
    item = next(row for row in rows[start + 1 : end] if row.lstrip().startswith("-"))
    indent = item[: len(item) - len(item.lstrip())]
    text = "\n".join([*rows[:end], *(f"{indent}{line_text(line)}" for line in lines), *rows[end:]]) + "\n"
    parse_schema(text.encode(), name)
    return text


def line_text(line: Line) -> str:
    """Write a line as it is in the file.

    Examples
    --------
    >>> line_text({"statistic": "count", "entity": "user", "window": "90d"})
    '- {statistic: count, entity: user, window: 90d}'
    """
    text = yaml.safe_dump(line, default_flow_style=True, sort_keys=False, width=10_000)
    return f"- {text.strip()}"


def _name_of(schema: Schema, line: Line) -> str:
    """Name the feature of a line; empty where the schema does not allow it, or has it."""
    try:
        made = extended(schema, [line])
    except BadConfig:
        return ""
    new = set(made.feature_names) - set(schema.feature_names)
    return next(iter(new), "")


def _all(schema: Schema) -> Iterator[Line]:
    for entity, keys in zip(schema.entities, schema.keys, strict=True):
        for side in entity.side_names:
            of = {"entity": entity.name, **({"side": side} if side else {})}
            own = set() if side else {field.name for field in keys}
            yield from _of_entity(schema, of, own)


def _of_entity(schema: Schema, of: Line, own: set[str]) -> Iterator[Line]:
    yield from _of_windows(of)
    named = [field.name for field in schema.own(FieldType.KEY, FieldType.CATEGORY) if field.name not in own]
    for name in named[:_COUNTED]:
        for window in ("1h", "24h", "7d"):
            yield {"statistic": "distinct", **of, "field": name, "window": window}
        yield {"statistic": "is_first", **of, "field": name}
        yield {"statistic": "is_last", **of, "field": name}
    for field in schema.own(FieldType.NUMBER)[:_COUNTED]:
        for statistic in ("mean", "max", "zscore"):
            yield {"statistic": statistic, **of, "value": field.name, "window": "30d"}


def _of_windows(of: Line) -> Iterator[Line]:
    for window in WINDOWS:
        for statistic in _SUMS:
            yield {"statistic": statistic, **of, "window": window}
    for window in _LONG:
        yield {"statistic": "median", **of, "window": window}
        yield {"statistic": "hour_deviation", **of, "window": window}
        yield {"statistic": "fraud_run", **of, "window": window}
    for window in _LONG[1:]:
        yield {"statistic": "ripe_fraud_share", **of, "window": window, "base": "7d"}
    for window in ("24h", *_LONG[:2]):
        yield {"statistic": "deviations", **of, "window": window, "base": "30d"}
    for statistic in ("fraud_streak", "since_streak", "since_honest"):
        yield {"statistic": statistic, **of, "base": "7d"}
    for window, base in _PAIRS:
        yield {"statistic": "velocity", **of, "window": window, "base": base}
        yield {"statistic": "trend", **of, "window": window, "base": base}
    for window in ("1h", "24h"):
        yield {"statistic": "same_amount", **of, "window": window}
    for statistic in ("since_last", "since_fraud", "distance_last", "speed_last"):
        yield {"statistic": statistic, **of}
    yield {"statistic": "distance_usual", **of, "window": "30d"}
