"""The topic ``lists``: the API and the command line write it, programs that decide follow it.

One partition, compacted: of changes older than its compaction lag it keeps the last one of each entry. An
offset is a version of all lists.
"""

import logging
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import Final, Protocol

from fraud.contracts import LISTS
from fraud.decide.lists import ListEvent, ListRecord, ListStore
from fraud.errors import Unavailable
from fraud.kafka.kept_reader import StayingReader
from fraud.kafka.producer import Record, Sender
from fraud.kafka.reader import NO_OPTIONS, Message, Position, Reader, append_time_of

log = logging.getLogger(__name__)

AT: Final = Position(LISTS, 0)
_AT_ONCE: Final = 10_000
SETTLE_S: Final = 3.0
"""How long brokers that refuse are asked again before the lists count as unavailable, seconds."""


class Follower(Protocol):
    """Keeps a store in step with changes: a :class:`ListFollower`."""

    trouble: str
    bad_records: int

    def load(self, patience_s: float) -> None:
        """Read all that there is."""

    def look(self, oldest: int = 0, wait_s: float = 0.0) -> None:
        """Take in what has arrived."""

    def close(self) -> None:
        """End."""


Follow = Callable[[ListStore], Follower]
"""Begins to follow, for a store."""


class ListFollower(StayingReader):
    """Keeps a store in step with the topic.

    Parameters
    ----------
    bootstrap, options
        Of the brokers.
    store
        That this process alone writes.
    """

    content = "the lists"

    def __init__(self, store: ListStore, bootstrap: str, options: Mapping[str, str] = NO_OPTIONS) -> None:
        super().__init__(bootstrap, options)
        self._store = store
        self.bad_records = 0

    def load(self, patience_s: float) -> None:
        """Read to where the topic ends now; what was read before stays while the brokers are unavailable."""
        settled = monotonic() + SETTLE_S
        while True:
            try:
                self._read(patience_s)
            except (Unavailable, KeyError) as error:
                self._lose(error)
                if monotonic() > settled:
                    return
                sleep(0.2)  # a topic that was just made has no leader yet
            else:
                self.trouble = ""
                return

    def _read(self, patience_s: float) -> None:
        reader = self._open()
        end = {AT: reader.bounds(LISTS)[AT].end}
        batch = []
        for message in reader.read_to(end, patience_s):
            batch.append(_record(message))
            if len(batch) >= _AT_ONCE:
                self.bad_records += self._store.apply(batch)
                batch = []
        self.bad_records += self._store.apply(batch)

    def look(self, oldest: int = 0, wait_s: float = 0.0) -> None:
        """Take in what has arrived; ``oldest`` is the oldest version that may be asked for again."""
        try:
            reader = self._open()
            while batch := [_record(one) for one in reader.take(wait_s)]:
                self.bad_records += self._store.apply(batch, oldest)
            reader.check()
            self.trouble = ""
        except (Unavailable, KeyError) as error:
            self._lose(error)

    def _begin(self, reader: Reader) -> None:
        bounds = reader.bounds(LISTS)[AT]
        if bounds.end < self._store.position:
            log.warning("the topic %s is a new one: the lists start again", LISTS)
            self._store.clear()
        reader.begin({AT: max(self._store.position, bounds.first)})


def _record(message: Message) -> ListRecord:
    at = append_time_of(message)
    return ListRecord(message.offset() or 0, message.value(), at.timestamp() if at else 0.0)


def send_events(sender: Sender, events: list[ListEvent]) -> None:
    """Write changes to the topic, and wait until the brokers have them.

    Raises
    ------
    Unavailable
        When they do not take all of them; to send them again changes nothing more.
    """
    records = [Record(LISTS, one.key, one.model_dump_json(exclude_none=True).encode()) for one in events]
    delivery = sender.deliver(records)
    if not delivery.is_complete:
        raise Unavailable(f"{delivery.missing} changes of lists did not reach Kafka: {delivery.reason}")
