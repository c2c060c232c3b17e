"""The fold for one entity kind: states in, vectors and states out. Stream, service and batch call this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.errors import BadState
from fraud.features import kernel
from fraud.features.definitions import Entity
from fraud.features.kernel import Floats
from fraud.features.plan import Plan, compile_plan

CHUNK_EVENTS = 200_000
"""Events folded in one call of the kernel at most (one entity's are never parted)."""


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
    """

    vectors: Floats
    outcomes: Floats
    states: dict[float, bytes]


def fold_events(
    entity: Entity,
    events: Floats,
    states: Mapping[float, bytes | None],
    *,
    keep_states: bool = True,
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

    Raises
    ------
    BadState
        When a state was written with another layout; rebuild it by replay.
    """
    plan = compile_plan(entity)
    column = kernel.E_USER if entity.name == "user" else kernel.E_MERCHANT
    keys = events[:, column]
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = (
        np.flatnonzero(np.diff(sorted_keys, prepend=np.nan) != 0.0) if len(keys) else np.empty(0, np.int64)
    )
    bounds = np.append(starts, len(keys))
    vectors = np.full((len(keys), len(plan.features)), np.nan)
    outcomes = np.zeros(len(keys))
    new_states: dict[float, bytes] = {}
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + CHUNK_EVENTS, side="right")) - 1)
        rows = order[bounds[first] : bounds[last]]
        group_keys = sorted_keys[starts[first:last]].tolist()
        found = [states.get(key) for key in group_keys]
        chunk = _fold_chunk(plan, events[rows], bounds[first : last + 1] - bounds[first], found)
        vectors[rows], outcomes[rows], flat, offsets = chunk
        if keep_states:
            raw = flat.tobytes()
            ends = (offsets * 8).tolist()
            new_states.update((key, raw[ends[i] : ends[i + 1]]) for i, key in enumerate(group_keys))
        first = last
    return Folded(vectors, outcomes, new_states)


def _fold_chunk(
    plan: Plan, events: Floats, groups: NDArray[np.int64], found: Sequence[bytes | None]
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    sizes = np.array([len(state) // 8 if state else 0 for state in found], np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    states = np.frombuffer(b"".join(state for state in found if state), np.float64)
    layouts = states[offsets[:-1][sizes > 0]]
    if (layouts != plan.layout).any():
        raise BadState(
            f"states of {plan.entity.name}s were written with another layout; "
            "rebuild the store from the log with `fraud replay --rebuild-store`"
        )
    counts = np.diff(groups)
    room = np.minimum(np.maximum(sizes, kernel.HEADER) + counts * plan.event_floats, plan.state_floats)
    vectors = np.full((len(events), len(plan.features)), np.nan)
    outcomes = np.zeros(len(events))
    new_states = np.empty(int(room.sum()))
    new_offsets = np.zeros(len(groups), np.int64)
    kernel.fold(
        plan.scalars,
        plan.windows,
        plan.levels,
        plan.widths,
        plan.reaches,
        plan.distinct,
        plan.known_columns,
        plan.known_capacities,
        plan.ops,
        events,
        groups.astype(np.int64),
        states,
        offsets,
        vectors,
        outcomes,
        new_states,
        new_offsets,
    )
    return vectors, outcomes, new_states[: new_offsets[-1]], new_offsets
