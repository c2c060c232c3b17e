"""A stored value: ``[epoch: int64][length of the state before: uint32][state before][state]``.

The epoch says which micro-batch wrote it; the same micro-batch run again starts from the state before
it. Between micro-batches the scoring service replaces the state alone (:func:`replace_newest`), so that
the state before stays what that micro-batch started from. The same bytes in every backend.

A value's *version* names its content, for compare-and-set: the epoch, and how many transactions the
state has counted. The stream changes the first with every write, the scoring service the second.
"""

import struct
from typing import Final, TypeVar

from fraud.errors import BadState, Fenced, SetBack
from fraud.store.records import Epoch

_HEADER: Final = struct.Struct("<qI")
_NEWEST: Final = struct.Struct("<d")
_NEWEST_OFFSET: Final = 8  # the second number of a state is its newest event time
_COUNTED_OFFSET: Final = 16  # the third, how many transactions it has counted
_COUNTED_END: Final = 24
FIRST_SEEN: Final = Epoch(0, 1)
"""Stamp of an entity that the scoring service sees first: older than every micro-batch, newer than the
history that an empty store is filled with."""
ABSENT: Final = b""
"""Version of an entity that is not there."""
Raw = TypeVar("Raw", bytes, memoryview)


def header_of(epoch: Epoch, length: int) -> bytes:
    """Make the header of a stored value whose state before is ``length`` bytes long."""
    return _HEADER.pack(epoch.number, length)


def epoch_of(stored: bytes) -> Epoch:
    """Take the epoch that wrote a stored value."""
    return Epoch.of(_HEADER.unpack_from(stored)[0])


def taken_over(owner: str, newest: int, token: int) -> SetBack | Fenced:
    """Make the error of a writer whose token is not the newest: taken over, or the store was set back."""
    if newest < token:
        return SetBack(
            "the feature store was emptied or replaced by an older copy while it was in use (its newest "
            f"fencing token is {newest}, ours {token}); put the right store back, or run "
            "`fraud replay rebuild-store --replace`"
        )
    return Fenced(f"the feature store was taken over by {owner} (token {newest}, ours {token})")


def written_later(written: int, epoch: Epoch) -> Fenced:
    """Make the error of an epoch that is behind a stored state."""
    return Fenced(
        f"a state was written by epoch {written}, newer than this one ({epoch.number}): another driver runs "
        "on this store, or its checkpoint was set back; rebuild it with `fraud replay rebuild-store`"
    )


def encode_value(stored: bytes | None, state: bytes, epoch: Epoch) -> bytes:
    """Put a new state in front of what is stored, keeping the state before ``epoch``."""
    before = state_before(stored, epoch) or b""
    return b"".join((header_of(epoch, len(before)), before, state))


def state_before(stored: bytes | None, epoch: Epoch) -> bytes | None:
    """Take the state as it was before ``epoch`` out of a stored value."""
    if stored is None:
        return None
    newest = newest_state(stored)
    written, length = _HEADER.unpack_from(stored)
    if written < epoch.number:
        return newest
    if written > epoch.number:
        raise written_later(written, epoch)
    return stored[_HEADER.size : _HEADER.size + length] or None


def version_of(stored: bytes | memoryview | None) -> bytes:
    """Name the content of a stored value, 16 bytes; ``ABSENT`` where there is none."""
    if stored is None:
        return ABSENT
    at = _HEADER.size + _HEADER.unpack_from(stored)[1]
    return bytes(stored[:8]) + bytes(stored[at + _COUNTED_OFFSET : at + _COUNTED_END])


def replace_newest(stored: bytes | memoryview | None, state: bytes) -> bytes:
    """Put another newest state into a stored value; its epoch and the state before it stay."""
    if stored is None:
        return header_of(FIRST_SEEN, 0) + state
    return bytes(stored[: _HEADER.size + _HEADER.unpack_from(stored)[1]]) + state


def newest_state(stored: Raw) -> Raw:
    """Take the newest state out of a stored value; a view's is a view.

    Raises
    ------
    BadState
        When the value is shorter than its header says.
    """
    if len(stored) < _HEADER.size:
        raise _too_short(stored)
    at = _HEADER.size + _HEADER.unpack_from(stored)[1]
    if at + _COUNTED_OFFSET > len(stored):
        raise _too_short(stored)
    return stored[at:]


def _too_short(stored: bytes | memoryview) -> BadState:
    needed = _HEADER.size
    if len(stored) >= needed:
        needed += _HEADER.unpack_from(stored)[1] + _COUNTED_OFFSET
    return BadState(
        f"a stored value is corrupt: it has {len(stored):,} bytes and needs at least {needed:,}; run "
        "`fraud store check`"
    )


def newest_event_us(state: bytes | memoryview) -> float:
    """Event time of the newest event in a state, in microseconds."""
    return float(_NEWEST.unpack_from(state, _NEWEST_OFFSET)[0])
