"""Commits of the scoring service over several servers: all or nothing, once, whoever stops in between.

The answer is on the shard that its transaction_id names, its *home*. A commit whose states all lie there is
one script, as with one server. Any other one takes three steps:

1. Each other shard locks its states, if they are as they were read, and keeps the new ones in the locks.
2. The home decides: if the attempt was not undone, and its own states are as they were read, it writes them,
   the answer and the outbox's entry. Before this step nothing has happened, after it the commit counts.
3. The other shards write what they have locked.

Whoever meets a lock asks its home: a commit that was decided is finished; one that was not, and whose time
is over, is marked there as undone, which its own second step respects, and unlocked. Between a commit's
readings and its decision every state that it used is the same: commits are as if one came after the other.
"""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Final

from fraud.errors import Unavailable
from fraud.store.answers import Answer, Change, Claim, Found, Key, Load
from fraud.store.records import Epoch
from fraud.store.sharded.shard import Shard
from fraud.store.sharded.shard_answers import Lock, ShardAnswers
from fraud.store.sharded.shards import Shards

GRACE_S: Final = 0.2
"""How long a commit may hold states before whoever meets it undoes it, seconds; milliseconds are usual."""


class ShardedAnswers:
    """See :class:`~fraud.store.answers.Answers`.

    Parameters
    ----------
    shards
        That hold them.
    grace_s
        Age of a lock from which its commit may be undone, seconds.
    """

    def __init__(self, shards: Shards, grace_s: float = GRACE_S) -> None:
        self._shards, self._grace_s = shards, grace_s

    def look(self, transaction_id: str, keys: Sequence[Key]) -> Found:
        """See :class:`~fraud.store.answers.Answers`; of several instants, which ``commit`` compares."""
        home = self._shards.of_id(transaction_id)
        parts = self._shards.parted(keys, lambda one: self._shards.of_key(one[1]))
        parts.setdefault(home, [])
        found = Found(None, {})
        while parts:
            read = self._shards.each(
                {
                    at: partial(_look, transaction_id if at == home else None, tuple(own))
                    for at, own in parts.items()
                }
            )
            for at, (seen, _) in read.items():
                found.stored.update(seen.stored)
                found = found._replace(answer=seen.answer) if at == home else found
            parts = {at: parts[at] for at, (_, held) in read.items() if held and self.settle(at, held)}
        return found._replace(stored={one: found.stored[one] for one in keys})

    def together(self) -> AbstractContextManager[None]:
        """See :class:`~fraud.store.answers.Answers`; each is a step of its own."""
        return nullcontext()

    def find(self, transaction_id: str) -> Answer | None:
        """See :class:`~fraud.store.answers.Answers`."""
        return self.look(transaction_id, ()).answer

    def commit(self, transaction_id: str, answer: Answer, changes: Sequence[Change], identity: str) -> bool:
        """See :class:`~fraud.store.answers.Answers`."""
        with self._shards.together():
            return self._commit((uuid.uuid4().bytes, transaction_id), answer, changes, identity)

    def settle(self, at: int, names: Sequence[str]) -> bool:
        """Finish the commits that hold these states and were decided, undo those whose time is over.

        Returns
        -------
        bool
            Whether a state has changed by it.
        """
        has_changed = False
        for lock in self._shards.call(at, lambda shard: shard.answers().locks(names)):
            is_over = lock.age_s >= self._grace_s
            said, number = self._shards.call(
                self._shards.of_id(lock.transaction_id),
                partial(_fate, lock, is_over),
            )
            if said == b"done":
                self._shards.call(at, partial(_finish, lock.attempt, number, [lock.name]))
                has_changed = True
            elif said == b"undone":
                self._shards.call(at, partial(_give_up, lock.attempt, [lock.name]))
        return has_changed

    def settle_all(self) -> None:
        """Do the same for all states that are locked."""
        for at, names in enumerate(self.locked()):
            self.settle(at, names)

    def locked(self) -> list[list[str]]:
        """Name, by shard, the states that commits hold at this moment."""
        return self._shards.all(lambda shard: shard.answers().locked())

    def keep(self, records: Mapping[str, bytes]) -> None:
        """See :class:`~fraud.store.answers.Answers`."""
        for at, names in self._shards.parted(records, self._shards.of_id).items():
            self._of(at).keep({name: records[name] for name in names})

    def waiting(self, limit: int) -> list[tuple[bytes, bytes]]:
        """See :class:`~fraud.store.answers.Answers`."""
        found = self._shards.all(lambda shard: shard.answers().waiting_by_number(limit))
        rows = sorted((row for rows in found for row in rows), key=lambda row: row[0])
        return [(entry, record) for _, entry, record in rows[:limit]]

    def sent(self, entries: Sequence[bytes]) -> None:
        """See :class:`~fraud.store.answers.Answers`."""
        for at, own in self._shards.parted(entries, lambda entry: self._shards.of_id(entry.decode())).items():
            self._of(at).sent(own)

    def backlog(self) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        return sum(load.outbox for load in self.loads())

    def loads(self) -> list[Load]:
        """See :class:`~fraud.store.answers.Answers`."""
        return [load for loads in self._shards.all(lambda shard: shard.answers().loads()) for load in loads]

    def lease(self, owner: str, for_s: float) -> bool:
        """See :class:`~fraud.store.answers.Answers`; who holds it finishes what others have left."""
        is_mine = self._of(0).lease(owner, for_s)
        if is_mine:
            self.settle_all()
        return is_mine

    def claim(self, transaction_ids: Sequence[str], epoch: Epoch, keep_s: float) -> list[Claim]:
        """See :class:`~fraud.store.answers.Answers`."""
        parts = self._shards.parted(transaction_ids, self._shards.of_id)
        claimed = self._shards.each({at: partial(_claim, own, epoch, keep_s) for at, own in parts.items()})
        found = {
            name: claim for at, own in parts.items() for name, claim in zip(own, claimed[at], strict=True)
        }
        return [found[name] for name in transaction_ids]

    def release(self, after: Epoch) -> int:
        """See :class:`~fraud.store.answers.Answers`."""
        return sum(self._shards.all(lambda shard: shard.answers().release(after)))

    def expire(self, now_s: float) -> int:
        """See :class:`~fraud.store.answers.Answers`; no answer goes before its commit is finished."""
        self.settle_all()
        return sum(self._shards.all(lambda shard: shard.answers().expire(now_s)))

    def _commit(
        self, by: tuple[bytes, str], answer: Answer, changes: Sequence[Change], identity: str
    ) -> bool:
        home = self._shards.of_id(by[1])
        parts = self._shards.parted(changes, lambda change: self._shards.of_key(change.key))
        own = parts.pop(home, [])
        after = self._lock(by, parts, identity)
        if after is None:
            return False
        said, found = self._shards.each(
            {home: lambda shard: shard.answers().decide(by, answer, own, identity, after)}
        )[home]
        if said != b"ok":
            self._unlock(by[0], parts)
            if said == b"locked":
                self.settle(home, [found.decode()])
            return False
        with suppress(Unavailable):  # it counts already; whoever meets the locks finishes it
            numbers = self._shards.each({at: partial(_apply, by[0], found, of) for at, of in parts.items()})
            for at, number in numbers.items():
                self._of(at).confirm(identity, number)
        return True

    def _lock(
        self, by: tuple[bytes, str], parts: Mapping[int, Sequence[Change]], identity: str
    ) -> int | None:
        """Lock states on the shards that are not the home; their greatest number, None where one changed."""
        said = self._shards.each({at: partial(_lock, by, of, identity) for at, of in parts.items()})
        if all(kind == b"ok" for kind, _ in said.values()):
            return max((int(number) for _, number in said.values()), default=0)
        self._unlock(by[0], {at: parts[at] for at, (kind, _) in said.items() if kind == b"ok"})
        for at, (kind, name) in said.items():
            if kind == b"locked":
                self.settle(at, [name.decode()])
        return None

    def _unlock(self, attempt: bytes, parts: Mapping[int, Sequence[Change]]) -> None:
        for at, changes in parts.items():
            self._shards.call(at, partial(_give_up, attempt, self._of(at).names_of(changes)))

    def _of(self, at: int) -> ShardAnswers:
        return self._shards[at].answers()


def _look(transaction_id: str | None, keys: Sequence[Key], shard: Shard) -> tuple[Found, list[str]]:
    return shard.answers().look_with_locks(transaction_id, keys)


def _lock(by: tuple[bytes, str], changes: Sequence[Change], identity: str, shard: Shard) -> tuple[bytes, Any]:
    return shard.answers().lock(by, changes, identity)


def _apply(attempt: bytes, number: int, changes: Sequence[Change], shard: Shard) -> int:
    return shard.answers().apply(attempt, number, shard.answers().names_of(changes))


def _fate(lock: Lock, is_over: bool, shard: Shard) -> tuple[bytes, int]:
    return shard.answers().fate(lock, is_over=is_over)


def _finish(attempt: bytes, number: int, names: Sequence[str], shard: Shard) -> int:
    return shard.answers().apply(attempt, number, names)


def _give_up(attempt: bytes, names: Sequence[str], shard: Shard) -> None:
    shard.answers().unlock(attempt, names)


def _claim(names: Sequence[str], epoch: Epoch, keep_s: float, shard: Shard) -> list[Claim]:
    return shard.answers().claim(names, epoch, keep_s)
