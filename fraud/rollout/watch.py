"""Watching the model server take up a version."""

from collections.abc import Callable
from typing import Final

import httpx

from fraud.errors import Unavailable
from fraud.runtime.waiting import wait_until

PAUSE_S: Final = 1.0


def await_version(
    url: str, version: str, patience_s: float, check: Callable[[], None] = lambda: None
) -> None:
    """Wait until the model server says that it serves a version.

    Parameters
    ----------
    url
        Base address of the model server, with its model's path: ``http://host:8080/v2/models/fraud``.
    version
        Of the registry.
    patience_s
        Longest wait, seconds.
    check
        Called before each look; what it raises ends the waiting.

    Raises
    ------
    Unavailable
        When it does not serve it in time: it cannot be reached, or has refused the version.
    """
    said = "no answer"

    def is_served() -> bool:
        nonlocal said
        check()
        try:
            answer = httpx.get(url, timeout=5.0, trust_env=False)
            versions = answer.json().get("versions") if answer.is_success else None
        except (httpx.HTTPError, ValueError) as error:
            said = str(error)
            return False
        said = f"it serves {versions}" if answer.is_success else f"status {answer.status_code}"
        return bool(versions == [version])

    if not wait_until(is_served, patience_s, PAUSE_S):
        raise Unavailable(f"the model server at {url} did not load version {version}: {said}")
