"""The embedded store: LMDB, one folder, many reading and writing processes on one machine."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from struct import Struct
from typing import Any, Final, Self

import lmdb

from fraud.errors import Fenced, Unavailable
from fraud.store.base import Epoch, Kind, encode_value, newest_event_us, newest_state, state_before

MAP_BYTES: Final = 1 << 38
"""Address space set aside (256 GiB); the file grows only with what is stored."""
_KEY: Final = Struct(">d")
_TOKEN: Final = b"token"


class LmdbStore:
    """A store in a folder. Commits are ordered on disk; ``flush`` makes them survive a power cut.

    Parameters
    ----------
    folder
        Created when absent. Open it once a process (and not across a fork).
    """

    def __init__(self, folder: str | Path) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            self._env = lmdb.open(str(folder), map_size=MAP_BYTES, max_dbs=4, max_readers=512, sync=False)
        except lmdb.Error as error:
            raise Unavailable(f"the feature store in {folder} cannot be opened: {error}") from error
        self._env.reader_check()
        self._meta = self._env.open_db(b"meta")
        self._states = {kind: self._env.open_db(kind.value.encode()) for kind in Kind}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def generation_of(self, query_id: str) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        key = f"generation:{query_id}".encode()
        with self._env.begin(write=True, db=self._meta) as txn:
            known = txn.get(key)
            if known is None:
                known = str(int(txn.get(b"generations", b"0")) + 1).encode()
                txn.put(key, known)
                txn.put(b"generations", known)
        return int(known)

    def acquire(self, owner: str) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._env.begin(write=True, db=self._meta) as txn:
            token = int(txn.get(_TOKEN, b"0")) + 1
            txn.put(_TOKEN, str(token).encode())
            txn.put(b"owner", owner.encode())
        return token

    def read(self, kind: Kind, keys: Sequence[float], epoch: Epoch) -> list[bytes | None]:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._env.begin(db=self._states[kind]) as txn:
            return [state_before(txn.get(_KEY.pack(key)), epoch) for key in keys]

    def write(self, kind: Kind, states: Mapping[float, bytes], epoch: Epoch, token: int) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        db = self._states[kind]
        with self._env.begin(write=True) as txn:
            self._check(txn, token)
            for key in sorted(states):
                packed = _KEY.pack(key)
                txn.put(packed, encode_value(txn.get(packed, db=db), states[key], epoch), db=db)

    def flush(self) -> None:
        """See :class:`~fraud.store.FeatureStore`."""
        self._env.sync(True)  # noqa: FBT003  lmdb's signature

    def scan(self, kind: Kind) -> Iterator[tuple[float, bytes]]:
        """See :class:`~fraud.store.FeatureStore`."""
        with self._env.begin(db=self._states[kind]) as txn:
            for key, stored in txn.cursor():
                yield _KEY.unpack(key)[0], newest_state(stored)

    def expire(self, kind: Kind, before_us: float, token: int) -> int:
        """See :class:`~fraud.store.FeatureStore`."""
        old = [key for key, state in self.scan(kind) if newest_event_us(state) < before_us]
        with self._env.begin(write=True) as txn:
            self._check(txn, token)
            for key in old:
                txn.delete(_KEY.pack(key), db=self._states[kind])
        return len(old)

    def close(self) -> None:
        """Release the folder."""
        self._env.close()

    def _check(self, txn: Any, token: int) -> None:
        newest = int(txn.get(_TOKEN, b"0", db=self._meta))
        if token != newest:
            owner = txn.get(b"owner", b"unknown", db=self._meta).decode()
            raise Fenced(f"the feature store was taken over by {owner} (token {newest}, ours {token})")
