"""Spark's offset log: which records a micro-batch takes, known before it runs."""

import json
from dataclasses import dataclass
from pathlib import Path

from fraud.log.checkpoint import offsets_of


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets of one partition: from ``start`` up to, and without, ``end``."""

    topic: str
    partition: int
    start: int
    end: int


def ranges_of(checkpoint: Path, batch: int) -> list[Range]:
    """Read from Spark's offset log what a micro-batch takes."""
    before, after = (_ends(checkpoint, number) for number in (batch - 1, batch))
    return [
        Range(topic, int(partition), before.get((topic, partition), 0), end)
        for (topic, partition), end in sorted(after.items())
        if end > before.get((topic, partition), 0)
    ]


def unfinished_of(checkpoint: Path) -> int | None:
    """Find the micro-batch that was begun and not finished; None where there is none."""
    begun, finished = (
        max((int(file.name) for file in (checkpoint / log).glob("[0-9]*")), default=None)
        for log in ("offsets", "commits")
    )
    return begun if begun != finished else None


def records_of(checkpoint: Path, batch: int) -> int | None:
    """Count a micro-batch's records by Spark's offset log; None where it does not tell (the first one)."""
    before, after = (_ends(checkpoint, number) for number in (batch - 1, batch))
    if not after or before.keys() != after.keys():
        return None
    return sum(end - before[at] for at, end in after.items())


def _ends(checkpoint: Path, batch: int) -> dict[tuple[str, str], int]:
    """Read where each topic's partitions stand."""
    topics = json.loads(offsets_of(checkpoint, batch) or "{}")
    return {(topic, number): offset for topic, ends in topics.items() for number, offset in ends.items()}
