"""Whose turn it is: a bounded queue in front of the scorer, so that what is accepted stays fast.

One worker takes requests one after another (or hands them to threads where a score waits for a network).
When as many wait as may, the next is refused at once: it costs little, and whoever sent it can go to
another replica or try again. Between two requests the worker lets the event loop read what has come.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from services.scoring import metrics
from services.scoring.problems import Problem

POOL: Final = 16
"""Threads, where none are asked for and a score waits for a network."""
Work = Callable[[], bytes]


class Turns:
    """Runs work in the order of its arrival.

    Parameters
    ----------
    most
        Works that may wait.
    threads
        0: on the event loop.
    """

    def __init__(self, most: int, threads: int) -> None:
        self._most = most
        self._waiting: deque[tuple[Work, asyncio.Future[bytes]]] = deque()
        self._has_work: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="score") if threads else None
        self._running = 0

    async def run(self, work: Work) -> bytes:
        """Wait for the turn and run.

        Raises
        ------
        Problem
            429 at once, when too many wait.
        """
        if self._pool is not None:
            return await self._run_in_thread(work)
        if len(self._waiting) >= self._most:
            metrics.SHED.labels("waiting").inc()
            raise Problem(429, f"more than {self._most} requests wait; try again, or another replica", (), 1)
        if self._task is None or self._has_work is None:
            self._has_work = asyncio.Event()
            self._task = asyncio.create_task(self._serve(self._has_work))
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        self._has_work.set()
        return await done

    async def _run_in_thread(self, work: Work) -> bytes:
        if self._running >= self._threads + self._most:
            metrics.SHED.labels("waiting").inc()
            raise Problem(429, f"more than {self._most} requests wait; try again, or another replica", (), 1)
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._running -= 1

    async def _serve(self, has_work: asyncio.Event) -> None:
        while True:
            if not self._waiting:
                has_work.clear()
                await has_work.wait()
            work, done = self._waiting.popleft()
            if done.cancelled():
                continue
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001  it belongs to whoever waits for it
                done.set_exception(error)
            await asyncio.sleep(0)
