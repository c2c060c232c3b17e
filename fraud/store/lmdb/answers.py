"""Answers in LMDB: each step is one transaction of the environment that holds the states.

Databases: ``answers`` (transaction_id: answer), ``outbox`` (growing number: transaction_id), ``ending``
(Unix microseconds and transaction_id: nothing); in ``meta``, the lease and the outbox's last number.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from struct import Struct
from typing import Any, Final

from fraud.errors import Unavailable
from fraud.store.answers import (
    UNCLAIMED,
    Answer,
    Change,
    Claim,
    Found,
    Key,
    Load,
    claimed_by,
    decode_answer,
    encode_answer,
    record_of,
    without_answer,
)
from fraud.store.records import Epoch
from fraud.store.value import replace_newest, version_of

IDENTITY: Final = b"identity"
GROUP: Final = 1_000
_LEASE: Final = b"drainer"
_GIVEN: Final = b"outbox:given"
_KEY: Final = Struct(">d")
_NUMBER: Final = Struct(">Q")
_NONE_GIVEN: Final = _NUMBER.pack(0)
_EPOCH: Final = Struct("<q")


class _Group(threading.local):
    """The step that a thread has open for several."""

    step: Any = None
    has_failed = False


class LmdbAnswers:
    """See :class:`~fraud.store.answers.Answers`.

    Parameters
    ----------
    begin
        Opens a transaction of the environment.
    meta, states, tables
        Databases of the environment.
    """

    def __init__(
        self,
        begin: Callable[..., AbstractContextManager[Any]],
        meta: Any,
        states: Mapping[str, Any],
        tables: Mapping[str, Any],
    ) -> None:
        self._begin = begin
        self._group = _Group()
        self._meta = meta
        self._states = states
        self._answers, self._outbox, self._ending = (tables[name] for name in TABLES)

    def look(self, transaction_id: str, keys: Sequence[Key]) -> Found:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._step() as txn:
            answer = txn.get(transaction_id.encode(), db=self._answers)
            return Found(
                decode_answer(answer) if answer else None,
                {one: txn.get(_KEY.pack(one[1]), db=self._states[one[0]]) for one in keys},
            )

    @contextmanager
    def together(self) -> Iterator[None]:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._begin(write=True) as txn:  # without views, which end with the next write
            self._group.step, self._group.has_failed = txn, False
            try:
                yield
            finally:
                self._group.step = None
        if self._group.has_failed:
            raise Unavailable("one of several steps of the feature store failed; none of them was kept")

    def find(self, transaction_id: str) -> Answer | None:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._begin(db=self._answers) as txn:
            stored = txn.get(transaction_id.encode())
        return decode_answer(stored) if stored else None

    def commit(self, transaction_id: str, answer: Answer, changes: Sequence[Change], identity: str) -> bool:
        """See :class:`~fraud.store.answers.Answers`."""
        name = transaction_id.encode()
        with self._step(write=True, buffers=True) as txn:
            if bytes(txn.get(IDENTITY, b"", db=self._meta)) != identity.encode() or not identity:
                return False
            if txn.get(name, db=self._answers) is not None:
                return False
            values = []
            for change in changes:
                stored = txn.get(_KEY.pack(change.key), db=self._states[change.entity])
                if version_of(stored) != change.version:
                    return False
                values.append(replace_newest(stored, change.state))
            for change, value in zip(changes, values, strict=True):
                txn.put(_KEY.pack(change.key), value, db=self._states[change.entity])
            txn.put(name, encode_answer(answer), db=self._answers)
            with txn.cursor(db=self._outbox) as cursor:
                last = _NUMBER.unpack(cursor.key())[0] if cursor.last() else -1
                # Never one that was given before: who drained it may still be about to remove it.
                number = max(last, _NUMBER.unpack(txn.get(_GIVEN, _NONE_GIVEN, db=self._meta))[0]) + 1
                cursor.put(_NUMBER.pack(number), name, append=True)
            txn.put(_GIVEN, _NUMBER.pack(number), db=self._meta)
        return True

    def keep(self, records: Mapping[str, bytes]) -> None:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._begin(write=True, db=self._answers) as txn:
            for name, record in records.items():
                txn.put(name.encode(), without_answer(record), overwrite=False)

    def waiting(self, limit: int) -> list[tuple[bytes, bytes]]:
        """See :class:`~fraud.store.answers.Answers`."""
        found = []
        with self._begin(db=self._outbox) as txn, txn.cursor() as cursor:
            for entry, name in islice(cursor, limit):
                stored = txn.get(name, db=self._answers)
                found.append((entry, record_of(stored) if stored else b""))
        return found

    def sent(self, entries: Sequence[bytes]) -> None:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._begin(write=True, db=self._outbox) as txn:
            for entry in entries:
                txn.delete(entry)

    def backlog(self) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._begin() as txn:
            return int(txn.stat(self._outbox)["entries"])

    def loads(self) -> list[Load]:
        """See :class:`~fraud.store.answers.Answers`."""
        return [Load(self.backlog())]

    def lease(self, owner: str, for_s: float) -> bool:
        """See :class:`~fraud.store.answers.Answers`."""
        now = time.time()
        with self._begin(write=True, db=self._meta) as txn:
            until, _, holder = txn.get(_LEASE, b"0 ").partition(b" ")
            if float(until) > now and holder != owner.encode():
                return False
            txn.put(_LEASE, f"{now + for_s} {owner}".encode())
        return True

    def claim(self, transaction_ids: Sequence[str], epoch: Epoch, keep_s: float) -> list[Claim]:
        """See :class:`~fraud.store.answers.Answers`."""
        ends_us = int((time.time() + keep_s) * 1e6)
        claims = []
        with self._begin(write=True, db=self._answers) as txn:
            for name in (text.encode() for text in transaction_ids):
                stored = txn.get(name)
                if stored is None:
                    claims.append(Claim.UNKNOWN)
                    continue
                holder = claimed_by(stored)
                if holder == UNCLAIMED:
                    txn.put(name, _EPOCH.pack(epoch.number) + stored[_EPOCH.size :])
                    txn.put(_NUMBER.pack(ends_us) + name, b"", db=self._ending)
                claims.append(Claim.MINE if holder in {UNCLAIMED, epoch.number} else Claim.TAKEN)
        return claims

    def release(self, after: Epoch) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        released = 0
        with self._begin(write=True, db=self._ending) as txn:
            with txn.cursor() as cursor:
                ending = list(cursor.iternext(values=False))
            for key in ending:
                stored = txn.get(key[8:], db=self._answers)
                if stored is not None and claimed_by(stored) > after.number:
                    free = _EPOCH.pack(UNCLAIMED) + stored[_EPOCH.size :]
                    txn.put(key[8:], free, db=self._answers)
                    released += txn.delete(key)
        return released

    def expire(self, now_s: float) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        bound, deleted = _NUMBER.pack(int(now_s * 1e6)), 0
        while True:
            with self._begin(write=True, db=self._ending) as txn:
                with txn.cursor() as cursor:
                    over = [key for key in islice(cursor.iternext(values=False), GROUP) if key[:8] < bound]
                for key in over:
                    txn.delete(key)
                    deleted += txn.delete(key[8:], db=self._answers)
            if len(over) < GROUP:
                return deleted

    def _step(self, **options: bool) -> AbstractContextManager[Any]:
        """Begin a step, or go on with that of the group."""
        return self._begin(**options) if self._group.step is None else self._part_of_group()

    @contextmanager
    def _part_of_group(self) -> Iterator[Any]:
        """Go on with the group's step; a failure undoes all of it: nobody knows what was written before."""
        try:
            yield self._group.step
        except BaseException:
            self._group.has_failed = True
            self._group.step.abort()
            raise


TABLES: Final = ("answers", "outbox", "ending")
"""Names of the databases."""
