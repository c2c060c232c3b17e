"""Threads threads the query: any error is outlived, a take-over ends the job."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fraud.errors import Fenced, Unavailable
from fraud.log.spool import FolderSpool
from fraud.runtime.threads import ended_threads
from fraud.runtime.waiting import wait_until
from jobs.stream.archiving import Archiving
from jobs.stream.background import BackgroundThreads


class Panic(BaseException):
    """As libraries in Rust raise it: no Exception."""


def failing(*errors: BaseException) -> tuple[list[int], Callable[[], object]]:
    """Make a function that raises each error once, and counts its calls."""
    calls: list[int] = []
    left = list(errors)

    def act() -> object:
        calls.append(len(calls))
        if left:
            raise left.pop(0)
        return 0  # not a time to wait

    return calls, act


def test_a_thread_outlives_any_error_and_goes_on() -> None:
    calls, act = failing(Panic("panicked"), Unavailable("away"), ValueError("a defect"))
    stop = threading.Event()
    threads = BackgroundThreads({"archive": (0.01, act)}, stop)
    threads.start()
    assert wait_until(lambda: len(calls) > 5, 20.0)
    assert (ended_threads(), threads.failure, stop.is_set()) == ([], None, False)
    threads.end()
    ended_at = len(calls)
    assert stop.is_set()
    assert len(calls) == ended_at


class Panicking:
    """An archive whose library panics."""

    def __init__(self, folder: Path) -> None:
        self.spool = FolderSpool(folder)

    def run(self, _generation: int) -> int:
        raise Panic("Already shut down")


def test_a_panic_of_the_tables_library_is_a_failure_that_is_tried_again(tmp_path: Path) -> None:
    archive: Any = Panicking(tmp_path)
    archiving = Archiving(archive, 1)
    archiving.run(1)
    assert archiving.trouble == "the Delta tables cannot be written: Already shut down"


def test_a_take_over_ends_the_job() -> None:
    _, act = failing(Fenced("another driver has taken over"))
    stop = threading.Event()
    threads = BackgroundThreads({"expiry": (3_600.0, act)}, stop)
    threads.start()
    assert stop.wait(20.0)
    threads.end()
    assert isinstance(threads.failure, Fenced)


def test_the_end_waits_for_what_is_under_way() -> None:
    begun, may_end, done = threading.Event(), threading.Event(), threading.Event()

    def commit() -> None:
        begun.set()
        may_end.wait()
        done.set()

    threads = BackgroundThreads({"archive": (3_600.0, commit)}, threading.Event())
    threads.start()
    assert begun.wait(20.0)
    ending = threading.Thread(target=threads.end)
    ending.start()
    assert ending.is_alive()
    may_end.set()
    ending.join(20.0)
    assert done.is_set()
    assert not ending.is_alive()
