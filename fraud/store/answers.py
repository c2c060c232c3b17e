"""What the scoring service keeps beside the states: its answers, and what the log has yet to hear of.

One commit counts a transaction in the state of each entity that it names, keeps the answer under its id,
and puts the record for the topic ``scored`` into the outbox: all of it, or nothing. Whoever holds the
lease carries the outbox to Kafka, at least once; the stream *claims* each record, so that it archives it
exactly once and never counts it again.
"""

import struct
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from fraud.store.records import Epoch

_HEAD: Final = struct.Struct("<q16sI")
UNCLAIMED: Final = -1
KEEP_S: Final = 7 * 86_400.0
"""How long an answer is kept once its transaction is in the log, seconds."""
_NO_FINGERPRINT: Final = bytes(16)


class Answer(NamedTuple):
    """What was answered to one transaction."""

    fingerprint: bytes
    """16 bytes that name the request's content."""
    body: bytes
    """The answer as it was given."""
    record: bytes
    """The record of the topic ``scored``."""


Key = tuple[str, float]
"""An entity and the hash of what a record calls it."""


class Change(NamedTuple):
    """One entity's state with the transaction counted."""

    entity: str
    key: float
    state: bytes
    version: bytes
    """``fraud.store.value.version_of`` the value that the state was made from."""


class Found(NamedTuple):
    """What there is before a transaction is scored; the stored values are as in ``fraud.store.value``."""

    answer: Answer | None
    stored: dict[Key, bytes | None]
    """Of the keys that were asked for."""


class Load(NamedTuple):
    """What waits on one server."""

    outbox: int
    """Entries of the outbox."""
    locked: int = 0
    """States that commits over several servers hold at this moment."""


class Claim(IntEnum):
    """What the stream may do with a record of the topic ``scored``."""

    MINE = 0
    """It belongs to this micro-batch, now or since an earlier run of it."""
    TAKEN = 1
    """Another micro-batch has archived it: a repeated delivery."""
    UNKNOWN = 2
    """There is no such answer, or no longer."""


class Answers(Protocol):
    """Answers by transaction_id; every method may raise ``Unavailable``."""

    def look(self, transaction_id: str, keys: Sequence[Key]) -> Found:
        """Read, at one instant, an answer and the stored values.

        Parameters
        ----------
        keys
            Those that the transaction names, each once; of an entity with two sides there may be two.
        """

    def together(self) -> AbstractContextManager[None]:
        """Let the looks and commits of this thread inside take effect as one step, at its end.

        Where that saves nothing (a store over a network), each is a step of its own. Holds other writers off:
        what is done inside must be short.

        Raises
        ------
        Unavailable
            At the end: nothing inside took effect; do each again alone.
        """

    def find(self, transaction_id: str) -> Answer | None:
        """Read an answer; None where there is none, or no longer."""

    def commit(self, transaction_id: str, answer: Answer, changes: Sequence[Change], identity: str) -> bool:
        """Write the states, the answer and the outbox's entry in one step.

        Parameters
        ----------
        changes
            One of each key that the transaction names.

        Returns
        -------
        bool
            False, with nothing written, when a state has changed since it was read, the transaction has
            been answered meanwhile, or the store is not ``identity`` any more: read again.
        """

    def keep(self, records: Mapping[str, bytes]) -> None:
        """Keep records, by transaction_id, that the states have counted and of which the answer was lost.

        The stream claims them as others; a client that asks again is told that the answer is not kept. An
        answer that is there stays.
        """

    def waiting(self, limit: int) -> list[tuple[bytes, bytes]]:
        """Read the oldest entries of the outbox: (entry, record)."""

    def sent(self, entries: Sequence[bytes]) -> None:
        """Take entries out of the outbox, because Kafka has them."""

    def backlog(self) -> int:
        """Count the entries of the outbox."""

    def loads(self) -> list[Load]:
        """Tell of each server, in their order, what waits there."""

    def lease(self, owner: str, for_s: float) -> bool:
        """Become, or stay, the one who empties the outbox; False while another one is."""

    def claim(self, transaction_ids: Sequence[str], epoch: Epoch, keep_s: float) -> list[Claim]:
        """Claim records for a micro-batch; their answers may go ``keep_s`` seconds later."""

    def release(self, after: Epoch) -> int:
        """Take back the claims of micro-batches after ``after``, which the log lacks; returns how many.

        Only while nobody else uses the store: it is being rebuilt.
        """

    def expire(self, now_s: float) -> int:
        """Forget the claimed answers whose time (Unix, seconds) is over; returns how many."""


def encode_answer(answer: Answer, claimed_by: int = UNCLAIMED) -> bytes:
    """Lay an answer out as it is stored: ``[claimed by][fingerprint][length][body][record]``."""
    return b"".join(
        (_HEAD.pack(claimed_by, answer.fingerprint, len(answer.body)), answer.body, answer.record)
    )


def without_answer(record: bytes) -> bytes:
    """Lay out a record whose answer was lost, as it is stored; its ``body`` is empty."""
    return encode_answer(Answer(_NO_FINGERPRINT, b"", record))


def decode_answer(stored: bytes) -> Answer:
    """Read a stored answer."""
    _, fingerprint, length = _HEAD.unpack_from(stored)
    end = _HEAD.size + length
    return Answer(fingerprint, stored[_HEAD.size : end], stored[end:])


def record_of(stored: bytes | memoryview) -> bytes:
    """Take the record alone."""
    return bytes(stored[_HEAD.size + _HEAD.unpack_from(stored)[2] :])


def claimed_by(stored: bytes | memoryview) -> int:
    """Tell which epoch has claimed a stored answer; ``UNCLAIMED``: none."""
    return int(_HEAD.unpack_from(stored)[0])
