"""What Spark's checkpoint says: which query it belongs to, how far it has come, and where that is in Kafka.

Reads the folders ``commits`` and ``offsets``, and the file ``query-id``, which the stream makes beside them.
"""

import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fraud.errors import BadConfig
from fraud.runtime.files import write_durably


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it is at one moment."""

    path: Path
    query_id: str
    """Empty where there is none yet."""
    committed: int
    """The last finished micro-batch; -1: none."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read it; there may be none.

        Raises
        ------
        BadConfig
            When it was not made by the stream.
        """
        file = path / "query-id"
        committed = committed_in(path)
        query_id = file.read_text() if file.exists() else ""
        if not query_id and committed >= 0:
            raise BadConfig(f"{path} was not made by this job; choose another FRAUD_STREAM_HOME")
        return cls(path, query_id, committed)

    def named(self) -> str:
        """Return its query's identity; a checkpoint without one gets it."""
        if self.query_id:
            return self.query_id
        self.path.mkdir(parents=True, exist_ok=True)
        name = str(uuid.uuid4())
        write_durably(self.path / "query-id", name.encode())
        return name

    def offsets(self, batch: int) -> str:
        """See :func:`offsets_of`."""
        return offsets_of(self.path, batch)


def committed_in(checkpoint: Path) -> int:
    """Find the last finished micro-batch; -1: none."""
    return max((int(found.name) for found in checkpoint.glob("commits/[0-9]*")), default=-1)


def offsets_of(checkpoint: Path, batch: int) -> str:
    """Tell where a micro-batch ends in Kafka, as Spark writes it; empty where the checkpoint does not say.

    Line 3 of the file is that of the one source, after version and settings.
    """
    with suppress(OSError, IndexError):
        return (checkpoint / "offsets" / str(batch)).read_text().splitlines()[2]
    return ""
