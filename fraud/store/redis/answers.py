"""Answers in Redis or Valkey: each step is one script of ``fraud.store.redis.answer_scripts``.

Keys, under the store's prefix: ``answer:<transaction_id>``; ``outbox``, a sorted set of transaction_ids by
a growing number (``outbox:number``); ``ending``, one by the time when their answers may go; ``drainer``.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from struct import Struct
from typing import Any, Final

from fraud.store.answers import (
    UNCLAIMED,
    Answer,
    Change,
    Claim,
    Found,
    Key,
    Load,
    decode_answer,
    encode_answer,
    record_of,
    without_answer,
)
from fraud.store.records import Epoch
from fraud.store.redis import answer_scripts, scripts
from fraud.store.redis.server import Server
from fraud.store.value import FIRST_SEEN, header_of, newest_event_us
from fraud.store.watermark import older_copy

GROUP: Final = 500
_EPOCH: Final = Struct("<q")


class RedisAnswers:
    """See :class:`~fraud.store.answers.Answers`.

    Parameters
    ----------
    server
        That holds them.
    name
        Key of a state.
    newest
        Keys of the newest event times.
    """

    def __init__(self, server: Server, name: Callable[[str, float], str], newest: Mapping[str, str]) -> None:
        self._server, self._client, self._prefix = server, server.client, server.prefix
        self._name, self._newest = name, newest
        self._outbox, self._ending = f"{self._prefix}:outbox", f"{self._prefix}:ending"
        self._number = f"{self._outbox}:number"
        self._lock = threading.Lock()
        self._confirmed = "", 0
        """The content's identity, and the greatest number that a confirmed commit was given in it."""

    def look(self, transaction_id: str, keys: Sequence[Key]) -> Found:
        """See :class:`~fraud.store.answers.Answers`."""
        names = [self._answer(transaction_id), *(self._name(*one) for one in keys)]
        _, (answer, *stored) = self._server.mget(names)
        if answer:
            self._server.confirm()
        return Found(decode_answer(answer) if answer else None, dict(zip(keys, stored, strict=True)))

    def together(self) -> AbstractContextManager[None]:
        """See :class:`~fraud.store.answers.Answers`; each is a step of its own."""
        return nullcontext()

    def find(self, transaction_id: str) -> Answer | None:
        """See :class:`~fraud.store.answers.Answers`."""
        return self.look(transaction_id, ()).answer

    def commit(self, transaction_id: str, answer: Answer, changes: Sequence[Change], identity: str) -> bool:
        """See :class:`~fraud.store.answers.Answers`."""
        names = [self._server.meta, self._answer(transaction_id), self._outbox, self._number]
        stored, term = encode_answer(answer), self._server.term
        arguments: list[Any] = [identity, transaction_id, stored, term, header_of(FIRST_SEEN, 0)]
        for change in changes:
            names += (self._name(change.entity, change.key), self._newest[change.entity])
            newest = repr(newest_event_us(change.state))
            arguments += (f"{change.key:.17g}", newest, change.state, change.version)
        arguments.append(self.greatest(identity))
        answered, *number = self._server.run(answer_scripts.COMMIT, names, arguments)
        if answered == b"older":
            raise older_copy(number[0], self.greatest(identity))
        if answered == b"ok":
            self.confirm(identity, number[0])
        return bool(answered == b"ok")

    def see_that_none_is_lost(self) -> None:
        """Make sure that the store has every commit that was confirmed to this process.

        Raises
        ------
        SetBack
            When it has not: it failed over to an older copy, and is set aside.
        """
        identity, greatest = self._confirmed
        if not greatest:
            return
        with self._server.answering(), self._client.pipeline(transaction=False) as pipe:
            pipe.hget(self._server.meta, "identity").get(self._number)
            found, number = pipe.execute()
        if found == identity.encode() and int(number or 0) < greatest:
            self._server.run(scripts.DO_SET_ASIDE, [self._server.meta], [])
            raise older_copy(int(number or 0), greatest)

    def greatest(self, identity: str) -> int:
        """Tell the greatest number that was confirmed to this process."""
        confirmed, greatest = self._confirmed
        return greatest if confirmed == identity else 0

    def confirm(self, identity: str, number: int) -> None:
        """Take in a number that was confirmed."""
        with self._lock:
            self._confirmed = identity, max(number, self.greatest(identity))

    def keep(self, records: Mapping[str, bytes]) -> None:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._server.answering(), self._client.pipeline(transaction=False) as pipe:
            for name, record in records.items():
                pipe.set(self._answer(name), self._without_answer(record), nx=True)
            pipe.execute()
        self._server.confirm()

    def waiting(self, limit: int) -> list[tuple[bytes, bytes]]:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._server.answering():
            entries: list[bytes] = self._client.zrange(self._outbox, 0, limit - 1)
            stored = self._client.mget([self._answer(entry.decode()) for entry in entries]) if entries else []
        return [(entry, record_of(one) if one else b"") for entry, one in zip(entries, stored, strict=True)]

    def sent(self, entries: Sequence[bytes]) -> None:
        """See :class:`~fraud.store.answers.Answers`."""
        if entries:
            with self._server.answering():
                self._client.zrem(self._outbox, *entries)

    def backlog(self) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._server.answering():
            return int(self._client.zcard(self._outbox))

    def loads(self) -> list[Load]:
        """See :class:`~fraud.store.answers.Answers`."""
        return [Load(self.backlog())]

    def lease(self, owner: str, for_s: float) -> bool:
        """See :class:`~fraud.store.answers.Answers`."""
        names = [f"{self._prefix}:drainer"]
        return bool(self._server.run(answer_scripts.LEASE, names, [owner, int(for_s * 1e3)])[1])

    def claim(self, transaction_ids: Sequence[str], epoch: Epoch, keep_s: float) -> list[Claim]:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._server.answering():
            seconds, micros = self._client.time()
        ends = seconds + micros / 1e6 + keep_s
        claims: list[Claim] = []
        for first in range(0, len(transaction_ids), GROUP):
            group = transaction_ids[first : first + GROUP]
            names = [self._server.meta, self._ending, *map(self._answer, group)]
            arguments = [_EPOCH.pack(epoch.number), _EPOCH.pack(UNCLAIMED), repr(ends), *group]
            claims += map(Claim, self._server.run(answer_scripts.CLAIM, names, arguments)[1])
        return claims

    def release(self, after: Epoch) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        released = 0
        with self._server.answering():
            entries = [entry.decode() for entry, _ in self._client.zscan_iter(self._ending, count=GROUP)]
            for entry in entries:
                name = self._answer(entry)
                holder = self._client.getrange(name, 0, _EPOCH.size - 1)
                if holder and _EPOCH.unpack(holder)[0] > after.number:
                    self._client.setrange(name, 0, _EPOCH.pack(UNCLAIMED))
                    released += int(self._client.zrem(self._ending, entry))
        return released

    def expire(self, now_s: float) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        deleted = 0
        while True:
            arguments = [repr(now_s), GROUP, self._answer("")]
            _, seen, gone = self._server.run(answer_scripts.EXPIRE, [self._ending], arguments)
            deleted += int(gone)
            if seen < GROUP:
                return deleted

    def _without_answer(self, record: bytes) -> bytes:
        return without_answer(record)

    def _answer(self, transaction_id: str) -> str:
        return f"{self._prefix}:answer:{transaction_id}"
