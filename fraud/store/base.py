"""What a feature store promises, whatever holds it, and how one is opened by URL.

A stored value is ``[epoch: int64][length of the state before: uint32][state before][state]``. The
epoch says which micro-batch wrote it; the same micro-batch run again starts from the state before
it, so that every transaction counts exactly once.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from fraud.errors import BadConfig, Fenced

_HEADER: Final = struct.Struct("<qI")
_NEWEST: Final = struct.Struct("<d")
_NEWEST_OFFSET: Final = 8  # the second number of a state is its newest event time


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
        return (self.generation << 40) + self.batch


class FeatureStore(Protocol):
    """States by entity; every method may raise ``Unavailable`` when the store does not answer."""

    def generation_of(self, query_id: str) -> int:
        """Generation (from 1) of a query's checkpoint; a query not seen before gets the next."""

    def acquire(self, owner: str) -> int:
        """Take over writing: returns a fencing token newer than any before; older holders are refused."""

    def read(self, kind: Kind, keys: Sequence[float], epoch: Epoch) -> list[bytes | None]:
        """Read the states as they were before ``epoch``, in the order of ``keys``; None where new.

        Raises
        ------
        Fenced
            When a state was already written by a newer epoch.
        """

    def write(self, kind: Kind, states: Mapping[float, bytes], epoch: Epoch, token: int) -> None:
        """Write the states after ``epoch``, keeping those before it; all or nothing.

        Raises
        ------
        Fenced
            When ``token`` is no longer the newest.
        """

    def flush(self) -> None:
        """Return when all that was written survives a power cut."""

    def scan(self, kind: Kind) -> Iterator[tuple[float, bytes]]:
        """All entities with their newest states, in no promised order."""

    def expire(self, kind: Kind, before_us: float, token: int) -> int:
        """Delete the entities whose newest event is older than ``before_us``; returns how many."""

    def close(self) -> None:
        """Release it."""

    def __enter__(self) -> Self:
        """Open for a ``with`` block."""

    def __exit__(self, *exc: object) -> None:
        """Close."""


def open_store(url: str) -> FeatureStore:
    """Open a store: ``lmdb:///folder`` on this machine, ``redis://host:6379/0`` (also Valkey) in a cluster.

    Raises
    ------
    BadConfig
        When the URL names no known kind of store.
    """
    parts = urlsplit(url)
    if parts.scheme == "lmdb" and parts.path:
        from fraud.store.lmdb import LmdbStore  # noqa: PLC0415  a backend is loaded when it is named

        return LmdbStore(parts.path)
    if parts.scheme in {"redis", "rediss"}:
        from fraud.store.redis import RedisStore  # noqa: PLC0415

        return RedisStore(url)
    raise BadConfig(f"store URL {url!r}: write lmdb:///folder or redis://host:port/database")


def encode_value(stored: bytes | None, state: bytes, epoch: Epoch) -> bytes:
    """Put a new state in front of what is stored, keeping the state before ``epoch``."""
    before = state_before(stored, epoch) or b""
    return b"".join((_HEADER.pack(epoch.number, len(before)), before, state))


def state_before(stored: bytes | None, epoch: Epoch) -> bytes | None:
    """Take the state as it was before ``epoch`` out of a stored value."""
    if stored is None:
        return None
    written, length = _HEADER.unpack_from(stored)
    if written < epoch.number:
        return stored[_HEADER.size + length :]
    if written > epoch.number:
        raise Fenced(
            f"a state was written by epoch {written}, newer than this one ({epoch.number}): "
            "another driver runs on this store, or its checkpoint was set back; rebuild it with `fraud replay`"
        )
    return stored[_HEADER.size : _HEADER.size + length] or None


def newest_state(stored: bytes) -> bytes:
    """Take the newest state out of a stored value."""
    return stored[_HEADER.size + _HEADER.unpack_from(stored)[1] :]


def newest_event_us(state: bytes) -> float:
    """Event time of the newest event in a state, in microseconds."""
    return float(_NEWEST.unpack_from(state, _NEWEST_OFFSET)[0])
