"""Runs a program and looks what its main thread does: ``python -m fraud.tools.bench.sampler FILE MODULE``.

The looks begin with SIGUSR1. A timer of the main thread's processor time makes them (``timer_create(2)``,
Linux), so that neither its waiting nor the work of other threads is seen. When the program ends, FILE has the
stacks as JSON: what was called by what, and in how many looks. The time itself is taken from the system's
clocks of the thread and of the process.
"""

import ctypes
import json
import os
import runpy
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Final

__all__ = ["Sampler", "main"]

EVERY_NS: Final = 1_000_000
"""Of the thread's time; the system looks at most once in a tick, which may be 4 ms."""


class _Event(ctypes.Structure):
    """``struct sigevent``: which signal a timer sends."""

    _fields_: ClassVar = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),  # 0: by the signal
        ("padding", ctypes.c_byte * 48),
    ]


class _Times(ctypes.Structure):
    """``struct itimerspec``: the time to the first signal, and between two."""

    _fields_: ClassVar = [
        ("every_s", ctypes.c_long),
        ("every_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    ]


class Sampler:
    """Counts stacks of the main thread."""

    def __init__(self) -> None:
        self._stacks: Counter[tuple[str, ...]] = Counter()
        self._began = (0.0, 0.0)
        self._timer = ctypes.c_void_p()

    def start(self) -> None:
        """Begin to look; called in the main thread."""
        signal.signal(signal.SIGPROF, self._look)
        self._began = time.thread_time(), time.process_time()
        timer = ctypes.c_void_p()
        event = _Event(signal=signal.SIGPROF)
        _call(
            "timer_create",
            ctypes.c_int(time.CLOCK_THREAD_CPUTIME_ID),
            ctypes.byref(event),
            ctypes.byref(timer),
        )
        self._timer = timer
        self._set(EVERY_NS)

    def stop(self) -> dict[str, Any]:
        """End it; gives the stacks, outermost call first, with their looks, and the time in seconds."""
        self._set(0)
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
        self._stacks[tuple(_names(frame))[::-1]] += 1

    def _set(self, every_ns: int) -> None:
        times = _Times(every_ns=every_ns, first_ns=every_ns)
        _call("timer_settime", self._timer, ctypes.c_int(0), ctypes.byref(times), None)


def _call(name: str, *arguments: Any) -> None:
    """Call the C library.

    Raises
    ------
    OSError
        When it says no.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library[name](*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


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
