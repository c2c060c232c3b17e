"""The copy of the audit in the topic ``audit``: one partition, kept for ever."""

from collections.abc import Mapping, Sequence
from typing import Final

from fraud.contracts.topics import AUDIT, MOST_BYTES
from fraud.errors import Unavailable
from fraud.kafka.producer import Producer, ProducerSettings, Record
from fraud.kafka.reader import Position, Reader
from fraud.rules.audit import Entry

AT: Final = Position(AUDIT, 0)
PATIENCE_S: Final = 30.0
"""How long the brokers may take, seconds."""


class TopicCopy:
    """Reads and writes the topic; a :class:`~fraud.rules.audit_copies.Copy`.

    Parameters
    ----------
    bootstrap, options
        Of the brokers.

    Raises
    ------
    Unavailable
        By every method, when they do not answer.
    """

    name = f"topic {AUDIT}"

    def __init__(self, bootstrap: str, options: Mapping[str, str]) -> None:
        self._bootstrap, self._options = bootstrap, dict(options)

    def records(self) -> list[str]:
        """See :class:`~fraud.rules.audit_copies.Copy`."""
        with Reader(self._bootstrap, self._options) as reader:
            bounds = reader.bounds(AUDIT)[AT]
            reader.begin({AT: bounds.first})
            messages = reader.read_to({AT: bounds.end}, PATIENCE_S)
            return [(message.value() or b"").decode(errors="replace") for message in messages]

    def append(self, entries: Sequence[Entry]) -> None:
        """See :class:`~fraud.rules.audit_copies.Copy`."""
        options = {**self._options, "message.max.bytes": str(MOST_BYTES[AUDIT])}
        producer = Producer(ProducerSettings(bootstrap=self._bootstrap, options=options))
        delivery = producer.deliver(Record(AUDIT, str(one.number), one.as_json().encode()) for one in entries)
        if not delivery.is_complete:
            raise Unavailable(f"{delivery.missing} records did not reach {self.name}: {delivery.reason}")
