"""Topic ``dead-letters``: a record that could not be used, with the reason and its origin."""

from pydantic import Base64Bytes

from fraud.contracts.wire import EventTime, Record


class DeadLetter(Record):
    """A refused record; ``raw`` holds its bytes, so that it can be replayed after a fix.

    A letter that would be too long for Kafka is cut: ``raw`` is empty, key and detail are shortened. The
    Delta table ``dead_letters``, from which ``fraud replay dead-letters`` sends, has key and record, up to
    1 MiB each.
    """

    topic: str
    partition: int
    offset: int
    received_at: EventTime
    """Log append time of the refused record."""
    reason: str
    """Short code, e.g. ``missing_field``, ``duplicate``."""
    detail: str
    """What is wrong, in words."""
    key: str | None = None
    raw: Base64Bytes
    processed_at: EventTime
    epoch: int
