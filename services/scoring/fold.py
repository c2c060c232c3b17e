"""The fold of one transaction, with the stream's kernel and without the preparations that a batch needs."""

from collections.abc import Mapping

import numpy as np

from fraud.features import kernel
from fraud.features.codec import read_numbers, transaction_count
from fraud.features.engine import Runner
from fraud.features.kernel import Floats
from fraud.features.kernel.records import Batch
from fraud.features.layout import DEFAULT_LAYOUT, EventLayout
from fraud.features.passes import EntityPass, Passes
from fraud.features.plan import compile_plan
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.store.answers import Key
from fraud.store.value import newest_state

__all__ = ["PassFold", "SingleFold", "folds_of"]
_ALL = np.ones(1, np.bool_)


class SingleFold:
    """Folds one event a call into one state; of one thread.

    Parameters
    ----------
    entity
        Whose state it folds.
    features
        What it computes; all of the entity's in the table by default.
    events
        Which column of an event holds what.

    Examples
    --------
    >>> from fraud.schema.default import USER
    >>> event, vector = np.ones((1, kernel.EVENT_COLUMNS)), np.empty((1, 80))
    >>> event[0, kernel.E_KIND] = kernel.KIND_TRANSACTION
    >>> is_new, state = SingleFold(USER).fold(event, None, vector, 0)
    >>> is_new, SingleFold(USER).fold(event, state, vector, 0)[0]
    (True, False)
    """

    def __init__(
        self,
        entity: Entity,
        features: tuple[Feature, ...] | None = None,
        events: EventLayout = DEFAULT_LAYOUT,
    ) -> None:
        plan = compile_plan(entity, features, events)
        self._runner = Runner(plan)
        self._row = np.zeros(1, np.int64)
        self._group = np.array([0, 1], np.int64)
        self._offsets = np.zeros(2, np.int64)
        self._outcome = np.zeros(1)
        self._state = np.empty(plan.state_floats + plan.event_floats)
        self._state_end = np.zeros(2, np.int64)

    def fold(
        self, event: Floats, state: bytes | memoryview | None, vector: Floats, first: int
    ) -> tuple[bool, bytes]:
        """Fold a transaction.

        Parameters
        ----------
        event
            [1, EVENT_COLUMNS].
        state
            The entity's, or None for a new one.
        vector
            [1, features]; the entity's columns, from ``first`` on, are written.

        Returns
        -------
        tuple
            Whether it was new (not counted before), and the state after it.

        Raises
        ------
        BadState
            When the state was written with another layout, or is damaged.
        """
        before = read_numbers(self._runner.plan, state or b"")
        self._offsets[1] = len(before)
        self._runner.run(
            Batch(
                events=event,
                rows=self._row,
                groups=self._group,
                states=before,
                offsets=self._offsets,
                out=vector,
                out_first=first,
                outcomes=self._outcome,
                new_states=self._state,
                new_offsets=self._state_end,
            )
        )
        return self._outcome[0] == kernel.NEW, self._state[: self._state_end[1]].tobytes()


class PassFold:
    """Folds one transaction a call into the states of one pass's entity; of one thread.

    Parameters
    ----------
    one
        The pass.
    """

    def __init__(self, one: EntityPass) -> None:
        self.of = one
        self._single = SingleFold(one.entity, one.features, one.events)
        self._vector = np.empty((1, len(one.features)))

    def fold(
        self, event: Floats, stored: Mapping[Key, bytes | None], vector: Floats, states: dict[Key, bytes]
    ) -> dict[str, int] | None:
        """Fold a transaction into the state of each key that it names.

        Parameters
        ----------
        event
            [1, EVENT_COLUMNS].
        stored
            Values of the store, by entity and key.
        vector
            [1, features]; the pass's columns are written.
        states
            Gets the states after it.

        Returns
        -------
        dict
            By the log's name of the entity (of two sides, of each), how many transactions it has counted;
            None where the primary has counted this one before.
        """
        one = self.of
        if one.has_sides:
            return self._fold_sides(event, stored, vector, states)
        key = one.name, float(event[0, one.key_column])
        if key not in stored:
            return {}
        is_new, states[key] = self._single.fold(event, _state_of(stored[key]), vector, one.first)
        return None if one.entity.deduplicates and not is_new else {one.name: transaction_count(states[key])}

    def _fold_sides(
        self, event: Floats, stored: Mapping[Key, bytes | None], vector: Floats, states: dict[Key, bytes]
    ) -> dict[str, int]:
        one = self.of
        sequences: dict[str, int] = {}
        seen = one.see(event, _ALL)
        for at in range(len(seen.rows)):
            row = seen.events[at : at + 1]
            key = one.name, float(row[0, one.key_column])
            _, states[key] = self._single.fold(row, _state_of(stored[key]), self._vector, 0)
            one.write(vector, seen.rows[at : at + 1], row, self._vector)
            number = transaction_count(states[key])
            sequences.update({side.name: number for side in one.sides if seen.sides[at] & side.bit})
        return sequences


def folds_of(passes: Passes) -> list[PassFold]:
    """Make what folds a transaction through all passes, for one thread."""
    return [PassFold(one) for one in passes]


def _state_of(stored: bytes | None) -> memoryview | None:
    return newest_state(memoryview(stored)) if stored else None
