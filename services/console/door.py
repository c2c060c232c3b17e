"""Access to the console: sessions, ``/login`` and ``/logout``, and a limit on attempts.

Every request passes :meth:`AccessControl.admit`; a form counts only with its session's token.
"""

import ipaddress
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from fraud.http.access import ANYONE, KEYS_LOOK_S, Client, Keys, KeyScope, RateLimit
from fraud.http.problems import Problem
from fraud.runtime.threads import Watch
from services.console.sessions import BROWSER, BROWSER_S, COOKIE, Session, Sessions
from services.console.settings import ConsoleSettings

MOST_FORM: Final = 4_096
"""Bytes of a form that are read."""
LOGINS_PER_S: Final = 0.2
LOGINS_AT_ONCE: Final = 10
_OPEN: Final = ("/login", "/static/", "/health", "/ready", "/metrics")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


class AccessControl:
    """Checks keys and sessions.

    Parameters
    ----------
    settings
        Of the console.

    Raises
    ------
    BadConfig
        When it could be reached from outside without keys.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self.keys = Keys(settings.keys_file, settings.host, "FRAUD_CONSOLE")
        self._watch = Watch("keys", self.keys.look, KEYS_LOOK_S)
        self.sessions = Sessions(settings.session_secret.get_secret_value(), settings.session_s)
        self._logins = RateLimit(LOGINS_PER_S, LOGINS_AT_ONCE)

    def start(self) -> None:
        """Begin to follow the file of keys: a session ends with its key."""
        self._watch.start()

    def stop(self) -> None:
        """End."""
        self._watch.stop()

    def admit(self, request: Request) -> Response | None:
        """Find the session of a request; returns the answer where it may go no further."""
        request.state.session = request.state.begun = None
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if self.keys.is_open and host not in _LOOPBACK:
            return PlainTextResponse("without API keys the console answers only this machine", 403)
        path = request.url.path
        session = self.sessions.read(request.cookies.get(COOKIE))
        if session is not None and self.client_of(session) is None:
            session = None  # a key that was taken away or replaced opens nothing any more
        if session is None and self.keys.is_open and not path.startswith(_OPEN[1:]):
            session = request.state.begun = self.sessions.begin(ANYONE)
        request.state.session = session
        return None if session is not None or path.startswith(_OPEN) else _login_first(request)

    def client_of(self, session: Session) -> Client | None:
        """Find whose session it is; None where the key has lost the right to look."""
        client = self.keys.named(session.client, session.key)
        return client if client is not None and client.may(KeyScope.READ) else None

    def may(self, session: Session | None, scope: KeyScope) -> bool:
        """Whether a session's client has a right, e.g. to label transactions."""
        client = self.client_of(session) if session else None
        return client is not None and client.may(scope)

    def enter(self, request: Request, key: str) -> Client | tuple[str, int]:
        """Find whose key it is; where nobody may enter, in words why, and the status."""
        client, network = self.keys.find(key.encode()), _network_of(request)
        is_known = client is not None and self.sessions.is_known(request.cookies.get(BROWSER), client)
        try:
            # Whoever guesses waits, also with a right key: else the limit would keep nobody out. Who has used
            # the key in this browser does not: others behind the same proxy cannot keep them out.
            if not is_known:
                self._logins.check(network)
            if client is None:
                self._logins.take(network)
                return "This API key is not known here.", 401
        except Problem:
            return "Too many attempts. Wait a minute.", 429
        if not client.may(KeyScope.READ):
            return "This API key lacks the scope `read`; add it in the keys file.", 403
        return client

    def give(self, answer: Response, session: Session) -> None:
        """Put a session's cookie into an answer."""
        self._set_cookie(answer, COOKIE, self.sessions.write(session), int(self._settings.session_s))

    def mark(self, answer: Response, client: Client) -> None:
        """Let the browser be known as one in which a client's key has been used."""
        self._set_cookie(answer, BROWSER, self.sessions.browser_of(client), BROWSER_S)

    def leave(self) -> Response:
        """Take the cookie of a session that has ended out of its browser."""
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    def _set_cookie(self, answer: Response, name: str, value: str, lasts_s: int) -> None:
        secure = self._settings.is_https
        answer.set_cookie(name, value, max_age=lasts_s, httponly=True, samesite="strict", secure=secure)


async def form_of(request: Request, most: int = MOST_FORM) -> dict[str, str]:
    """Read a form, no further than one can be long; a longer one is empty."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            return {}
    return {name: values[-1] for name, values in parse_qs(content.decode(errors="replace")).items()}


def _login_first(request: Request) -> Response:
    is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    return RedirectResponse("/login", 303) if is_page else PlainTextResponse("log in first", 401)


def _network_of(request: Request) -> str:
    """Name who tries: the address, of IPv6 the network of one line (64 bits)."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host
