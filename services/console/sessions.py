"""Who looks: a signed cookie after an API key, and a token that forms must carry."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import Final

COOKIE: Final = "fraud_console"


@dataclass(frozen=True, slots=True)
class Session:
    """One person's session."""

    client: str
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

    def begin(self, client: str) -> Session:
        """Make a session."""
        return Session(client, secrets.token_urlsafe(16), time.time() + self._lasts_s)

    def write(self, session: Session) -> str:
        """Write the cookie's value."""
        content = json.dumps([session.client, session.nonce, session.until_s]).encode()
        encoded = base64.urlsafe_b64encode(content).decode().rstrip("=")
        return f"{encoded}.{self._sign(b'session', content)}"

    def read(self, cookie: str | None) -> Session | None:
        """Read a cookie's value; None when it is not ours or its time is over.

        Examples
        --------
        >>> sessions = Sessions("", 60.0)
        >>> one = sessions.begin("ana")
        >>> sessions.read(sessions.write(one)) == one, sessions.read("e30=.forged")
        (True, None)
        """
        encoded, _, signature = (cookie or "").rpartition(".")
        try:
            content = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            return None
        if not content or not _is_same(signature, self._sign(b"session", content)):
            return None
        session = Session(*json.loads(content))
        return session if session.until_s > time.time() else None

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
