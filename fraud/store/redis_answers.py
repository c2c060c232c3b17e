"""Answers in Redis or Valkey: each step is one script of ``fraud.store.answer_scripts``.

Keys, under the store's prefix: ``answer:<transaction_id>``; ``outbox``, a sorted set of transaction_ids by
a growing number (``outbox:number``); ``ending``, one by the time when their answers may go; ``drainer``.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from struct import Struct
from typing import Any, Final

from fraud.store import answer_scripts
from fraud.store.answers import (
    UNCLAIMED,
    Answer,
    Change,
    Claim,
    Found,
    decode_answer,
    encode_answer,
    record_of,
)
from fraud.store.records import Epoch
from fraud.store.value import FIRST_SEEN, header_of, newest_event_us

GROUP: Final = 500
_EPOCH: Final = Struct("<q")
Run = Callable[[str, list[str], list[Any]], list[Any]]


class RedisAnswers:
    """See :class:`~fraud.store.answers.Answers`.

    Parameters
    ----------
    client
        Of the server.
    answering
        Turns the client's errors into ours.
    run
        Runs a script.
    name
        Key of a state.
    newest
        Keys of the newest event times.
    prefix
        Of all keys.
    """

    def __init__(
        self,
        client: Any,
        *,
        answering: Callable[[], AbstractContextManager[None]],
        run: Run,
        name: Callable[[str, float], str],
        newest: dict[str, str],
        prefix: str,
    ) -> None:
        self._client, self._answering, self._run = client, answering, run
        self._name, self._newest, self._prefix = name, newest, prefix
        self._outbox, self._ending = f"{prefix}:outbox", f"{prefix}:ending"

    def look(self, transaction_id: str, keys: Mapping[str, float]) -> Found:
        """See :class:`~fraud.store.answers.Answers`."""
        names = [self._answer(transaction_id), *map(self._name, keys.keys(), keys.values())]
        with self._answering():
            answer, *stored = self._client.mget(names)
        return Found(decode_answer(answer) if answer else None, dict(zip(keys, stored, strict=True)))

    def find(self, transaction_id: str) -> Answer | None:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._answering():
            stored = self._client.get(self._answer(transaction_id))
        return decode_answer(stored) if stored else None

    def commit(self, transaction_id: str, answer: Answer, changes: Sequence[Change], identity: str) -> bool:
        """See :class:`~fraud.store.answers.Answers`."""
        names = [
            f"{self._prefix}:meta",
            self._answer(transaction_id),
            self._outbox,
            f"{self._outbox}:number",
        ]
        arguments: list[Any] = [identity, transaction_id, encode_answer(answer), "", header_of(FIRST_SEEN, 0)]
        for change in changes:
            names += (self._name(change.entity, change.key), self._newest[change.entity])
            newest = repr(newest_event_us(change.state))
            arguments += (f"{change.key:.17g}", newest, change.state, change.version)
        answered: bytes = self._run(answer_scripts.COMMIT, names, arguments)[0]
        return answered == b"ok"

    def waiting(self, limit: int) -> list[tuple[bytes, bytes]]:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._answering():
            entries: list[bytes] = self._client.zrange(self._outbox, 0, limit - 1)
            stored = self._client.mget([self._answer(entry.decode()) for entry in entries]) if entries else []
        return [(entry, record_of(one) if one else b"") for entry, one in zip(entries, stored, strict=True)]

    def sent(self, entries: Sequence[bytes]) -> None:
        """See :class:`~fraud.store.answers.Answers`."""
        if entries:
            with self._answering():
                self._client.zrem(self._outbox, *entries)

    def backlog(self) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._answering():
            return int(self._client.zcard(self._outbox))

    def lease(self, owner: str, for_s: float) -> bool:
        """See :class:`~fraud.store.answers.Answers`."""
        names = [f"{self._prefix}:drainer"]
        return bool(self._run(answer_scripts.LEASE, names, [owner, int(for_s * 1e3)])[1])

    def claim(self, transaction_ids: Sequence[str], epoch: Epoch, keep_s: float) -> list[Claim]:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._answering():
            seconds, micros = self._client.time()
        ends = seconds + micros / 1e6 + keep_s
        claims: list[Claim] = []
        for first in range(0, len(transaction_ids), GROUP):
            group = transaction_ids[first : first + GROUP]
            names = [self._ending, *map(self._answer, group)]
            arguments = [_EPOCH.pack(epoch.number), _EPOCH.pack(UNCLAIMED), repr(ends), *group]
            claims += map(Claim, self._run(answer_scripts.CLAIM, names, arguments)[1])
        return claims

    def release(self, after: Epoch) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        released = 0
        with self._answering():
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
            _, seen, gone = self._run(answer_scripts.EXPIRE, [self._ending], arguments)
            deleted += int(gone)
            if seen < GROUP:
                return deleted

    def _answer(self, transaction_id: str) -> str:
        return f"{self._prefix}:answer:{transaction_id}"
