"""How an entity sees the events of a batch: those that name it, or each side's, in the order of arrival.

An entity with two sides (an account: sender and receiver) sees a transaction once for each account that it
names. Both are folded in one go, so that what an account receives counts when it sends a moment later. A
transaction of an account with itself is one event that lies on both sides.

In the history of an account the fields that name the account itself are left out: its ``sender`` is who paid
it, its ``receiver`` whom it paid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraud.contracts.models import sequence_of
from fraud.features.kernel import NO_KEY, Floats
from fraud.features.kernel.layout import Ints
from fraud.features.layout import EventLayout
from fraud.schema.entities import Entity


@dataclass(frozen=True, slots=True)
class Side:
    """From where a transaction is one of an entity's, and what that means for its columns.

    Parameters
    ----------
    name
        The entity's; of two sides with the side's. It begins the names of the columns of the log.
    entity, events
        Whose side it is, and which column of an event holds what.
    bit
        By which seen events tell their sides.
    column
        Of the key, in an event's row.
    first, end
        Its part of the pass's features.
    left_out
        Columns of an event that name the entity itself.
    """

    name: str
    entity: str
    events: EventLayout
    bit: int
    column: int
    first: int
    end: int
    left_out: tuple[int, ...] = ()

    @property
    def sequence(self) -> str:
        """Name of the column that says how many transactions the entity has counted."""
        return sequence_of(self.name)

    @property
    def hash_name(self) -> str:
        """Name of the column that holds, of a label, the hash of the entity's key."""
        return f"{self.name}_hash"

    def keys_of(self, events: Floats) -> Floats:
        """Take the keys of events, [n]; ``kernel.NO_KEY`` where there is none."""
        return self.events.keys_of(events, self.column, self.entity)


@dataclass(frozen=True, slots=True)
class SeenEvents:
    """Events as an entity sees them.

    Parameters
    ----------
    rows
        [m], of the events that were given. With two sides one may stand there twice.
    events
        [m, columns], for the fold.
    sides
        [m], bits of the sides.
    """

    rows: Ints
    events: Floats
    sides: Ints

    def of(self, side: Side) -> NDArray[np.bool_]:
        """Tell which are seen from a side, [m]."""
        found: NDArray[np.bool_] = (self.sides & side.bit) != 0
        return found

    def take(self, chosen: NDArray[np.bool_] | Ints) -> "SeenEvents":
        """Choose some."""
        return SeenEvents(self.rows[chosen], self.events[chosen], self.sides[chosen])


def sides_of(entity: Entity, counts: Sequence[int], events: EventLayout) -> tuple[Side, ...]:
    """Lay out an entity's sides.

    Parameters
    ----------
    counts
        How many features there are of each.
    events
        Which column of an event holds what.
    """
    found, first = [], 0
    parts = [set(column.split("+")) for column in entity.key_names]
    for at, (name, column) in enumerate(zip(entity.log_names, entity.key_names, strict=True)):
        own = {column, *(parts[at] - parts[1 - at])} if entity.sides else set()
        left_out = tuple(sorted(events.column(one) for one in own if one in events.keys))
        end = first + counts[at]
        found.append(Side(name, entity.name, events, 1 << at, events.column(column), first, end, left_out))
        first = end
    return tuple(found)


def see_one(side: Side, events: Floats, chosen: NDArray[np.bool_]) -> SeenEvents:
    """Take the events that name an entity with one side."""
    rows = np.flatnonzero(chosen & (side.keys_of(events) != NO_KEY))
    return SeenEvents(rows, events[rows], np.ones(len(rows), np.int64))


def see_both(
    sides: Sequence[Side], layout: EventLayout, events: Floats, chosen: Sequence[NDArray[np.bool_]]
) -> SeenEvents:
    """Take the events that name an entity from either side, once for each entity that they name.

    Parameters
    ----------
    sides
        The two.
    layout
        Of the seen events.
    events
        [n, columns].
    chosen
        [n] by side: which are wanted.
    """
    keys = [side.keys_of(events) for side in sides]
    is_of = [wanted & (key != NO_KEY) for key, wanted in zip(keys, chosen, strict=True)]
    is_both = (keys[0] == keys[1]) & (is_of[0] | is_of[1])
    first, second = (np.flatnonzero(found) for found in (is_of[0] | is_both, is_of[1] & ~is_both))
    rows = np.concatenate([first, second])
    of_first = np.where(is_both[first], sides[0].bit | sides[1].bit, sides[0].bit)
    bits = np.concatenate([of_first, np.full(len(second), sides[1].bit)])
    order = np.argsort(rows, kind="stable")
    return _seen(sides, layout, events, rows[order], bits[order])


def see_again(sides: Sequence[Side], layout: EventLayout, events: Floats, bits: Ints) -> Floats:
    """Make the seen events of some events, [n], each from the sides that are told."""
    return _seen(sides, layout, events, np.arange(len(events)), bits).events


def bits_of(events: Floats) -> Ints:
    """Read from which sides seen events of an entity with two are seen."""
    return np.asarray(events[:, -1], np.int64)


def _seen(sides: Sequence[Side], layout: EventLayout, events: Floats, rows: Ints, bits: Ints) -> SeenEvents:
    taken = events[rows]
    key = np.where(bits & sides[0].bit, sides[0].keys_of(taken), sides[1].keys_of(taken))
    found = np.hstack([taken, key[:, None], bits[:, None].astype(np.float64)])
    for side in sides:
        mine = np.flatnonzero(bits & side.bit)
        found[np.ix_(mine, np.array(side.left_out, np.int64))] = NO_KEY
    if layout.by_side:
        found[:, layout.mask] = _masks(layout, found[:, layout.mask], bits, sides)
    return SeenEvents(rows, found, bits)


def _masks(layout: EventLayout, masks: Floats, bits: Ints, sides: Sequence[Side]) -> Floats:
    """Let the filters that read the side hold where they do on one of the event's sides."""
    found = masks.astype(np.int64)
    is_out, is_in = ((bits & side.bit) != 0 for side in sides)
    for out, in_ in layout.bits_of_sides:
        holds = (is_out & (found >> out & 1 == 1)) | (is_in & (found >> in_ & 1 == 1))
        found = (found & ~(1 << out)) | (holds.astype(np.int64) << out)
    return found.astype(np.float64)
