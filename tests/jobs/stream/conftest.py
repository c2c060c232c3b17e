"""Stores of both backends, as the tests of the store have them."""

from tests.fraud.store.conftest import new_url, redis_server, url

__all__ = ["new_url", "redis_server", "url"]
