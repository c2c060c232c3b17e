"""Background threads that run as long as their program: each does a round of work, waits, and starts again.

A round that fails is counted (``fraud_thread_failures_total``), logged, and retried after a wait that
doubles. This is our own code rather than tenacity, because a stop must end the wait. Readiness checks ask
``ended_threads`` for threads that ended without being stopped.
"""

import logging
import random
import threading
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from prometheus_client import Counter, Gauge

from fraud.errors import Unavailable

FAILURES: Final = Counter("fraud_thread_failures_total", "Failed rounds of a background thread.", ["thread"])
FAILED_IN_A_ROW: Final = Gauge(
    "fraud_thread_failed_in_a_row",
    "Rounds of a background thread that failed since its last success.",
    ["thread"],
)
log = logging.getLogger(__name__)
_started: "WeakSet[Watch]" = WeakSet()


class Watch:
    """Calls a function repeatedly in a thread of its own.

    Parameters
    ----------
    name
        Of the thread, in logs and metrics.
    look
        Returns how long to wait before it is called again, seconds; None: ``every_s``.
    every_s
        Wait after a look, seconds.
    first_retry_s, backoff_max_s
        Wait after the first of several failures, which doubles, and the longest.
    stopping
        Set when it is to end.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], float | None],
        every_s: float,
        *,
        first_retry_s: float = 0.5,
        backoff_max_s: float = 30.0,
        stopping: threading.Event | None = None,
    ) -> None:
        self._name, self._act, self._every_s = name, look, every_s
        self._first_retry_s, self._backoff_max_s = first_retry_s, backoff_max_s
        self._stopping = stopping or threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._count = FAILURES.labels(name)
        self._row = FAILED_IN_A_ROW.labels(name)
        self.failures = 0
        """Looks that have failed in a row."""
        self.trouble = ""
        """Why the last look failed; empty: it did not."""

    @property
    def name(self) -> str:
        """Of the thread."""
        return self._name

    @property
    def is_stopping(self) -> bool:
        """Whether it is to end: a look that takes long asks."""
        return self._stopping.is_set()

    @property
    def has_ended(self) -> bool:
        """Whether its thread has ended without being stopped."""
        has_begun = self._thread.ident is not None
        return has_begun and not self._stopping.is_set() and not self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        _started.add(self)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ask it to end, and wait for the look under way; returns whether that has ended."""
        self._stopping.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def look(self) -> float:
        """Look once; returns how long to wait before the next time, seconds."""
        try:
            wait_s = self._act()
        except BaseException as error:  # noqa: BLE001  libraries in Rust panic past Exception
            return self._failed(error)
        self.failures, self.trouble = 0, ""
        self._row.set(0)
        return self._every_s if wait_s is None else wait_s

    def _failed(self, error: BaseException) -> float:
        self.failures += 1
        self.trouble = f"{error}" if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"
        self._count.inc()
        self._row.set(self.failures)
        ceiling_s = min(self._first_retry_s * 2.0 ** min(self.failures - 1, 16), self._backoff_max_s)
        wait_s = ceiling_s * random.uniform(0.5, 1.0)
        log.warning(
            "%s failed %d times in a row, next attempt in %.1f s: %s",
            self._name,
            self.failures,
            wait_s,
            self.trouble,
            exc_info=None if isinstance(error, Unavailable) else error,
        )
        return wait_s

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            wait_s = self.look()


def ended_threads() -> list[str]:
    """Name the threads of this process that ended without being stopped."""
    return sorted(watch.name for watch in _started if watch.has_ended)
