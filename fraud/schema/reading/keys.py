"""What names the entities of a schema's file: their keys, and the keys of those with two sides."""

from collections.abc import Mapping, Sequence
from typing import Final

from fraud.schema.fields import NAMED, Field, joined_word
from fraud.schema.filters import Filter, values_of
from fraud.schema.operations import OF_COLUMN, Op
from fraud.schema.reading.document import RESERVED_ENTITIES, EntityPart, FeaturePart
from fraud.schema.reading.wrong import BadPart, Where, known_name, of_type
from fraud.schema.sides import IN, OUT, SIDE, SIDES
from fraud.schema.statistics import STATISTICS

Parts = Mapping[str, EntityPart]
_OF_ITSELF: Final = {*OF_COLUMN, Op.IS_FIRST, Op.SAME_MERCHANT}
"""What compares a field of the transaction itself with those before."""


def primary_first(entities: Mapping[str, EntityPart]) -> dict[str, EntityPart]:
    """Order entities: the primary, those with two sides (all of a batch pass in one task), the others."""
    primary = [name for name, part in entities.items() if part.primary]
    if len(primary) != 1:
        where = ("entities", primary[1]) if primary else ("entities",)
        found = f"{' and '.join(primary)} are both primary" if primary else "no entity is primary"
        raise BadPart(where, f"{found}; write primary: true for exactly one")
    others = [name for name in entities if name != primary[0]]
    others.sort(key=lambda name: entities[name].sides is None)
    return {name: entities[name] for name in (primary[0], *others)}


def key_of(name: str, part: EntityPart, fields: Mapping[str, Field]) -> tuple[Field, ...]:
    """Find the fields that name an entity; of one with two sides, those of each, one behind the other."""
    where = ("entities", name)
    if name in RESERVED_ENTITIES:
        raise BadPart(where, "the feature store uses this name itself; choose another one")
    if part.sides is not None:
        return _key_of_sides(name, part, fields)
    if part.key is None:
        raise BadPart(where, "the entity has no key; write key: FIELD, or sides: {out: FIELD, in: FIELD}")
    found = _fields(part.key, fields, (*where, "key"))
    if part.primary and len(found) > 1:
        raise BadPart((*where, "key"), "the primary entity has one key field, which keys the topic")
    if part.primary and not found[0].required:
        words = f"{found[0].name} may be missing; write required: true in its field"
        raise BadPart((*where, "key"), words)
    return found


def words_of(part: EntityPart, fields: Mapping[str, Field]) -> tuple[str, ...]:
    """Name the columns of events that hold an entity's key, of each side."""
    names = [part.sides.out, part.sides.in_] if part.sides else [part.key or []]
    return tuple(joined_word([fields[name] for name in of]) for of in names)


def check_names(entities: Parts, fields: Mapping[str, Field]) -> None:
    """Refuse a field that filters could not tell from the side, and an entity that the log could not."""
    of_sides = [name for name, part in entities.items() if part.sides]
    if SIDE in fields and of_sides:
        raise BadPart(("fields", SIDE), "filters use this name for the side of an account; rename the field")
    for name in of_sides:
        for side in SIDES:
            if f"{name}_{side}" in entities:
                words = f"the log calls a side of {name} so; choose another name"
                raise BadPart(("entities", f"{name}_{side}"), words)


def check_filter(text_of: Filter) -> None:
    """Refuse a side that there is not."""
    for value in values_of(text_of.condition).get(SIDE, ()):
        known_name(str(value), SIDES, ("filters", text_of.name), "side")


def check_sides(at: int, part: FeaturePart, entities: Parts, filters: Sequence[Filter]) -> None:
    """Refuse a side where there is one only, and the opposite; what could only be missing on a side."""
    where, entity = ("features", at), entities[part.entity] if part.entity else None
    if entity is None or entity.sides is None:
        if part.side:
            raise BadPart((*where, "side"), f"{part.entity or 'the transaction'} has no sides; leave it out")
        if part.where and any(one.name == part.where and one.side for one in filters):
            words = f"{part.where} reads the side; {part.entity or 'the transaction'} has none"
            raise BadPart((*where, "where"), words)
        return
    if not part.side:
        named = " or ".join(f"{side} (the {'+'.join(of)})" for side, of in sides_of(entity).items())
        raise BadPart(where, f"{part.entity} has two sides; write side: {named}")
    for side in part.side:
        known_name(side, SIDES, (*where, "side"), "side")
        _check_own(where, part, side, entity)


def sides_of(part: EntityPart) -> dict[str, list[str]]:
    """Give the fields of each side's key."""
    return {OUT: part.sides.out, IN: part.sides.in_} if part.sides else {}


def _check_own(where: Where, part: FeaturePart, side: str, entity: EntityPart) -> None:
    """Refuse to compare the account with itself."""
    of = sides_of(entity)
    own = set(of[side]) - set(of[IN if side == OUT else OUT])
    compared = {STATISTICS[name].op for name in part.statistic} & _OF_ITSELF
    if compared and (same := own & set(part.field or ())):
        other = IN if side == OUT else OUT
        words = (
            f"on the side {side}, {min(same)} is the {part.entity} itself; "
            f"write {' or '.join(of[other])}, or side: {other}"
        )
        raise BadPart((*where, "field"), words)


def _key_of_sides(name: str, part: EntityPart, fields: Mapping[str, Field]) -> tuple[Field, ...]:
    where = ("entities", name, "sides")
    if part.key is not None:
        raise BadPart(where, "the entity has a key already; write key or sides")
    if part.primary:
        words = "the primary entity has one key, which keys the topic; give sides to another entity"
        raise BadPart(where, words)
    out, in_ = (_fields(of, fields, (*where, side)) for side, of in sides_of(part).items())
    if len(out) != len(in_):
        words = f"{OUT} is {len(out)} fields and {IN} is {len(in_)}; write as many, in the same order"
        raise BadPart(where, words)
    if out == in_:
        words = f"{OUT} is {'+'.join(one.name for one in in_)} too; write the field of the other side"
        raise BadPart((*where, IN), words)
    return (*out, *in_)


def _fields(names: Sequence[str], fields: Mapping[str, Field], where: Where) -> tuple[Field, ...]:
    found = tuple(of_type(field, fields, NAMED, where) for field in names)
    for field in found:
        if found.count(field) > 1:
            raise BadPart(where, f"{field.name} is given twice; leave one out")
    return found
