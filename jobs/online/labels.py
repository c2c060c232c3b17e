"""Verdicts from the topic ``labels``, kept in a folder with the offsets up to which they were taken.

The offsets are written with the verdicts, in one file and at once (rename), and not to the broker: a run
that is killed takes the same ones again, and none twice.
"""

import json
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from fraud.contracts import LABELS, Label
from fraud.contracts.wire import parse_record
from fraud.errors import BadRecord, Unavailable
from fraud.learn.source import TIME
from jobs.online.settings import OnlineSettings

VERDICTS_FILE: Final = "verdicts.parquet"
SCHEMA: Final = pa.schema([("transaction_id", pa.string()), ("label_time", TIME), ("is_fraud", pa.bool_())])
_OFFSETS: Final = b"offsets"
_POLL_S: Final = 0.5
_MOST: Final = 5_000


def take_labels(settings: OnlineSettings) -> tuple[pa.Table, int]:
    """Take what has come to the topic since the last time.

    Returns
    -------
    tuple[pyarrow.Table, int]
        All verdicts taken so far (``SCHEMA``), in the order of each partition, and how many are new.
        Records that no contract accepts are left to the stream, which makes them dead letters.

    Raises
    ------
    Unavailable
        When the brokers do not hand over what they have within ``patience_s``.
    """
    path = settings.work / VERDICTS_FILE
    before = pq.read_table(path) if path.exists() else SCHEMA.empty_table()
    offsets = _offsets_of(before)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": "fraud-online",
            "enable.auto.commit": False,
            "log_level": 0,
            **settings.kafka_options,
        }
    )
    try:
        found = _read_to_end(consumer, offsets, settings.patience_s)
    except KafkaException as error:
        raise Unavailable(
            f"the brokers at {settings.kafka_bootstrap} failed: {error.args[0].str()}; "
            "start them (`fraud up`), or give --kafka-bootstrap '' for the tables' labels alone"
        ) from error
    finally:
        consumer.close()
    rows = {name: [getattr(label, name) for label in found] for name in SCHEMA.names}
    after = pa.concat_tables([before.replace_schema_metadata(None), pa.table(rows, SCHEMA)])
    _write(after.replace_schema_metadata({_OFFSETS: json.dumps(offsets).encode()}), path)
    return after, len(found)


def _read_to_end(consumer: Consumer, offsets: dict[str, int], patience_s: float) -> list[Label]:
    """Read each partition at least up to where it ended at the start, and move the offsets along."""
    give_up = time.monotonic() + patience_s
    topic = consumer.list_topics(LABELS, timeout=patience_s).topics[LABELS]
    ends: dict[int, int] = {}
    for partition in topic.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(LABELS, partition), timeout=patience_s)
        start = max(offsets.get(str(partition), 0), low)
        offsets[str(partition)] = start
        if start < high:
            ends[partition] = high
    consumer.assign([TopicPartition(LABELS, partition, offsets[str(partition)]) for partition in ends])
    found: list[Label] = []
    while any(offsets[str(partition)] < end for partition, end in ends.items()):
        if time.monotonic() > give_up:
            raise Unavailable(f"topic {LABELS} could not be read to its end within {patience_s:g} s")
        for message in consumer.consume(_MOST, _POLL_S):
            found += _label_of(message)
            offsets[str(message.partition())] = (message.offset() or 0) + 1
    return found


def _label_of(message: Message) -> list[Label]:
    if message.error():
        raise KafkaException(message.error())
    try:
        return [parse_record(Label, message.value())]
    except BadRecord:
        return []


def _offsets_of(verdicts: pa.Table) -> dict[str, int]:
    metadata: dict[bytes, bytes] = verdicts.schema.metadata or {}
    found: Any = json.loads(metadata.get(_OFFSETS, b"{}"))
    return {str(partition): int(offset) for partition, offset in found.items()}


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    pq.write_table(table, partial)
    partial.replace(path)
