"""Verdicts from the topic ``labels``, kept in a folder with the offsets up to which they were taken.

The offsets are written with the verdicts, in one file and at once (rename), and not to the broker: a run
that is killed takes the same ones again, and none twice.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from fraud.contracts import LABELS, Label, check_future, contracts_of
from fraud.contracts.wire import parse_record
from fraud.errors import BadRecord, Unavailable
from fraud.schema.reading import default_schema
from fraud.tables import TIME
from jobs.online.settings import OnlineSettings

Arrived = tuple[Label, datetime]
_LABEL: Final = contracts_of(default_schema()).label
VERDICTS_FILE: Final = "verdicts.parquet"
SCHEMA: Final = pa.schema(
    [
        ("transaction_id", pa.string()),
        ("label_time", TIME),
        ("is_fraud", pa.bool_()),
        ("received_at", TIME),  # when the broker took it, as in the tables
        ("user_id", pa.string()),  # missing in what was kept by releases before it
    ]
)
_OFFSETS: Final = b"offsets"
_POLL_S: Final = 0.5
_MOST: Final = 5_000


def take_labels(settings: OnlineSettings) -> tuple[pa.Table, int]:
    """Take what has come to the topic since the last time.

    Returns
    -------
    tuple[pyarrow.Table, int]
        All verdicts taken so far (``SCHEMA``), in the order of each partition, and how many are new.
        Records that no contract accepts, or that are dated into the future, are left to the stream, which
        makes them dead letters.

    Raises
    ------
    Unavailable
        When the brokers do not hand over what they have within ``patience_s``.
    """
    path = settings.work / VERDICTS_FILE
    before = _read(path) if path.exists() else SCHEMA.empty_table()
    offsets = _offsets_of(before)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": "fraud-online",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
            **settings.kafka_options,
            "isolation.level": "read_committed",
        }
    )
    try:
        found = _read_to_end(consumer, offsets, settings)
    except KafkaException as error:
        raise Unavailable(
            f"the brokers at {settings.kafka_bootstrap} failed: {error.args[0].str()}; "
            "start them (`fraud up`), or give --kafka-bootstrap '' for the tables' labels alone"
        ) from error
    finally:
        consumer.close()
    rows = {
        name: [getattr(label, name) for label, _ in found] for name in SCHEMA.names if name != "received_at"
    }
    rows["received_at"] = [arrival for _, arrival in found]
    kept = before.replace_schema_metadata(None)
    new = pa.table({name: rows[name] for name in SCHEMA.names}, SCHEMA)
    after = pa.concat_tables([kept, new], promote_options="default")
    _write(after.replace_schema_metadata({_OFFSETS: json.dumps(offsets).encode()}), path)
    return after, len(found)


def _read_to_end(consumer: Consumer, offsets: dict[str, int], settings: OnlineSettings) -> list[Arrived]:
    """Read each partition at least up to where it ended at the start, and move the offsets along.

    A partition may end before: by records that a producer has not committed, or by a transaction's mark.
    """
    patience_s = settings.patience_s
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
    found: list[Arrived] = []
    while any(offsets[str(partition)] < end for partition, end in ends.items()):
        if time.monotonic() > give_up:
            raise Unavailable(f"topic {LABELS} could not be read to its end within {patience_s:g} s")
        for message in consumer.consume(_MOST, _POLL_S):
            partition, offset = message.partition() or 0, message.offset() or 0
            if _is_end(message):
                offsets[str(partition)] = offset
                ends.pop(partition, None)
            else:
                found += _label_of(message, settings.most_ahead_s)
                offsets[str(partition)] = offset + 1
    return found


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001  its public name


def _label_of(message: Message, most_ahead_s: float) -> list[Arrived]:
    if message.error():
        raise KafkaException(message.error())
    try:
        label, arrival = parse_record(_LABEL, message.value()), _arrival_of(message)
        check_future(label, arrival, most_ahead_s)
    except BadRecord:
        return []
    return [(label, arrival)]


def _arrival_of(message: Message) -> datetime:
    """Tell the broker's append time; where it gives none, this moment."""
    kind, time_ms = message.timestamp()
    now = datetime.now(UTC)
    return datetime.fromtimestamp(time_ms / 1000.0, UTC) if kind == TIMESTAMP_LOG_APPEND_TIME else now


def _read(path: Path) -> pa.Table:
    """Read the verdicts; in a file of an older build they arrived when they became known."""
    table = pq.read_table(path)
    if "received_at" not in table.column_names:
        table = table.append_column("received_at", table["label_time"])
    return table


def _offsets_of(verdicts: pa.Table) -> dict[str, int]:
    metadata: dict[bytes, bytes] = verdicts.schema.metadata or {}
    found: Any = json.loads(metadata.get(_OFFSETS, b"{}"))
    return {str(partition): int(offset) for partition, offset in found.items()}


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    pq.write_table(table, partial)
    partial.replace(path)
