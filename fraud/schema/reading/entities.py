"""The part `entities` of a schema's file: what must be kept of their events, for the features."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from fraud.schema.entities import Entity
from fraud.schema.fields import Field, FieldType
from fraud.schema.filters import Filter, values_of
from fraud.schema.kinds import KINDS, PURCHASE
from fraud.schema.operations import OF_COLUMN, OF_PLACES, OF_PROFILES, SINGLED, Op
from fraud.schema.reading.document import EntityPart
from fraud.schema.reading.features import Use
from fraud.schema.reading.fields import zone_of
from fraud.schema.reading.keys import words_of
from fraud.schema.reading.wrong import BadPart, Where, known_name, of_type
from fraud.schema.results import REFUNDED, RESULT, REVERSED
from fraud.schema.sides import SIDES
from fraud.schema.windows import MOST_WINDOWS, window_us

EVENTS: Final = 256
"""How many an entity keeps one by one that names no number."""
EVENTS_WITH_RESULTS: Final = 4_096
"""The same of the primary of a schema with results: it takes those of transactions that it keeps. An entity
with fewer transactions has the same state, whatever the number."""


def read_entities(
    parts: dict[str, EntityPart], fields: dict[str, Field], uses: Sequence[Use]
) -> dict[str, Entity]:
    """Work out what must be kept of each entity's events; the primary comes first in ``parts``."""
    words = tuple(dict.fromkeys(word for part in parts.values() for word in words_of(part, fields)))
    found = {
        name: _entity(name, part, fields, [use for use in uses if use.entity == name], words)
        for name, part in parts.items()
    }
    first, *others = parts
    # A label that names no kind is taken for one of a purchase.
    spoken_of = {PURCHASE, *found[first].kinds}
    counts_all = all(spoken_of <= set(found[name].kinds) for name in others)
    found[first] = replace(found[first], keeps_kind=not counts_all)
    return found


def with_results(entity: Entity, part: EntityPart, uses: Sequence[Use], filters: Sequence[Filter]) -> Entity:
    """Add what results change of an entity; the primary keeps what completes them for the others."""
    named = {one.name: one for one in filters}
    uncounts = tuple(part.uncount if part.uncount is not None else [REVERSED] if REVERSED in named else [])
    for use in (use for use in uses if use.entity == entity.name and use.part.where):
        words = values_of(named[use.part.where or ""].condition).get(RESULT, set())
        if gone := sorted(words & set(uncounts), key=str):
            raise BadPart(
                (*use.where, "where"),
                f"the history of {entity.name} has no transaction that was {gone[0]}; take {gone[0]} out of "
                "its `uncount`, or give the feature to another entity over the same key",
            )
    entity = replace(entity, results=True, uncounts=uncounts, refunds=REFUNDED in named)
    if not entity.deduplicates:
        return entity
    entity = replace(entity, events=part.events or EVENTS_WITH_RESULTS)
    others = [use for use in uses if use.entity != entity.name and use.is_measured]
    tells = tuple(dict.fromkeys(use.part.value for use in others if use.part.value))
    numbers = tuple(dict.fromkeys([*entity.numbers, *tells]))
    return replace(entity, tells=tells, numbers=numbers, filters=tuple(named))


def _entity(
    name: str, part: EntityPart, fields: dict[str, Field], uses: Sequence[Use], keys: Sequence[str]
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
        events=part.events or EVENTS,
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
        zone=zone_of(fields) if of_op[Op.HOUR_DEVIATION] else "",
        sides=tuple(zip(SIDES, (key, *others), strict=True)) if others else (),
    )


def _words(uses: Iterable[Use]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(use.field.word for use in uses if use.field))


def _windows(where: Where, uses: Sequence[Use]) -> tuple[str, ...]:
    """Collect the windows that an entity's sums run over, growing."""
    apart = {Op.RIPE_FRAUD_SHARE, *OF_PROFILES}
    found = {name for use in uses if use.op not in apart for name in use.windows}
    ripe = [use.window for use in uses if use.op is Op.RIPE_FRAUD_SHARE]
    furthest = max(ripe, key=window_us, default="")
    if furthest and window_us(furthest) > max(map(window_us, found), default=0):
        found.add(furthest)
    if len(found) > MOST_WINDOWS:
        raise BadPart(where, f"its features look back over {len(found)} windows; {MOST_WINDOWS} is the most")
    return tuple(sorted(found, key=window_us)) or ("24h",)


def _check_place(name: str, part: EntityPart, fields: dict[str, Field], uses: Sequence[Use]) -> None:
    first = next((field.name for field in fields.values() if field.type is FieldType.PLACE), None)
    if part.place is not None:
        where = ("entities", name, "place")
        of_type(part.place, fields, {FieldType.PLACE}, where)
        if part.place != first:
            raise BadPart(where, f"only the first place of the file is kept, {first}; move {part.place} up")
        return
    for use in uses:
        if use.op in OF_PLACES:
            raise BadPart(use.where, f"{use.statistic} needs places; write place: ... in the entity {name}")


def _capacity(part: EntityPart, field: Field) -> int:
    return part.remember.get(field.name, 64) if isinstance(part.remember, dict) else part.remember
