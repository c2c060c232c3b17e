"""A Redis server, as the tests of the store have it."""

from tests.fraud.store.conftest import redis_server, shard_servers

__all__ = ["redis_server", "shard_servers"]
