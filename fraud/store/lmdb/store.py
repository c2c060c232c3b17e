"""The embedded store: LMDB, one folder, many reading and writing processes on one machine."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Any, Final, Self, TypeVar

import lmdb

from fraud.contracts.seal import SealKey
from fraud.errors import SetBack, Unavailable
from fraud.store.lmdb.answers import IDENTITY, TABLES, LmdbAnswers
from fraud.store.records import MOST_ENTITIES, Entry, Epoch
from fraud.store.value import (
    encode_value,
    newest_event_us,
    newest_state,
    state_before,
    taken_over,
    version_of,
)
from fraud.store.watermark import Watermark, set_back

MAP_BYTES: Final = 1 << 38
"""Address space set aside (256 GiB); the file grows only with what is stored."""
GROUP: Final = 1_000
"""Entities that one transaction goes through or deletes at most."""
REPLACED_AT_ONCE: Final = 128
"""States that one transaction replaces at most: the scoring service waits for it, a few milliseconds."""
PAUSE_S: Final = 5e-5
"""Between two such transactions. LMDB's write lock is unfair: the same process would get it again."""
_KEY: Final = Struct(">d")
_TOKEN: Final = b"token"
_WATERMARK: Final = b"watermark"
_FORMERS: Final = b"formers"
_SEAL: Final = b"seal"
_COMPLETE: Final = b"complete"
_MOST_DATABASES: Final = MOST_ENTITIES + len(TABLES) + 1
T = TypeVar("T")


class LmdbStore:
    """A store in a folder. Commits are ordered on disk; ``flush`` makes them survive a power cut.

    Parameters
    ----------
    folder
        Created when absent. Open it once a process (and not across a fork).
    entities
        Whose states it keeps: one database each, of that name.

    Raises
    ------
    Unavailable
        When the folder cannot be opened.
    """

    def __init__(self, folder: str | Path, entities: Sequence[str]) -> None:
        self._folder = folder
        self.entities = tuple(entities)
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(folder), map_size=MAP_BYTES, max_dbs=_MOST_DATABASES, max_readers=512, sync=False
            )
        except (OSError, lmdb.Error) as error:
            raise Unavailable(f"the feature store in {folder} cannot be opened: {error}") from error
        self._file = self._file_there()
        self._env.reader_check()
        self._meta = self._env.open_db(b"meta")
        self._states = {entity: self._env.open_db(entity.encode()) for entity in self.entities}
        self._tables = {name: self._env.open_db(name.encode()) for name in TABLES}
        if not self._is_named():
            self.renew(is_whole=True)
        if not self.seal_key().secret:
            with self._begin(write=True, db=self._meta) as txn:
                txn.put(_SEAL, SealKey.new().encode(), overwrite=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def generation_of(self, query_id: str) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        key = f"generation:{query_id}".encode()
        with self._begin(write=True, db=self._meta) as txn:
            known = txn.get(key)
            if known is None:
                known = str(int(txn.get(b"generations", b"0")) + 1).encode()
                txn.put(key, known)
                txn.put(b"generations", known)
        return int(known)

    def knows(self, query_id: str) -> bool:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(db=self._meta) as txn:
            return txn.get(f"generation:{query_id}".encode()) is not None

    def acquire(self, owner: str) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(write=True, db=self._meta) as txn:
            token = int(txn.get(_TOKEN, b"0")) + 1
            txn.put(_TOKEN, str(token).encode())
            txn.put(b"owner", owner.encode())
        return token

    def hold(self, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self.instance()
        with self._begin() as txn:
            self._check(txn, token)

    def instance(self) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        if self._file_there() != self._file:
            raise SetBack(
                f"the feature store in {self._folder} was deleted or replaced while it was open; put it back "
                "and start again, or run `fraud replay rebuild-store --replace`"
            )
        return self._file

    def watermark(self) -> Watermark | None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(db=self._meta) as txn:
            return Watermark.decode(txn.get(_WATERMARK))

    def advance(self, watermark: Watermark, before: Watermark | None, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(write=True, db=self._meta) as txn:
            self._check(txn, token)
            found = Watermark.decode(txn.get(_WATERMARK))
            if found not in (before, watermark):
                raise set_back(found, before)
            txn.put(_WATERMARK, watermark.encode())

    def read(self, entity: str, keys: Sequence[float], epoch: Epoch) -> list[bytes | None]:
        """See :class:`~fraud.store.FeatureStore`."""
        return [state_before(stored, epoch) for stored in self.stored(entity, keys)]

    def write(self, entity: str, states: Mapping[float, bytes], epoch: Epoch, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        db = self._states[entity]
        with self._begin(write=True) as txn:
            self._check(txn, token)
            for key in sorted(states):
                packed = _KEY.pack(key)
                txn.put(packed, encode_value(txn.get(packed, db=db), states[key], epoch), db=db)

    def replace(
        self,
        entity: str,
        states: Mapping[float, bytes],
        versions: Mapping[float, bytes],
        epoch: Epoch,
        token: int,
    ) -> list[float]:
        """See :class:`~fraud.store.FeatureStore`."""
        db, changed, keys = self._states[entity], [], sorted(states)
        for first in range(0, len(keys), REPLACED_AT_ONCE):
            if first:
                time.sleep(PAUSE_S)
            with self._begin(write=True) as txn:
                self._check(txn, token)
                for key in keys[first : first + REPLACED_AT_ONCE]:
                    packed = _KEY.pack(key)
                    stored = txn.get(packed, db=db)
                    if version_of(stored) == versions[key]:
                        txn.put(packed, encode_value(stored, states[key], epoch), db=db)
                    else:
                        changed.append(key)
        return changed

    def identity(self) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(db=self._meta) as txn:
            return str(txn.get(IDENTITY, b"").decode())

    def seal_key(self) -> SealKey:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(db=self._meta) as txn:
            return SealKey.decode(txn.get(_SEAL))

    def renew(self, *, is_whole: bool) -> str:
        """See :class:`~fraud.store.FeatureStore`."""
        name = uuid.uuid4().hex if is_whole else ""
        with self._begin(write=True, db=self._meta) as txn:
            txn.put(IDENTITY, name.encode())
            if not is_whole:
                txn.delete(_FORMERS)
                txn.delete(_COMPLETE)
            else:
                txn.put(_COMPLETE, " ".join(self.entities).encode(), overwrite=False)
        return name

    def complete_entities(self) -> tuple[str, ...]:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(db=self._meta) as txn:
            return tuple(txn.get(_COMPLETE, b"").decode().split())

    def mark_complete(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(write=True, db=self._meta) as txn:
            txn.put(_COMPLETE, " ".join(self.entities).encode())

    def set_aside(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(write=True, db=self._meta) as txn:
            name = txn.get(IDENTITY, b"")
            if name:
                txn.put(_FORMERS, txn.get(_FORMERS, b"") + b" " + name)
                txn.put(IDENTITY, b"")

    def add_formers(self, names: Sequence[str]) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(write=True, db=self._meta) as txn:
            txn.put(_FORMERS, b" ".join([txn.get(_FORMERS, b""), *(name.encode() for name in names)]))

    def formers(self) -> tuple[str, ...]:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(db=self._meta) as txn:
            return tuple(txn.get(_FORMERS, b"").decode().split())

    def answers(self) -> LmdbAnswers:
        """See :class:`~fraud.store.FeatureStore`."""
        return LmdbAnswers(self._begin, self._meta, self._states, self._tables)

    def flush(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise self._failed(error) from error

    def stored(self, entity: str, keys: Sequence[float]) -> list[bytes | None]:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(db=self._states[entity]) as txn:
            return [txn.get(_KEY.pack(key)) for key in keys]

    def scan(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """See :class:`~fraud.store.FeatureStore`."""
        return self._walk(entity, lambda stored: bytes(newest_state(stored)))

    def values(self, entity: str) -> Iterator[tuple[float, bytes]]:
        """See :class:`~fraud.store.FeatureStore`."""
        return self._walk(entity, bytes)

    def entries(self, entity: str) -> Iterator[Entry]:
        """See :class:`~fraud.store.FeatureStore`."""
        found = self._walk(entity, lambda stored: (newest_event_us(newest_state(stored)), len(stored)))
        return (Entry(key, *taken) for key, taken in found)

    def expire(self, entity: str, before_us: float, token: int | None = None) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        idle = (entry.key for entry in self.entries(entity) if entry.newest_event_us < before_us)
        deleted = 0
        while keys := list(islice(idle, GROUP)):
            with self._begin(write=True, db=self._states[entity]) as txn:
                if token is not None:
                    self._check(txn, token)
                for packed in map(_KEY.pack, keys):
                    stored = txn.get(packed)  # looked at again: it may have had an event meanwhile
                    if stored is not None and newest_event_us(newest_state(stored)) < before_us:
                        deleted += txn.delete(packed)
        return deleted

    def clear(self, entity: str, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._begin(write=True) as txn:
            self._check(txn, token)
            txn.drop(self._states[entity], delete=False)

    def close(self) -> None:
        """Release the folder."""
        self._env.close()

    def _walk(self, entity: str, take: Callable[[memoryview], T]) -> Iterator[tuple[float, T]]:
        """Go through all entities, some a transaction: a long one keeps freed pages from new use."""
        after = b"\0"
        while True:
            found: list[tuple[bytes, T]] = []
            with self._begin(db=self._states[entity], buffers=True) as txn, txn.cursor() as cursor:
                if cursor.set_range(after):
                    found += [(bytes(key), take(stored)) for key, stored in islice(cursor, GROUP)]
            if not found:
                return
            yield from ((_KEY.unpack(key)[0], taken) for key, taken in found)
            after = found[-1][0] + b"\0"

    @contextmanager
    def _begin(self, **options: Any) -> Iterator[Any]:
        try:
            with self._env.begin(**options) as txn:
                yield txn
        except lmdb.Error as error:
            raise self._failed(error) from error

    def _file_there(self) -> str:
        try:
            found = os.stat(Path(self._folder) / "data.mdb")  # noqa: PTH116  five times a second
        except OSError:
            return ""
        return f"{found.st_dev}:{found.st_ino}"

    def _is_named(self) -> bool:
        with self._begin(db=self._meta) as txn:
            return txn.get(IDENTITY) is not None

    def _failed(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"the feature store in {self._folder} failed: {error}; see that its disk has room and works, "
            "then start again: the micro-batch that was cut off runs again"
        )

    def _check(self, txn: Any, token: int) -> None:
        newest = int(txn.get(_TOKEN, b"0", db=self._meta))
        if token != newest:
            owner = txn.get(b"owner", b"unknown", db=self._meta).decode()
            raise taken_over(owner, newest, token)
