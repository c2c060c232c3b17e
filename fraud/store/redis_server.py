"""The way to a Redis or Valkey server: its URL, what it must be like, and its errors in our words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)
from redis.retry import Retry

from fraud.errors import BadConfig, Unavailable

OLDEST_VERSION: Final = 6
RETRIES: Final = 3
_LOGIN_ERRORS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answered and can hold a store."""

    client: redis.Redis
    where: str
    """Its address for messages, without the password."""
    prefix: str
    """Of all keys."""
    replicas: int
    """How many replicas must have what ``flush`` confirms."""

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn the client's errors into ours."""
        with _answering(self.where):
            yield


def connect(url: str) -> Server:
    """Connect to the server of a URL and see that it can hold a store.

    Parameters
    ----------
    url
        As of :class:`~fraud.store.redis.RedisStore`.

    Raises
    ------
    BadConfig
        When the URL or the login is wrong, or the server would lose or spread states.
    Unavailable
        When it does not answer.
    """
    parts = urlsplit(url)
    where = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{_port_of(parts)}"
    query = dict(parse_qsl(parts.query))
    prefix = query.pop("prefix", "fraud")
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries=RETRIES)
    try:
        replicas = int(query.pop("replicas", "0"))
        plain = f"{url.partition('?')[0]}?{urlencode(query)}"
        client = redis.Redis.from_url(plain, retry=retry, health_check_interval=30)
        with _answering(where, is_start=True):
            _check(client.info(), where)
    except (TypeError, ValueError) as error:
        raise BadConfig(f"the URL of the feature store at {where} is wrong: {error}") from error
    return Server(client, where, prefix, replicas)


def _port_of(parts: SplitResult) -> int:
    try:
        return parts.port or 6379
    except ValueError as error:
        raise BadConfig(f"the URL of the feature store at {parts.hostname} is wrong: {error}") from error


def _check(info: Mapping[str, Any], where: str) -> None:
    """Refuse a server that is too old, that evicts, or that spreads keys."""
    if int(str(info["redis_version"]).split(".")[0]) < OLDEST_VERSION:
        found = f"is version {info['redis_version']}; it must be Redis {OLDEST_VERSION} or later, or Valkey"
    elif info.get("cluster_enabled"):
        found = "is part of a Redis Cluster, which spreads keys; use one primary, with replicas"
    elif info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        found = f"forgets states when full ({info['maxmemory_policy']}); set maxmemory-policy noeviction"
    else:
        return
    raise BadConfig(f"the feature store at {where} {found}")


@contextmanager
def _answering(where: str, *, is_start: bool = False) -> Iterator[None]:
    try:
        yield
    except _LOGIN_ERRORS as error:
        # Later it may come back: a password is being changed, a server has not read its users yet.
        kind = BadConfig if is_start else Unavailable
        raise kind(
            f"the feature store at {where} refuses the login: {error}; "
            "correct the user and password in its URL"
        ) from error
    except OutOfMemoryError as error:
        raise Unavailable(
            f"the feature store at {where} is full: {error}; raise its maxmemory, "
            "or delete idle entities with `fraud store expire`"
        ) from error
    except ReadOnlyError as error:
        raise Unavailable(
            f"the feature store at {where} is a replica, which cannot be written; name the primary in its "
            "URL, or wait until this one is"
        ) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise Unavailable(
            f"the feature store at {where} does not answer: {error}; start it, or fix the network path "
            "to it, then start again: the micro-batch that was cut off runs again"
        ) from error
    except redis.RedisError as error:
        raise Unavailable(f"the feature store at {where} refuses a command: {error}") from error
