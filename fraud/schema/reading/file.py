"""From the bytes of a schema's file to the schema; errors name the line and the column."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fraud.errors import BadConfig
from fraud.money import Money, digits_of, exact_amount, to_minor
from fraud.money.money import MOST_BASE, MOST_MINOR, Bounds
from fraud.schema.expressions import BadExpression, parse_expression
from fraud.schema.features import Feature
from fraud.schema.fields import AMOUNT_BASE, AMOUNT_MINOR, CORE, NAMED, Field, FieldType
from fraud.schema.filters import Filter
from fraud.schema.operations import COMBINED
from fraud.schema.profiles import bare
from fraud.schema.reading.document import (
    PATTERNS,
    BoundsPart,
    Document,
    MoneyPart,
    SourcePart,
)
from fraud.schema.reading.entities import read_entities, with_results
from fraud.schema.reading.features import check_feature_names, feature_of, uses_of, with_profiles
from fraud.schema.reading.fields import check_columns, clock_of, read_field, read_future, read_profiles
from fraud.schema.reading.filters import OF_RESULTS, check_results, filter_of_result, read_filter
from fraud.schema.reading.keys import check_names, key_of, primary_first
from fraud.schema.reading.wrong import BadPart, known_name, of_type
from fraud.schema.schema import Fallback, Schema
from fraud.schema.sides import IN, SIDE
from fraud.schema.source import ARRIVAL_COLUMNS, LABEL_COLUMNS, Join, TableSource
from fraud.settings.definition import first_of, in_words, place_of, read_yaml

DEFAULT: Final = Path(__file__).parent.parent / "default.yaml"


def default_schema() -> Schema:
    """Read the packaged schema, once a process."""
    return parse_schema(DEFAULT.read_bytes(), DEFAULT.name)


def read_schema(file: Path | None) -> Schema:
    """Read a deployment's schema; the packaged one where there is no file of its own.

    Raises
    ------
    BadConfig
        When the file cannot be read, or something in it is wrong: ``file:line:column: where: what``.
    """
    if file is None:
        return default_schema()
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadConfig(f"the schema {file} cannot be read: {error.strerror}") from error
    return parse_schema(raw, str(file))


@lru_cache(maxsize=64)
def parse_schema(raw: bytes, name: str) -> Schema:
    """Read a schema's bytes; the same bytes give the same object.

    Parameters
    ----------
    raw
        YAML.
    name
        Of the file, for messages.

    Raises
    ------
    BadConfig
        ``file:line:column: where: what is wrong; what to write instead``.
    """
    content, tree = read_yaml(raw, name)
    try:
        return _schema(_document(content), (raw, name))
    except BadPart as wrong:
        line, column = place_of(tree, wrong.where)
        where = ".".join(map(str, wrong.where)) or "file"
        raise BadConfig(f"{name}:{line}:{column}: {where}: {wrong.words}") from wrong


def _document(content: Any) -> Document:
    try:
        return Document.model_validate(content)
    except ValidationError as error:
        first = first_of(error)
        raise BadPart([part for part in first["loc"] if part != "[key]"], _in_words(first)) from error


def _in_words(error: Any) -> str:
    """Say pydantic's error with what may stand there."""
    if error["type"] == "string_type" and isinstance(error["input"], list):
        listed = ", ".join(map(str, error["input"]))
        return f"write one name here, not the list {listed}; or write a line of its own for each"
    if error["type"] == "string_pattern_mismatch" and (words := PATTERNS.get(error["ctx"]["pattern"])):
        return f"{error['input'][:60]!r} is {words}"
    return in_words(error, Document)


def _schema(document: Document, source: tuple[bytes, str]) -> Schema:
    declared = tuple(read_field(name, part) for name, part in document.fields.items())
    check_columns(declared)
    fields = {field.name: field for field in (*CORE, *declared)}
    money = _money(document.money)
    results = tuple(dict.fromkeys(document.results))
    check_results(document, fields)
    profiles = read_profiles(document, fields)
    parts = primary_first(document.entities)
    keys = tuple(key_of(name, part, fields) for name, part in parts.items())
    check_names(parts, fields)
    filters = _filters(document, fields, money, results)
    uses = [
        one
        for at, part in enumerate(document.features)
        for use in uses_of(at, part, parts, fields | (_IN_MINOR if money else {}), filters)
        for one in with_profiles(use, profiles, fields)
    ]
    entities = read_entities(parts, fields, uses)
    if results:
        entities = {name: with_results(one, parts[name], uses, filters) for name, one in entities.items()}
    for name, own in profiles.items():
        entities[name] = replace(entities[name], profile=bare(tuple(own.values())))
    made = [feature_of(use, entities, clock_of(fields, profiles), money) for use in uses]
    names, order = check_feature_names(uses, made), list(parts)
    return Schema(
        name=document.name,
        declared=declared,
        keys=keys,
        entities=tuple(entities.values()),
        features=tuple(sorted(made, key=lambda feature: _rank(feature, order))),
        filters=filters,
        fallback=_fallback(document, names),
        new=known_name(document.new, names, ("new",), "feature") if document.new else "",
        segments=tuple(
            of_type(name, fields, NAMED, ("segments", at)).name for at, name in enumerate(document.segments)
        ),
        tables=_tables(document.source, fields) if document.source else None,
        source=source,
        remake=parse_schema,
        money=money,
        results=results,
        profiles=tuple((name, tuple(profiles[name].values())) for name in parts if name in profiles),
        future=read_future(document.future, {field.name: field for field in declared}),
    )


def _filters(
    document: Document, fields: dict[str, Field], money: Money | None, results: Sequence[str]
) -> tuple[Filter, ...]:
    """Read the declared filters, each on each side that it can be asked of; every result is a filter, too."""
    read = fields | (_IN_BASE if money else {}) | (OF_RESULTS if results else {})
    read |= _OF_SIDES if any(part.sides for part in document.entities.values()) else {}
    declared = [read_filter(name, text, read, results) for name, text in document.filters.items()]
    found = tuple(one for declared_one in declared for one in declared_one.on_each_side())
    return found + tuple(map(filter_of_result, results))


def _fallback(document: Document, names: Sequence[str]) -> tuple[Fallback, ...]:
    return tuple(
        Fallback(known_name(one.feature, names, ("fallback", at, "feature"), "feature"), one.at_least)
        for at, one in enumerate(document.fallback)
    )


_IN_BASE: Final = {AMOUNT_BASE: Field(AMOUNT_BASE, FieldType.NUMBER)}
_OF_SIDES: Final = {SIDE: Field(SIDE, FieldType.CATEGORY)}
_IN_MINOR: Final = {AMOUNT_MINOR: Field(AMOUNT_MINOR, FieldType.NUMBER)}
"""What filters and features may read besides the fields, where there is money."""


def _money(part: MoneyPart | None) -> Money | None:
    if part is None:
        return None
    bounds = tuple(_bounds(currency, one) for currency, one in sorted(part.bounds.items()))
    money, where = Money(part.base, part.unknown, part.most, bounds), ("money", "base")
    if digits_of(part.base) is None:
        raise BadPart(where, f"{part.base} is no currency of ISO 4217 that has amounts; write e.g. USD")
    if money.most * money.unit > MOST_MINOR:
        most = MOST_MINOR // money.unit
        if part.most == MOST_BASE:
            return replace(money, most=most)
        raise BadPart(("money", "most"), f"{most:,} {part.base} is the greatest amount whose sums stay exact")
    return money


def _bounds(currency: str, part: BoundsPart) -> Bounds:
    where, digits = ("money", "bounds", currency), digits_of(currency)
    if digits is None:
        raise BadPart(where, f"{currency} is no currency of ISO 4217 that has amounts; write e.g. KWD")
    found: dict[str, int] = {}
    for name, amount in (("least", part.least), ("most", part.most)):
        try:
            if amount is not None:
                found[name] = to_minor(exact_amount(amount), currency, digits)
        except ValueError as error:
            raise BadPart((*where, name), str(error)) from error
    if found["least"] > found.get("most", found["least"]):
        raise BadPart((*where, "least"), "is above most; no amount would be accepted")
    return Bounds(currency, **found)


def _rank(feature: Feature, order: Sequence[str]) -> tuple[int, int]:
    """Place a feature in the vector: the primary's pass, the others by side, then what is made of those."""
    if feature.kind.op in COMBINED:
        return len(order), 0
    return (order.index(feature.entity.name), feature.side == IN) if feature.entity else (0, 0)


def _tables(part: SourcePart, fields: dict[str, Field]) -> TableSource:
    known = [name for field in fields.values() for name in field.names]
    columns = {}
    for name, text in part.columns.items():
        where = ("source", "columns", name)
        known_name(name, [*known, *LABEL_COLUMNS, *ARRIVAL_COLUMNS], where, "column")
        try:
            columns[name] = parse_expression(text)
        except BadExpression as error:
            raise BadPart(where, str(error)) from error
    joins = tuple(Join(one.table, one.by, one.key or one.by) for one in part.joins)
    return TableSource(columns, part.read, joins)
