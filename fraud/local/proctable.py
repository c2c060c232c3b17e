"""The operating system's table of processes: who lives, since when, and who descends from whom.

Reads ``/proc``, or asks ``ps`` where there is none (macOS).
"""

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

MARK: Final = "FRAUD_PART_MARK"
"""Environment variable that a part and all that it starts carry; its value is unique to one start."""

_PROC: Final = Path("/proc")
_HAS_PROC: Final = (_PROC / "self" / "stat").exists()


def birth_of(pid: int) -> str | None:
    """Return what tells a living process from a later one with the same number; None when it is dead.

    Examples
    --------
    >>> import os
    >>> birth_of(os.getpid()) == birth_of(os.getpid())
    True
    """
    if not _HAS_PROC:
        return _ps_birth(pid)
    try:
        # pid (name) state parent ...; the name may hold spaces and brackets. Field 22 is the start in ticks.
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    is_dead = fields[0] in "ZX" and int(fields[17]) <= 1  # its other threads hold its ports until they end
    return None if is_dead else f"{_boot()}:{fields[19]}"


def family_of(leader: int, mark: str, *, is_leader_alive: bool) -> dict[int, str]:
    """Find the living processes that one start of a part brought forth, the leader among them.

    Parameters
    ----------
    leader
        Process id of the part, which leads its own process group.
    mark
        Value of the environment variable ``MARK`` that it was started with.
    is_leader_alive
        Whether the leader lives. Without ``/proc`` the group is all there is to go by, and its number
        may belong to strangers once the leader is gone.

    Returns
    -------
    dict
        Process id: birth.
    """
    if _HAS_PROC:
        pids = [
            int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and _has_mark(entry, mark)
        ]
    else:
        pids = _ps_group(leader) if is_leader_alive else []
    births = ((pid, birth_of(pid)) for pid in pids)
    return {pid: birth for pid, birth in births if birth is not None}


def _boot() -> str:
    with suppress(OSError):
        return (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    return ""


def _has_mark(entry: Path, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def _ps_birth(pid: int) -> str | None:
    words = _ps("-o", "stat=,lstart=", "-p", str(pid)).split(maxsplit=1)
    return None if len(words) < 2 or words[0].startswith("Z") else words[1].strip()


def _ps_group(leader: int) -> list[int]:
    rows = [line.split() for line in _ps("-A", "-o", "pid=,pgid=").splitlines()]
    return [int(pid) for pid, group in rows if int(group) == leader]


def _ps(*options: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(
        ["ps", *options], capture_output=True, text=True, env=environment, check=False
    ).stdout
