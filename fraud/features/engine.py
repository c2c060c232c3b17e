"""The fold for one entity kind: states in, vectors and states out. Stream, service and batch call this."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.features.codec import join_states, refusal, split_states
from fraud.features.kernel import layout
from fraud.features.kernel.fold import fold
from fraud.features.kernel.grouping import group_rows
from fraud.features.kernel.layout import Floats, Ints
from fraud.features.kernel.state import READABLE
from fraud.features.plan import EVENT_COLUMN, Plan, compile_plan
from fraud.schema.features import Entity, Feature

CHUNK_EVENTS: Final = 200_000
"""Events folded in one call of the kernel at most (one entity's are never parted)."""
_NO_STATES: Final = np.frombuffer(b"", np.float64)


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold gives.

    Parameters
    ----------
    vectors
        [n, features of the entity's pass], NaN where missing; rows of labels and duplicates are NaN.
    outcomes
        [n], ``kernel.NEW`` or ``kernel.DUPLICATE`` for a transaction; for a label its change of verdict.
    states
        State bytes by key after the events.
    sequences
        [n], how many transactions the entity has counted with this event (a label: before it), where
        states were kept. Per entity it is the order of arrival, whoever folded.
    """

    vectors: Floats
    outcomes: Floats
    states: dict[float, bytes]
    sequences: Floats


class Runner:
    """Calls the kernel with one plan; of one thread, as it keeps the kernel's room.

    Parameters
    ----------
    plan
        Of the entity whose events it folds.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan: Final = plan
        self._work = np.empty(plan.work_floats)

    def run(
        self,
        events: Floats,
        rows: Ints,
        groups: Ints,
        states: Floats,
        offsets: Ints,
        out: Floats,
        out_first: int,
        outcomes: Floats,
        new_states: Floats,
        new_offsets: Ints,
    ) -> None:
        """Fold events; the arguments are those of ``fraud.features.kernel.fold.fold``.

        Raises
        ------
        BadState
            When a state was written with another layout, or is damaged; rebuild the store by replay.
        """
        bad, fault = fold(
            self.plan.program,
            events,
            rows,
            groups,
            states,
            offsets,
            out,
            out_first,
            outcomes,
            new_states,
            new_offsets,
            self._work,
        )
        if fault != READABLE:
            raise refusal(self.plan, states[offsets[bad] : offsets[bad + 1]], fault)


def fold_events(
    entity: Entity,
    events: Floats,
    states: Mapping[float, bytes | None],
    *,
    keep_states: bool = True,
    features: tuple[Feature, ...] | None = None,
) -> Folded:
    """Fold events of many entities of one kind, each from its state.

    Parameters
    ----------
    entity
        USER or MERCHANT.
    events
        [n, EVENT_COLUMNS] in arrival order.
    states
        State bytes by entity key (the hash in the events' column); absent or None: a new entity.
    keep_states
        False leaves the result's ``states`` empty (training needs the vectors alone).
    features
        What to compute; all features of the entity by default.

    Raises
    ------
    BadState
        When a state was written with another layout, or is damaged; rebuild the store by replay.
    """
    return fold_into(entity, events, states, None, 0, keep_states=keep_states, features=features)


def fold_into(
    entity: Entity,
    events: Floats,
    states: Mapping[float, bytes | None],
    table: Floats | None,
    first: int,
    *,
    keep_states: bool = True,
    features: tuple[Feature, ...] | None = None,
) -> Folded:
    """Fold as :func:`fold_events` does, and write the vectors to columns of a given table.

    Parameters
    ----------
    entity, events, states, keep_states, features
        As of :func:`fold_events`.
    table
        [n, columns] in C order, or None for a new one of the pass's features.
    first
        The first column to write.
    """
    plan = compile_plan(entity, features)
    events = np.ascontiguousarray(events, np.float64)
    runner = Runner(plan)
    rows, bounds, keys = group_rows(np.ascontiguousarray(events[:, EVENT_COLUMN[entity.name]]))
    vectors = np.empty((len(events), len(plan.features))) if table is None else table
    outcomes = np.empty(len(events))
    new_states: dict[float, bytes] = {}
    counted = np.zeros(len(keys))
    group = 0
    while group < len(keys):
        last = int(np.searchsorted(bounds, bounds[group] + CHUNK_EVENTS, side="right")) - 1
        last = max(group + 1, last)
        group_keys = keys[group:last].tolist()
        found = [states.get(key) or b"" for key in group_keys] if states else []
        flat, offsets = (
            join_states(plan, found) if found else (_NO_STATES, np.zeros(last + 1 - group, np.int64))
        )
        groups = bounds[group : last + 1]
        after = np.empty(_room_for(plan, np.diff(offsets), np.diff(groups)) if keep_states else 0)
        ends = np.zeros(last + 1 - group, np.int64)
        runner.run(events, rows, groups, flat, offsets, vectors, first, outcomes, after, ends)
        if keep_states:
            counted[group:last] = after[ends[:-1] + layout.H_SEQUENCE]
            new_states.update(split_states(group_keys, after[: ends[-1]], ends))
        group = last
    width = len(plan.features)
    sequences = _sequences(events, outcomes, rows, bounds, counted) if keep_states else np.zeros(0)
    return Folded(vectors[:, first : first + width], outcomes, new_states, sequences)


def _sequences(events: Floats, outcomes: Floats, rows: Ints, bounds: Ints, counted: Floats) -> Floats:
    """Count back from what each entity has counted in the end."""
    is_counted = (events[rows, layout.E_KIND] == layout.KIND_TRANSACTION) & (outcomes[rows] == layout.NEW)
    so_far = np.concatenate([[0], np.cumsum(is_counted)])
    sequences = np.empty(len(events))
    sequences[rows] = np.repeat(counted - so_far[bounds[1:]], np.diff(bounds)) + so_far[1:]
    return sequences


def _room_for(plan: Plan, sizes: Ints, events: Ints) -> int:
    """How many numbers states of these lengths can have after so many events each."""
    longest = np.maximum(sizes, layout.HEADER) + events * plan.event_floats
    return int(np.minimum(longest, plan.state_floats).sum())
