"""The fold of one transaction, with the stream's kernel and without the preparations that a batch needs."""

from typing import Final

import numpy as np

from fraud.errors import BadState
from fraud.features import kernel
from fraud.features.definitions import Entity
from fraud.features.kernel import Floats
from fraud.features.plan import compile_plan

_REBUILD: Final = "rebuild the store from the log with `fraud replay rebuild-store`"


class SingleFold:
    """Folds one event a call into one state; of one thread.

    Parameters
    ----------
    entity
        USER or MERCHANT.

    Examples
    --------
    >>> from fraud.features.definitions import USER
    >>> event, vector = np.ones((1, kernel.EVENT_COLUMNS)), np.empty((1, 80))
    >>> event[0, kernel.E_KIND] = kernel.KIND_TRANSACTION
    >>> is_new, state = SingleFold(USER).fold(event, None, vector, 0)
    >>> is_new, SingleFold(USER).fold(event, state, vector, 0)[0]
    (True, False)
    """

    def __init__(self, entity: Entity) -> None:
        plan = self._plan = compile_plan(entity)
        self._arrays = plan.arrays
        self._row = np.zeros(1, np.int64)
        self._group = np.array([0, 1], np.int64)
        self._offsets = np.zeros(2, np.int64)
        self._outcome = np.zeros(1)
        self._state = np.empty(plan.state_floats + plan.event_floats)
        self._state_end = np.zeros(2, np.int64)
        self._work = np.empty(plan.work_floats)
        self._none = np.empty(0)

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
        before = self._read(state) if state else self._none
        self._offsets[1] = len(before)
        kernel.fold(
            *self._arrays,
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
            self._work,
        )
        return self._outcome[0] == kernel.NEW, self._state[: self._state_end[1]].tobytes()

    def _read(self, state: bytes | memoryview) -> Floats:
        """Refuse what the kernel would misread."""
        plan = self._plan
        if len(state) % 8 or len(state) < 8 * kernel.HEADER:
            raise BadState(f"the state of a {plan.entity.name} is damaged: cut short; {_REBUILD}")
        numbers = np.frombuffer(state, np.float64)
        header = numbers[: kernel.HEADER].tolist()
        if header[kernel.H_LAYOUT] != plan.layout:
            raise BadState(f"the state of a {plan.entity.name} was written with another layout; {_REBUILD}")
        events = header[kernel.H_EVENTS]
        length = (
            kernel.HEADER
            + events * plan.kept_columns
            + sum(header[kernel.H_TILES : kernel.H_KNOWN]) * kernel.TILE_COLUMNS
            + sum(header[kernel.H_KNOWN :]) * kernel.KNOWN_COLUMNS
        )
        if min(header[kernel.H_EVENTS :]) < 0 or events > plan.entity.events or length != len(numbers):
            raise BadState(f"the state of a {plan.entity.name} is damaged: its header denies it; {_REBUILD}")
        return numbers


def counted(state: bytes) -> int:
    """How many transactions a state has counted."""
    return int(np.frombuffer(state, count=kernel.H_SEQUENCE + 1)[kernel.H_SEQUENCE])
