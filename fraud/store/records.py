"""Of whom a store keeps states, which micro-batch wrote one, and what is told of an entity."""

from enum import StrEnum
from typing import Final, NamedTuple, Self

BATCH_BITS: Final = 40
"""Low bits of an epoch's number, which count the micro-batches of a generation."""


class Kind(StrEnum):
    """Whose states."""

    USER = "user"
    MERCHANT = "merchant"


class Epoch(NamedTuple):
    """Which micro-batch writes: the run of a query (its checkpoint) and the number of its batch.

    A new checkpoint gets the next generation, so that its first batch is newer than all before.
    """

    generation: int
    batch: int

    @property
    def number(self) -> int:
        """One growing number for both."""
        return (self.generation << BATCH_BITS) + self.batch

    @classmethod
    def of(cls, number: int) -> Self:
        """Read the growing number back.

        Examples
        --------
        >>> Epoch.of(Epoch(3, 8).number)
        Epoch(generation=3, batch=8)
        """
        return cls(number >> BATCH_BITS, number & ((1 << BATCH_BITS) - 1))


LATEST: Final = Epoch(1 << 22, 0)
"""Later than every micro-batch: who reads with it gets the newest states, whoever wrote them."""


class Entry(NamedTuple):
    """One entity of a store, without its state."""

    key: float
    newest_event_us: float
    """Event time of its newest event, microseconds; minus infinity when it has had none."""
    stored_bytes: int
    """Size of its stored value: the newest state and the one before it."""
