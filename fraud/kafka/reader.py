"""The one Kafka consumer: it reads partitions from given positions, without a group. Reads any topic."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from fraud.errors import BadConfig, Unavailable

__all__ = ["Bounds", "Message", "Position", "Reader", "append_time_of"]

POLL_S: Final = 0.2
MOST: Final = 1_000
"""Records taken at once."""
NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})


class Position(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Bounds(NamedTuple):
    """Offsets of a partition."""

    first: int
    end: int
    """Of the record that comes next."""


class Reader:
    """Reads from where it is told to; nothing is committed to the brokers.

    Parameters
    ----------
    bootstrap
        Brokers, ``host:port`` separated by commas.
    options
        Further client options under Kafka's names.
    name
        Under which the brokers know it.
    patience_s
        How long a broker may take for one answer, seconds.

    Raises
    ------
    BadConfig
        When Kafka's client refuses an option.
    Unavailable
        By every method, when the brokers do not answer or refuse; begin again with a new reader at ``next``.
    """

    def __init__(
        self,
        bootstrap: str,
        options: Mapping[str, str] = NO_OPTIONS,
        *,
        name: str = "fraud",
        patience_s: float = 10.0,
    ) -> None:
        self.next: dict[Position, int] = {}
        """Offset of the record that comes next, by partition."""
        self._bootstrap, self._patience_s = bootstrap, patience_s
        self._ended: set[Position] = set()
        self._lost = ""
        chosen: dict[str, Any] = {
            "log_level": 0,  # errors arrive by error_cb
            "auto.offset.reset": "earliest",  # where a position's record has expired
            **options,
            "bootstrap.servers": bootstrap,
            "group.id": name,  # never joined: partitions are assigned
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "error_cb": self._hear,
        }
        try:
            self._client = Consumer(chosen)
        except KafkaException as error:
            raise BadConfig(f"the consumer's options are wrong: {error.args[0].str()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def bounds(self, topic: str) -> dict[Position, Bounds]:
        """Ask for the first offset and the end of every partition of a topic."""
        with self._answering():
            found = self._client.list_topics(topic, timeout=self._patience_s).topics[topic]
            if found.error is not None:
                raise KafkaException(found.error)
            return {
                Position(topic, partition): Bounds(
                    *self._client.get_watermark_offsets(
                        TopicPartition(topic, partition), timeout=self._patience_s
                    )
                )
                for partition in found.partitions
            }

    def since(self, positions: Iterable[Position], time_ms: int) -> dict[Position, int]:
        """Ask for the first offset at or after a time; the end of the partition where there is none."""
        asked = [TopicPartition(*position, time_ms) for position in positions]
        with self._answering():
            found = self._client.offsets_for_times(asked, timeout=self._patience_s)
        offsets = {Position(one.topic, one.partition): one.offset for one in found}
        ends = {topic: self.bounds(topic) for topic in {p.topic for p, at in offsets.items() if at < 0}}
        return {p: at if at >= 0 else ends[p.topic][p].end for p, at in offsets.items()}

    def begin(self, positions: Mapping[Position, int]) -> None:
        """Read these partitions from these offsets, and no others."""
        self.next = dict(positions)
        self._ended.clear()
        with self._answering():
            self._client.assign([TopicPartition(*position, offset) for position, offset in positions.items()])

    def begin_at_end(self, *topics: str) -> None:
        """Read what comes to these topics from now on."""
        self.begin({at: bounds.end for topic in topics for at, bounds in self.bounds(topic).items()})

    def take(self, wait_s: float = POLL_S, most: int = MOST) -> Iterator[Message]:
        """Give what comes within that time, ``most`` records at most; ``next`` moves with each of them."""
        with self._answering():
            messages = self._client.consume(most, wait_s)
        for message in messages:
            at = Position(message.topic() or "", message.partition() or 0)
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  its public name
                self._ended.add(at)
                self.next[at] = message.offset() or 0
            elif error is not None:
                raise Unavailable(f"the Kafka brokers at {self._bootstrap} failed: {error.str()}")
            else:
                self._ended.discard(at)
                self.next[at] = (message.offset() or 0) + 1
                yield message

    def read_to(self, ends: Mapping[Position, int], patience_s: float) -> Iterator[Message]:
        """Give records until every partition has been read to an offset, or to where it ends now.

        A partition may end before: by records that a producer has not committed, or by a transaction's mark.

        Raises
        ------
        Unavailable
            When that takes longer than ``patience_s``.
        """
        give_up = monotonic() + patience_s
        self.begin(self.next)  # drops the notices of ends that were reached before
        while left := sum(max(end - self.next[at], 0) for at, end in ends.items() if at not in self._ended):
            if monotonic() > give_up:
                topics = ", ".join(sorted({at.topic for at in ends}))
                raise Unavailable(f"topic {topics} could not be read to its end within {patience_s:g} s")
            yield from self.take(most=min(left, MOST))

    def follow(self, is_stopped: Callable[[], bool], wait_s: float = POLL_S) -> Iterator[Message]:
        """Give records as they come, until told to stop; asked again at least every ``wait_s``."""
        while not is_stopped():
            yield from self.take(wait_s)

    def check(self) -> None:
        """See that the client has not lost all brokers since the last look.

        Raises
        ------
        Unavailable
            When it has.
        """
        lost, self._lost = self._lost, ""
        if lost:
            raise Unavailable(f"no Kafka broker answers at {self._bootstrap}: {lost}")

    def _hear(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  the client's name for it
            self._lost = error.str()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            words = error.args[0].str()
            raise Unavailable(f"the Kafka brokers at {self._bootstrap} do not answer: {words}") from error


def append_time_of(message: Message) -> datetime | None:
    """Tell when the broker appended a record, UTC; None where its topic keeps the producer's time."""
    kind, time_ms = message.timestamp()
    return datetime.fromtimestamp(time_ms / 1e3, UTC) if kind == TIMESTAMP_LOG_APPEND_TIME else None
