"""The fold of one transaction, with the stream's kernel and without the preparations that a batch needs."""

import numpy as np

from fraud.features import kernel
from fraud.features.codec import counted, read_numbers
from fraud.features.engine import Runner
from fraud.features.kernel import Floats
from fraud.features.layout import DEFAULT_LAYOUT, EventLayout
from fraud.features.plan import compile_plan
from fraud.schema.features import Entity, Feature

__all__ = ["SingleFold", "counted"]


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
            event,
            self._row,
            self._group,
            before,
            self._offsets,
            vector,
            first,
            self._outcome,
            self._state,
            self._state_end,
        )
        return self._outcome[0] == kernel.NEW, self._state[: self._state_end[1]].tobytes()
