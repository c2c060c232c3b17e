"""Spark's offset log: which records a micro-batch takes, known before it runs.

Reads and writes the checkpoint's folders ``offsets`` (before a micro-batch), ``commits`` (after it) and
``sources`` (where the first one began).
"""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraud.log.checkpoint import offsets_of
from fraud.runtime.files import write_durably

Partition = tuple[str, int]
"""Topic and number."""
BEGINNING: Final = -2
"""In place of an offset: where the partition begins."""
KEPT: Final = 100
"""Micro-batches whose offsets and commits are kept, as Spark does."""
_VERSION: Final = "v1"
_COMMIT: Final = f'{_VERSION}\n{{"nextBatchWatermarkMs":0}}'
_EARLIEST: Final = "earliest"


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets of one partition: from ``start`` up to, and without, ``end``."""

    topic: str
    partition: int
    start: int
    end: int


def ranges_of(checkpoint: Path, batch: int) -> list[Range]:
    """Read from the offset log what a micro-batch takes."""
    before, after = (ends_of(checkpoint, number) for number in (batch - 1, batch))
    return [
        Range(*at, before.get(at, 0), end) for at, end in sorted(after.items()) if end > before.get(at, 0)
    ]


def unfinished_of(checkpoint: Path) -> int | None:
    """Find the micro-batch that was begun and not finished; None where there is none."""
    begun, finished = (
        max((int(file.name) for file in (checkpoint / log).glob("[0-9]*")), default=None)
        for log in ("offsets", "commits")
    )
    return begun if begun != finished else None


def records_of(checkpoint: Path, batch: int) -> int | None:
    """Count a micro-batch's records by the offset log; None where it does not tell."""
    before, after = (ends_of(checkpoint, number) for number in (batch - 1, batch))
    if not after or before.keys() != after.keys():
        return None
    return sum(end - before[at] for at, end in after.items())


def ends_of(checkpoint: Path, batch: int) -> dict[Partition, int]:
    """Read where each partition stands after a micro-batch; -1: where the first one began."""
    if batch >= 0:
        return _read(offsets_of(checkpoint, batch))
    file = _first(checkpoint)
    return _read(file.read_text().splitlines()[1]) if file.exists() else {}


def read_starting(offsets: str) -> dict[Partition, int]:
    """Read where a new checkpoint begins, as Spark's option ``startingOffsets`` has it."""
    return {} if offsets == _EARLIEST else _read(offsets)


def plan(
    checkpoint: Path, batch: int, ends: Mapping[Partition, int], before: Mapping[Partition, int]
) -> None:
    """Write durably what a micro-batch takes, in Spark's form.

    Parameters
    ----------
    ends
        Next offset by partition, after the micro-batch.
    before
        The same before it; kept for the first one.
    """
    conf = {"spark.sql.shuffle.partitions": "1"}  # Spark wants it; nothing of ours is in its state stores
    settings = {"batchWatermarkMs": 0, "batchTimestampMs": int(time.time() * 1000), "conf": conf}
    if batch == 0:
        _write(_first(checkpoint), f"\0{_VERSION}\n{_as_json(before)}")
        _write(checkpoint / "metadata", json.dumps({"id": str(uuid.uuid4())}))
    _write(checkpoint / "offsets" / str(batch), f"{_VERSION}\n{json.dumps(settings)}\n{_as_json(ends)}")


def finish(checkpoint: Path, batch: int) -> None:
    """Write durably that a micro-batch is finished, and remove what is old."""
    _write(checkpoint / "commits" / str(batch), _COMMIT)
    for log in ("offsets", "commits"):
        for name in (str(batch - KEPT), f".{batch - KEPT}.crc"):
            (checkpoint / log / name).unlink(missing_ok=True)


def _first(checkpoint: Path) -> Path:
    return checkpoint / "sources" / "0" / "0"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)  # of what Spark began to write
    write_durably(file, text.encode())


def _as_json(ends: Mapping[Partition, int]) -> str:
    found: dict[str, dict[str, int]] = {}
    for (topic, number), offset in ends.items():
        found.setdefault(topic, {})[str(number)] = offset
    return json.dumps(found, separators=(",", ":"))


def _read(text: str) -> dict[Partition, int]:
    topics = json.loads(text or "{}")
    return {(topic, int(number)): offset for topic, ends in topics.items() for number, offset in ends.items()}
