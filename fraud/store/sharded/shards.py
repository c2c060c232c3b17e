"""The servers of one store: which has what, calls to several at once, and how they become one ring."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from fraud.contracts.seal import SealKey
from fraud.errors import BadConfig, FraudError, SetBack, Unavailable
from fraud.store.ring import OTHER_SIZE, Place, check_places, place_of_id, place_of_key
from fraud.store.sharded.shard import Shard

THREADS: Final = 32
"""Calls that wait for servers at the same time, at most."""
T = TypeVar("T")
Item = TypeVar("Item")


class Shards:
    """Several servers, in the order of their numbers.

    Parameters
    ----------
    shards
        Open; they have joined one ring.
    before
        Called with the number of a shard, from 0, before each call to it; a test stops a client there.
    """

    def __init__(self, shards: Sequence[Shard], before: Callable[[int], None] = lambda _at: None) -> None:
        self._shards, self._before = tuple(shards), before
        self._pool = ThreadPoolExecutor(THREADS, "shards")

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, at: int) -> Shard:
        return self._shards[at]

    def of_key(self, key: float) -> int:
        """Find the shard of an entity's state."""
        return place_of_key(key, len(self._shards))

    def of_id(self, transaction_id: str) -> int:
        """Find the shard of an answer."""
        return place_of_id(transaction_id, len(self._shards))

    def parted(self, items: Iterable[Item], place: Callable[[Item], int]) -> dict[int, list[Item]]:
        """Part items by their shards; each part keeps the order."""
        found: dict[int, list[Item]] = {}
        for item in items:
            found.setdefault(place(item), []).append(item)
        return found

    def call(self, at: int, act: Callable[[Shard], T]) -> T:
        """Call one shard."""
        self._before(at)
        return act(self._shards[at])

    def all(self, act: Callable[[Shard], T]) -> list[T]:
        """Call all shards at the same time."""
        return list(self.each(dict.fromkeys(range(len(self._shards)), act)).values())

    def each(self, acts: Mapping[int, Callable[[Shard], T]]) -> dict[int, T]:
        """Call some shards at the same time; the terms that were read stay this thread's.

        All calls end before this raises the error of one: rather one that ends the work than one that a
        repetition repairs.
        """
        if not acts:
            return {}
        *others, last = acts
        waiting = {at: self._pool.submit(self._bound, at, acts[at], self._shards[at].term) for at in others}
        found, errors = {}, []
        try:
            found[last] = self.call(last, acts[last])
        except FraudError as error:
            errors.append(error)
        for at, future in waiting.items():
            try:
                found[at], self._shards[at].term = future.result()
            except FraudError as error:
                errors.append(error)
        if errors:
            raise min(errors, key=lambda error: isinstance(error, Unavailable))
        return {at: found[at] for at in acts}

    def forget_terms(self) -> None:
        """Let what this thread writes next be made from no reading before."""
        for shard in self._shards:
            shard.term = b""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Set all aside where one turns out to be an older copy."""
        try:
            yield
        except SetBack:
            with suppress(Unavailable):
                self.set_aside()
            raise

    def set_aside(self) -> None:
        """Refuse all commits on every shard; one that does not answer does not stop the others."""
        self.all(lambda shard: shard.set_aside())

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        for shard in self._shards:
            shard.close()

    def _bound(self, at: int, act: Callable[[Shard], T], term: bytes) -> tuple[T, bytes]:
        self._shards[at].term = term
        return self.call(at, act), self._shards[at].term


def join(shards: Sequence[Shard]) -> None:
    """See that servers are one ring, whole and in its order; make one of new servers.

    A server that was emptied gets its place again, without a name for its content: the store is then not
    whole, until it has been rebuilt.

    Raises
    ------
    BadConfig
        When they are not (``ring.check_places``), or one holds another store.
    """
    wheres = [shard.where for shard in shards]
    places = [shard.place() for shard in shards]
    check_places(wheres, places)
    newcomers = [shard for shard, place in zip(shards, places, strict=True) if place is None]
    for shard in newcomers:
        if (shard.is_named() or shard.is_used()) and shard.place() is None:
            raise BadConfig(
                f"the server at {shard.where} holds a feature store of its own and is no shard; {OTHER_SIZE}"
            )
    is_new = not any(shard.is_used() for shard in shards)
    if newcomers:
        known = next((place.ring for place in places if place), uuid.uuid4().hex)
        first = Place.decode(shards[0].name_once("ring", Place(known, 1, len(shards)).encode()))
        for number, shard in enumerate(shards[1:], 2):
            shard.name_once("ring", Place(first.ring, number, len(shards)).encode())
        check_places(wheres, [shard.place() for shard in shards])
    shards[0].name_once("seal", SealKey.new().encode().decode())
    name = shards[0].name_once("identity", uuid.uuid4().hex if is_new else "")
    for shard in shards[1:]:
        shard.name_once("identity", name if is_new else "")
