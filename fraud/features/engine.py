"""The fold for one entity kind: states in, vectors and states out. Stream, service and batch call this."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.errors import BadConfig
from fraud.features.codec import join_states, refusal, split_states
from fraud.features.kernel import layout
from fraud.features.kernel.fold import fold_any, fold_plain
from fraud.features.kernel.grouping import group_rows
from fraud.features.kernel.layout import Floats, Ints
from fraud.features.kernel.records import Batch
from fraud.features.kernel.state import READABLE
from fraud.features.plan import Plan, compile_plan
from fraud.schema.entities import Entity
from fraud.schema.features import Feature

CHUNK_EVENTS: Final = 200_000
"""Events folded in one call of the kernel at most (one entity's are never parted)."""
_NO_STATES: Final = np.frombuffer(b"", np.float64)


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold gives.

    Parameters
    ----------
    vectors
        [n, features of the entity's pass], NaN where missing; rows of labels, of duplicates and of what
        does not name the entity are NaN.
    outcomes
        [n], ``kernel.NEW`` or ``kernel.DUPLICATE`` for a transaction; for a label by how much the known
        fraud changed; for a result 0 where it changed nothing, ``kernel.NO_ROOM`` or ``kernel.NOT_KEPT``
        where it could not be taken; NEW (0) for what does not name the entity.
    states
        State bytes by key after the events.
    sequences
        [n], how many transactions the entity has counted with this event (a label: before it), where
        states were kept; NaN for what does not name the entity. Per entity it is the order of arrival,
        whoever folded.
    events
        [n, columns], those that were folded. A label may leave out keys and the time of its transaction:
        where the primary entity keeps the transaction, they stand here.
    """

    vectors: Floats
    outcomes: Floats
    states: dict[float, bytes]
    sequences: Floats
    events: Floats


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
        self._fold = fold_plain if plan.is_plain else fold_any
        self._width = plan.events.width

    def run(self, batch: Batch) -> None:
        """Fold events.

        Raises
        ------
        BadConfig
            When the events have other columns than the plan was compiled for.
        BadState
            When a state was written with another layout, or is damaged; rebuild the store by replay.
        """
        columns = batch.events.shape[1]
        if columns != self._width:
            raise BadConfig(f"events have {columns} columns; the plan is compiled for {self._width}")
        bad, fault = self._fold(self.plan.program, *batch, self._work)
        if fault != READABLE:
            state = batch.states[batch.offsets[bad] : batch.offsets[bad + 1]]
            raise refusal(self.plan, state, fault)


def fold_events(
    entity: Entity,
    events: Floats,
    states: Mapping[float, bytes | None],
    *,
    keep_states: bool = True,
    features: tuple[Feature, ...] | None = None,
) -> Folded:
    """Fold events of many entities of one kind, whose columns are those of the default schema.

    Parameters
    ----------
    entity
        USER or MERCHANT, or one of other bounds.
    events, states, keep_states
        As of :func:`fold_plan`.
    features
        What to compute; all features of the entity by default.

    Raises
    ------
    BadState
        When a state was written with another layout, or is damaged; rebuild the store by replay.
    """
    return fold_plan(compile_plan(entity, features), events, states, keep_states=keep_states)


def fold_plan(
    plan: Plan,
    events: Floats,
    states: Mapping[float, bytes | None],
    *,
    table: Floats | None = None,
    first: int = 0,
    keep_states: bool = True,
) -> Folded:
    """Fold events of many entities of one kind, each from its state.

    Parameters
    ----------
    plan
        Of the entity, its features and the events' columns.
    events
        [n, columns] in arrival order. Rows whose key is 0 are of no entity: they change no state, and their
        vectors are NaN.
    states
        State bytes by entity key (the hash in the events' column); absent or None: a new entity.
    table
        [n, columns] in C order, to whose columns from ``first`` on the vectors are written; None for a new
        one.
    keep_states
        False leaves the result's ``states`` empty (training needs the vectors alone).

    Raises
    ------
    BadConfig
        When the events have other columns than the plan was compiled for.
    BadState
        When a state was written with another layout, or is damaged; rebuild the store by replay.
    """
    events = np.ascontiguousarray(events, np.float64)
    if plan.completes(events):
        events = events.copy()
    runner = Runner(plan)
    of_each = np.ascontiguousarray(plan.keys_of(events))
    rows, bounds, keys = group_rows(of_each)
    width = len(plan.features)
    vectors = np.empty((len(events), width)) if table is None else table
    outcomes = np.empty(len(events))
    if len(rows) < len(events):
        is_missing = of_each == layout.NO_KEY
        vectors[is_missing, first : first + width] = np.nan
        outcomes[is_missing] = layout.NEW
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
        runner.run(Batch(events, rows, groups, flat, offsets, vectors, first, outcomes, after, ends))
        if keep_states:
            counted[group:last] = after[ends[:-1] + layout.H_SEQUENCE]
            new_states.update(split_states(group_keys, after[: ends[-1]], ends))
        group = last
    sequences = _sequences(events, outcomes, rows, bounds, counted) if keep_states else np.zeros(0)
    return Folded(vectors[:, first : first + width], outcomes, new_states, sequences, events)


def _sequences(events: Floats, outcomes: Floats, rows: Ints, bounds: Ints, counted: Floats) -> Floats:
    """Count back from what each entity has counted in the end."""
    kinds = events[rows, layout.E_KIND]
    is_notice = (kinds == layout.KIND_LABEL) | (kinds < layout.KIND_TRANSACTION)
    is_counted = ~is_notice & (outcomes[rows] == layout.NEW)
    so_far = np.concatenate([[0], np.cumsum(is_counted)])
    sequences = np.full(len(events), np.nan)
    sequences[rows] = np.repeat(counted - so_far[bounds[1:]], np.diff(bounds)) + so_far[1:]
    return sequences


def _room_for(plan: Plan, sizes: Ints, events: Ints) -> int:
    """How many numbers states of these lengths can have after so many events each."""
    longest = np.maximum(sizes, plan.header) + events * plan.event_floats
    return int(np.minimum(longest, plan.state_floats).sum())
