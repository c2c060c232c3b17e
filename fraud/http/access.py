"""Who may call, what they may do, and how often.

Reads the keys file, YAML: ``client: {sha256: of its API key in hex, scopes: [score, label, ...]}``.
"""

import hashlib
import ipaddress
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final

from fraud.errors import BadConfig
from fraud.http.problems import Problem
from fraud.settings.definition import read_yaml

KEYS_LOOK_S: Final = 1.0
"""How often a program looks whether its file of keys has changed, seconds."""
MOST_CLIENTS: Final = 10_000
"""Clients that a rate limit remembers at most."""
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_NAME: Final = re.compile("[a-z0-9][a-z0-9_-]{0,31}")


class KeyScope(StrEnum):
    """What a key may be used for."""

    SCORE = "score"
    """Score transactions."""
    LABEL = "label"
    """Say of a transaction whether it was fraud, or what became of it; tell profiles of entities."""
    READ = "read"
    """See decisions: look them up, and see the console."""
    RULES = "rules"
    """Change lists, propose and approve rules."""
    ADMIN = "admin"
    """All of these."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls.

    Parameters
    ----------
    name
        From the keys file; labels carry it as their source.
    key
        Names the client's key, so that a session ends with it; says nothing of the key.
    scopes
        What the key may be used for.
    """

    name: str
    key: str
    scopes: frozenset[KeyScope]

    def may(self, scope: KeyScope) -> bool:
        """Whether the key may be used for something."""
        return scope in self.scopes or KeyScope.ADMIN in self.scopes

    def need(self, scope: KeyScope) -> None:
        """Refuse what the key may not be used for.

        Raises
        ------
        Problem
            403.
        """
        if not self.may(scope):
            raise Problem(403, f"the key of {self.name} lacks the scope `{scope}`; add it in the keys file")


ANYONE: Final = Client("anonymous", "", frozenset(KeyScope))
"""The caller where there are no keys; only this machine reaches the port then."""


class Keys:
    """The clients' API keys, by their SHA-256: the file gives nobody a key. :meth:`look` follows the file.

    Parameters
    ----------
    file
        See the module; None: anyone may call, which is refused beyond loopback.
    host
        Address that the service listens on.
    prefix
        Of the service's settings, for the messages.

    Raises
    ------
    BadConfig
        When the file is wrong, or there is none and others than this machine reach the port.
    """

    def __init__(self, file: Path | None, host: str, prefix: str = "FRAUD_SCORING") -> None:
        self._file, self._where = file, f"{prefix}_KEYS_FILE {file}"
        self._content = b""
        self._by_digest: dict[str, Client] = {}
        self._by_name: dict[str, Client] = {}
        if file is None and not _is_loopback(host):
            raise BadConfig(f"{prefix}_HOST={host} can be reached from outside: set {prefix}_KEYS_FILE")
        self.look()

    def look(self) -> None:
        """Read the file where it has changed; one that is wrong leaves the keys as they are.

        Raises
        ------
        BadConfig
            When the file is wrong; correct it.
        """
        if self._file is None:
            return
        try:
            content = self._file.read_bytes()
        except OSError as error:
            raise BadConfig(f"{self._where}: {error}") from error
        if content == self._content and self._by_digest:
            return
        self._by_digest = _read(content, self._file.name, self._where)
        self._by_name = {client.name: client for client in self._by_digest.values()}
        self._content = content

    @property
    def is_open(self) -> bool:
        """Whether anyone may call."""
        return not self._by_digest

    def client_of(self, header: bytes | None) -> Client:
        """Tell who calls, by the header ``Authorization: Bearer KEY``.

        Raises
        ------
        Problem
            401.
        """
        if self.is_open:
            return ANYONE
        kind, _, key = (header or b"").partition(b" ")
        client = self.find(key)
        if kind.lower() != b"bearer" or client is None:
            raise Problem(401, "send the header `Authorization: Bearer <API key>`")
        return client

    def find(self, key: bytes) -> Client | None:
        """Return the client of a key; None if no client has it."""
        # Keys are compared by digest: how long that takes says nothing of the key.
        return self._by_digest.get(hashlib.sha256(key.strip()).hexdigest())

    def named(self, name: str, key: str) -> Client | None:
        """Find a client that still has the key that it had."""
        client = ANYONE if self.is_open and name == ANYONE.name else self._by_name.get(name)
        return client if client is not None and client.key == key else None


class RateLimit:
    """A token bucket for each client; a full one is forgotten, so that the table is as long as it must be.

    Parameters
    ----------
    per_s, burst
        Tokens that come in a second, and most that there are; ``per_s`` 0: no limit.
    clock
        Seconds.
    unit
        What a token stands for, for the message.

    Examples
    --------
    >>> limit = RateLimit(1.0, 2, clock=lambda: 0.0)
    >>> limit.take("gateway"), limit.charge("gateway", 10)
    (None, None)
    >>> limit.take("gateway")
    Traceback (most recent call last):
    ...
    fraud.http.problems.Problem: this client may send 1 requests a second
    """

    def __init__(
        self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic, unit: str = "requests"
    ) -> None:
        self._per_s, self._burst, self._clock, self._unit = per_s, burst, clock, unit
        self._buckets: dict[str, tuple[float, float]] = {}
        """Tokens and their time; the one that was used last stands last."""

    def __len__(self) -> int:
        """Count the clients that it remembers."""
        return len(self._buckets)

    def take(self, client: str) -> None:
        """Take a token.

        Raises
        ------
        Problem
            429, with the time until there is one.
        """
        if not self._per_s:
            return
        now = self._clock()
        tokens = self._pop(client, now)
        has_one = tokens >= 1.0
        self._buckets[client] = (tokens - 1.0 if has_one else tokens, now)
        self._forget(now)
        if not has_one:
            raise self._refusal(tokens)

    def check(self, client: str) -> None:
        """See that there is a token, and leave it.

        Raises
        ------
        Problem
            As :meth:`take`.
        """
        tokens = self._tokens(client, self._clock())
        if self._per_s and tokens < 1.0:
            raise self._refusal(tokens)

    def charge(self, client: str, tokens: int) -> None:
        """Take more tokens for what was let in; there may be fewer, then the next requests wait."""
        if self._per_s and tokens > 0:
            now = self._clock()
            self._buckets[client] = (self._pop(client, now) - tokens, now)

    def _refusal(self, tokens: float) -> Problem:
        wait_s = max(1, math.ceil((1.0 - tokens) / self._per_s))
        return Problem(429, f"this client may send {self._per_s:g} {self._unit} a second", (), wait_s)

    def _tokens(self, client: str, now: float) -> float:
        tokens, since = self._buckets.get(client, (float(self._burst), now))
        return min(self._burst, tokens + (now - since) * self._per_s)

    def _pop(self, client: str, now: float) -> float:
        tokens = self._tokens(client, now)
        self._buckets.pop(client, None)
        return tokens

    def _forget(self, now: float) -> None:
        """Drop the oldest two that are full again: the table loses more than one entry for each new one."""
        for client in list(islice(self._buckets, 2)):
            tokens, since = self._buckets[client]
            is_full = tokens + (now - since) * self._per_s >= self._burst
            if not is_full and len(self._buckets) <= MOST_CLIENTS:
                return
            del self._buckets[client]


def _read(raw: bytes, name: str, where: str) -> dict[str, Client]:
    try:
        content, _ = read_yaml(raw, name)
    except BadConfig as error:
        raise BadConfig(f"{where}: {error}") from error
    if not isinstance(content, dict) or not content:
        raise BadConfig(f"{where}: write one line for each client: {_line('client', '<sha256 in hex>')}")
    clients = [_client(name, entry, where) for name, entry in content.items()]
    found = dict(clients)
    if len(found) < len(clients):
        raise BadConfig(f"{where}: two clients have the same key; give each its own")
    return found


def _client(name: Any, entry: Any, where: str) -> tuple[str, Client]:
    """Read one client; returns the digest of its key, too."""
    if not _NAME.fullmatch(str(name)):
        raise BadConfig(f"{where}: {name}: a name has 1 to 32 of a-z, 0-9, _ and -")
    if isinstance(entry, str):
        raise BadConfig(
            f"{where}: {name}: a key needs scopes now; write {_line(str(name), entry)} with those of "
            f"{', '.join(KeyScope)} that it needs"
        )
    if not isinstance(entry, Mapping) or set(entry) != {"sha256", "scopes"}:
        raise BadConfig(f"{where}: {name}: write {_line(str(name), '<sha256 in hex>')}")
    digest, scopes = str(entry["sha256"]), entry["scopes"]
    if not _DIGEST.fullmatch(digest):
        raise BadConfig(f"{where}: {name}: sha256: 64 hexadecimal digits in lower case are needed")
    if not isinstance(scopes, list) or not scopes or not all(one in list(KeyScope) for one in scopes):
        raise BadConfig(f"{where}: {name}: scopes: a list of some of {', '.join(KeyScope)} is needed")
    key = hashlib.sha256(b"session:" + digest.encode()).hexdigest()[:16]
    return digest, Client(str(name), key, frozenset(map(KeyScope, scopes)))


def _line(name: str, digest: str) -> str:
    return f"`{name}: {{sha256: {digest}, scopes: [score, label, read]}}`"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
