"""A circuit breaker: stop calling a part that keeps failing, so that callers fall back at once."""

import threading
import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """What a circuit breaker does with a call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Stops calling a part that keeps failing.

    Closed, it lets every call through; after ``failures`` failures in a row it opens and refuses
    all; after ``cooldown_s`` it is half open: one call may try. Its success closes the breaker, its
    failure opens it again. A trial that never reports frees its place after another ``cooldown_s``.

    Examples
    --------
    >>> now = 0.0
    >>> breaker = CircuitBreaker(failures=1, cooldown_s=5.0, clock=lambda: now)
    >>> breaker.record(is_success=False)
    >>> breaker.allows()
    False
    >>> now = 5.0
    >>> breaker.allows(), breaker.allows()
    (True, False)
    """

    def __init__(self, failures: int, cooldown_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._refuses_until: float | None = None

    @property
    def state(self) -> BreakerState:
        """What the next call will meet."""
        with self._lock:
            if self._refuses_until is None:
                return BreakerState.CLOSED
            return BreakerState.OPEN if self._clock() < self._refuses_until else BreakerState.HALF_OPEN

    def allows(self) -> bool:
        """Whether a call may be made now; a half-open breaker allows one per cool-down."""
        with self._lock:
            if self._refuses_until is None:
                return True
            if self._clock() < self._refuses_until:
                return False
            self._refuses_until = self._clock() + self._cooldown_s
            return True

    def record(self, *, is_success: bool) -> None:
        """Report how a call ended."""
        with self._lock:
            if is_success:
                self._failures, self._refuses_until = 0, None
                return
            self._failures += 1
            if self._failures >= self._limit:
                self._refuses_until = self._clock() + self._cooldown_s
