"""Puts events into the order in which their entities counted them, however late the log got them.

A transaction that the scoring service counted is archived by a later micro-batch than some that were
counted after it. So events wait here until those before them have arrived; per entity, a transaction's
sequence says how many are before it, and a label's after how many it came.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fraud.features import kernel
from fraud.features.codec import newest_us, transaction_counts
from fraud.features.engine import Folded, fold_plan
from fraud.features.kernel import Floats
from fraud.features.passes import EntityPass, are_notices
from fraud.log.arrival import Ints
from fraud.schema.entities import IDLE_US


@dataclass(frozen=True, slots=True)
class Sequenced:
    """What could be folded.

    Parameters
    ----------
    rows
        Names of the events, as they were given. Of an entity with two sides one may stand there twice.
    events
        [n, EVENT_COLUMNS], entity by entity in the order in which each counted them.
    folded
        Of those events.
    """

    rows: Ints
    events: Floats
    folded: Folded


@dataclass(slots=True)
class Waiting:
    """Events of one pass that wait for those before them."""

    of: EntityPass
    events: Floats = field(init=False)
    """As the entity sees them."""
    sequences: Floats = field(default_factory=lambda: np.zeros(0))
    rows: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    is_open: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Events of which the primary has yet to say what they change; nothing after them may be folded."""

    def __post_init__(self) -> None:
        """Begin without events."""
        self.events = np.zeros((0, self.of.events.width))

    def add(self, events: Floats, sequences: Floats, rows: Ints, is_open: NDArray[np.bool_]) -> None:
        """Add events in the order of the log; a sequence of NaN is an event that comes next."""
        self.is_open = np.concatenate([self.is_open, is_open])
        self.events = np.concatenate([self.events, events])
        self.sequences = np.concatenate([self.sequences, sequences])
        self.rows = np.concatenate([self.rows, rows])

    def resolve(self, rows: Ints, events: Floats) -> None:
        """Take events as the primary hands them on: what notices changed, with which results others came."""
        order = np.argsort(rows)
        mine = np.flatnonzero(self.is_open & np.isin(self.rows, rows))
        theirs = order[np.searchsorted(rows, self.rows[mine], sorter=order)]
        self.events[mine] = self.of.see_again(self.events[mine], events[theirs])
        self.is_open[mine] = False

    @property
    def keys(self) -> list[float]:
        """The entities of all that waits."""
        return list(np.unique(self._key).tolist())

    def fold(self, states: Mapping[float, bytes | None], *, is_last: bool = False) -> list[Sequenced]:
        """Fold, from the entities' states, what nothing is missing before; it waits no more.

        Parameters
        ----------
        is_last
            Nothing will come any more: fold the rest too, in its order.

        Returns
        -------
        list
            In the order of folding; an entity's last state is the one of the last that has it. Two
            where the store had forgotten an idle entity, which then began to count again.
        """
        found = []
        known = dict(states)
        while len(self.rows):
            order, is_ready = self._ready(known, is_last=is_last)
            chosen = order[is_ready]
            if not len(chosen):
                anew = self._begins_anew(known)
                if not anew:
                    break
                known.update(dict.fromkeys(anew))
                continue
            folded = fold_plan(self.of.plan, self.events[chosen], known)
            found.append(Sequenced(self.rows[chosen], folded.events, folded))
            known.update(folded.states)
            left = np.setdiff1d(np.arange(len(self.rows)), chosen)
            self.events, self.sequences = self.events[left], self.sequences[left]
            self.rows, self.is_open = self.rows[left], self.is_open[left]
        return found

    @property
    def _key(self) -> Floats:
        return self.of.keys_of(self.events)

    def _ready(
        self, states: Mapping[float, bytes | None], *, is_last: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Order all that waits by entity and sequence, and tell what nothing is missing before."""
        key = self._key
        is_notice = are_notices(self.events)
        sequence = np.where(np.isnan(self.sequences), -1.0, self.sequences)
        counted = transaction_counts(states, key)
        is_past = (sequence >= 0.0) & np.where(is_notice, sequence < counted, sequence <= counted)
        order = np.lexsort((is_notice & (sequence >= 0.0), sequence, is_past, key))
        if is_last:
            return order, np.full(len(order), True)
        sorted_key = key[order]
        starts = np.concatenate([[True], sorted_key[1:] != sorted_key[:-1]])
        group = np.cumsum(starts) - 1
        so_far = np.cumsum(~is_notice[order])
        before = so_far[starts] - ~is_notice[order][starts]
        expected = counted[order] + so_far - before[group]
        wanted = sequence[order]
        is_broken = is_past[order] | self.is_open[order] | ((wanted >= 0.0) & (wanted != expected))
        breaks = np.cumsum(is_broken)
        first = breaks[starts] - is_broken[starts]
        return order, breaks == first[group]

    def _begins_anew(self, states: Mapping[float, bytes | None]) -> list[float]:
        """Find entities that the store had forgotten: a first transaction, long after the last."""
        is_first = (self.sequences == 1.0) & ~are_notices(self.events)
        found = []
        for key, time in zip(
            self._key[is_first].tolist(), self.events[is_first, kernel.E_TIME].tolist(), strict=True
        ):
            state = states.get(key)
            if state and time - newest_us(state) > IDLE_US:
                found.append(key)
        return found
