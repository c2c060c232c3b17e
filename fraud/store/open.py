"""How a store is opened by its URL."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from fraud.errors import BadConfig
from fraud.store.base import FeatureStore
from fraud.store.records import DEFAULT_ENTITIES, check_names


def open_store(url: str, entities: Iterable[str] = DEFAULT_ENTITIES) -> FeatureStore:
    """Open a store: ``lmdb:///folder`` on this machine, ``redis://host:6379/0`` (also Valkey) in a cluster.

    Parameters
    ----------
    entities
        Names of those whose states it keeps.

    Raises
    ------
    BadConfig
        When the URL names no known kind of store, the server is not set up to hold one,
        or a name cannot be used (``records.check_names``).
    Unavailable
        When the store cannot be reached.
    """
    parts, names = urlsplit(url), check_names(entities)
    if parts.scheme == "lmdb" and parts.path and not parts.netloc:  # lmdb://a/b would mean /b
        from fraud.store.lmdb import LmdbStore  # noqa: PLC0415  a backend is loaded when it is named

        return LmdbStore(parts.path, names)
    if parts.scheme in {"redis", "rediss", "unix"}:
        from fraud.store.redis import RedisStore  # noqa: PLC0415

        return RedisStore(url, names)
    raise BadConfig(f"store URL {url!r}: write lmdb:///folder or redis://host:port/database")
