"""A bounded queue in front of the scorer, so that accepted requests are answered fast.

One worker takes requests one after another (or hands them to threads where a score waits for a network).
When as many wait as may, the next is refused at once: it costs little, and whoever sent it can go to
another replica or try again. A burst may wait; where somebody has waited at every arrival for a while, the
queue stands, and no longer one would help anybody: then fewer may (the idea of CoDel; Nichols and Jacobson,
"Controlling Queue Delay"). Between two requests the worker lets the event loop read what has arrived.

Single requests that wait are done some at a time, as one step of the feature store: the commit of a step
costs as much as a score.

The transactions of batches wait in a queue of their own, which is bounded where batches are let in: one has
its turn when no single request waits, or after some of them.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from fraud.http.problems import Problem
from services.scoring import metrics

POOL: Final = 16
"""Threads, where none are asked for and a score waits for a network."""
PATIENCE_S: Final = 0.05
"""How long a queue may stand before it is kept short."""
SHORT: Final = 8
"""Of the works that may wait, one in so many may while the queue stands."""
SINGLES: Final = 4
"""Single requests that are done together, and go before a transaction of a batch has its turn."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class _Work(NamedTuple):
    """What a request waits for."""

    do: Callable[[], Any]
    done: asyncio.Future[Any]


class RequestQueue:
    """Runs work in the order of its arrival.

    Parameters
    ----------
    most
        Works that may wait.
    threads
        0: on the event loop.
    clock
        Seconds.
    together
        Makes one step of the works inside. When it raises, none has taken effect; each is done again alone.
    """

    def __init__(
        self,
        most: int,
        threads: int,
        clock: Callable[[], float] = time.monotonic,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._most = most
        self._clock = clock
        self._together = together
        self._free_at = clock()
        self._waiting: deque[_Work] = deque()
        self._of_batches: deque[_Work] = deque()
        self._singles = 0
        self._has_work: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="score") if threads else None
        self._running = 0
        self._places = asyncio.Semaphore(max(1, threads // 2))

    async def run(self, work: Callable[[], T], *, is_of_batch: bool = False) -> T:
        """Wait for the turn and run.

        Parameters
        ----------
        is_of_batch
            Whether it waits in the queue of the batches, which refuses nobody.

        Raises
        ------
        Problem
            429 at once, when too many wait.
        """
        work = partial(_outcome_of, work)
        if self._pool is not None:
            return await self._run_in_thread(work, is_of_batch=is_of_batch)
        if not is_of_batch:
            self._admit(len(self._waiting))
        if self._task is None or self._has_work is None:
            self._has_work = asyncio.Event()
            # In a context of its own: what the first request knows (its trace) is not of the others.
            self._task = asyncio.create_task(self._serve(self._has_work), context=Context())
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._of_batches if is_of_batch else self._waiting).append(_Work(work, done))
        self._has_work.set()
        return await done

    def _admit(self, waiting: int) -> None:
        now = self._clock()
        if waiting <= 0:
            self._free_at = now
            return
        most = self._most if now - self._free_at < PATIENCE_S else max(1, self._most // SHORT)
        if waiting >= most:
            metrics.SHED.labels("waiting").inc()
            raise Problem(
                429,
                f"too many requests ({waiting} are waiting); retry after 1 s, or use another replica",
                (),
                1,
            )

    async def _run_in_thread(self, work: Callable[[], T], *, is_of_batch: bool) -> T:
        if is_of_batch:
            async with self._places:
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._admit(self._running - self._threads)
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._running -= 1

    async def _serve(self, has_work: asyncio.Event) -> None:
        while True:
            if not self._waiting and not self._of_batches:
                has_work.clear()
                await has_work.wait()
            self._do([work for work in self._next() if not work.done.cancelled()])
            await asyncio.sleep(0)

    def _next(self) -> list[_Work]:
        """Take those whose turn it is; there are some."""
        if self._of_batches and (not self._waiting or self._singles >= SINGLES):
            self._singles = 0
            return [self._of_batches.popleft()]
        found = [self._waiting.popleft() for _ in range(min(len(self._waiting), SINGLES))]
        self._singles += len(found)
        return found

    def _do(self, works: list[_Work]) -> None:
        """Do works, together where there are several; none is answered before all have taken effect."""
        try:
            with self._together() if len(works) > 1 else nullcontext():
                outcomes = [_tried(work.do) for work in works]
        except Exception as error:  # noqa: BLE001  the worker must go on
            log.warning("%d works that were done together are done again, each alone: %s", len(works), error)
            outcomes = [_tried(work.do) for work in works]
        for work, (result, failure) in zip(works, outcomes, strict=True):
            if failure is None:
                work.done.set_result(result)
            else:  # it belongs to whoever waits for it
                work.done.set_exception(failure)


def _tried(do: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return do(), None
    except Exception as error:  # noqa: BLE001  its owner gets it
        return None, error


def _outcome_of(work: Callable[[], T]) -> T:
    """Do it; what a future cannot hold, or would end the worker, becomes an ordinary error.

    Libraries in Rust panic past ``Exception``, and a future refuses a ``StopIteration``: whoever brought the
    work would wait for ever, and so would all behind it.
    """
    try:
        return work()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
