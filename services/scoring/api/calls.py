"""One call of an endpoint, and its answer."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from services.scoring.api.bodies import Receive

JSON: Final = (b"content-type", b"application/json")
Headers = list[tuple[bytes, bytes]]
Answered = tuple[Headers, bytes]
"""Headers and body of the answer with status 200."""


class Call(NamedTuple):
    """What an endpoint is given."""

    headers: dict[bytes, bytes]
    receive: Receive
    """Gives the body."""
    client: str
    """Name of the caller's key."""
    rest: str = ""
    """The id at the end of the path."""


Act = Callable[[Call], Awaitable[Answered]]
"""Answers a call, or raises a :class:`~fraud.http.problems.Problem`."""
