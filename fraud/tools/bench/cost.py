"""Processor time that the parts of a platform take, and that of a million decisions."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

from fraud.local.platform import PartStatus

MILLION: Final = 1_000_000
_OF_THE_STREAM: Final = {"java": "JVM", "pyspark.daemon": "Python workers"}
"""What its further processes have in their command line, and what they are."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one part of the platform, or one kind of process of the stream."""

    part: str
    cpu_s: float
    """Processor time of 1,000,000 decisions, user and system, s."""


@dataclass(frozen=True, slots=True)
class Published:
    """What others have published of their system, for the machines that it was given."""

    system: str
    cpu_s: float
    """Seconds of one core for 1,000,000 decisions."""


PUBLISHED: Final = (
    Published("published by Tazama: 944 vCPU for 2,240 messages/s", 944 / 2_240 * MILLION),
    Published("published by Hopsworks: a CPU for 104 requests/s", MILLION / 104),
)
"""Other hardware and other work: orders of magnitude alone."""


class Meter:
    """Reads the processor time of a platform's parts, from now on.

    Parameters
    ----------
    status
        Gives the parts, as of :func:`fraud.local.platform.status`.
    """

    def __init__(self, status: Callable[[], Sequence[PartStatus]]) -> None:
        self._status = status
        self._before = self._read()

    def costs(self, decisions: int) -> list[Cost]:
        """Tell what each part has taken since the meter was made, dearest first.

        Parameters
        ----------
        decisions
            Made since then.
        """
        spent = {part: cpu_s - self._before[part] for part, cpu_s in self._read().items()}
        costs = [Cost(part, cpu_s * MILLION / decisions) for part, cpu_s in spent.items() if cpu_s > 0.0]
        return sorted(costs, key=lambda cost: -cost.cpu_s)

    def _read(self) -> defaultdict[str, float]:
        found: defaultdict[str, float] = defaultdict(float)
        for part in self._status():
            if part.pid is None:
                continue
            with suppress(psutil.NoSuchProcess):
                first = psutil.Process(part.pid)
                for process in (first, *first.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        found[name_of(part.name, process)] += _seconds(process)
        return found


def name_of(part: str, process: psutil.Process) -> str:
    """Name a part, and of the stream also the kind of the process."""
    if part != "stream":
        return part
    words = " ".join(process.cmdline()[:3])
    kind = next((kind for word, kind in _OF_THE_STREAM.items() if word in words), "driver")
    return f"stream: {kind}"


def _seconds(process: psutil.Process) -> float:
    """User and system time, with that of children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
