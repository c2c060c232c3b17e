"""Takes records from Kafka as they come, a micro-batch at a time, without Spark.

Reads the topics by librdkafka, which fetches ahead. Of a backlog each partition gives its share, as with
Spark's source, so that labels do not run ahead of the transactions that they speak of.
"""

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position

from fraud.contracts import SCORED
from fraud.errors import BadState, Unavailable
from fraud.runtime.traces import HEADER
from jobs.stream.offsets import Partition, Range
from jobs.stream.tasks.bounded_read import (
    END_OF_PARTITION,
    KAFKA_COLUMNS,
    UNREADABLE,
    consumer_options,
)

CHUNK: Final = 100
"""Records asked for at a time."""
MOST_BYTES: Final = 64_000_000
"""Of the records that wait here; a micro-batch is smaller where its records are large."""
ROWS: Final = 10_000
"""Records of an Arrow batch at most."""
PATIENCE_S: Final = 30.0
"""How long the brokers may take to tell where a partition begins and ends, seconds."""
# Public names, in spite of the underscore.
_OUT_OF_RANGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Taken:
    """Records of one micro-batch, by partition and offset; or what must be read in bounded memory."""

    messages: Sequence[Message]
    unreadable: Range | None = None


class Poller:
    """Reads partitions from their positions on.

    Parameters
    ----------
    options
        Of the client under librdkafka's names, with ``bootstrap.servers``.
    positions
        Next offset by partition; -2: where it begins. ``ends`` keeps them.
    most
        Records of a micro-batch.
    most_bytes
        Of the records that wait here, above which no more are fetched.

    Raises
    ------
    BadState
        When Kafka no longer has what comes next.
    Unavailable
        When the brokers do not answer.
    """

    def __init__(
        self,
        options: Mapping[str, str],
        positions: Mapping[Partition, int],
        most: int,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._consumer: Any = Consumer(consumer_options(options))
        self._most, self._most_bytes = most, most_bytes
        self._buffers: dict[Partition, deque[Message]] = {}
        self._fetched: dict[Partition, int] = {}
        self._there: dict[Partition, int] = {}
        """Where a partition ended when it was looked at first: so far its records are known to come."""
        self._bytes = 0
        self._unreadable: Range | None = None
        self.ends: dict[Partition, int] = {}
        """Next offset to take, by partition."""
        self.read_also(positions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._consumer.close()

    def read_also(self, positions: Mapping[Partition, int]) -> None:
        """Read further partitions too."""
        for at, position in positions.items():
            low, high = self._bounds(at)
            if position >= 0 and not low <= position <= high:
                raise _is_gone(at, position)
            self.ends[at] = self._fetched[at] = max(position, low)
            self._buffers[at] = deque()
            self._there[at] = high
        if positions:
            self._assign()

    def take(self, wait_s: float) -> Taken | None:
        """Take what has come, waiting for up to so long; None where nothing has."""
        planned = self._fetch(wait_s)
        bad = self._unreadable
        if bad is not None and not self._buffers[bad.topic, bad.partition]:
            return self._take_unreadable(bad)
        messages: list[Message] = []
        for at, end in sorted(planned.items()):
            buffer, first = self._buffers[at], len(messages)
            while buffer and (buffer[0].offset() or 0) < end:
                messages.append(buffer.popleft())
            if self._fetched[at] >= end:
                self.ends[at] = end
            elif len(messages) > first:
                self.ends[at] = (messages[-1].offset() or 0) + 1
        self._bytes -= sum(map(_size, messages))
        return Taken(messages) if messages else None

    def lag(self) -> int:
        """Count the records that Kafka has and no micro-batch has taken, as far as is known."""
        found = 0
        for at, end in self.ends.items():
            _, high = self._consumer.get_watermark_offsets(Position(*at), cached=True)
            found += max(high, self._fetched[at]) - end
        return found

    def _fetch(self, wait_s: float) -> dict[Partition, int]:
        """Fetch what a micro-batch takes; returns where it ends, by partition."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            is_waiting = not any(self._buffers.values())
            found = self._consumer.consume(1, wait_s) if is_waiting else self._consumer.consume(CHUNK, 0.0)
            for message in found:
                self._keep(message)
            planned = self._planned()
            missing = [at for at, end in planned.items() if self._fetched[at] < end]
            if self._bytes >= self._most_bytes or self._unreadable is not None:
                return planned
            is_full = sum(map(len, self._buffers.values())) >= self._most
            if not missing and (is_full or not found):
                return planned
            if not found and not is_waiting:
                for message in self._consumer.consume(1, wait_s):
                    self._keep(message)
            if missing and time.monotonic() > give_up:
                raise Unavailable(f"{_named(missing[0])}: nothing came within {PATIENCE_S:g} s")

    def _keep(self, message: Message) -> None:
        error: Any = message.error()
        at, offset = (str(message.topic()), int(message.partition() or 0)), int(message.offset() or 0)
        if error is None:
            if offset >= self._fetched[at]:  # or of before a new assignment
                self._buffers[at].append(message)
                self._fetched[at] = offset + 1
                self._bytes += _size(message)
        elif error.code() == END_OF_PARTITION:  # before it there may be marks of transactions alone
            self._fetched[at] = max(self._fetched[at], offset)
        elif error.code() in UNREADABLE:
            _, high = self._bounds(at)
            self._unreadable = Range(*at, self._fetched[at], min(high, self._fetched[at] + self._most))
        elif error.code() in _OUT_OF_RANGE:
            raise _is_gone(at, self._fetched[at])
        elif not error.retriable():
            raise Unavailable(f"{_named(at)} cannot be read: {error.str()}")

    def _planned(self) -> dict[Partition, int]:
        """Share a micro-batch out among the partitions by how far each is behind, as Spark's source does."""
        behind = {at: max(self._there[at], self._fetched[at]) - end for at, end in self.ends.items()}
        total = sum(behind.values())
        planned = {}
        for at, records in behind.items():
            share = self._most * (records / total) if total else 0.0
            share = math.ceil(share) if share < 1 else math.floor(share)
            planned[at] = self.ends[at] + min(records, share)
        return planned

    def _take_unreadable(self, found: Range) -> Taken:
        """Hand over a range whose records librdkafka cannot unpack, for ``bounded_read`` to read around."""
        at = (found.topic, found.partition)
        self.ends[at] = self._fetched[at] = found.end
        self._unreadable = None
        self._assign()
        return Taken((), unreadable=found)

    def _bounds(self, at: Partition) -> tuple[int, int]:
        """Ask where a partition begins and ends."""
        try:
            low, high = self._consumer.get_watermark_offsets(Position(*at), timeout=PATIENCE_S)
        except KafkaException as error:
            raise Unavailable(f"{_named(at)} cannot be read: {error.args[0].str()}") from error
        return low, high

    def _assign(self) -> None:
        """Assign all partitions; what was fetched stays here."""
        self._consumer.assign([Position(*at, offset) for at, offset in self._fetched.items()])


def batches_of(messages: Sequence[Message], *, is_traced: bool) -> Iterator[pa.RecordBatch]:
    """Make of records what Spark's source gives: ``validate_pass.COLUMNS``, and the header of the trace."""
    header = [pa.field(HEADER, pa.binary())] if is_traced else []
    schema = pa.schema([*KAFKA_COLUMNS, *header])
    for first in range(0, len(messages), ROWS):
        part = messages[first : first + ROWS]
        topics = [message.topic() for message in part]
        times = [message.timestamp() for message in part]
        is_known = [
            kind == TIMESTAMP_LOG_APPEND_TIME or topic == SCORED
            for (kind, _), topic in zip(times, topics, strict=True)
        ]
        columns: list[Any] = [
            [message.key() for message in part],
            [message.value() for message in part],
            topics,
            [message.partition() for message in part],
            [message.offset() for message in part],
            [time * 1_000 if known else None for (_, time), known in zip(times, is_known, strict=True)],
        ]
        if is_traced:
            columns.append([_trace_of(message) for message in part])
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _trace_of(message: Message) -> bytes | None:
    headers: Any = message.headers() or ()
    return next((value for name, value in headers if name == HEADER), None)


def _size(message: Message) -> int:
    key: Any = message.key()
    value: Any = message.value()
    return len(key or b"") + len(value or b"")


def _named(at: Partition) -> str:
    return f"topic {at[0]}, partition {at[1]}"


def _is_gone(at: Partition, offset: int) -> BadState:
    return BadState(
        f"{_named(at)}, offset {offset} comes next, and Kafka has deleted it or never had it: the stream "
        "was stopped for longer than Kafka keeps records, or the topic was made anew. To begin with what "
        "Kafka has, move the checkpoint away"
    )
