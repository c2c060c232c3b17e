"""Which failures of the query pass by themselves: a disk, the feature store or Kafka is unavailable.

The query is started again after them, in the same process; every other failure ends the job.
"""

from collections.abc import MutableMapping
from typing import Final

from py4j.protocol import Py4JNetworkError

from fraud.errors import FraudError

LONGEST_WAIT_S: Final = 30.0
_PASSING: Final = (
    "fraud.errors.Unavailable",
    "No space left on device",
    "Read-only file system",
    "Input/output error",
    "Disk quota exceeded",
    "Stale file handle",
    "org.apache.kafka.common.errors.TimeoutException",
    "org.apache.kafka.common.errors.DisconnectException",
)
_NO_MEMORY: Final = "java.lang.OutOfMemoryError"
_LACKED: Final = "_FRAUD_STREAM_LACKED_MEMORY"
_FINAL: Final = (
    "fraud.errors.Fenced",
    "fraud.errors.BadState",
    "fraud.errors.SetBack",
    "fraud.errors.BadConfig",
    "fraud.errors.BadModel",
    _NO_MEMORY,
)


def is_passing(text: str) -> bool:
    """Whether a failure, by Spark's report, may be gone at the next start."""
    return any(word in text for word in _PASSING) and not any(word in text for word in _FINAL)


def lacks_memory(error: Exception) -> bool:
    """Whether a micro-batch ran out of memory, of Java's or of this process."""
    return _NO_MEMORY in str(error) or isinstance(error, MemoryError)


def report_of(error: Exception) -> str:
    """Say what ended a query, as Spark's report does: an error of ours by its whole name."""
    of = type(error)
    return f"{of.__module__}.{of.__qualname__}: {error}" if isinstance(error, FraudError) else str(error)


def is_first_lack_of_memory(
    error: Exception, batch: int | None, environment: MutableMapping[str, str]
) -> bool:
    """Whether a micro-batch ran out of memory, or ended Java, at its first try.

    Parameters
    ----------
    batch
        That was begun and not finished.
    environment
        Of this process, which it keeps when it starts itself again: notes the micro-batch.
    """
    is_lack = lacks_memory(error) or isinstance(error, Py4JNetworkError)
    if not is_lack or batch is None or environment.get(_LACKED) == str(batch):
        return False
    environment[_LACKED] = str(batch)
    return True


def wait_s(failures: int) -> float:
    """Say how long to wait after so many failures in a row, seconds."""
    return min(2.0 ** min(failures - 1, 10), LONGEST_WAIT_S)


def cause_of(text: str) -> str:
    """Find the line that names an error of ours, or of the disk, in Spark's report."""
    lines = [line.strip() for line in text.splitlines()]
    ours = [line for line in lines if line.startswith("fraud.errors.")]
    theirs = [line for line in lines if any(word in line for word in _PASSING)]
    return (ours or theirs or lines or [""])[-1 if ours or theirs else 0]
