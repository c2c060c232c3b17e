"""Watching the model server take up a version."""

import time
from typing import Final

import httpx

from fraud.errors import Unavailable

PAUSE_S: Final = 1.0


def await_version(url: str, version: str, patience_s: float) -> None:
    """Wait until the model server says that it serves a version.

    Parameters
    ----------
    url
        Base address of the model server, with its model's path: ``http://host:8080/v2/models/fraud``.
    version
        Of the registry.
    patience_s
        Longest wait, seconds.

    Raises
    ------
    Unavailable
        When it does not serve it in time: it cannot be reached, or has refused the version.
    """
    give_up = time.monotonic() + patience_s
    said = "no answer"
    while True:
        try:
            answer = httpx.get(url, timeout=5.0)
            said = (
                f"it serves {answer.json().get('versions')}"
                if answer.is_success
                else f"status {answer.status_code}"
            )
            if answer.is_success and answer.json().get("versions") == [version]:
                return
        except (httpx.HTTPError, ValueError) as error:
            said = str(error)
        if time.monotonic() >= give_up:
            raise Unavailable(f"the model server at {url} did not take version {version} up: {said}")
        time.sleep(PAUSE_S)
