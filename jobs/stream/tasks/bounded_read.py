"""Reads a micro-batch by librdkafka in place of Spark's source: slower, in bounded memory.

Spark's source holds a record whole in the driver's heap, and a megabyte in Kafka may unpack to gigabytes. A
micro-batch that ran out of memory, or that the last run left unfinished, is read here: what would take more
than ``MOST_UNPACKED`` becomes dead letters that name their offsets (DECISIONS.md, 50).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as Position

from fraud.contracts import SCORED
from fraud.contracts.wire import EARLIEST
from fraud.errors import Unavailable
from jobs.stream.offsets import Range
from jobs.stream.tasks.large_records import MOST_UNPACKED, SIZE, UNKNOWN_SIZE

PATIENCE_S: Final = 30.0
"""How long the brokers may take for the next record, seconds."""
RECORDS: Final = 200
"""Records taken at a time; each is 1 MB at most, if nobody compresses."""
KAFKA_COLUMNS: Final = (
    pa.field("key", pa.binary()),
    pa.field("value", pa.binary()),
    pa.field("topic", pa.string()),
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("timestamp", pa.timestamp("us", tz="UTC")),
)
"""As Spark's Kafka source gives them."""
_SCHEMA: Final = pa.schema([*KAFKA_COLUMNS, SIZE])
# Public names, in spite of the underscore.
END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001
UNREADABLE: Final = frozenset(
    {KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG, KafkaError.MSG_SIZE_TOO_LARGE}  # noqa: SLF001
)


def consumer_options(kafka: Mapping[str, str]) -> dict[str, Any]:
    """Complete the options of a client that reads partitions from known offsets, in bounded memory."""
    return {
        **kafka,
        "group.id": "fraud-stream",  # never joined: partitions are assigned, offsets not committed
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "receive.message.max.bytes": MOST_UNPACKED,
        "queued.max.messages.kbytes": 16_384,
        "log_level": 2,
    }


def read(kafka: Sequence[tuple[str, str]], ranges: Sequence[Range]) -> Iterator[pa.RecordBatch]:
    """Read ranges one after the other, as Spark's source gives them, with the column ``SIZE``.

    Raises
    ------
    Unavailable
        When the brokers do not hand over the records, or no longer have them.
    """
    consumer = Consumer(consumer_options(dict(kafka)))
    try:
        for one in ranges:
            yield from _read_range(consumer, one)
    finally:
        consumer.close()


def _read_range(consumer: Any, wanted: Range) -> Iterator[pa.RecordBatch]:
    at, time = _start_of(consumer, wanted), EARLIEST
    _seek(consumer, wanted, at)
    while at < wanted.end:
        rows = []
        for message in _next(consumer, wanted, at):
            error, offset = message.error(), message.offset() or 0
            if error is None and offset < wanted.end:
                rows.append(_row(message))
                at, time = offset + 1, rows[-1]["timestamp"] or time
            elif error is None or (error.code() == END_OF_PARTITION and offset >= wanted.end):
                at = wanted.end  # what is left are marks of transactions
            elif error.code() in UNREADABLE:
                end = _end_of_unreadable(consumer, wanted, at, offset)
                rows += [_unreadable(wanted, offset, time) for offset in range(at, end)]
                at = end
                _seek(consumer, wanted, at)
            elif error.code() != END_OF_PARTITION:
                raise _lost(wanted, at, error.str())
            if at >= wanted.end or error is not None:
                break
        if rows:
            yield pa.RecordBatch.from_pylist(rows, _SCHEMA)


def _start_of(consumer: Any, wanted: Range) -> int:
    """Find where to begin; a partition that Spark met for the first time begins where it begins."""
    low: int = consumer.get_watermark_offsets(Position(wanted.topic, wanted.partition), timeout=PATIENCE_S)[0]
    if wanted.start and low > wanted.start:
        raise _lost(wanted, wanted.start, "Kafka has deleted it")
    return max(wanted.start, low)


def _seek(consumer: Any, wanted: Range, offset: int) -> None:
    consumer.assign([Position(wanted.topic, wanted.partition, offset)])


def _next(consumer: Any, wanted: Range, at: int, records: int = RECORDS) -> list[Message]:
    found: list[Message] = consumer.consume(1, PATIENCE_S)
    if not found:
        raise _lost(wanted, at, f"nothing came within {PATIENCE_S:g} s")
    if records > 1 and found[0].error() is None:
        found += consumer.consume(records - 1, 0.0)
    return found


def _end_of_unreadable(consumer: Any, wanted: Range, bad: int, base: int) -> int:
    """Find the first offset after ``bad`` that is not of the Kafka batch beginning at ``base``."""
    step, low, high = 1, bad, wanted.end
    while low + step < wanted.end:
        if _is_beyond(consumer, wanted, low + step, base):
            high = low + step
            break
        low, step = low + step, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        if _is_beyond(consumer, wanted, middle, base):
            high = middle
        else:
            low = middle
    return high


def _is_beyond(consumer: Any, wanted: Range, offset: int, base: int) -> bool:
    """Whether an offset is of another batch; what follows may be unreadable as well."""
    _seek(consumer, wanted, offset)
    message = _next(consumer, wanted, offset, 1)[0]
    error = message.error()
    return error is None or error.code() not in UNREADABLE or message.offset() != base


def _row(message: Message) -> dict[str, Any]:
    key: Any = message.key()
    value: Any = message.value()
    kind, time_ms = message.timestamp()
    is_known = kind == TIMESTAMP_LOG_APPEND_TIME or message.topic() == SCORED
    return {
        "key": key,
        "value": value,
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": datetime.fromtimestamp(time_ms / 1e3, UTC) if is_known else None,
        SIZE.name: len(key or b"") + len(value or b""),
    }


def _unreadable(wanted: Range, offset: int, time: datetime) -> dict[str, Any]:
    return {
        "topic": wanted.topic,
        "partition": wanted.partition,
        "offset": offset,
        "timestamp": time,
        SIZE.name: UNKNOWN_SIZE,
    }


def _lost(wanted: Range, at: int, why: str) -> Unavailable:
    return Unavailable(
        f"topic {wanted.topic}, partition {wanted.partition}, offset {at} cannot be read: {why}"
    )
