"""A Redis server for these tests, as the tests of the store have it."""

from collections.abc import Iterator

import pytest

from tests.fraud.store.conftest import RedisServer, run_redis, shard_servers

__all__ = ["redis_server", "shard_servers"]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with run_redis("--appendonly", "no") as server:
        yield server
