"""The passes that a transaction goes through: one an entity, the primary first, each with its features.

The primary pass finds duplicates and the transactions that labels speak of; the others see what it hands on.
The vector is what the passes compute, one behind the other. A transaction without an entity's key skips that
pass: its features are missing, and no state changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fraud.errors import BadConfig
from fraud.features import kernel
from fraud.features.combine import combine
from fraud.features.kernel import Floats
from fraud.features.kernel.layout import Ints
from fraud.features.layout import DEFAULT_LAYOUT, SEEN_COLUMNS, EventLayout, layout_of
from fraud.features.plan import Plan, compile_plan
from fraud.features.sides import SeenEvents, Side, bits_of, see_again, see_both, see_one, sides_of
from fraud.schema.default import ENTITIES, FEATURES
from fraud.schema.deployed import deployed_schema
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.operations import COMBINED, Op
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
        Which column of an event holds what, as the entity sees it.
    key_column
        That of the entity's key.
    sides
        From which it sees events: two of an account that sends and receives, else one.
    """

    entity: Entity
    features: tuple[Feature, ...]
    first: int
    events: EventLayout
    key_column: int
    sides: tuple[Side, ...]
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
    def plan(self) -> Plan:
        """What the kernel runs."""
        return compile_plan(self.entity, self.features, self.events)

    @property
    def event_width(self) -> int:
        """Number of columns of an event that the entity has not seen yet."""
        return self.events.width - SEEN_COLUMNS * self.has_sides

    @property
    def has_sides(self) -> bool:
        """Whether it sees a transaction from two sides."""
        return bool(self.entity.sides)

    def keys_of(self, events: Floats) -> Floats:
        """Take the keys of seen events, [n]; ``kernel.NO_KEY`` where there is none."""
        return self.events.keys_of(events, self.key_column, self.entity.name)

    def concerns(self, events: Floats) -> NDArray[np.bool_]:
        """Tell which events name the entity, on either side, [n]."""
        found = [side.keys_of(events) != kernel.NO_KEY for side in self.sides]
        either: NDArray[np.bool_] = np.logical_or.reduce(found)
        return either

    def named_by(self, events: Floats) -> list[float]:
        """List the keys that events name, each once."""
        keys = np.unique(np.concatenate([side.keys_of(events) for side in self.sides]))
        return list(keys[keys != kernel.NO_KEY].tolist())

    def see(self, events: Floats, chosen: NDArray[np.bool_]) -> SeenEvents:
        """Take what the entity folds of some events.

        Parameters
        ----------
        events
            [n, columns] in the order of arrival.
        chosen
            [n], or [n, sides]: those that are wanted.
        """
        by_side = [chosen if chosen.ndim == 1 else chosen[:, at] for at in range(len(self.sides))]
        if not self.has_sides:
            return see_one(self.sides[0], events, by_side[0])
        return see_both(self.sides, self.events, events, by_side)

    def see_again(self, seen: Floats, events: Floats) -> Floats:
        """Make seen events again, [n], each of the event that has taken its event's place."""
        return see_again(self.sides, self.events, events, bits_of(seen)) if self.has_sides else events

    def bits_of(self, seen: Floats) -> Ints:
        """Read from which sides seen events are seen, [n]."""
        return bits_of(seen) if self.has_sides else np.ones(len(seen), np.int64)

    def write(self, vectors: Floats, rows: Ints, seen: Floats, folded: Floats) -> None:
        """Write what was folded of seen events where it belongs in [n, features of all passes]."""
        bits = self.bits_of(seen)
        for side in self.sides:
            mine = (bits & side.bit) != 0
            part = slice(self.first + side.first, self.first + side.end)
            vectors[rows[mine], part] = folded[mine, side.first : side.end]

    def sequences_of(self, n: int, seen: SeenEvents, sequences: Floats) -> list[Floats]:
        """Lay the sequences of seen events out over all ``n``, by side; NaN elsewhere."""
        found = []
        for side in self.sides:
            of_side = np.full(n, np.nan)
            mine = seen.of(side)
            of_side[seen.rows[mine]] = sequences[mine]
            found.append(of_side)
        return found

    def recorded(self, seen: SeenEvents, sequences: Floats) -> Floats:
        """Take, of [n, sides], the number of each seen event; one that lies on both sides has one number."""
        first = np.where(seen.of(self.sides[0]), 0, len(self.sides) - 1)
        found: Floats = sequences[seen.rows, first]
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
        none of them, or of no side of them.

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
    if entities[0].sides:
        raise BadConfig(f"the primary, {names[0]}, has two sides; it must have one key")
    of_each: dict[str, dict[str, list[Feature]]] = {
        one.name: {side: [] for side in one.side_names} for one in entities
    }
    combined = []
    for feature in features:
        if feature.kind.op in COMBINED:
            combined.append(feature)
            continue
        name = feature.entity.name if feature.entity else names[0]
        if name not in of_each:
            raise BadConfig(f"{feature.name} is of the entity {name}; there are {', '.join(names)}")
        if feature.side not in of_each[name]:
            raise BadConfig(
                f"{feature.statistic} reads the side {feature.side!r} of {name}, which has no such side"
            )
        of_each[name][feature.side].append(feature)
    passes, first = [], 0
    for entity in entities:
        passes.append(_pass_of(entity, list(of_each[entity.name].values()), first, events))
        first = passes[-1].end
    passes[-1] = replace(passes[-1], combined=tuple(combined))
    return tuple(passes)


def _pass_of(entity: Entity, by_side: Sequence[Sequence[Feature]], first: int, of: EventLayout) -> EntityPass:
    seen = replace(of, is_seen=bool(entity.sides))
    sides = sides_of(entity, [len(features) for features in by_side], of)
    features = tuple(feature for part in by_side for feature in part)
    return EntityPass(entity, features, first, seen, seen.column(entity.key_name), sides)


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
        feature.whose: one.first + at
        for one in passes
        for at, feature in enumerate(one.features)
        if feature.kind.op is Op.SECONDS_SINCE_LAST and not feature.where
    }


def sequence_names(passes: Passes) -> tuple[str, ...]:
    """Name these columns in the order of the passes."""
    return tuple(side.sequence for one in passes for side in one.sides)


def sequences_of(passes: Passes, sequences: Floats) -> list[Floats]:
    """Part [n, sequences] by pass: [n, sides] each."""
    ends = np.cumsum([len(one.sides) for one in passes])
    return np.split(sequences, ends[:-1], axis=1)


def sides_beside_primary(passes: Passes) -> tuple[Side, ...]:
    """List the sides of all passes but the primary's."""
    return tuple(side for one in passes[1:] for side in one.sides)


def are_notices(events: Floats) -> NDArray[np.bool_]:
    """Tell which events are no transactions, [n]: labels, results, profiles."""
    kinds = events[:, kernel.E_KIND]
    found: NDArray[np.bool_] = (kinds == kernel.KIND_LABEL) | (kinds < kernel.KIND_TRANSACTION)
    return found


def are_profiles(events: Floats) -> NDArray[np.bool_]:
    """Tell which events are profiles, [n]."""
    found: NDArray[np.bool_] = events[:, kernel.E_KIND] == kernel.KIND_PROFILE
    return found


def are_refused(events: Floats, outcomes: Floats) -> NDArray[np.bool_]:
    """Tell which results the primary entity could not take, [n].

    It waits for as many transactions as it may, or keeps the result's transaction no more.

    Parameters
    ----------
    events, outcomes
        As of :func:`handed_on`.
    """
    found: NDArray[np.bool_] = (events[:, kernel.E_KIND] == kernel.KIND_RESULT) & (outcomes <= kernel.NO_ROOM)
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
    has_changed = (outcomes != 0.0) & ~are_refused(events, outcomes)
    found: NDArray[np.bool_] = is_known & np.where(speaks_of_one, has_changed, outcomes == kernel.NEW)
    return found


def as_handed_on(events: Floats, outcomes: Floats) -> Floats:
    """Copy events as the passes after the primary one see them: a notice carries what it changed.

    Parameters
    ----------
    events, outcomes
        As of :func:`handed_on`.
    """
    events, outcomes = events.copy(), np.where(are_refused(events, outcomes), 0.0, outcomes)
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


def keys_of_event(passes: Passes, event: Sequence[float] | Floats) -> tuple[tuple[str, float], ...]:
    """Find the entities that one event names, [EVENT_COLUMNS]: name and key, in the order of the passes.

    One of two sides may stand there twice, with two keys.
    """
    found: dict[tuple[str, float], None] = {}
    for one in passes:
        for side in one.sides:
            key = float(event[side.column])
            if key != kernel.NO_KEY:
                found[one.name, key] = None
    return tuple(found)


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


def deployed_passes() -> Passes:
    """Make the passes of the deployment's schema, the default of callers that give none."""
    return passes_of_schema(deployed_schema())
