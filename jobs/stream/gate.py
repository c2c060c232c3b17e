"""Lets one micro-batch run at a time, and none once the job is to end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fraud.errors import Unavailable

POLL_S: Final = 0.2


class BatchGate:
    """Stands between the query, which begins micro-batches, and the driver, which ends the query.

    Parameters
    ----------
    stop
        Set when the job is to end.
    is_held
        Whether no micro-batch may begin at present.
    """

    def __init__(self, stop: threading.Event, is_held: Callable[[], bool]) -> None:
        self._stop, self._is_held = stop, is_held
        self._running = threading.Lock()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Run a micro-batch inside the block, once it may begin.

        Raises
        ------
        Unavailable
            When the job ends before that: whoever ends the query waits for this call, which must not wait
            for it.
        """
        while self._is_held() or not self._running.acquire(timeout=POLL_S):
            if self._stop.wait(POLL_S):
                raise Unavailable("the job stops; the micro-batch runs again at the next start")
        try:
            yield
        finally:
            self._running.release()

    @contextmanager
    def between(self) -> Iterator[None]:
        """Wait for the micro-batch under way; none begins inside the block."""
        with self._running:
            yield
