"""Sessions: a signed cookie for an API key, and a token that forms must carry.

A session ends with its time, with its key, and when somebody logs out: its cookie then opens nothing, at any
replica (``services.console.ended``).
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from dataclasses import astuple, dataclass
from typing import Final

from fraud.http.access import Client

COOKIE: Final = "fraud_console"
BROWSER: Final = "fraud_console_browser"
"""Cookie of a browser in which a key has been used."""
BROWSER_S: Final = 90 * 86_400
"""How long a browser is known, seconds."""
FEW: Final = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """One person's session."""

    client: str
    key: str
    """Names the client's key: the session ends when that is taken away or replaced."""
    nonce: str
    until_s: float


class Sessions:
    """Signs and reads sessions.

    Parameters
    ----------
    secret
        Of the deployment; empty: a new one.
    lasts_s
        How long a session lasts, seconds.
    """

    def __init__(self, secret: str, lasts_s: float) -> None:
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._lasts_s = lasts_s
        self._made_s = time.time()
        self.knows_all = not secret
        """Whether all logouts before the start are known; until then only sessions begun since are on."""
        self._lock = threading.Lock()
        self._ended: dict[str, float] = {}
        """Until when the cookies of sessions that have ended would be good, by nonce."""
        self._most_ended = FEW
        """How many may be kept before those whose time is over are dropped."""

    def begin(self, client: Client) -> Session:
        """Make a session."""
        return Session(client.name, client.key, secrets.token_urlsafe(16), time.time() + self._lasts_s)

    def end(self, nonce: str, until_s: float) -> None:
        """Let a session's cookie open nothing any more."""
        with self._lock:
            self._ended[nonce] = until_s
            if len(self._ended) > self._most_ended:
                now = time.time()
                self._ended = {one: until for one, until in self._ended.items() if until > now}
                self._most_ended = 2 * len(self._ended) + FEW

    def write(self, session: Session) -> str:
        """Write the cookie's value."""
        content = json.dumps(astuple(session)).encode()
        encoded = base64.urlsafe_b64encode(content).decode().rstrip("=")
        return f"{encoded}.{self._sign(b'session', content)}"

    def read(self, cookie: str | None) -> Session | None:
        """Read a cookie's value; None when it is not ours or the session has ended.

        Examples
        --------
        >>> from fraud.http.access import ANYONE
        >>> sessions = Sessions("", 60.0)
        >>> one = sessions.begin(ANYONE)
        >>> sessions.read(sessions.write(one)) == one, sessions.read("e30=.forged")
        (True, None)
        >>> sessions.end(one.nonce, one.until_s)
        >>> sessions.read(sessions.write(one)) is None
        True
        """
        encoded, _, signature = (cookie or "").rpartition(".")
        try:
            content = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            return None
        if not content or not _is_same(signature, self._sign(b"session", content)):
            return None
        fields = json.loads(content)
        if len(fields) != len(Session.__slots__):
            return None  # of an older version
        session = Session(*fields)
        return session if self.is_on(session) else None

    def is_on(self, session: Session) -> bool:
        """Whether a session has not ended."""
        if session.until_s <= time.time() or session.nonce in self._ended:
            return False
        return self.knows_all or session.until_s - self._lasts_s >= self._made_s

    def browser_of(self, client: Client) -> str:
        """Make the mark of a browser in which a client's key has been used."""
        return self._sign(b"browser", f"{client.name}:{client.key}".encode())

    def is_known(self, mark: str | None, client: Client) -> bool:
        """Whether a browser has the mark of this client's key."""
        return _is_same(mark or "", self.browser_of(client))

    def token(self, session: Session) -> str:
        """Make the token that this session's forms carry."""
        return self._sign(b"form", session.nonce.encode())

    def is_token(self, session: Session, token: str) -> bool:
        """Whether a form is one of this session's."""
        return _is_same(token, self.token(session))

    def _sign(self, purpose: bytes, content: bytes) -> str:
        return hmac.new(self._secret, purpose + b":" + content, hashlib.sha256).hexdigest()


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
