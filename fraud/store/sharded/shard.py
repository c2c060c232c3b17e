"""One server of a store over several: as a store of its own, with its place, and with locks."""

from collections.abc import Sequence

from fraud.store.redis import answer_scripts
from fraud.store.redis.store import RedisStore
from fraud.store.ring import Place
from fraud.store.sharded import shard_scripts
from fraud.store.sharded.shard_answers import ShardAnswers
from fraud.store.value import taken_over


class Shard(RedisStore):
    """See :class:`~fraud.store.redis.store.RedisStore`; the ring decides tokens, generations and names."""

    def _begin(self) -> None:
        self._locals = ShardAnswers(self._server, self._name, self._newest)
        self._answers = self._locals

    def answers(self) -> ShardAnswers:
        """See :class:`~fraud.store.FeatureStore`."""
        return self._locals

    @property
    def where(self) -> str:
        """The address for messages."""
        return self._server.where

    @property
    def term(self) -> bytes:
        """Of the primary that this thread has read; its writes go to that one alone."""
        return self._server.term

    @term.setter
    def term(self, value: bytes) -> None:
        self._server.term = value

    def place(self) -> Place | None:
        """Tell its place in a ring; None while it has none."""
        stored = self._meta_text("ring")
        return Place.decode(stored) if stored else None

    def is_used(self) -> bool:
        """Whether a stream or a scoring service has written to it."""
        has_mark = any(self._meta_text(field) for field in ("token", "generations", "watermark"))
        return has_mark or bool(self._locals.last_number())

    def is_named(self) -> bool:
        """Whether its content has a name."""
        return bool(self._meta_text("identity"))

    def name_once(self, field: str, value: str) -> str:
        """Write a field unless it has a value; returns what it has."""
        with self._server.answering():
            is_new = self._client.hsetnx(self._meta, field, value)
        if is_new:
            self._server.confirm()
        return self._meta_text(field)

    def token(self) -> int:
        """Tell the newest fencing token."""
        return int(self._meta_text("token") or 0)

    def take(self, owner: str, token: int | None, above: int = 0) -> int:
        """Take over writing with a token, or with a new one above ``above``; returns it.

        Raises
        ------
        Fenced
            When a newer one was given meanwhile.
        """
        arguments = [owner, "" if token is None else token, above]
        said, newest, *by = self._run(shard_scripts.TAKE, [self._meta], arguments)
        if said == b"taken over":
            raise taken_over(by[0].decode(), int(newest), token or 0)
        return int(newest)

    def generations(self, query_id: str) -> tuple[int, int]:
        """Tell a query's generation, 0 where it is not known, and the last one that was given."""
        return int(self._meta_text(f"generation:{query_id}") or 0), int(self._meta_text("generations") or 0)

    def settle_generation(self, query_id: str, generation: int, above: int) -> int:
        """Make a generation known, or with 0 give the next one above ``above``."""
        arguments = [f"generation:{query_id}", generation, above]
        return int(self._run(shard_scripts.GENERATION, [self._meta], arguments)[1])

    def name_content(self, name: str) -> None:
        """Give the content a new name; without a name it is incomplete."""
        self._name_content(name)

    def stored_with_locks(self, entity: str, keys: Sequence[float]) -> tuple[list[bytes | None], list[str]]:
        """Read stored values as they are, and name those that are locked."""
        locked = set(self._locals.locked())
        held = [name for key in keys if (name := self._name(entity, key)) in locked] if locked else []
        return self.stored(entity, keys), held

    def clear(self, entity: str, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`; what was locked is given up."""
        super().clear(entity, token)
        names = [name for name in self._locals.locked() if name.startswith(self._name(entity))]
        if names:
            with self._server.answering():
                self._client.hdel(self._locals.locks_key, *names)

    def _replacing(self, names: list[str]) -> tuple[str, list[str]]:
        return answer_scripts.REPLACE_UNLOCKED, [*names, self._locals.locks_key]

    def _meta_text(self, field: str) -> str:
        with self._server.answering():
            found = self._client.hget(self._meta, field)
        return (found or b"").decode()
