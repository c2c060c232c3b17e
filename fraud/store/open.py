"""How a store is opened by its URL."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from fraud.errors import BadConfig
from fraud.store.base import FeatureStore
from fraud.store.records import check_names, deployed_entities
from fraud.store.ring import is_sharded, urls_of

_REDIS: Final = {"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"}


def open_store(url: str, entities: Iterable[str] | None = None) -> FeatureStore:
    """Open a store by its URL.

    ``lmdb:///folder``: on this machine; ``redis://host:6379/0`` (also Valkey): in a cluster;
    ``redis+sentinel://host1,host2,host3/name``: in a cluster, at the primary that Sentinels name. Several of
    the latter, separated by spaces: over as many primaries, always in the same order.

    Parameters
    ----------
    entities
        Names of those whose states it keeps; by default those of the deployment's schema.

    Raises
    ------
    BadConfig
        When the URL names no known kind of store, the server is not set up to hold one,
        or a name cannot be used (``records.check_names``).
    Unavailable
        When the store cannot be reached.
    """
    parts, names = urlsplit(url), check_names(deployed_entities() if entities is None else entities)
    if is_sharded(url):
        if any(urlsplit(one).scheme not in _REDIS for one in urls_of(url)):
            raise BadConfig("a store over several servers is in Redis or Valkey: write redis://... for each")
        from fraud.store.sharded.store import ShardedStore  # noqa: PLC0415

        return ShardedStore(url, names)
    if parts.scheme == "lmdb" and parts.path and not parts.netloc:  # lmdb://a/b would mean /b
        from fraud.store.lmdb.store import LmdbStore  # noqa: PLC0415  a backend is loaded when it is named

        return LmdbStore(parts.path, names)
    if parts.scheme in _REDIS:
        from fraud.store.redis.store import RedisStore  # noqa: PLC0415

        return RedisStore(url, names)
    raise BadConfig(
        f"store URL {url!r}: write lmdb:///folder, redis://host:port/database "
        "or redis+sentinel://host1,host2/name; several of these, separated by spaces, share the states"
    )
