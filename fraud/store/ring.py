"""A store over several servers: which of them holds what, and which of how many each one is.

An entity's state is on the server that its key names, an answer on the one that its transaction_id names.
Each server keeps its place: the ring's name, its number from 1, and how many there are. So servers that were
exchanged, left out or added are refused: their states would be looked for in the wrong place.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from fraud.errors import BadConfig

_MIX: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_BETWEEN: Final = re.compile(r"\s+(?=[a-z+]+://)")
OTHER_SIZE: Final = (
    "a store of another size is filled beside this one: `fraud replay rebuild-store --store 'URL URL ...' "
    "--follow-until FILE`"
)


class Place(NamedTuple):
    """Which server of a ring one is."""

    ring: str
    number: int
    """From 1, in the order of the URLs."""
    size: int

    def encode(self) -> str:
        """Write it as it is stored."""
        return f"{self.ring} {self.number} {self.size}"

    @classmethod
    def decode(cls, stored: str) -> Self:
        """Read it as it is stored.

        Examples
        --------
        >>> Place.decode(Place("r", 2, 3).encode())
        Place(ring='r', number=2, size=3)
        """
        ring, number, size = stored.split()
        return cls(ring, int(number), int(size))


def urls_of(url: str) -> tuple[str, ...]:
    """Part the URL of a store over several servers: one of each, separated by spaces.

    Examples
    --------
    >>> urls_of("redis://a/0 redis://b/0")
    ('redis://a/0', 'redis://b/0')
    """
    return tuple(_BETWEEN.split(url.strip()))


def is_sharded(url: str) -> bool:
    """Whether a URL names several servers that share the states."""
    return len(urls_of(url)) > 1


def place_of_key(key: float, count: int) -> int:
    """Find the server, from 0, that holds an entity's state.

    Examples
    --------
    >>> [place_of_key(float(key), 3) for key in range(1, 7)]
    [1, 0, 2, 1, 0, 2]
    """
    mixed = (int(key) * _MIX & _MASK) >> 32
    return mixed * count >> 32


def place_of_id(transaction_id: str, count: int) -> int:
    """Find the server, from 0, that holds an answer.

    Examples
    --------
    >>> place_of_id("t-1", 3) in (0, 1, 2)
    True
    """
    return zlib.crc32(transaction_id.encode()) * count >> 32


def alone(where: str, stored: str) -> str:
    """Say that a server is named alone, and is one of several."""
    place = Place.decode(stored)
    return (
        f"the server at {where} is shard {place.number} of {place.size} of a feature store; name all "
        f"{place.size} in its URL, separated by spaces, in their order; {OTHER_SIZE}"
    )


def check_places(wheres: Sequence[str], places: Sequence[Place | None]) -> None:
    """Make sure that servers which have a place are named in it.

    Parameters
    ----------
    wheres
        Their addresses, in the order of the URLs.
    places
        What each keeps; None: it has none yet.

    Raises
    ------
    BadConfig
        When one is missing, too many are named, they are in another order, or of two stores.

    Examples
    --------
    >>> check_places(["a", "b"], [Place("r", 1, 2), Place("r", 2, 2)])
    """
    known = [(where, place) for where, place in zip(wheres, places, strict=True) if place]
    for where, place in known:
        if place.size != len(wheres):
            raise BadConfig(
                f"the server at {where} is shard {place.number} of {place.size} of a feature store, and its "
                f"URL names {len(wheres)}: name all {place.size}; {OTHER_SIZE}"
            )
    rings = {place.ring: where for where, place in known}
    if len(rings) > 1:
        raise BadConfig(
            f"the servers at {' and '.join(rings.values())} belong to two feature stores; name those of one"
        )
    order = {place.number: where for where, place in known}
    if len(order) < len(known):
        raise BadConfig(f"one shard of the feature store is given twice: {', '.join(wheres)}")
    if any(place.number != number for number, place in enumerate(places, 1) if place):
        words = ", ".join(order.get(number, "the new one") for number in range(1, len(wheres) + 1))
        raise BadConfig(f"the shards of the feature store are in another order; write their URLs as: {words}")
