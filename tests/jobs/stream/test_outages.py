"""Which failures of the query pass, by reports as Spark makes them."""

import pytest
from py4j.protocol import Py4JError, Py4JNetworkError

from jobs.stream.outages import LONGEST_WAIT_S, cause_of, is_first_lack_of_memory, is_passing, wait_s

REPORT = """[STREAM_FAILED] Query [id = 1, runId = 2] terminated with exception: An exception was raised
Traceback (most recent call last):
  File "jobs/stream/merchant_pass.py", line 200, in _write_spool
{}
SQLSTATE: XXKST"""


@pytest.mark.parametrize(
    "cause",
    [
        "OSError: [Errno 28] No space left on device",
        "OSError: [Errno 30] Read-only file system: '/data/spool'",
        "fraud.errors.Unavailable: Kafka did not accept 3 records: time is over",
        "java.io.IOException: Input/output error",
    ],
)
def test_what_a_disk_or_a_part_causes_passes(cause: str) -> None:
    assert is_passing(REPORT.format(cause))
    assert cause_of(REPORT.format(cause)) == cause


@pytest.mark.parametrize(
    "cause",
    [
        "fraud.errors.Fenced: another driver has taken over",
        "ValueError: a defect",
        "java.lang.OutOfMemoryError: Java heap space",
        "fraud.errors.BadState: written with another layout",
        "fraud.errors.Unavailable: away\nfraud.errors.BadState: the feature store was emptied",
    ],
)
def test_everything_else_ends_the_job(cause: str) -> None:
    assert not is_passing(REPORT.format(cause))


@pytest.mark.parametrize(
    "error",
    [
        Py4JError(REPORT.format("java.lang.OutOfMemoryError: Java heap space")),
        Py4JNetworkError("Answer from Java side is empty"),
    ],
)
def test_after_a_lack_of_memory_the_process_starts_again_once_for_a_micro_batch(error: Exception) -> None:
    environment: dict[str, str] = {}
    assert [is_first_lack_of_memory(error, batch, environment) for batch in (7, 7, 8, 8)] == [
        True,
        False,
        True,
        False,
    ]
    assert not is_first_lack_of_memory(error, None, {}), "no micro-batch was under way"
    assert not is_first_lack_of_memory(Py4JError(REPORT.format("ValueError: a defect")), 7, {})


def test_the_waits_grow_to_a_bound() -> None:
    assert [wait_s(n) for n in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert wait_s(10_000) == LONGEST_WAIT_S
