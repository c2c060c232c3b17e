"""Reads a table of an entity's profiles, a row each, as records of the topic ``profiles``."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
from pydantic import ValidationError

from fraud.contracts import Profile, contracts_of
from fraud.contracts.future import bounds_of, check_future
from fraud.errors import BadInput, BadRecord
from fraud.schema.arrow import TIME, columns_of
from fraud.schema.profiles import COLUMNS, ENTITY, PROFILE
from fraud.schema.profiles import TIME as PROFILE_TIME
from fraud.schema.schema import Schema
from fraud.settings.names import suggest
from fraud.tables import open_source

_SOURCE: Final = "source"


def read_profiles(
    path: Path, entity: str, schema: Schema, *, source: str = "", now: datetime | None = None
) -> list[Profile]:
    """Read and check a whole table; nothing is left out.

    Parameters
    ----------
    path
        CSV, JSON lines, Parquet or Delta: the entity's key, the fields of its profile under the schema's
        names (others are not read), and ``profile_time`` where the rows tell it. A value that is missing is
        not told. A table of the platform (columns ``entity`` and ``profile``) is read as it is.
    entity
        Whose profiles they are; empty: the table says.
    source
        Kept with each profile.
    now
        The time of rows that tell none; by default this moment.

    Raises
    ------
    BadInput
        When the entity has no profile, a column is absent, or a row is refused; names the row and the value.
    """
    model = contracts_of(schema).profile
    if model is None:
        words = "write which in its part `profiles`, e.g. profiles: {card: {home: {type: place}}}"
        raise BadInput(f"the schema {schema.name!r} takes no profiles; {words}")
    now = now or datetime.now(UTC)
    bounds = bounds_of(schema)
    rows = _flat(path, entity, schema) if entity else _whole(path, schema)
    found = []
    for number, row in enumerate(rows, 1):
        given = {PROFILE_TIME: now, **({_SOURCE: source} if source else {}), **row}
        try:
            found.append(model.model_validate(given))
            check_future(found[-1], now, bounds)
        except (ValidationError, BadRecord) as error:
            raise BadInput(f"{path}, row {number:,}: {_words(error)}") from error
    return found


def table_of(profiles: Sequence[Profile], schema: Schema) -> pa.Table:
    """Make the platform's table of profiles: entity, keys, time, the values as JSON."""
    names = (ENTITY, *schema.key_names, PROFILE_TIME, PROFILE, _SOURCE)
    types = [TIME if name == PROFILE_TIME else pa.string() for name in names]
    columns = [
        pa.array([getattr(one, name) for one in profiles], kind)
        for name, kind in zip(names, types, strict=True)
    ]
    return pa.table(columns, names=list(names))


def _flat(path: Path, entity: str, schema: Schema) -> Iterator[dict[str, Any]]:
    fields = dict(schema.profiles).get(entity)
    if fields is None:
        known = [name for name, _ in schema.profiles]
        raise BadInput(f"the entity {entity!r} has no profile; {suggest(entity, known)}")
    keys = next(
        [field.name for field in of]
        for one, of in zip(schema.entities, schema.keys, strict=True)
        if one.name == entity
    )
    also = {column.name: column.type for field in fields for column in columns_of(field)}
    table = open_source("profiles", path, required=keys, also=also, schema=schema).table()
    told = [name for name in also if name in table.column_names]
    if not told:
        raise BadInput(f"{path} has no column of the profile; name its columns {', '.join(also)}")
    for row in table.to_pylist():
        values = {name: row[name] for name in told if row[name] is not None}
        if values:
            text = orjson.dumps(values).decode()
            of_time = {PROFILE_TIME: row[PROFILE_TIME]} if row.get(PROFILE_TIME) else {}
            yield {ENTITY: entity, **{name: row[name] for name in keys}, PROFILE: text, **of_time}


def _whole(path: Path, schema: Schema) -> Iterator[dict[str, Any]]:
    table = open_source("profiles", path, required=list(COLUMNS), schema=schema).table()
    for row in table.to_pylist():
        yield {name: value for name, value in row.items() if value is not None}


def _words(error: ValidationError | BadRecord) -> str:
    if isinstance(error, BadRecord):
        return error.detail
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "record"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"
