"""Reads a schema's file; what is wrong is said with line and column, and with what to write instead."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fraud.errors import BadConfig
from fraud.money import Money, digits_of
from fraud.money.money import MOST_BASE, MOST_MINOR
from fraud.schema.document import (
    Document,
    EntityPart,
    FeaturePart,
    FieldPart,
    JoinPart,
    MoneyPart,
    Part,
    ProfilePart,
    SourcePart,
)
from fraud.schema.entities import Entity
from fraud.schema.expressions import BadExpression, parse_expression
from fraud.schema.features import Feature
from fraud.schema.fields import (
    AMOUNT_BASE,
    AMOUNT_MINOR,
    CORE,
    CORE_NAMES,
    COUNTED,
    NAMED,
    RESERVED,
    Field,
    FieldType,
)
from fraud.schema.filters import BadCondition, Comparison, Condition, Filter, parse_condition, values_of
from fraud.schema.keys import (
    check_filter,
    check_names,
    check_sides,
    key_of,
    primary_first,
    words_of,
)
from fraud.schema.kinds import KINDS, PURCHASE
from fraud.schema.operations import (
    COMBINED,
    FILTERED,
    MEASURED,
    OF_COLUMN,
    OF_PLACES,
    OF_PROFILES,
    PROFILE_TYPES,
    SINGLED,
    VALUED,
    Op,
)
from fraud.schema.profiles import COLUMNS as COLUMNS_OF_PROFILES
from fraud.schema.profiles import PROFILED, bare
from fraud.schema.results import COLUMNS, REASON, RESULT, REVERSED, group_of
from fraud.schema.schema import Fallback, Schema
from fraud.schema.sides import IN, SIDE, SIDES
from fraud.schema.source import ARRIVAL_COLUMNS, LABEL_COLUMNS, Join, Reading, TableSource
from fraud.schema.statistics import STATISTICS
from fraud.schema.windows import MOST_WINDOWS, window_us
from fraud.schema.wrong import Where, Wrong, known_name, of_type, suggest
from fraud.settings.definition import place_of, read_yaml

DEFAULT: Final = Path(__file__).with_name("default.yaml")


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
    except Wrong as wrong:
        line, column = place_of(tree, wrong.where)
        where = ".".join(map(str, wrong.where)) or "file"
        raise BadConfig(f"{name}:{line}:{column}: {where}: {wrong.words}") from wrong


def _document(content: Any) -> Document:
    try:
        return Document.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        misspelt = [one for one in found if one["type"] == "extra_forbidden"]  # which may be what is missing
        first = (misspelt or found)[0]
        raise Wrong(first["loc"], _in_words(first)) from error


def _in_words(error: Any) -> str:
    """Say pydantic's error with what may stand there."""
    if error["type"] != "extra_forbidden":
        return str(error["msg"])
    parts: dict[str, type[Part]] = {
        "fields": FieldPart,
        "entities": EntityPart,
        "features": FeaturePart,
        "source": SourcePart,
        "money": MoneyPart,
        "profiles": ProfilePart,
    }
    model = parts.get(str(error["loc"][0]), Document) if len(error["loc"]) > 1 else Document
    if error["loc"][0] == "entities" and "sides" in error["loc"]:
        return f"an entity has two sides; {suggest(str(error['loc'][-1]), SIDES)}"
    if error["loc"][:2] == ("source", "read"):
        return f"there is no such setting; {suggest(str(error['loc'][-1]), Reading.model_fields)}"
    if error["loc"][:2] == ("source", "joins"):
        model = JoinPart
    return f"there is no such setting; {suggest(str(error['loc'][-1]), model.model_fields)}"


def _schema(document: Document, source: tuple[bytes, str]) -> Schema:
    declared = tuple(_field(name, part) for name, part in document.fields.items())
    _check_columns(declared)
    fields = {field.name: field for field in (*CORE, *declared)}
    money = _money(document.money)
    results = tuple(dict.fromkeys(document.results))
    _check_results(document, fields)
    profiles = _profiles(document, fields)
    parts = primary_first(document.entities)
    keys = tuple(key_of(name, part, fields) for name, part in parts.items())
    check_names(parts, fields)
    read = fields | (_IN_BASE if money else {}) | (_OF_RESULTS if results else {})
    read |= _OF_SIDES if any(part.sides for part in parts.values()) else {}
    declared_filters = [_filter(name, text, read, results) for name, text in document.filters.items()]
    filters = tuple(one for declared in declared_filters for one in declared.on_each_side())
    filters += tuple(map(_filter_of_result, results))
    uses = [
        told
        for at, part in enumerate(document.features)
        for use in _uses(at, part, parts, fields | (_IN_MINOR if money else {}), filters)
        for told in _with_profiles(use, profiles, fields)
    ]
    words = tuple(dict.fromkeys(word for part in parts.values() for word in words_of(part, fields)))
    entities = {
        name: _entity(name, part, fields, [use for use in uses if use.entity == name], words)
        for name, part in parts.items()
    }
    if results:
        entities = {name: _with_results(one, parts[name], uses, filters) for name, one in entities.items()}
    for name, own in profiles.items():
        entities[name] = replace(entities[name], profile=bare(tuple(own.values())))
    first, *others = parts
    # A label that names no kind is taken for one of a purchase.
    spoken_of = {PURCHASE, *entities[first].kinds}
    counts_all = all(spoken_of <= set(entities[name].kinds) for name in others)
    entities[first] = replace(entities[first], keeps_kind=not counts_all)
    order = list(parts)
    made = [_feature(use, entities, _zone_of(fields), money) for use in uses]
    features = tuple(sorted(made, key=lambda f: _rank(f, order)))
    names = _check_names(uses, made)
    return Schema(
        name=document.name,
        declared=declared,
        keys=keys,
        entities=tuple(entities.values()),
        features=features,
        filters=filters,
        fallback=tuple(
            Fallback(known_name(one.feature, names, ("fallback", at, "feature"), "feature"), one.at_least)
            for at, one in enumerate(document.fallback)
        ),
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
    )


_IN_BASE: Final = {AMOUNT_BASE: Field(AMOUNT_BASE, FieldType.NUMBER)}
_OF_RESULTS: Final = {name: Field(name, FieldType.CATEGORY) for name in (RESULT, REASON)}
_OF_SIDES: Final = {SIDE: Field(SIDE, FieldType.CATEGORY)}
_IN_MINOR: Final = {AMOUNT_MINOR: Field(AMOUNT_MINOR, FieldType.NUMBER)}
"""What filters and features may read besides the fields, where there is money."""


def _money(part: MoneyPart | None) -> Money | None:
    if part is None:
        return None
    money, where = Money(part.base, part.unknown, part.most), ("money", "base")
    if digits_of(part.base) is None:
        raise Wrong(where, f"{part.base} is no currency of ISO 4217 that has amounts; write e.g. USD")
    if money.most * money.unit > MOST_MINOR:
        most = MOST_MINOR // money.unit
        if part.most == MOST_BASE:
            return replace(money, most=most)
        raise Wrong(("money", "most"), f"{most:,} {part.base} is the greatest amount whose sums stay exact")
    return money


def _rank(feature: Feature, order: Sequence[str]) -> tuple[int, int]:
    """Place a feature in the vector: the primary's pass, the others by side, then what is made of those."""
    if feature.kind.op in COMBINED:
        return len(order), 0
    return (order.index(feature.entity.name), feature.side == IN) if feature.entity else (0, 0)


def _field(name: str, part: FieldPart, place: Where = ()) -> Field:
    where = tuple(place) or ("fields", name)
    if name in CORE_NAMES and not place:
        raise Wrong(where, "every schema has this field; leave it out")
    if part.scale and part.type is not FieldType.NUMBER:
        raise Wrong((*where, "scale"), f"a {part.type} has no decimals; leave it out")
    if part.columns and (part.type is not FieldType.PLACE or len(part.columns) != 2):
        raise Wrong((*where, "columns"), "a place has two columns, its latitude and its longitude")
    try:
        re.compile(part.pattern)
    except re.error as error:
        raise Wrong((*where, "pattern"), f"no regular expression: {error}") from error
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
    )


def _check_columns(declared: Iterable[Field]) -> None:
    taken = dict.fromkeys(CORE_NAMES, "the core") | dict.fromkeys(RESERVED, "the platform")
    words: dict[str, str] = {}
    zones = [field.name for field in declared if field.type is FieldType.ZONE]
    if len(zones) > 1:
        raise Wrong(("fields", zones[1]), f"{zones[0]} is the zone already; there is one of a transaction")
    for field in declared:
        for name in field.names:
            if name in taken:
                raise Wrong(("fields", field.name), f"{name} is a column of {taken[name]}; rename the field")
            taken[name] = field.name
        if field.word in words:
            raise Wrong(
                ("fields", field.name),
                f"features would call it {field.word}, as {words[field.word]}; rename one of them",
            )
        words[field.word] = field.name


def _filter(name: str, text: str, fields: dict[str, Field], results: Sequence[str]) -> Filter:
    where = ("filters", name)
    if name in results:
        raise Wrong(where, "the result of this name is a filter already; rename this one")
    try:
        condition = parse_condition(text, fields)
    except BadCondition as error:
        raise Wrong(where, str(error)) from error
    found = Filter(name, text, condition, _results_of(condition, results, where) if results else ())
    check_filter(found)
    return found


def _results_of(condition: Condition, results: Sequence[str], where: Where) -> tuple[str, ...]:
    """Find the results that decide a condition; none where it reads the record itself."""
    read = values_of(condition)
    if not set(read) & set(_OF_RESULTS):
        return ()
    words = sorted(map(str, read.get(RESULT, ())))
    groups = {group_of(known_name(word, results, where, "result")) for word in words}
    if set(read) - set(_OF_RESULTS) or len(groups) != 1:
        words_of = f"`{RESULT}` of one group and, with it, `{REASON}`"
        raise Wrong(where, f"a filter over results reads {words_of}, and nothing of the record; part it")
    return groups.pop()


def _filter_of_result(word: str) -> Filter:
    return Filter(word, f"{RESULT} == '{word}'", Comparison(RESULT, "==", word), group_of(word))


def _check_results(document: Document, fields: dict[str, Field]) -> None:
    """Refuse fields of the names of results' columns, and entities that un-count what is not taken."""
    for name in COLUMNS if document.results else ():
        if any(name in field.names for field in fields.values()):
            raise Wrong(("fields", name), f"{name} is a column of the results; rename the field")
    for name, part in document.entities.items():
        if part.uncount and not document.results:
            words = "the schema takes no results; name them in its part `results`, e.g. results: [reversed]"
            raise Wrong(("entities", name, "uncount"), words)
        for at, word in enumerate(part.uncount or ()):
            known_name(word, document.results, ("entities", name, "uncount", at), "result")


def _profiles(document: Document, fields: dict[str, Field]) -> dict[str, dict[str, Field]]:
    """Read what is known of the entities, by entity and name."""
    for name in COLUMNS_OF_PROFILES if document.profiles else ():
        if any(name in field.names for field in fields.values()):
            raise Wrong(("fields", name), f"{name} is a column of the profiles; rename the field")
    found: dict[str, dict[str, Field]] = {}
    for entity, parts in document.profiles.items():
        where = ("profiles", entity)
        known_name(entity, document.entities, where, "entity")
        if document.entities[entity].sides:
            raise Wrong(where, f"{entity} has two sides; write the profile of an entity with a key")
        if not parts:
            raise Wrong(where, "a profile has a field or more; write one, e.g. home: {type: place}")
        found[entity] = {}
        for name, part in parts.items():
            if part.type not in PROFILED:
                words = f"a profile has no {part.type}; write {', '.join(sorted(PROFILED))}"
                raise Wrong((*where, name, "type"), words)
            given = FieldPart.model_validate(part.model_dump())
            found[entity][name] = _field(name, given, (*where, name))
        names = [column for field in found[entity].values() for column in field.names]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            raise Wrong(where, f"the profile has two columns {twice}; rename one of them")
    return found


def _tables(part: SourcePart, fields: dict[str, Field]) -> TableSource:
    known = [name for field in fields.values() for name in field.names]
    columns = {}
    for name, text in part.columns.items():
        where = ("source", "columns", name)
        known_name(name, [*known, *LABEL_COLUMNS, *ARRIVAL_COLUMNS], where, "column")
        try:
            columns[name] = parse_expression(text)
        except BadExpression as error:
            raise Wrong(where, str(error)) from error
    joins = tuple(Join(one.table, one.by, one.key or one.by) for one in part.joins)
    return TableSource(columns, part.read, joins)


@dataclass(frozen=True, slots=True)
class _Use:
    """One feature as the file asks for it: names only."""

    where: Where
    part: FeaturePart
    statistic: str
    field: Field | None
    window: str
    side: str = ""
    profile: Field | None = None

    @property
    def entity(self) -> str | None:
        return self.part.entity

    @property
    def op(self) -> Op:
        return STATISTICS[self.statistic].op

    @property
    def windows(self) -> list[str]:
        """Those that it reads."""
        return [name for name in (self.window, self.part.base or "") if name]

    @property
    def is_measured(self) -> bool:
        """Whether its number and filter are summed apart from the amounts of all events."""
        is_own = bool(self.part.value or self.part.where)
        if self.op in {Op.MIN, Op.SHARE}:
            return True
        return is_own and (self.op in MEASURED or self.op in {Op.VELOCITY, Op.TREND})


def _uses(
    at: int,
    part: FeaturePart,
    entities: dict[str, EntityPart],
    fields: dict[str, Field],
    filters: Sequence[Filter],
) -> list[_Use]:
    where = ("features", at)
    for statistic in part.statistic:
        known_name(statistic, STATISTICS, (*where, "statistic"), "statistic")
        _check_words(statistic, part, where)
    if part.entity is not None:
        known_name(part.entity, entities, (*where, "entity"), "entity")
    for name in (*(part.window or ()), *((part.base,) if part.base else ())):
        try:
            window_us(name)
        except BadConfig as error:  # the document has checked the name's form
            words = f"{name} is longer than 90d, the longest window that is kept"
            raise Wrong((*where, "window"), words) from error
    if part.where is not None:
        known_name(part.where, [one.name for one in filters if one.is_declared], (*where, "where"), "filter")
    check_sides(at, part, entities, filters)
    if part.value is not None:
        of_type(part.value, fields, COUNTED, (*where, "value"))
    is_age = Op.AGE in {STATISTICS[name].op for name in part.statistic}
    types = {FieldType.TIME} if is_age else NAMED
    _check_ripe(part, where)
    counted: list[Field | None] = [
        of_type(name, fields, types, (*where, "field")) for name in part.field or ()
    ]
    return [
        _Use(where, part, statistic, field, window, side)
        for statistic, field, window, side in product(
            part.statistic, counted or [None], part.window or [""], part.side or [""]
        )
    ]


def _with_profiles(
    use: _Use, profiles: dict[str, dict[str, Field]], fields: dict[str, Field]
) -> Iterable[_Use]:
    """Part what looks at several fields of the entity's profile."""
    if use.part.profile is None:
        return [use]
    own = profiles.get(use.part.entity or "", {})
    if not own:
        words = f"{use.part.entity} has no profile; write its fields into the part `profiles`"
        raise Wrong((*use.where, "profile"), words)
    if use.op is Op.PROFILE_DISTANCE and not any(f.type is FieldType.PLACE for f in fields.values()):
        words = f"{use.statistic} needs the place of a transaction; write a field of type place"
        raise Wrong(use.where, words)
    where = (*use.where, "profile")
    types = PROFILE_TYPES.get(use.op, PROFILED)
    return [replace(use, profile=of_type(name, own, types, where)) for name in use.part.profile]


def _check_ripe(part: FeaturePart, where: Where) -> None:
    """Refuse a stretch of time that ends where it begins: the fold would have nothing to look at."""
    is_ripe = Op.RIPE_FRAUD_SHARE in {STATISTICS[name].op for name in part.statistic}
    for window in (part.window or ()) if is_ripe and part.base else ():
        if window_us(window) <= window_us(part.base or window):
            words = f"{window} reaches no further back than the base, {part.base}; write a longer window"
            raise Wrong((*where, "window"), words)


def _check_words(statistic: str, part: FeaturePart, where: Where) -> None:
    """Refuse what a statistic needs and is not there, or is there and not needed."""
    op = STATISTICS[statistic].op
    template = STATISTICS[statistic].name + STATISTICS[statistic].text
    needed = {
        "entity": "{entity}" in template,
        "window": "{window}" in template,
        "base": "{base}" in template,
        "field": "{column}" in template,
        "of": op in COMBINED,
        "value": op is Op.NUMBER,
        "profile": op in OF_PROFILES,
        "where": op is Op.SHARE,
    }
    allowed = {"value": op in VALUED, "where": op in FILTERED}
    for key, is_needed in needed.items():
        is_given = getattr(part, key) is not None
        if is_needed and not is_given:
            raise Wrong(where, f"{statistic} needs {key}; write {key}: ...")
        if is_given and not (is_needed or allowed.get(key, False)):
            raise Wrong((*where, key), f"{statistic} takes no {key}; leave it out")


def _entity(
    name: str, part: EntityPart, fields: dict[str, Field], uses: Sequence[_Use], keys: Sequence[str]
) -> Entity:
    """Work out what must be kept of an entity's events: for its features; of the primary's, all ``keys``."""
    where = ("entities", name)
    if isinstance(part.remember, dict):
        for field in part.remember:
            known_name(field, fields, (*where, "remember", field), "field")
    _check_place(name, part, fields, uses)
    of_op = {op: [use for use in uses if use.op is op] for op in Op}
    distinct = _words(of_op[Op.DISTINCT])
    known = dict.fromkeys(use.field for use in of_op[Op.IS_FIRST] if use.field)
    kept = _words([use for op in OF_COLUMN for use in of_op[op]])
    single = [use for op in SINGLED for use in of_op[op]]
    key, *others = words_of(part, fields)
    hands_on = tuple(word for word in keys if word != key) if part.primary else ()
    return Entity(
        name=name,
        events=part.events,
        distinct=distinct,
        known=tuple((field.word, _capacity(part, field)) for field in known),
        places=part.place is not None,
        deduplicates=part.primary,
        key="" if key == name or others else key,
        windows=_windows(where, uses),
        kept=tuple(word for word in dict.fromkeys([*kept, *hands_on]) if word not in distinct),
        numbers=tuple(dict.fromkeys(use.part.value for use in single if use.part.value)),
        filters=tuple(dict.fromkeys(use.part.where for use in single if use.part.where)),
        measures=tuple(
            dict.fromkeys((use.part.value or "", use.part.where or "") for use in uses if use.is_measured)
        ),
        hands_on=hands_on,
        kinds=tuple(kind for kind in KINDS if kind in part.kinds),
        zone=_zone_of(fields) if of_op[Op.HOUR_DEVIATION] else "",
        sides=tuple(zip(SIDES, (key, *others), strict=True)) if others else (),
    )


def _with_results(
    entity: Entity, part: EntityPart, uses: Sequence[_Use], filters: Sequence[Filter]
) -> Entity:
    """Add what results change of an entity; the primary keeps what completes them for the others."""
    named = {one.name: one for one in filters}
    uncounts = tuple(part.uncount if part.uncount is not None else [REVERSED] if REVERSED in named else [])
    for use in (use for use in uses if use.entity == entity.name and use.part.where):
        words = values_of(named[use.part.where or ""].condition).get(RESULT, set())
        if gone := sorted(words & set(uncounts), key=str):
            raise Wrong(
                (*use.where, "where"),
                f"the history of {entity.name} has no transaction that was {gone[0]}; take {gone[0]} out of "
                "its `uncount`, or give the feature to another entity over the same key",
            )
    entity = replace(entity, results=True, uncounts=uncounts)
    if not entity.deduplicates:
        return entity
    others = [use for use in uses if use.entity != entity.name and use.is_measured]
    tells = tuple(dict.fromkeys(use.part.value for use in others if use.part.value))
    numbers = tuple(dict.fromkeys([*entity.numbers, *tells]))
    return replace(entity, tells=tells, numbers=numbers, filters=tuple(named))


def _zone_of(fields: dict[str, Field]) -> str:
    return next((field.name for field in fields.values() if field.type is FieldType.ZONE), "")


def _words(uses: Iterable[_Use]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(use.field.word for use in uses if use.field))


def _windows(where: Where, uses: Sequence[_Use]) -> tuple[str, ...]:
    """Collect the windows that an entity's sums run over, growing."""
    apart = {Op.RIPE_FRAUD_SHARE, *OF_PROFILES}
    found = {name for use in uses if use.op not in apart for name in use.windows}
    ripe = [use.window for use in uses if use.op is Op.RIPE_FRAUD_SHARE]
    furthest = max(ripe, key=window_us, default="")
    if furthest and window_us(furthest) > max(map(window_us, found), default=0):
        found.add(furthest)
    if len(found) > MOST_WINDOWS:
        raise Wrong(where, f"its features look back over {len(found)} windows; {MOST_WINDOWS} is the most")
    return tuple(sorted(found, key=window_us)) or ("24h",)


def _check_place(name: str, part: EntityPart, fields: dict[str, Field], uses: Sequence[_Use]) -> None:
    first = next((field.name for field in fields.values() if field.type is FieldType.PLACE), None)
    if part.place is not None:
        where = ("entities", name, "place")
        of_type(part.place, fields, {FieldType.PLACE}, where)
        if part.place != first:
            raise Wrong(where, f"only the first place of the file is kept, {first}; move {part.place} up")
        return
    for use in uses:
        if use.op in OF_PLACES:
            raise Wrong(use.where, f"{use.statistic} needs places; write place: ... in the entity {name}")


def _capacity(part: EntityPart, field: Field) -> int:
    return part.remember.get(field.name, 64) if isinstance(part.remember, dict) else part.remember


_OF_CLOCKS: Final = (Op.HOUR_OF_DAY, Op.DAY_OF_WEEK, Op.HOUR_DEVIATION)


def _feature(use: _Use, entities: dict[str, Entity], zone: str, money: Money | None) -> Feature:
    part = use.part
    return Feature(
        use.statistic,
        entities[use.entity] if use.entity else None,
        use.window,
        part.base or "",
        use.field.name if use.field and use.op is Op.AGE else use.field.word if use.field else "",
        part.monotone,
        value=part.value or "",
        where=part.where or "",
        percent=part.percent,
        of=tuple(part.of or ()),
        called=part.name or "",
        zone=zone if use.op in _OF_CLOCKS else "",
        currency=money.base if money else "",
        profile=use.profile.name if use.profile else "",
        side=use.side,
    )


def _check_names(uses: Sequence[_Use], made: Sequence[Feature]) -> list[str]:
    names: list[str] = []
    for use, feature in zip(uses, made, strict=True):
        if feature.name in names:
            raise Wrong(use.where, f"{feature.name} is there already; leave one out")
        names.append(feature.name)
    plain = [feature.name for feature in made if not feature.of]
    for use, feature in zip(uses, made, strict=True):
        for name in feature.of:
            known_name(name, plain, (*use.where, "of"), "feature")
    return names
