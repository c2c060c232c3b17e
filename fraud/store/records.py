"""Of whom a store keeps states, which micro-batch wrote one, and what is told of an entity."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from fraud.errors import BadConfig
from fraud.schema.deployed import deployed_schema
from fraud.schema.reading.document import RESERVED_ENTITIES

BATCH_BITS: Final = 40
"""Low bits of an epoch's number, which count the micro-batches of a generation."""

MOST_ENTITIES: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


def deployed_entities() -> tuple[str, ...]:
    """Name the entities of the deployment's schema, the default of callers that give none."""
    return tuple(entity.name for entity in deployed_schema().entities)


def check_names(entities: Iterable[str]) -> tuple[str, ...]:
    """Make sure that a store can keep states under these names of entities.

    Raises
    ------
    BadConfig
        When a name is not made of lower-case letters, digits and underscores, is taken by the store itself
        or given twice, or when there are none or more than ``MOST_ENTITIES``.

    Examples
    --------
    >>> check_names(["card", "device"])
    ('card', 'device')
    """
    names = tuple(entities)
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadConfig(
                f"the entity's name {name!r} is not 1 to 32 lower-case letters, digits and underscores"
            )
        if name in RESERVED_ENTITIES or names.count(name) > 1:
            why = "is taken by the feature store itself" if name in RESERVED_ENTITIES else "is given twice"
            raise BadConfig(f"the name of the entity {name!r} {why}; choose another one")
    if not 1 <= len(names) <= MOST_ENTITIES:
        raise BadConfig(f"{len(names)} entities; a feature store keeps 1 to {MOST_ENTITIES}")
    return names


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

    @property
    def name(self) -> str:
        """Of its files; names sort as micro-batches follow each other.

        Examples
        --------
        >>> Epoch(3, 8).name
        '000003-000000000008'
        """
        return f"{self.generation:06d}-{self.batch:012d}"

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
