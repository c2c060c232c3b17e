"""What one server of several keeps for commits: as alone, and the locks of commits across servers."""

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fraud.store.answers import (
    Answer,
    Change,
    Found,
    Key,
    Load,
    decode_answer,
    encode_answer,
    record_of,
    without_answer,
)
from fraud.store.redis.answers import RedisAnswers
from fraud.store.sharded import shard_scripts
from fraud.store.value import FIRST_SEEN, header_of, newest_event_us
from fraud.store.watermark import older_copy

ATTEMPT_BYTES: Final = 16
NO_ATTEMPT: Final = bytes(ATTEMPT_BYTES)
UNDONE_MS: Final = 86_400_000
"""How long an attempt that was undone is kept from being decided, milliseconds; none is under way so long."""
_HEAD: Final = struct.Struct("<16sd")
_LENGTH: Final = struct.Struct("<I")


class Lock(NamedTuple):
    """A state that a commit holds until it is decided."""

    name: str
    """Key of the state."""
    attempt: bytes
    transaction_id: str
    age_s: float


class ShardAnswers(RedisAnswers):
    """See :class:`~fraud.store.redis.answers.RedisAnswers`; an answer ends with the attempt that wrote it."""

    @property
    def locks_key(self) -> str:
        """Of the hash of the locks."""
        return f"{self._prefix}:locks"

    def last_number(self) -> int:
        """Tell the number of the newest commit; 0 where there was none."""
        with self._server.answering():
            return int(self._client.get(self._number) or 0)

    def look_with_locks(self, transaction_id: str | None, keys: Sequence[Key]) -> tuple[Found, list[str]]:
        """Read at one instant, an answer if one is asked for, and which of the states are locked."""
        names = [self._name(*one) for one in keys]
        asked = [] if transaction_id is None else [self._answer(transaction_id)]
        values, locked = self._server.mget_with_fields([*asked, *names], self.locks_key)
        answer = values[0] if asked else None
        if answer:
            self._server.confirm()
        found = Found(self._decoded(answer), dict(zip(keys, values[len(asked) :], strict=True)))
        return found, [name for name in names if name in locked]

    def lock(self, by: tuple[bytes, str], changes: Sequence[Change], identity: str) -> tuple[bytes, Any]:
        """Lock states as they were read, for an attempt and its transaction_id; what the server says."""
        attempt, transaction_id = by
        names = [self._server.meta, self._number, self.locks_key]
        arguments: list[Any] = [identity, self._server.term, self.greatest(identity), attempt]
        for change in changes:
            names.append(self._name(change.entity, change.key))
            arguments += (change.version, _lock_of(change, transaction_id))
        return self._counted(self._server.run(shard_scripts.LOCK, names, arguments), identity)

    def decide(
        self,
        by: tuple[bytes, str],
        answer: Answer,
        changes: Sequence[Change],
        identity: str,
        after: int,
    ) -> tuple[bytes, Any]:
        """Commit an attempt whose other states are locked; what the server says, ``ok`` with its number.

        Parameters
        ----------
        changes
            Of states that lie here.
        after
            Greatest number that the locks were given.
        """
        attempt, transaction_id = by
        names = [
            self._server.meta,
            self._number,
            self.locks_key,
            self._answer(transaction_id),
            self._outbox,
            self._undone(attempt),
        ]
        arguments: list[Any] = [identity, self._server.term, self.greatest(identity), attempt, transaction_id]
        arguments += (after, encode_answer(answer), header_of(FIRST_SEEN, 0))
        for change in changes:
            names += (self._name(change.entity, change.key), self._newest[change.entity])
            newest = repr(newest_event_us(change.state))
            arguments += (f"{change.key:.17g}", newest, change.state, change.version)
        return self._counted(self._server.run(shard_scripts.DECIDE, names, arguments), identity)

    def fate(self, lock: Lock, *, is_over: bool) -> tuple[bytes, int]:
        """Tell whether a commit is ``done``, ``undone`` or ``open``, and a number after it.

        Parameters
        ----------
        is_over
            Whether its time is over: an open one is undone, for good.
        """
        names = [
            self._answer(lock.transaction_id),
            self._undone(lock.attempt),
            self._number,
            self._server.meta,
        ]
        arguments = [lock.attempt, UNDONE_MS if is_over else 0]
        said, number = self._server.run(shard_scripts.FATE, names, arguments)
        return said, int(number)

    def apply(self, attempt: bytes, after: int, names: Sequence[str]) -> int:
        """Write what a decided commit has locked here, and unlock it; returns a number after it."""
        keys = [self._server.meta, self._number, self.locks_key]
        arguments: list[Any] = [attempt, after, header_of(FIRST_SEEN, 0)]
        for name in names:
            entity, _, member = name.removeprefix(f"{self._prefix}:").rpartition(":")
            keys += (name, f"{self._prefix}:newest:{entity}")
            arguments.append(member)
        return int(self._server.run(shard_scripts.APPLY, keys, arguments)[1])

    def unlock(self, attempt: bytes, names: Sequence[str]) -> None:
        """Give up what an undecided commit has locked here."""
        keys = [self._server.meta, self._number, self.locks_key, *names]
        self._server.run(shard_scripts.UNLOCK, keys, [attempt])

    def names_of(self, changes: Sequence[Change]) -> list[str]:
        """Name the keys of states."""
        return [self._name(change.entity, change.key) for change in changes]

    def locked(self) -> list[str]:
        """Name the locked states."""
        with self._server.answering():
            return [name.decode() for name in self._client.hkeys(self.locks_key)]

    def loads(self) -> list[Load]:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._server.answering(), self._client.pipeline(transaction=False) as pipe:
            return [Load(*map(int, pipe.zcard(self._outbox).hlen(self.locks_key).execute()))]

    def locks(self, names: Sequence[str]) -> list[Lock]:
        """Read the locks of states, of those that are locked still."""
        if not names:
            return []
        with self._server.answering(), self._client.pipeline(transaction=True) as pipe:
            (seconds, micros), values = pipe.time().hmget(self.locks_key, names).execute()
        now_s = seconds + micros / 1e6
        return [_read_lock(name, value, now_s) for name, value in zip(names, values, strict=True) if value]

    def waiting_by_number(self, limit: int) -> list[tuple[float, bytes, bytes]]:
        """Read the oldest entries of the outbox: (number, entry, record)."""
        with self._server.answering():
            found = self._client.zrange(self._outbox, 0, limit - 1, withscores=True)
            stored = self._client.mget([self._answer(entry.decode()) for entry, _ in found]) if found else []
        rows = zip(found, stored, strict=True)
        return [
            (number, entry, record_of(one[:-ATTEMPT_BYTES]) if one else b"") for (entry, number), one in rows
        ]

    def _decoded(self, stored: bytes | None) -> Answer | None:
        return decode_answer(stored[:-ATTEMPT_BYTES]) if stored else None

    def _without_answer(self, record: bytes) -> bytes:
        return without_answer(record) + NO_ATTEMPT

    def _counted(self, said: list[Any], identity: str) -> tuple[bytes, Any]:
        kind, *rest = said
        if kind == b"older":
            raise older_copy(int(rest[0]), self.greatest(identity))
        if kind == b"ok":
            self.confirm(identity, int(rest[0]))
        return kind, rest[0] if rest else None

    def _undone(self, attempt: bytes) -> str:
        return f"{self._prefix}:undone:{attempt.hex()}"


def _lock_of(change: Change, transaction_id: str) -> bytes:
    parts = change.version, repr(newest_event_us(change.state)).encode(), transaction_id.encode()
    return b"".join(b for part in parts for b in (_LENGTH.pack(len(part)), part)) + change.state


def _read_lock(name: str, stored: bytes, now_s: float) -> Lock:
    attempt, locked_s = _HEAD.unpack_from(stored)
    at = _HEAD.size
    part = b""
    for _ in range(3):
        (length,) = _LENGTH.unpack_from(stored, at)
        part = stored[at + _LENGTH.size : at + _LENGTH.size + length]
        at += _LENGTH.size + length
    return Lock(name, attempt, part.decode(), now_s - locked_s)
