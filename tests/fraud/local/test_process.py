"""Processes that outlive their starter: known again, ended alone, their last words kept."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from fraud.local import process
from fraud.local.process import ProcessRecord
from fraud.runtime.waiting import wait_until

OBEDIENT = "print('up', flush=True)\nimport time\ntime.sleep(600)"
STUBBORN = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{OBEDIENT}"
HEADLESS = (
    "import ctypes, threading, time\n"
    "threading.Thread(target=time.sleep, args=(600,)).start()\nprint('up', flush=True)\n"
    "ctypes.CDLL(None).pthread_exit(None)"
)
PARENT = (
    "import subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {OBEDIENT!r}], start_new_session=True)\n"
    "print('child', child.pid, flush=True)\ntime.sleep(600)"
)


@pytest.fixture
def started(tmp_path):
    """Starts a Python program; whatever is left of it ends with the test."""
    records = []

    def run(code: str, words: str | None = "up") -> ProcessRecord:
        record = process.start(
            [sys.executable, "-c", code],
            folder=tmp_path,
            environment=os.environ,
            log=tmp_path / "logs of it" / "part.log",
            record=tmp_path / "run" / "part.json",
            ports={"main": 1},
        )
        records.append(record)
        if words is not None:
            assert wait_until(lambda: words in process.tail(record.log), 30)
        return record

    yield run
    for record in records:
        process.stop(record, 0.0)


def test_a_record_is_read_as_it_was_written(started, tmp_path):
    made = started(OBEDIENT)
    assert process.load(tmp_path / "run" / "part.json") == made
    assert process.load(tmp_path / "run" / "other.json") is None
    assert process.is_alive(made)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process ends with its main thread")
def test_a_process_lives_until_its_last_thread_has_ended(started):
    made = started(HEADLESS)
    threads = Path("/proc") / str(made.pid) / "task"
    assert wait_until(
        lambda: (threads / str(made.pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z", 10
    )
    assert process.is_alive(made)
    os.kill(made.pid, signal.SIGKILL)
    assert wait_until(lambda: not process.is_alive(made), 10)


def test_an_obedient_process_ends_by_itself(started):
    made = started(OBEDIENT)
    assert process.stop(made, 30.0)
    assert not process.is_alive(made)
    assert "SIGTERM" in process.exit_words(made)


def test_a_stubborn_process_is_killed_after_the_deadline(started):
    made = started(STUBBORN)
    assert not process.stop(made, 0.2)
    assert not process.is_alive(made)
    assert "SIGKILL" in process.exit_words(made)


def test_a_stranger_with_the_same_number_is_neither_alive_nor_ended():
    stranger = subprocess.Popen([sys.executable, "-c", OBEDIENT], stdout=subprocess.PIPE)
    try:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        record = ProcessRecord(
            pid=stranger.pid,
            born=1.0,
            mark="none",
            started_at=datetime.now(UTC),
            ports={},
            log="nowhere",
        )
        assert not process.is_alive(record)
        assert process.stop(record, 0.2)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.communicate()


def test_what_a_killed_process_left_behind_is_ended_too(started):
    made = started(PARENT, words="child")
    child = int(process.tail(made.log).split()[1])
    assert {one.pid for one in process.family_of(made)} == {child}
    os.kill(made.pid, signal.SIGKILL)
    assert wait_until(lambda: not process.is_alive(made), 10)
    assert psutil.Process(child).status() != psutil.STATUS_ZOMBIE
    process.stop(made, 1.0)
    assert process.family_of(made) == set()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_process_is_known_by_its_mark_after_the_clock_was_set(started):
    made = started(OBEDIENT)
    assert process.is_alive(made.model_copy(update={"born": made.born - 3_600.0}))
    assert not process.is_alive(made.model_copy(update={"born": made.born - 3_600.0, "mark": "another"}))


def test_a_process_that_ended_is_told_by_its_exit_code(started):
    made = started("raise SystemExit(3)", words=None)
    assert wait_until(lambda: not process.is_alive(made), 30)
    assert process.exit_words(made) == "ended with exit code 3"


def test_the_log_holds_this_start_and_the_one_before_is_kept(started, tmp_path):
    process.stop(started("print('first up', flush=True)\nimport time\ntime.sleep(600)"), 10)
    started(OBEDIENT)
    folder = tmp_path / "logs of it"
    assert (folder / "part.log").read_text() == "up\n"
    assert (folder / "part.previous.log").read_text() == "first up\n"


def test_the_tail_is_the_last_lines(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("".join(f"line {number} {'x' * 1000}\n" for number in range(1000)))
    assert [line.split()[1] for line in process.tail(log, 3).splitlines()] == ["997", "998", "999"]
    assert process.tail(tmp_path / "none.log") == ""
