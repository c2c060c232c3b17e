"""What a schema may say and hardly can mean: notes of ``fraud schema check``."""

from fraud.schema.filters import Comparison, Condition, HasValue, IsOneOf, Joined, Not
from fraud.schema.schema import Schema

_KIND = "kind"


def notes_on(schema: Schema) -> list[str]:
    """Name the features whose filter holds for no kind of transaction that their entity counts.

    Such a feature never changes, since its entity's history has nothing that the filter could find.
    """
    conditions = {one.name: one.condition for one in schema.filters if one.is_declared}
    found = []
    for feature in schema.features:
        entity, condition = feature.entity, conditions.get(feature.where)
        if entity is None or condition is None:
            continue
        if not any(True in _outcomes(condition, kind) for kind in entity.kinds):
            counted = ", ".join(entity.kinds)
            found.append(
                f"note: {feature.name} counts nothing: the filter {feature.where} holds for no kind that the "
                f"entity {entity.name} counts ({counted}); write the kind into its `kinds`, or into those of "
                "another entity over the same key"
            )
    return found


def _outcomes(condition: Condition, kind: str) -> set[bool]:
    """Tell what a condition can be for transactions of one kind, whatever their other fields are."""
    if isinstance(condition, Not):
        return {not one for one in _outcomes(condition.term, kind)}
    if isinstance(condition, Joined):
        decisive = condition.sign == "||"
        terms = [_outcomes(term, kind) for term in condition.terms]
        found = {decisive} if any(decisive in term for term in terms) else set()
        return found | ({not decisive} if all((not decisive) in term for term in terms) else set())
    if isinstance(condition, Comparison | IsOneOf | HasValue) and condition.field == _KIND:
        return {condition.of({_KIND: kind}) is True}
    return {True, False}
