"""The part `fields` of a schema's file, the part `profiles`, whose fields are alike, and `future`."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter
from pydantic_core import SchemaError

from fraud.schema.expressions import check_zone
from fraud.schema.fields import CORE_NAMES, NAMED, RESERVED, Field, FieldType
from fraud.schema.future import SourceBounds
from fraud.schema.profiles import COLUMNS as COLUMNS_OF_PROFILES
from fraud.schema.profiles import PROFILED
from fraud.schema.reading.document import Document, FieldPart, FuturePart
from fraud.schema.reading.wrong import BadPart, Where, known_name, of_type


def read_field(name: str, part: FieldPart, place: Where = ()) -> Field:
    """Read a field; ``place`` is where it stands, if not in the part `fields`."""
    where = tuple(place) or ("fields", name)
    if name in CORE_NAMES and not place:
        raise BadPart(where, "every schema has this field; leave it out")
    if part.scale and part.type is not FieldType.NUMBER:
        raise BadPart((*where, "scale"), f"a {part.type} has no decimals; leave it out")
    if part.columns and (part.type is not FieldType.PLACE or len(part.columns) != 2):
        raise BadPart((*where, "columns"), "a place has two columns, its latitude and its longitude")
    if part.default and part.type is not FieldType.ZONE:
        raise BadPart((*where, "default"), f"a {part.type} has no default; leave it out")
    if part.default and (wrong := check_zone(part.default)):
        raise BadPart((*where, "default"), wrong)
    if wrong := _wrong_pattern(part.pattern):
        raise BadPart((*where, "pattern"), wrong)
    return Field(
        name=name,
        type=part.type,
        required=part.required,
        description=part.description,
        scale=part.scale,
        longest=part.longest,
        pattern=part.pattern,
        columns=tuple(part.columns),
        personal=part.personal,
        examples=tuple(part.examples),
        default=part.default,
    )


def _wrong_pattern(pattern: str) -> str:
    """Say why a pattern cannot be used: this reader and the contracts each have an engine of their own."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"no regular expression: {error}"
    try:
        TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except SchemaError as error:
        why = str(error).splitlines()[-1].strip()
        return f"records cannot be checked by it ({why}); write it without look-around and references"
    return ""


def check_columns(declared: Iterable[Field]) -> None:
    """Refuse fields that the tables or the features could not tell apart."""
    taken = dict.fromkeys(CORE_NAMES, "the core") | dict.fromkeys(RESERVED, "the platform")
    words: dict[str, str] = {}
    zones = [field.name for field in declared if field.type is FieldType.ZONE]
    if len(zones) > 1:
        raise BadPart(("fields", zones[1]), f"{zones[0]} is the transaction's zone already; leave one out")
    for field in declared:
        for name in field.names:
            if name in taken:
                raise BadPart(
                    ("fields", field.name), f"{name} is a column of {taken[name]}; rename the field"
                )
            taken[name] = field.name
        if field.word in words:
            raise BadPart(
                ("fields", field.name),
                f"features would call it {field.word}, as {words[field.word]}; rename one of them",
            )
        words[field.word] = field.name


def read_profiles(document: Document, fields: dict[str, Field]) -> dict[str, dict[str, Field]]:
    """Read what is known of the entities, by entity and name."""
    for name in COLUMNS_OF_PROFILES if document.profiles else ():
        if any(name in field.names for field in fields.values()):
            raise BadPart(("fields", name), f"{name} is a column of the profiles; rename the field")
    found: dict[str, dict[str, Field]] = {}
    for entity, parts in document.profiles.items():
        where = ("profiles", entity)
        known_name(entity, document.entities, where, "entity")
        if document.entities[entity].sides:
            raise BadPart(where, f"{entity} has two sides; write the profile of an entity with a key")
        if not parts:
            raise BadPart(where, "a profile needs at least one field; write one, e.g. home: {type: place}")
        found[entity] = {}
        for name, part in parts.items():
            if part.type not in PROFILED:
                words = f"a profile has no {part.type}; write {', '.join(sorted(PROFILED))}"
                raise BadPart((*where, name, "type"), words)
            given = FieldPart.model_validate(part.model_dump())
            found[entity][name] = read_field(name, given, (*where, name))
        _check_zone(document, entity, found[entity], fields)
        names = [column for field in found[entity].values() for column in field.names]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            raise BadPart(where, f"the profile has two columns {twice}; rename one of them")
    return found


def _check_zone(document: Document, entity: str, profile: dict[str, Field], fields: dict[str, Field]) -> None:
    """Refuse a zone of a profile that no transaction could get."""
    zones = [name for name, field in profile.items() if field.type is FieldType.ZONE]
    where = ("profiles", entity, *zones[-1:])
    if zones and not document.entities[entity].primary:
        raise BadPart(where, f"{entity} is not the primary entity; only its profile may have a zone")
    if len(zones) > 1:
        raise BadPart(where, f"{zones[0]} is the profile's zone already; leave one out")
    if zones and not zone_of(fields):
        words = "the transactions have no zone; write a field of type zone, which records may leave out"
        raise BadPart(where, words)


def read_future(part: FuturePart | None, declared: dict[str, Field]) -> SourceBounds | None:
    """Read the bounds by source; refuses a source that the field cannot name."""
    if part is None:
        return None
    if part.by in CORE_NAMES:
        raise BadPart(("future", "by"), f"{part.by} names no source; write a key or category of your own")
    field = of_type(part.by, declared, NAMED, ("future", "by"))
    for value in part.most_ahead_s:
        where = ("future", "most_ahead_s", value)
        if not 1 <= len(value) <= field.longest:
            raise BadPart(where, f"a {field.name} has 1 to {field.longest} characters")
        if field.pattern and not re.fullmatch(field.pattern, value):
            raise BadPart(where, f"a {field.name} must match the pattern {field.pattern}")
    return SourceBounds(field.name, tuple(sorted(part.most_ahead_s.items())))


def zone_of(fields: dict[str, Field]) -> str:
    """Name the field that says which clocks a transaction's place has; empty where none does."""
    return next((field.name for field in fields.values() if field.type is FieldType.ZONE), "")


def clock_of(fields: dict[str, Field], profiles: dict[str, dict[str, Field]]) -> str:
    """Say whose clocks local time is of; empty: UTC."""
    name = zone_of(fields)
    told = [f"the profile's {one}" for of in profiles.values() if (one := zone_of(of))]
    default = [fields[name].default] if name and fields[name].default else []
    return ", else ".join([name, *told, *default])
