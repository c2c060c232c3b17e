"""The machine that a measurement ran on; every report carries it."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

__all__ = ["Machine", "describe_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Size and software of a machine."""

    cpu: str
    cores: int
    """That the measurement may use."""
    memory_gb: float
    load: float
    """Processes that ran or waited over the last minute, before the measurement: others' work slows ours."""
    system: str
    python: str
    numba: str

    @property
    def words(self) -> str:
        """One line, for tables and plots."""
        size = f"{self.cores} cores, {self.memory_gb:.0f} GB, load {self.load:.1f}"
        return f"{self.cpu}, {size}, Python {self.python}"


def describe_machine() -> Machine:
    """Look at this machine.

    Examples
    --------
    >>> describe_machine().cores >= 1
    True
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=_cpu(),
        cores=_cores(),
        memory_gb=round(memory / 1e9, 1),
        load=round(os.getloadavg()[0], 2),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        numba=version("numba"),
    )


def _cores() -> int:
    """Count the cores that this process may use: `taskset` may have pinned it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
