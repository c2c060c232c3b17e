"""How a store is opened by its URL."""

from urllib.parse import urlsplit

from fraud.errors import BadConfig
from fraud.store.base import FeatureStore


def open_store(url: str) -> FeatureStore:
    """Open a store: ``lmdb:///folder`` on this machine, ``redis://host:6379/0`` (also Valkey) in a cluster.

    Raises
    ------
    BadConfig
        When the URL names no known kind of store, or the server is not set up to hold one.
    Unavailable
        When the store cannot be reached.
    """
    parts = urlsplit(url)
    if parts.scheme == "lmdb" and parts.path and not parts.netloc:  # lmdb://a/b would mean /b
        from fraud.store.lmdb import LmdbStore  # noqa: PLC0415  a backend is loaded when it is named

        return LmdbStore(parts.path)
    if parts.scheme in {"redis", "rediss", "unix"}:
        from fraud.store.redis import RedisStore  # noqa: PLC0415

        return RedisStore(url)
    raise BadConfig(f"store URL {url!r}: write lmdb:///folder or redis://host:port/database")
