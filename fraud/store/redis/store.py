"""The store in a cluster: a Redis (6 or later) or Valkey primary, its replicas, many processes.

Keys, under the prefix that the URL's query names (``?prefix=fraud``, the default):

- ``fraud:<entity>:<key>``, e.g. ``fraud:user:17``: the stored values, as in ``fraud.store.value``
- ``fraud:newest:<entity>``: a sorted set of the entity's keys by the event time of their newest event, so
  that ``expire`` finds the idle ones without looking at the others (the server's own expiry goes by its
  clock, not by event time)
- ``fraud:meta``: a hash with the fencing token, its owner, the generations, the content's identity, the key
  of seals, the entities whose states are complete, the watermark, and the term
- ``fraud:term``: the primary's term, to be read with the states (``fraud.store.redis.server``)
- those of ``fraud.store.redis.answers``
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Self

from fraud.contracts.seal import SealKey
from fraud.errors import BadConfig
from fraud.store.records import Entry, Epoch
from fraud.store.redis import answer_scripts, scripts
from fraud.store.redis.answers import RedisAnswers
from fraud.store.redis.server import connect, failed_over
from fraud.store.ring import alone
from fraud.store.value import (
    header_of,
    newest_event_us,
    newest_state,
    state_before,
    taken_over,
    written_later,
)
from fraud.store.watermark import Watermark, set_back

GROUP: Final = 500
"""States in one atomic step; the server answers nobody else meanwhile (about 15 ms)."""
FLUSH_MS: Final = 3_000


class RedisStore:
    """A store in a Redis or Valkey server.

    Parameters
    ----------
    url
        ``redis://user:password@host:6379/0``, ``rediss://...`` (TLS), ``unix:///socket``, or
        ``redis+sentinel://user:password@host1:26379,host2:26379/name/0`` (``rediss+sentinel``: TLS to all):
        the primary that Sentinels name. In the query: ``prefix`` of all keys, ``replicas`` that must have a
        commit before it counts, ``retries`` of a call, ``sentinel_username`` and ``sentinel_password``, and
        any option of the client under its own name, e.g. ``socket_timeout=2`` (seconds), ``ssl_ca_certs``.
    entities
        Whose states it keeps.
    flush_ms
        How long replicas may take to have what was written, milliseconds; at most 60 % of the socket's
        timeout.

    Raises
    ------
    BadConfig
        When the URL or the login is wrong, or the server would lose or spread states.
    Unavailable
        When the server does not answer.
    """

    def __init__(self, url: str, entities: Sequence[str], flush_ms: int = FLUSH_MS) -> None:
        self.entities = tuple(entities)
        self._server = connect(url, flush_ms)
        self._client = self._server.client
        self._meta = self._server.meta
        self._newest = {entity: f"{self._server.prefix}:newest:{entity}" for entity in self.entities}
        self._answers = RedisAnswers(self._server, self._name, self._newest)
        self._begin()

    def _begin(self) -> None:
        """Name a new store, and refuse a part of a larger one."""
        with self._server.answering():
            if ring := self._client.hget(self._meta, "ring"):
                raise BadConfig(alone(self._server.where, ring.decode()))
            self._client.hsetnx(self._meta, "identity", uuid.uuid4().hex)
            self._client.hsetnx(self._meta, "seal", SealKey.new().encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def generation_of(self, query_id: str) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        return int(self._run(scripts.GENERATION_OF, [self._meta], [f"generation:{query_id}"])[1])

    def knows(self, query_id: str) -> bool:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            return bool(self._client.hexists(self._meta, f"generation:{query_id}"))

    def acquire(self, owner: str) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        return int(self._run(scripts.ACQUIRE, [self._meta], [owner])[1])

    def hold(self, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            found: Any = self._client.hmget(self._meta, ["token", "owner"])
        newest, owner = int(found[0] or 0), (found[1] or b"unknown").decode()
        if newest != token:
            raise taken_over(owner, newest, token)

    def instance(self) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering(), self._client.pipeline(transaction=False) as pipe:
            server, replication = pipe.info("server").info("replication").execute()
        self._answers.see_that_none_is_lost()
        return f"{server['run_id']}:{replication['master_replid']}"

    def watermark(self) -> Watermark | None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            found: Any = self._client.hget(self._meta, "watermark")
        return Watermark.decode(found)

    def advance(self, watermark: Watermark, before: Watermark | None, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        expected = before.encode() if before else ""
        answer = self._run(scripts.ADVANCE, [self._meta], [token, expected, watermark.encode()])
        _check_token(answer, token)
        if answer[0] == b"set back":
            raise set_back(Watermark.decode(answer[1] or None), before)

    def read(self, entity: str, keys: Sequence[float], epoch: Epoch) -> list[bytes | None]:
        """See :class:`~fraud.store.FeatureStore`."""
        return [state_before(stored, epoch) for stored in self.stored(entity, keys)]

    def write(self, entity: str, states: Mapping[float, bytes], epoch: Epoch, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        written_by = header_of(epoch, 0)[:8]
        for keys in _groups(sorted(states)):
            arguments: list[Any] = [token, written_by]
            for key in keys:
                arguments += (_member(key), repr(newest_event_us(states[key])), states[key])
            names = [self._meta, self._newest[entity], *(self._name(entity, key) for key in keys)]
            answer = self._run(scripts.WRITE, names, [*arguments, self._server.term])
            _check_written(answer, epoch, token)

    def replace(
        self,
        entity: str,
        states: Mapping[float, bytes],
        versions: Mapping[float, bytes],
        epoch: Epoch,
        token: int,
    ) -> list[float]:
        """See :class:`~fraud.store.FeatureStore`."""
        changed: list[float] = []
        for keys in _groups(sorted(states)) or [()]:
            arguments: list[Any] = [token, header_of(epoch, 0)[:8]]
            for key in keys:
                newest = repr(newest_event_us(states[key]))
                arguments += (_member(key), newest, states[key], versions[key])
            names = [self._meta, self._newest[entity], *(self._name(entity, key) for key in keys)]
            answer = self._run(*self._replacing(names), [*arguments, self._server.term])
            _check_written(answer, epoch, token)
            changed += map(float, answer[1])
        return changed

    def identity(self) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            found: Any = self._client.hget(self._meta, "identity")
        return str((found or b"").decode())

    def seal_key(self) -> SealKey:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            found: Any = self._client.hget(self._meta, "seal")
        return SealKey.decode(found)

    def renew(self, *, is_whole: bool) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        name = uuid.uuid4().hex if is_whole else ""
        self._name_content(name)
        return name

    def _name_content(self, name: str) -> None:
        """Give the content a new name; without a name it is incomplete."""
        with self._server.answering():
            if not name:
                self._client.hdel(self._meta, "formers", "complete")
            else:
                self._client.hsetnx(self._meta, "complete", " ".join(self.entities))
            self._client.hset(self._meta, "identity", name)
        self._server.confirm()

    def complete_entities(self) -> tuple[str, ...]:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            found: Any = self._client.hget(self._meta, "complete")
        return tuple((found or b"").decode().split())

    def mark_complete(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            self._client.hset(self._meta, "complete", " ".join(self.entities))
        self._server.confirm()

    def set_aside(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._run(scripts.DO_SET_ASIDE, [self._meta], [])

    def add_formers(self, names: Sequence[str]) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            self._client.hset(self._meta, "formers", " ".join([*self.formers(), *names]))
        self._server.confirm()

    def formers(self) -> tuple[str, ...]:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._server.answering():
            found: Any = self._client.hget(self._meta, "formers")
        return tuple((found or b"").decode().split())

    def answers(self) -> RedisAnswers:
        """See :class:`~fraud.store.FeatureStore`."""
        return self._answers

    def flush(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._server.confirm()

    def stored(self, entity: str, keys: Sequence[float]) -> list[bytes | None]:
        """See :class:`~fraud.store.FeatureStore`."""
        found: list[Any] = []
        terms = set()
        self._server.term = b""  # without keys, what is written next is made from no reading
        for group in _groups(keys):
            term, values = self._server.mget([self._name(entity, key) for key in group])
            terms.add(term)
            found += values
        if len(terms) > 1:
            raise failed_over(self._server.where)
        return found

    def scan(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """See :class:`~fraud.store.FeatureStore`."""
        return ((key, newest_state(stored)) for key, stored in self.values(entity))

    def values(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """See :class:`~fraud.store.FeatureStore`."""
        for page in self._pages(entity):
            keys = [key for key, _ in page]
            for key, stored in zip(keys, self.stored(entity, keys), strict=True):
                if stored is not None:  # deleted meanwhile
                    yield key, stored

    def entries(self, entity: str) -> Iterator[Entry]:
        """See :class:`~fraud.store.FeatureStore`."""
        for page in self._pages(entity):
            with self._server.answering(), self._client.pipeline(transaction=False) as pipe:
                for key, _ in page:
                    pipe.strlen(self._name(entity, key))
                sizes = pipe.execute()
            for (key, newest_us), size in zip(page, sizes, strict=True):
                yield Entry(key, newest_us, size)

    def expire(self, entity: str, before_us: float, token: int | None = None) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        arguments = ["" if token is None else token, repr(before_us), GROUP, self._name(entity)]
        deleted = 0
        while True:
            answer = self._run(scripts.EXPIRE, [self._meta, self._newest[entity]], arguments)
            _check_token(answer, token or 0)
            deleted += int(answer[1])
            if answer[1] < GROUP:
                return deleted

    def clear(self, entity: str, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self.hold(token)
        with self._server.answering():
            names = self._client.scan_iter(f"{re.escape(self._name(entity))}*", count=GROUP)
            while found := list(islice(names, GROUP)):
                self._client.unlink(*found)
            self._client.unlink(self._newest[entity])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _name(self, entity: str, key: float | None = None) -> str:
        """Key of a state, or the beginning of all of them."""
        return f"{self._server.prefix}:{entity}:{'' if key is None else _member(key)}"

    def _replacing(self, names: list[str]) -> tuple[str, list[str]]:
        """Choose the script of ``replace``, and its keys."""
        return answer_scripts.REPLACE, names

    def _pages(self, entity: str) -> Iterator[list[tuple[float, float]]]:
        cursor: int | None = None
        while cursor != 0:
            with self._server.answering():
                found: Any = self._client.zscan(self._newest[entity], cursor or 0, count=GROUP)
            cursor = int(found[0])
            yield [(float(member), newest_us) for member, newest_us in found[1]]

    def _run(self, script: str, keys: list[str], arguments: list[Any]) -> list[Any]:
        answer = self._server.run(script, keys, arguments)
        if answer[0] == b"another term":
            raise failed_over(self._server.where)
        return answer


def _groups(keys: Sequence[float]) -> list[Sequence[float]]:
    return [keys[first : first + GROUP] for first in range(0, len(keys), GROUP)]


def _member(key: float) -> str:
    """Write an entity so that it reads as its whole number, and reads back exactly."""
    return f"{key:.17g}"


def _check_written(answer: list[Any], epoch: Epoch, token: int) -> None:
    if answer[0] == b"written later":
        raise written_later(int.from_bytes(answer[1], "little"), epoch)
    _check_token(answer, token)


def _check_token(answer: list[Any], token: int) -> None:
    if answer[0] == b"taken over":
        raise taken_over(answer[2].decode(), int(answer[1]), token)
