"""Who may call, how often, and what may be written down about it."""

import hashlib
import ipaddress
import math
import re
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from fraud.errors import BadConfig
from fraud.http.problems import Problem
from fraud.settings.definition import read_yaml

NOBODY: Final = "anonymous"
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_NAME: Final = re.compile("[a-z0-9][a-z0-9_-]{0,31}")


class Keys:
    """The clients' API keys, by their SHA-256: the file gives nobody a key.

    Parameters
    ----------
    file
        YAML ``client: hex digest``; None: anyone may call, which is refused beyond loopback.
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
        self._clients: dict[str, str] = {}
        if file is None:
            if not _is_loopback(host):
                raise BadConfig(f"{prefix}_HOST={host} can be reached from outside: set {prefix}_KEYS_FILE")
            return
        try:
            content, _ = read_yaml(file.read_bytes(), file.name)
        except (OSError, BadConfig) as error:
            raise BadConfig(f"{prefix}_KEYS_FILE {file}: {error}") from error
        if not isinstance(content, dict) or not content:
            raise BadConfig(f"{prefix}_KEYS_FILE {file}: write `client: sha256 in hex`, one a line")
        for name, digest in content.items():
            if not _NAME.fullmatch(str(name)) or not _DIGEST.fullmatch(str(digest)):
                raise BadConfig(f"{prefix}_KEYS_FILE {file}: {name}: not a client's name and sha256")
            self._clients[str(digest)] = str(name)

    def client_of(self, header: bytes | None) -> str:
        """Tell who calls, by the header ``Authorization: Bearer KEY``.

        Raises
        ------
        Problem
            401.
        """
        if not self._clients:
            return NOBODY
        kind, _, key = (header or b"").partition(b" ")
        client = self.name_of(key)
        if kind.lower() != b"bearer" or client is None:
            raise Problem(401, "send the header `Authorization: Bearer <API key>`")
        return client

    @property
    def is_open(self) -> bool:
        """Whether anyone may call."""
        return not self._clients

    def is_known(self, name: str) -> bool:
        """Whether there is such a client now."""
        return name in self._clients.values() if self._clients else name == NOBODY

    def name_of(self, key: bytes) -> str | None:
        """Tell whose key it is; None where it is nobody's."""
        # Keys are compared by digest: how long that takes says nothing of the key.
        return self._clients.get(hashlib.sha256(key.strip()).hexdigest())


class RateLimit:
    """A token bucket for each client; a full one is forgotten, so that the table is as long as it must be.

    Parameters
    ----------
    per_s, burst
        Tokens that come in a second, and most that there are; ``per_s`` 0: no limit.
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
        if tokens < 1.0:
            self._buckets[client] = (tokens, now)
            wait_s = max(1, math.ceil((1.0 - tokens) / self._per_s))
            raise Problem(429, f"this client may send {self._per_s:g} {self._unit} a second", (), wait_s)
        self._buckets[client] = (tokens - 1.0, now)
        self._forget(now)

    def charge(self, client: str, tokens: int) -> None:
        """Take more tokens for what was let in; there may be fewer, then the next requests wait."""
        if self._per_s and tokens > 0:
            now = self._clock()
            self._buckets[client] = (self._pop(client, now) - tokens, now)

    def _pop(self, client: str, now: float) -> float:
        tokens, since = self._buckets.pop(client, (float(self._burst), now))
        return min(self._burst, tokens + (now - since) * self._per_s)

    def _forget(self, now: float) -> None:
        """Drop the oldest two that are full again: the table loses more than one entry for each new one."""
        for client in list(islice(self._buckets, 2)):
            tokens, since = self._buckets[client]
            if tokens + (now - since) * self._per_s < self._burst:
                return
            del self._buckets[client]


def mask(text: str, salt: str) -> str:
    """Make an id fit for logs: the same id reads the same, and says nothing.

    Examples
    --------
    >>> mask("u1", "s") == mask("u1", "s"), "u1" in mask("u1", "s")
    (True, False)
    """
    return hashlib.blake2b(text.encode(), key=salt.encode()[:64], digest_size=6).hexdigest()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
