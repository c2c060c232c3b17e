"""One detached process: start it, know it again, read its last words, end it and nothing else.

A record of the running process lies in a file, so that any later command finds it. The record holds the
process's birth beside its number, because numbers are given again.
"""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from fraud.local.proctable import MARK, birth_of, family_of

_POLL_S: Final = 0.05
_GRACE_S: Final = 5.0
"""How long what a part left behind may take to end after SIGTERM, and anything after SIGKILL."""

_children: Final[dict[int, "subprocess.Popen[bytes]"]] = {}
"""Started by this very process, which must collect them when they end."""


class ProcessRecord(BaseModel):
    """One start of one part."""

    model_config = ConfigDict(frozen=True)

    pid: int
    birth: str
    """From :func:`~fraud.local.proctable.birth_of`; empty when it died at once."""
    mark: str
    """Unique to this start."""
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
    _children[child.pid] = child
    made = ProcessRecord(
        pid=child.pid,
        birth=birth_of(child.pid) or "",
        mark=mark,
        started_at=datetime.now(UTC),
        ports=dict(ports),
        log=log,
    )
    _save(made, record)
    return made


def load(record: Path) -> ProcessRecord | None:
    """Read the record of a part; None when it was not started, or was stopped."""
    try:
        return ProcessRecord.model_validate_json(record.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def is_alive(process: ProcessRecord) -> bool:
    """Whether the process that was started still runs; a stranger with its number does not count."""
    _collect(process.pid)
    return bool(process.birth) and birth_of(process.pid) == process.birth


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
    was_alive = is_alive(process)
    family = family_of(process.pid, process.mark, is_leader_alive=was_alive)
    if was_alive:
        _signal(process.pid, process.birth, signal.SIGTERM)
    ended = wait_until(lambda: not is_alive(process), timeout_s)
    if not ended:
        _signal(process.pid, process.birth, signal.SIGKILL)
        wait_until(lambda: not is_alive(process), _GRACE_S)
    family |= family_of(process.pid, process.mark, is_leader_alive=False)
    family.pop(process.pid, None)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid, birth in family.items():
            _signal(pid, birth, number)
        if wait_until(lambda: all(birth_of(pid) != birth for pid, birth in family.items()), _GRACE_S):
            break
    return ended


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log, at most 16 KiB of it; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def wait_until(is_met: Callable[[], bool], timeout_s: float, poll_s: float = _POLL_S) -> bool:
    """Ask for a condition until it holds; False when it does not by the deadline."""
    deadline = time.monotonic() + timeout_s
    while not is_met():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True


def _save(process: ProcessRecord, record: Path) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix(".partial")
    partial.write_text(process.model_dump_json(indent=1))
    partial.replace(record)


def _collect(pid: int) -> None:
    if pid in _children:
        _children[pid].poll()


def _signal(pid: int, birth: str, number: signal.Signals) -> None:
    if birth_of(pid) == birth:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
