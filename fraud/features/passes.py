"""The passes that a transaction goes through: one an entity, the primary first, each with its features.

The primary pass finds duplicates and the transactions that labels speak of; the others see what it hands on.
The vector is what the passes compute, one behind the other. A transaction without an entity's key skips that
pass: its features are missing, and no state changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.contracts.models import sequence_of
from fraud.errors import BadConfig
from fraud.features import kernel
from fraud.features.combine import combine
from fraud.features.kernel import Floats
from fraud.features.layout import DEFAULT_LAYOUT, EventLayout, layout_of
from fraud.features.plan import Plan, compile_plan
from fraud.schema.default import ENTITIES, FEATURES
from fraud.schema.deployed import deployed_schema
from fraud.schema.features import COMBINED, Entity, Feature, Op
from fraud.schema.schema import Schema


@dataclass(frozen=True, slots=True)
class EntityPass:
    """One entity, and its part of the vector.

    Parameters
    ----------
    entity
        Whose states the pass folds.
    features
        What it computes; of the primary also what looks at the transaction alone.
    first
        Its first column in the vector.
    events
        Which column of an event holds what.
    key_column
        That of the entity's key.
    """

    entity: Entity
    features: tuple[Feature, ...]
    first: int
    events: EventLayout
    key_column: int
    combined: tuple[Feature, ...] = ()
    """Of the last pass: features that are made of others; they stand at the vector's end."""

    @property
    def name(self) -> str:
        """Of the entity."""
        return self.entity.name

    @property
    def end(self) -> int:
        """Column behind its last one."""
        return self.first + len(self.features)

    @property
    def sequence(self) -> str:
        """Name of the column that says how many transactions the entity has counted."""
        return sequence_of(self.entity.name)

    @property
    def hash_name(self) -> str:
        """Name of the column that holds, of a label, the hash of the entity's key."""
        return f"{self.entity.name}_hash"

    @property
    def plan(self) -> Plan:
        """What the kernel runs."""
        return compile_plan(self.entity, self.features, self.events)

    def keys_of(self, events: Floats) -> Floats:
        """Take the keys of events, [n]; ``kernel.NO_KEY`` where there is none."""
        return self.events.keys_of(events, self.key_column, self.entity.name)

    def concerns(self, events: Floats) -> NDArray[np.bool_]:
        """Tell which events name the entity, [n]."""
        found: NDArray[np.bool_] = self.keys_of(events) != kernel.NO_KEY
        return found


Passes = tuple[EntityPass, ...]


def passes_of(
    entities: Sequence[Entity] = ENTITIES,
    features: Iterable[Feature] = FEATURES,
    events: EventLayout = DEFAULT_LAYOUT,
) -> Passes:
    """Lay out the passes of some entities.

    Parameters
    ----------
    entities
        The primary first, which alone deduplicates.
    features
        What to compute; the order within an entity stays.
    events
        Which column of an event holds what (of a schema: ``events_of(schema).layout``).

    Raises
    ------
    BadConfig
        When the entities have no single primary in the first place, two have one name, or a feature is of
        none of them.

    Examples
    --------
    >>> [(one.name, one.first, one.end) for one in passes_of()]
    [('user', 0, 55), ('merchant', 55, 88)]
    """
    names = [entity.name for entity in entities]
    if len(set(names)) != len(names):
        raise BadConfig(f"two entities have one name: {', '.join(names)}")
    if [entity.deduplicates for entity in entities] != [True] + [False] * (len(names) - 1):
        raise BadConfig(
            f"of the entities {', '.join(names)} the first, and no other, must be the primary (deduplicates)"
        )
    of_each: dict[str, list[Feature]] = {name: [] for name in names}
    combined = []
    for feature in features:
        if feature.kind.op in COMBINED:
            combined.append(feature)
            continue
        name = feature.entity.name if feature.entity else names[0]
        if name not in of_each:
            raise BadConfig(f"{feature.name} is of the entity {name}; there are {', '.join(names)}")
        of_each[name].append(feature)
    passes, first = [], 0
    for entity in entities:
        key_column = events.column(entity.key_name)
        passes.append(EntityPass(entity, tuple(of_each[entity.name]), first, events, key_column))
        first = passes[-1].end
    passes[-1] = replace(passes[-1], combined=tuple(combined))
    return tuple(passes)


def features_of(passes: Passes) -> tuple[Feature, ...]:
    """List the features in the vector's order."""
    return (*(feature for one in passes for feature in one.features), *passes[-1].combined)


def feature_names(passes: Passes) -> tuple[str, ...]:
    """Name the features in the vector's order."""
    return tuple(feature.name for feature in features_of(passes))


def entity_names(passes: Passes) -> tuple[str, ...]:
    """Name the entities, the primary first."""
    return tuple(one.name for one in passes)


def age_columns(passes: Passes) -> dict[str, int]:
    """Find, by entity, the column of the feature that tells how old the newest thing known of it is."""
    return {
        one.name: one.first + at
        for one in passes
        for at, feature in enumerate(one.features)
        if feature.kind.op is Op.SECONDS_SINCE_LAST
    }


def sequence_names(passes: Passes) -> tuple[str, ...]:
    """Name these columns in the order of the passes."""
    return tuple(one.sequence for one in passes)


def are_notices(events: Floats) -> NDArray[np.bool_]:
    """Tell which events are no transactions, [n]: labels, results, profiles."""
    kinds = events[:, kernel.E_KIND]
    found: NDArray[np.bool_] = (kinds == kernel.KIND_LABEL) | (kinds < kernel.KIND_TRANSACTION)
    return found


def are_profiles(events: Floats) -> NDArray[np.bool_]:
    """Tell which events are profiles, [n]."""
    found: NDArray[np.bool_] = events[:, kernel.E_KIND] == kernel.KIND_PROFILE
    return found


def handed_on(events: Floats, outcomes: Floats) -> NDArray[np.bool_]:
    """Tell what the passes after the primary one see.

    New transactions, labels and results that changed something, and profiles.

    Parameters
    ----------
    events
        [n, EVENT_COLUMNS].
    outcomes
        [n], of the primary pass; NaN where it is not known.
    """
    is_known = ~np.isnan(outcomes)
    speaks_of_one = are_notices(events) & ~are_profiles(events)
    found: NDArray[np.bool_] = is_known & np.where(speaks_of_one, outcomes != 0.0, outcomes == kernel.NEW)
    return found


def as_handed_on(events: Floats, outcomes: Floats) -> Floats:
    """Copy events as the passes after the primary one see them: a notice carries what it changed.

    Parameters
    ----------
    events, outcomes
        As of :func:`handed_on`.
    """
    events = events.copy()
    is_label = events[:, kernel.E_KIND] == kernel.KIND_LABEL
    is_result = events[:, kernel.E_KIND] == kernel.KIND_RESULT
    events[is_label, kernel.E_CENTS] = outcomes[is_label]
    events[is_result, kernel.E_CHANGE] = outcomes[is_result]
    return events


def have_changed(events: Floats) -> NDArray[np.bool_]:
    """Tell which notices changed something, [n], by what they carry (:func:`as_handed_on`)."""
    is_result = events[:, kernel.E_KIND] == kernel.KIND_RESULT
    found: NDArray[np.bool_] = np.where(is_result, events[:, kernel.E_CHANGE], events[:, kernel.E_CENTS]) != 0
    return (found & are_notices(events)) | are_profiles(events)


def key_by_entity(passes: Passes, event: Sequence[float] | Floats) -> dict[str, float]:
    """Find the keys that one event has, [EVENT_COLUMNS], in the order of the passes."""
    keys = ((one.name, float(event[one.key_column])) for one in passes)
    return {name: key for name, key in keys if key != kernel.NO_KEY}


@lru_cache(maxsize=64)
def passes_of_schema(schema: Schema) -> Passes:
    """Lay out the passes of a schema."""
    return passes_of(schema.entities, schema.features, layout_of(schema))


def whole(passes: Passes, vectors: Floats) -> Floats:
    """Add to vectors, [n, features of the passes], the features that are made of others."""
    if not passes[-1].combined:
        return vectors
    missing = np.full((len(vectors), len(passes[-1].combined)), np.nan)
    vectors = np.hstack([vectors, missing])
    combine(features_of(passes), vectors)
    return vectors


PASSES: Final = passes_of_schema(deployed_schema())
"""Of the deployment's schema."""
