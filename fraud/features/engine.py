"""The fold for one entity kind: states in, vectors and states out. Stream, service and batch call this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.errors import BadState
from fraud.features import kernel
from fraud.features.definitions import Entity, Feature
from fraud.features.kernel import Floats, Ints
from fraud.features.plan import EVENT_COLUMN, Plan, compile_plan

CHUNK_EVENTS: Final = 200_000
"""Events folded in one call of the kernel at most (one entity's are never parted)."""
_REBUILD: Final = "rebuild the store from the log with `fraud replay rebuild-store`"


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
    rows, bounds, keys = kernel.group_rows(np.ascontiguousarray(events[:, EVENT_COLUMN[entity.name]]))
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
        flat, offsets = _fold_chunk(
            plan,
            events,
            rows,
            bounds[group : last + 1],
            found,
            vectors=vectors,
            first=first,
            outcomes=outcomes,
            keep_states=keep_states,
        )
        if keep_states:
            counted[group:last] = flat[offsets[:-1] + kernel.H_SEQUENCE]
            raw = flat.tobytes()
            ends = (offsets * 8).tolist()
            new_states.update(zip(group_keys, map(raw.__getitem__, map(slice, ends, ends[1:])), strict=True))
        group = last
    width = len(plan.features)
    sequences = _sequences(events, outcomes, rows, bounds, counted) if keep_states else np.zeros(0)
    return Folded(vectors[:, first : first + width], outcomes, new_states, sequences)


def _sequences(events: Floats, outcomes: Floats, rows: Ints, bounds: Ints, counted: Floats) -> Floats:
    """Count back from what each entity has counted in the end."""
    is_counted = (events[rows, kernel.E_KIND] == kernel.KIND_TRANSACTION) & (outcomes[rows] == kernel.NEW)
    so_far = np.concatenate([[0], np.cumsum(is_counted)])
    sequences = np.empty(len(events))
    sequences[rows] = np.repeat(counted - so_far[bounds[1:]], np.diff(bounds)) + so_far[1:]
    return sequences


def _fold_chunk(
    plan: Plan,
    events: Floats,
    rows: Ints,
    groups: Ints,
    found: Sequence[bytes],
    *,
    vectors: Floats,
    first: int,
    outcomes: Floats,
    keep_states: bool,
) -> tuple[Floats, Ints]:
    sizes = np.array([*map(len, found)], np.int64) if found else np.zeros(len(groups) - 1, np.int64)
    _check_whole(plan, sizes)
    sizes //= 8
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    states = np.frombuffer(b"".join(found), np.float64)
    _check_layout(plan, states, offsets[:-1][sizes > 0], sizes[sizes > 0])
    room = np.minimum(
        np.maximum(sizes, kernel.HEADER) + np.diff(groups) * plan.event_floats, plan.state_floats
    )
    new_states = np.empty(int(room.sum()) if keep_states else 0)
    new_offsets = np.zeros(len(groups), np.int64)
    kernel.fold(
        *plan.arrays,
        events,
        rows,
        groups,
        states,
        offsets,
        vectors,
        first,
        outcomes,
        new_states,
        new_offsets,
        np.empty(plan.work_floats),
    )
    return new_states[: new_offsets[-1]], new_offsets


def _check_whole(plan: Plan, bytes_: Ints) -> None:
    if ((bytes_ % 8 != 0) | ((bytes_ > 0) & (bytes_ < 8 * kernel.HEADER))).any():
        raise BadState(f"states of {plan.entity.name}s are damaged: cut short; {_REBUILD}")


def _check_layout(plan: Plan, states: Floats, firsts: Ints, sizes: Ints) -> None:
    """Refuse states that the kernel would misread: other layouts, or lengths that their headers deny."""
    if (states[firsts] != plan.layout).any():
        raise BadState(f"states of {plan.entity.name}s were written with another layout; {_REBUILD}")
    counts = states[firsts[:, None] + np.arange(kernel.H_EVENTS, kernel.HEADER)]
    tiles, known = kernel.H_TILES - kernel.H_EVENTS, kernel.H_KNOWN - kernel.H_EVENTS
    lengths = (
        kernel.HEADER
        + counts[:, 0] * plan.kept_columns
        + counts[:, tiles:known].sum(axis=1) * kernel.TILE_COLUMNS
        + counts[:, known:].sum(axis=1) * kernel.KNOWN_COLUMNS
    )
    if (counts < 0).any() or (counts[:, 0] > plan.entity.events).any() or (lengths != sizes).any():
        raise BadState(f"states of {plan.entity.name}s are damaged: their headers deny them; {_REBUILD}")
