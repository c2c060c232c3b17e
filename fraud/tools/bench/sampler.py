"""Runs a program and looks what its main thread does: ``python -m fraud.tools.bench.sampler FILE MODULE``.

The look begins with SIGUSR1 and goes by processor time, so that waiting does not count. When the program
ends, FILE has the stacks as JSON: what was called by what, and in how many looks. The time itself is taken
from the system's clocks of the thread and of the process.
"""

import json
import runpy
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

__all__ = ["WAITING", "Sampler", "main"]

EVERY_S: Final = 0.001
"""Of the process's time; the system looks at most once in a tick, which may be 4 ms."""
WAITING: Final = "selectors:EpollSelector.select"
"""Where an event loop waits. Then the time was another thread's, and the look is not counted."""


class Sampler:
    """Counts stacks of the main thread; Unix alone."""

    def __init__(self) -> None:
        self._stacks: Counter[tuple[str, ...]] = Counter()
        self._began = (0.0, 0.0)

    def start(self) -> None:
        """Begin to look; called in the main thread."""
        signal.signal(signal.SIGPROF, self._look)
        self._began = time.thread_time(), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def stop(self) -> dict[str, Any]:
        """End it; gives the stacks, outermost call first, with their looks, and the time in seconds."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        thread_s, process_s = (
            now - then
            for now, then in zip((time.thread_time(), time.process_time()), self._began, strict=True)
        )
        return {
            "main_s": thread_s,
            "others_s": max(0.0, process_s - thread_s),
            "stacks": [[list(stack), looks] for stack, looks in self._stacks.most_common()],
        }

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        stack = tuple(_names(frame))
        if stack and stack[0] != WAITING:
            self._stacks[stack[::-1]] += 1


def _names(frame: FrameType | None) -> Iterator[str]:
    """Name the calls, innermost first."""
    while frame is not None:
        yield f"{frame.f_globals.get('__name__', '')}:{frame.f_code.co_qualname}"
        frame = frame.f_back


def main() -> None:
    """Run the module of the second argument; it sees the arguments that follow."""
    file, module, *arguments = sys.argv[1:]
    sampler = Sampler()
    is_on = False

    def begin(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_on
        is_on = True
        sampler.start()

    def end(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)  # a program that hands SIGTERM on to who was there before it ends with its stacks written

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGTERM, end)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        if is_on:
            Path(file).write_text(json.dumps(sampler.stop()))


if __name__ == "__main__":
    main()
