"""A Redis or Valkey server that holds a store: what it must be like, how commits are confirmed, its errors.

Two rules make a failover harmless. A commit counts only when the stated number of replicas has it (``WAIT``),
so that a primary that was cut off confirms nothing. And what is written must be made from what the same
primary held: every primary names its *term* (its replication id) at its first connection, reads take the
term along, and a write under another term is refused (``fraud.store.redis.scripts``).
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha1
from typing import Any, Final

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
)

from fraud.errors import BadConfig, Unavailable
from fraud.store.redis import scripts
from fraud.store.redis.url import Target, read_url

OLDEST_VERSION: Final = 6
WAIT_SHARE: Final = 0.6
"""Of the time that an answer may take: how long replicas may take to have a commit."""
_LOGIN_ERRORS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)


class Server:
    """A server that answered and can hold a store.

    Parameters
    ----------
    target
        What its URL says.
    wait_ms
        How long replicas may take to have what was written, milliseconds.
    """

    def __init__(self, target: Target, wait_ms: int) -> None:
        self.where, self.prefix, self.replicas = target.where, target.prefix, target.replicas
        self.meta = f"{target.prefix}:meta"
        self.term_key = f"{target.prefix}:term"
        self.client: Any = target.open(self._name_term)  # the library types its answers for two clients
        timeout_s = self.client.connection_pool.connection_kwargs.get("socket_timeout") or 60.0
        self._wait_ms = min(wait_ms, int(1e3 * WAIT_SHARE * timeout_s))
        self._read = threading.local()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn the client's errors into ours."""
        with _answering(self.where):
            yield

    def mget(self, names: Sequence[str]) -> tuple[bytes, list[Any]]:
        """Read values of one instant, and the primary's term, under which this thread may write next."""
        with self.answering():
            found: Any = self.client.mget([self.term_key, *names])
        self.term = found[0] or b""
        return self.term, found[1:]

    def mget_with_fields(self, names: Sequence[str], of: str) -> tuple[list[Any], set[str]]:
        """Read values as :meth:`mget` does, and before them the fields of a hash."""
        with self.answering(), self.client.pipeline(transaction=False) as pipe:
            fields, found = pipe.hkeys(of).mget([self.term_key, *names]).execute()
        self.term = found[0] or b""
        return found[1:], {field.decode() for field in fields}

    @property
    def term(self) -> bytes:
        """Term of this thread's last reading; empty where it has read nothing."""
        return getattr(self._read, "term", b"")

    @term.setter
    def term(self, value: bytes) -> None:
        self._read.term = value

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> list[Any]:
        """Run a script in one atomic step, and see that the replicas have what it wrote.

        Raises
        ------
        Unavailable
            When the server does not answer, or too few replicas have it: it may or may not have been
            written, and does not count.
        """
        rest = [len(keys), *keys, *arguments]
        with self.answering():
            try:
                return list(self._send("EVALSHA", _digest(script), *rest))
            except NoScriptError:  # a new primary, or one that was told to forget
                return list(self._send("EVAL", script, *rest))

    def confirm(self) -> None:
        """Return when the replicas have all that was written before.

        Raises
        ------
        Unavailable
            When they have not.
        """
        if self.replicas:
            with self.answering():
                # WAIT speaks of its own connection's writes; this one comes after all others.
                self._send("HINCRBY", self.meta, "flushes", 1)

    def _send(self, *command: Any) -> Any:
        if not self.replicas:
            return self.client.execute_command(*command)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*command)
            pipe.execute_command("WAIT", self.replicas, self._wait_ms)
            answer, reached = pipe.execute(raise_on_error=False)
        for one in (answer, reached):
            if isinstance(one, Exception):
                raise one
        if reached < self.replicas:
            raise Unavailable(
                f"{reached} of {self.replicas} replicas of the feature store at {self.where} have what was "
                f"written {self._wait_ms} ms ago, so the write is not confirmed; start the others, "
                "or lower `replicas` in its URL"
            )
        return answer

    def _name_term(self, connection: Any) -> None:
        """See, at each new connection, that the primary's term is named.

        Without the client's health checks: one that fails connects again, which would begin another one.
        """
        connection.on_connect_check_health(check_health=False)
        connection.send_command("EVAL", scripts.TERM, 2, self.meta, self.term_key, check_health=False)
        connection.read_response()


def connect(url: str, wait_ms: int) -> Server:
    """Connect to the server of a URL and see that it can hold a store.

    Parameters
    ----------
    url
        As of :class:`~fraud.store.redis.store.RedisStore`.
    wait_ms
        How long replicas may take to have what was written, milliseconds.

    Raises
    ------
    BadConfig
        When the URL or the login is wrong, or the server would lose or spread states.
    Unavailable
        When it does not answer.
    """
    target = read_url(url)
    try:
        with _answering(target.where, is_start=True), target.open() as probe:
            _check(probe.info(), target.where)
        return Server(target, wait_ms)
    except (TypeError, ValueError) as error:
        raise BadConfig(f"the URL of the feature store at {target.where} is wrong: {error}") from error


def failed_over(where: str) -> Unavailable:
    """Make the error of a write that would mix what two primaries hold."""
    return Unavailable(
        f"the feature store at {where} failed over between a reading and its writing; nothing was written; "
        "start again: the micro-batch that was cut off runs again"
    )


@cache
def _digest(script: str) -> str:
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


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
        if str(error).startswith("NOREPLICAS"):
            raise Unavailable(
                f"the feature store at {where} takes no writes: fewer replicas follow it than its "
                "min-replicas-to-write; start them again"
            ) from error
        raise Unavailable(f"the feature store at {where} refuses a command: {error}") from error
