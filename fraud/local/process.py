"""One detached process: start it, recognise it later, read the end of its log, end it and nothing else.

A record of the running process is in a file, so that any later command finds it. The record holds the
process's time of birth and a mark beside its number, because numbers are given again. All that a start
brings forth carries the mark in its environment.
"""

import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from fraud.runtime.waiting import wait_until

MARK: Final = "FRAUD_PART_MARK"
"""Environment variable whose value is unique to one start."""
_CLOCK_S: Final = 1.0
"""How far two readings of one birth may differ: psutil reckons it from the system's clock."""
_GRACE_S: Final = 5.0
"""How long what a part left behind may take to end after SIGTERM, and anything after SIGKILL."""

_children: Final[dict[int, "subprocess.Popen[bytes]"]] = {}
"""Started by this very process, which must collect them when they end."""


class ProcessRecord(BaseModel):
    """One start of one part."""

    model_config = ConfigDict(frozen=True)

    pid: int
    born: float = 0.0
    """When the system says that it began, seconds of the epoch; 0 when it died at once."""
    mark: str
    """Value of ``MARK``."""
    started_at: datetime
    ports: dict[str, int]
    """Port's name: number."""
    log: Path


def start(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    record: Path,
    ports: Mapping[str, int],
) -> ProcessRecord:
    """Start a program in a session of its own, so that it outlives the caller and the terminal.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Its current folder.
    environment
        All of it; nothing else is inherited.
    log
        Takes what it prints; that of the start before is kept beside it as ``<name>.previous.log``.
    record
        File that takes the record.
    ports
        Noted in the record.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    mark = uuid.uuid4().hex
    with log.open("wb") as output:
        child = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        made = ProcessRecord(
            pid=child.pid,
            born=_born(child.pid),
            mark=mark,
            started_at=datetime.now(UTC),
            ports=dict(ports),
            log=log,
        )
        _save(made, record)
    except BaseException:  # nobody would find it again
        child.kill()
        child.wait()
        raise
    _children[child.pid] = child
    return made


def take_place(successor: Path, record: Path, log: Path) -> None:
    """Let a successor's record and log take the names of those of its predecessor, which has ended."""
    found = load(successor)
    assert found is not None  # noqa: S101  the caller has started it
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    found.log.rename(log)  # it goes on writing into the same file
    _save(found.model_copy(update={"log": log}), successor)
    successor.rename(record)


def load(record: Path) -> ProcessRecord | None:
    """Read the record of a part; None when it was not started, or was stopped."""
    try:
        return ProcessRecord.model_validate_json(record.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def is_alive(process: ProcessRecord) -> bool:
    """Whether the process that was started still runs; a stranger with its number does not count."""
    return _find(process) is not None


def exit_words(process: ProcessRecord) -> str:
    """Say how a dead process ended, as far as it is known."""
    _collect(process.pid)
    child = _children.get(process.pid)
    if child is None or child.returncode is None:
        return "ended"
    if child.returncode < 0:
        return f"was ended by {signal.Signals(-child.returncode).name}"
    return f"ended with exit code {child.returncode}"


def stop(process: ProcessRecord, timeout_s: float) -> bool:
    """End a process and what it started: SIGTERM, and SIGKILL to what is left after the deadline.

    Parameters
    ----------
    process
        May be dead already; then only what it left behind is ended.
    timeout_s
        How long it may take to end by itself.

    Returns
    -------
    bool
        True when it ended in time, or was dead; False when it had to be killed.
    """
    family = family_of(process)
    leader = _find(process)
    if leader:
        _send(leader, signal.SIGTERM)
    ended = wait_until(lambda: not is_alive(process), timeout_s)
    if not ended and leader:
        _send(leader, signal.SIGKILL)
        wait_until(lambda: not is_alive(process), _GRACE_S)
    family |= family_of(process)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for one in family:
            _send(one, number)
        if wait_until(lambda: not any(map(_lives, family)), _GRACE_S):
            break
    return ended


def family_of(process: ProcessRecord) -> set[psutil.Process]:
    """Find the living processes that a start of a part has brought forth, beside the one that it started."""
    found = set()
    for one in psutil.process_iter():
        if one.pid != process.pid and _mark_of(one) == process.mark and _lives(one):
            found.add(one)
    return found


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log, at most 16 KiB of it; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _save(process: ProcessRecord, record: Path) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix(".partial")
    partial.write_text(process.model_dump_json(indent=1))
    partial.replace(record)


def _collect(pid: int) -> None:
    if pid in _children:
        _children[pid].poll()


def _born(pid: int) -> float:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).create_time()
    return 0.0


def _find(process: ProcessRecord) -> psutil.Process | None:
    """Find the process that was started; its mark tells it where the clock has been set since."""
    _collect(process.pid)
    try:
        found = psutil.Process(process.pid)
        is_same = abs(found.create_time() - process.born) < _CLOCK_S or _mark_of(found) == process.mark
    except psutil.NoSuchProcess:
        return None
    return found if is_same and _lives(found) else None


def _lives(process: psutil.Process) -> bool:
    try:  # the other threads of one whose main thread has ended hold its ports until they end
        return process.is_running() and (
            process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} or process.num_threads() > 1
        )
    except psutil.NoSuchProcess:
        return False


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):  # gone, or another user's
        return None


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
