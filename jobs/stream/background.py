"""Background threads of the driver. They survive every error except a take-over by a newer driver."""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from fraud.errors import Fenced
from fraud.runtime.threads import Watch

PATIENCE_S: Final = 10.0
"""Time between two words about a thread that is waited for, seconds."""
log = logging.getLogger("jobs.stream")


class BackgroundThreads:
    """Runs functions regularly until the job stops.

    Parameters
    ----------
    acts
        By the thread's name: time between two calls, seconds, and what is called.
    stopping
        Set when the job is to end; set here when a newer driver has taken over.
    """

    def __init__(
        self, acts: Mapping[str, tuple[float, Callable[[], object]]], stopping: threading.Event
    ) -> None:
        self._stopping = stopping
        self.failure: Fenced | None = None
        """Why the job must end."""
        self._watches = [
            Watch(name, partial(self._look, act), every_s, stopping=stopping)
            for name, (every_s, act) in acts.items()
        ]

    def start(self) -> None:
        """Begin."""
        for watch in self._watches:
            watch.start()

    def end(self) -> None:
        """Wait until all have ended; a commit under way is not given up."""
        self._stopping.set()
        for watch in self._watches:
            while not watch.stop(PATIENCE_S):
                log.info("waiting for the thread %s to end", watch.name)

    def _look(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Fenced as error:
            self.failure = error
            self._stopping.set()
