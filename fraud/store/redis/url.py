"""The URL of a store in Redis or Valkey: one server, or the primary that Sentinels name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from fraud.errors import BadConfig

RETRIES: Final = 3
SENTINEL_PORT: Final = 26379
CONNECT_S: Final = 1.0
"""How long a server that Sentinels name, or one of them, may take to accept a connection, seconds."""
OnConnect = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL says."""

    where: str
    """The address for messages, without the password."""
    prefix: str
    """Of all keys."""
    replicas: int
    """How many replicas must have what counts as written."""
    options: dict[str, Any] = field(repr=False)
    """Of the connections, under the client's names."""
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    """The primary's name with the Sentinels."""
    sentinel_login: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, on_connect: OnConnect | None = None) -> redis.Redis:
        """Make a client; nothing is connected yet."""
        options = {**self.options, "redis_connect_func": on_connect}
        if not self.sentinels:
            return redis.Redis.from_pool(redis.ConnectionPool(**options))
        kind = _AskingSSL if options.pop("connection_class", None) else _Asking
        pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            self.service, self._sentinel(), connection_class=kind, **options
        )
        return redis.Redis.from_pool(pool)

    def _sentinel(self) -> Sentinel:
        given = self.options
        same = {key: value for key, value in given.items() if key.startswith("ssl_")}
        timeout_s = min(CONNECT_S, given.get("socket_timeout", CONNECT_S))
        kwargs = {
            **same,
            "ssl": "connection_class" in given,
            **self.sentinel_login,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "retry": Retry(NoBackoff(), 0),  # the next one is asked instead
        }
        return Sentinel(self.sentinels, sentinel_kwargs=kwargs)  # type: ignore[no-untyped-call]


class _Asking(SentinelManagedConnection):
    """Asks the Sentinels at every attempt; the client's own asks once and then tries the old address."""

    def _connect(self) -> Any:
        self.host, self.port = self.connection_pool.get_master_address()
        return super()._connect()  # type: ignore[no-untyped-call]


class _AskingSSL(_Asking, SentinelManagedSSLConnection):
    """The same over TLS."""


def read_url(url: str) -> Target:
    """Read the URL of a store.

    Raises
    ------
    BadConfig
        When it is wrong.

    Examples
    --------
    >>> found = read_url("redis+sentinel://:secret@a,b:26380/fraud?replicas=1")
    >>> found.where, found.sentinels, found.replicas
    ('fraud of the Sentinels a,b:26380', (('a', 26379), ('b', 26380)), 1)
    """
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    is_sentinel = parts.scheme.endswith("+sentinel")
    service, _, database = parts.path.strip("/").partition("/")
    where = f"{service} of the Sentinels {hosts}" if is_sentinel else parts.path or hosts
    if is_sentinel and not service:
        raise BadConfig(f"the URL of the feature store at {hosts} lacks the primary's name: {hosts}/NAME")
    try:
        if not is_sentinel:
            where = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
            return Target(where, *_options_of(url.partition("?")[0], parts))
        plain = f"{parts.scheme.partition('+')[0]}://{login}{'@' if login else ''}primary/{database}"
        prefix, replicas, options = _options_of(plain, parts)
        options = {"socket_connect_timeout": CONNECT_S, **options}
        del options["host"]
        found = {name: options.pop(f"sentinel_{name}", "") for name in ("username", "password")}
        login_there = {name: text for name, text in found.items() if text}
        sentinels = tuple(map(_address, hosts.split(",")))
        return Target(where, prefix, replicas, options, sentinels, service, login_there)
    except ValueError as error:
        raise BadConfig(f"the URL of the feature store at {where} is wrong: {error}") from error


def _options_of(plain: str, parts: SplitResult) -> tuple[str, int, dict[str, Any]]:
    query = dict(parse_qsl(parts.query))
    prefix, replicas = query.pop("prefix", "fraud"), int(query.pop("replicas", "0"))
    retries = int(query.pop("retries", str(RETRIES)))
    if replicas < 0 or retries < 0:
        raise ValueError("`replicas` and `retries` must be 0 or more")
    options: dict[str, Any] = parse_url(f"{plain}?{urlencode(query)}")  # type: ignore[no-untyped-call]
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries=retries)
    return prefix, replicas, {"health_check_interval": 30, **options, "retry": retry}


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("a Sentinel's address lacks its host; write host:port")
    return parts.hostname, parts.port or SENTINEL_PORT
