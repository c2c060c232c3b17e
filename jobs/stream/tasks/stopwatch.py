"""How long the stages of a micro-batch's tasks take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the time of a task's stages; a stage within another one is in both.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch.time("store_read"):
    ...     pass
    >>> list(watch.seconds)
    ['store_read']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time what happens inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
