"""Which contract the records of the topics that the stream reads must keep."""

from typing import Final

from fraud.contracts.label import Label
from fraud.contracts.models import Contracts
from fraud.contracts.profile import Profile
from fraud.contracts.result import Result
from fraud.contracts.transaction import Transaction
from fraud.contracts.wire import parse_record
from fraud.errors import BadRecord

TOO_LARGE: Final = "too_large"
"""Reason of the dead letters of such records."""
MOST_RECORD: Final = 32_768
"""Bytes of an input record with its key; what our own parts write has about 5,000."""


def parse_input(
    contracts: Contracts, topic: str, raw: bytes | None, record_bytes: int
) -> Label | Result | Profile | Transaction:
    """Read a record that the stream takes, by the contract of its topic.

    Parameters
    ----------
    contracts
        Of the deployment's schema.
    topic
        Where it lies.
    raw
        The Kafka value.
    record_bytes
        Length of key and value.

    Raises
    ------
    BadRecord
        With reason ``too_large``, or see :func:`~fraud.contracts.parse_record`.
    """
    check_size(record_bytes)
    return parse_record(contracts.by_topic.get(topic, contracts.transaction), raw)


def check_size(record_bytes: int) -> None:
    """Refuse a record by its length.

    Raises
    ------
    BadRecord
        With reason ``too_large``.
    """
    if record_bytes > MOST_RECORD:
        words = f"key and value have {record_bytes:,} bytes; the stream takes {MOST_RECORD:,} at most"
        raise BadRecord(TOO_LARGE, words)
