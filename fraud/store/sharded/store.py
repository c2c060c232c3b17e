"""The store over several Redis or Valkey primaries: each holds the states of its share of the keys.

Every shard has a fence, epochs and a watermark of its own (``fraud.store.redis``); tokens, generations and
the content's name are the same on all. A micro-batch that reached one shard and not another has its epoch on
some states, as one that was cut off between two groups: run again, it starts from before it on all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Self
from uuid import uuid4

from fraud.contracts.seal import SealKey
from fraud.store.records import Entry, Epoch
from fraud.store.ring import urls_of
from fraud.store.sharded.answers import GRACE_S, ShardedAnswers
from fraud.store.sharded.shard import Shard
from fraud.store.sharded.shards import Shards, join
from fraud.store.value import newest_state, state_before
from fraud.store.watermark import Watermark


class ShardedStore:
    """A store in several servers.

    Parameters
    ----------
    url
        Those of the servers, as of :class:`~fraud.store.redis.store.RedisStore`, separated by spaces; always
        in the same order.
    entities
        Whose states it keeps.
    grace_s
        How long a commit may take before whoever meets it undoes it, seconds.
    before
        As of :class:`~fraud.store.sharded.shards.Shards`.

    Raises
    ------
    BadConfig
        When a server cannot hold states, or they are not one ring.
    Unavailable
        When one does not answer.
    """

    def __init__(
        self,
        url: str,
        entities: Sequence[str],
        *,
        grace_s: float = GRACE_S,
        before: Callable[[int], None] = lambda _at: None,
    ) -> None:
        self.entities = tuple(entities)
        shards = [Shard(one, self.entities) for one in urls_of(url)]
        join(shards)
        self._shards = Shards(shards, before)
        self._answers = ShardedAnswers(self._shards, grace_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def generation_of(self, query_id: str) -> int:
        """See :class:`~fraud.store.FeatureStore`; the first shard decides, unless it alone has forgotten."""
        known = self._shards.all(lambda shard: shard.generations(query_id))
        most, last = (max(numbers) for numbers in zip(*known, strict=True))
        found = self._shards.call(0, lambda shard: shard.settle_generation(query_id, most, last))
        self._shards.all(lambda shard: shard.settle_generation(query_id, found, 0))
        return found

    def knows(self, query_id: str) -> bool:
        """See :class:`~fraud.store.FeatureStore`."""
        return all(self._shards.all(lambda shard: shard.knows(query_id)))

    def acquire(self, owner: str) -> int:
        """See :class:`~fraud.store.FeatureStore`; of two at once the first shard chooses.

        Raises
        ------
        Fenced
            When another one takes over meanwhile.
        """
        above = max(self._shards.all(lambda shard: shard.token()))
        token = self._shards.call(0, lambda shard: shard.take(owner, None, above))
        others = range(1, len(self._shards))
        self._shards.each(dict.fromkeys(others, lambda shard: shard.take(owner, token)))
        return token

    def hold(self, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._shards.all(lambda shard: shard.hold(token))

    def instance(self) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._shards.together():
            return " ".join(self._shards.all(lambda shard: shard.instance()))

    def watermark(self) -> Watermark | None:
        """See :class:`~fraud.store.FeatureStore`; the oldest of the shards."""
        marks = [mark for mark in self._shards.all(lambda shard: shard.watermark()) if mark]
        return min(marks, key=lambda mark: mark.epoch) if len(marks) == len(self._shards) else None

    def watermarks(self) -> list[Watermark | None]:
        """Tell each shard's, in their order."""
        return self._shards.all(lambda shard: shard.watermark())

    def advance(self, watermark: Watermark, before: Watermark | None, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`; an attempt that reached some shards is taken up."""
        self._shards.all(lambda shard: shard.advance(watermark, before, token))

    def read(self, entity: str, keys: Sequence[float], epoch: Epoch) -> list[bytes | None]:
        """See :class:`~fraud.store.FeatureStore`."""
        return [state_before(stored, epoch) for stored in self.stored(entity, keys)]

    def write(self, entity: str, states: Mapping[float, bytes], epoch: Epoch, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._shards.each(
            {
                at: partial(_write, entity, {key: states[key] for key in keys}, (epoch, token))
                for at, keys in self._shards.parted(states, self._shards.of_key).items()
            }
        )

    def replace(
        self,
        entity: str,
        states: Mapping[float, bytes],
        versions: Mapping[float, bytes],
        epoch: Epoch,
        token: int,
    ) -> list[float]:
        """See :class:`~fraud.store.FeatureStore`; a state that a commit has locked counts as changed."""
        parts = self._shards.parted(states, self._shards.of_key) or {
            at: [] for at in range(len(self._shards))
        }
        acts = {
            at: partial(_replace, entity, {key: states[key] for key in keys}, versions, (epoch, token))
            for at, keys in parts.items()
        }
        return [key for changed in self._shards.each(acts).values() for key in changed]

    def identity(self) -> str:
        """See :class:`~fraud.store.FeatureStore`; empty also where the shards have several."""
        first, *others = self._shards.all(lambda shard: shard.identity())
        return first if all(other == first for other in others) else ""

    def seal_key(self) -> SealKey:
        """See :class:`~fraud.store.FeatureStore`."""
        return self._shards.call(0, lambda shard: shard.seal_key())

    def renew(self, *, is_whole: bool) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        name = uuid4().hex if is_whole else ""
        self._shards.all(lambda shard: shard.name_content(name))
        return name

    def complete_entities(self) -> tuple[str, ...]:
        """See :class:`~fraud.store.FeatureStore`."""
        return self._shards.call(0, lambda shard: shard.complete_entities())

    def mark_complete(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._shards.all(lambda shard: shard.mark_complete())

    def set_aside(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._shards.set_aside()

    def formers(self) -> tuple[str, ...]:
        """See :class:`~fraud.store.FeatureStore`."""
        found = self._shards.all(lambda shard: shard.formers())
        return tuple(dict.fromkeys(name for names in found for name in names))

    def add_formers(self, names: Sequence[str]) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._shards.all(lambda shard: shard.add_formers(names))

    def answers(self) -> ShardedAnswers:
        """See :class:`~fraud.store.FeatureStore`."""
        return self._answers

    def flush(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._shards.all(lambda shard: shard.flush())

    def stored(self, entity: str, keys: Sequence[float]) -> list[bytes | None]:
        """See :class:`~fraud.store.FeatureStore`; a commit that was decided shows."""
        parts = self._shards.parted(keys, self._shards.of_key)
        self._shards.forget_terms()
        found: dict[float, bytes | None] = {}
        while parts:
            read = self._shards.each({at: partial(_stored, entity, tuple(own)) for at, own in parts.items()})
            for at, (values, _) in read.items():
                found.update(zip(parts[at], values, strict=True))
            parts = {
                at: parts[at] for at, (_, held) in read.items() if held and self._answers.settle(at, held)
            }
        return [found[key] for key in keys]

    def scan(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """See :class:`~fraud.store.FeatureStore`."""
        return ((key, newest_state(stored)) for key, stored in self.values(entity))

    def values(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """See :class:`~fraud.store.FeatureStore`."""
        self._answers.settle_all()
        for at in range(len(self._shards)):
            yield from self._shards[at].values(entity)

    def entries(self, entity: str) -> Iterator[Entry]:
        """See :class:`~fraud.store.FeatureStore`."""
        for at in range(len(self._shards)):
            yield from self._shards[at].entries(entity)

    def expire(self, entity: str, before_us: float, token: int | None = None) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        return sum(self._shards.all(lambda shard: shard.expire(entity, before_us, token)))

    def clear(self, entity: str, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._shards.all(lambda shard: shard.clear(entity, token))

    def close(self) -> None:
        """Close the connections."""
        self._shards.close()


def _write(entity: str, states: Mapping[float, bytes], by: tuple[Epoch, int], shard: Shard) -> None:
    shard.write(entity, states, *by)


def _replace(
    entity: str,
    states: Mapping[float, bytes],
    versions: Mapping[float, bytes],
    by: tuple[Epoch, int],
    shard: Shard,
) -> list[float]:
    return shard.replace(entity, states, versions, *by)


def _stored(entity: str, keys: Sequence[float], shard: Shard) -> tuple[list[bytes | None], list[str]]:
    return shard.stored_with_locks(entity, keys)
