"""The rows that travel through a micro-batch, from the user pass to the spool, as Arrow schemas.

One row a Kafka record; ``kind`` says what became of it. Every record ends in exactly one kind.
"""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from fraud.contracts import Label, Transaction
from fraud.features import FEATURE_NAMES
from fraud.log.arrival import SEQUENCES

TRANSACTION: Final = 0
LABEL: Final = 1
DEAD_LETTER: Final = 2
SCORED: Final = 3
"""A transaction that the scoring service has counted and decided; archived as a transaction."""
RECOUNTED: Final = 4
"""The same, but counted in a store that was lost: counted here, decided there."""

_TIME: Final = pa.timestamp("us", tz="UTC")
ORIGIN: Final = [
    pa.field("kind", pa.int8()),
    pa.field("topic", pa.string()),
    pa.field("source_partition", pa.int32()),
    pa.field("source_offset", pa.int64()),
    pa.field("received_at", _TIME),
]
"""Where a record came from; ``received_at`` is the broker's append time, never falling within a partition."""
TRANSACTION_FIELDS: Final = [
    pa.field("transaction_id", pa.string()),
    pa.field("event_time", _TIME),
    pa.field("user_id", pa.string()),
    pa.field("merchant_id", pa.string()),
    pa.field("amount", pa.float64()),
    pa.field("currency", pa.string()),
    pa.field("category", pa.string()),
    pa.field("country", pa.string()),
    pa.field("channel", pa.string()),
    pa.field("device_id", pa.string()),
    pa.field("latitude", pa.float64()),
    pa.field("longitude", pa.float64()),
    pa.field("home_latitude", pa.float64()),
    pa.field("home_longitude", pa.float64()),
]
LABEL_FIELDS: Final = [
    pa.field("label_time", _TIME),
    pa.field("is_fraud", pa.bool_()),
    pa.field("source", pa.string()),
]
DEAD_LETTER_FIELDS: Final = [
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("key", pa.string()),
    pa.field("raw", pa.binary()),
]
RECORD_FIELDS: Final = [*TRANSACTION_FIELDS, *LABEL_FIELDS, *DEAD_LETTER_FIELDS]

PASSED: Final = pa.schema(
    [
        *ORIGIN,
        *RECORD_FIELDS,
        pa.field("route", pa.int64()),  # the merchant, so that one task sees all of its events
        pa.field("event", pa.binary()),  # the kernel's row, float64
        pa.field("user_vector", pa.binary()),  # the user pass's features, float64
        pa.field("user_sequence", pa.int64()),
        pa.field("scored", pa.binary()),  # the record of the scoring service, whole
        pa.field("stages", pa.string()),  # in a task's first row: the seconds of its stages, JSON
    ]
)
"""What the user pass hands to the merchant pass."""

DECISION_FIELDS: Final = [
    pa.field("outcome", pa.string()),
    pa.field("score", pa.float64()),
    pa.field("reasons", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("is_fallback", pa.bool_()),
    pa.field("policy_version", pa.string()),
    pa.field("experiment", pa.string()),
    pa.field("arm", pa.string()),
    pa.field("shadow_score", pa.float64()),
    pa.field("shadow_version", pa.string()),
]
STAMP: Final = [
    pa.field("processed_at", _TIME),
    pa.field("generation", pa.int64()),
    pa.field("epoch", pa.int64()),
    pa.field("features_version", pa.string()),
]
SEQUENCE_FIELDS: Final = [pa.field(name, pa.int64()) for name in SEQUENCES]
SPOOLED: Final = pa.schema(
    [
        *ORIGIN,
        *RECORD_FIELDS,
        *DECISION_FIELDS,
        *STAMP,
        *SEQUENCE_FIELDS,
        *(pa.field(name, pa.float64()) for name in FEATURE_NAMES),
    ]
)
"""What the merchant pass leaves in the spool; the archive takes the Delta tables' columns from it."""

SUMMARY: Final = pa.schema([pa.field("summary", pa.string())])
"""What a task of the merchant pass tells the driver: one JSON document."""

_TRANSACTION_NAMES: Final = tuple(field.name for field in TRANSACTION_FIELDS)
_LABEL_NAMES: Final = (
    "transaction_id",
    "event_time",
    "user_id",
    "merchant_id",
    "label_time",
    "is_fraud",
    "source",
)
_WIDTH: Final = len(RECORD_FIELDS)
_POSITION: Final = {field.name: i for i, field in enumerate(RECORD_FIELDS)}


def transaction_values(record: Transaction) -> list[Any]:
    """Take the values of ``RECORD_FIELDS`` from a transaction."""
    values: list[Any] = [None] * _WIDTH
    values[: len(_TRANSACTION_NAMES)] = [getattr(record, name) for name in _TRANSACTION_NAMES]
    return values


def label_values(record: Label) -> list[Any]:
    """Take the values of ``RECORD_FIELDS`` from a label."""
    values: list[Any] = [None] * _WIDTH
    for name in _LABEL_NAMES:
        values[_POSITION[name]] = getattr(record, name)
    return values


def dead_letter_values(reason: str, detail: str, key: str | None, raw: bytes | None) -> list[Any]:
    """Make the values of ``RECORD_FIELDS`` for a refused record."""
    values: list[Any] = [None] * _WIDTH
    values[-len(DEAD_LETTER_FIELDS) :] = [reason, detail, key, raw or b""]
    return values


def record_columns(values: Sequence[Sequence[Any]]) -> list[pa.Array]:
    """Turn rows of ``RECORD_FIELDS`` into columns."""
    columns = list(zip(*values, strict=True)) if values else [()] * _WIDTH
    return [pa.array(column, field.type) for column, field in zip(columns, RECORD_FIELDS, strict=True)]
