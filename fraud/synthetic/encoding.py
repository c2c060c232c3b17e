"""Tables of transactions and labels to JSON values of the wire."""

from typing import Final

import pyarrow as pa

from fraud.contracts.encode import encode_rows

__all__ = ["encode_labels", "encode_transactions"]

TRANSACTION_FIELDS: Final = (
    "transaction_id",
    "event_time",
    "user_id",
    "merchant_id",
    "amount",
    "currency",
    "category",
    "country",
    "channel",
    "device_id",
    "latitude",
    "longitude",
    "home_latitude",
    "home_longitude",
)
LABEL_FIELDS: Final = (
    "transaction_id",
    "user_id",
    "merchant_id",
    "event_time",
    "label_time",
    "is_fraud",
    "source",
)
REQUIRED: Final = frozenset(
    {"transaction_id", "event_time", "user_id", "merchant_id", "amount", "label_time", "is_fraud"}
)


def encode_transactions(table: pa.Table) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Transaction`.

    Raises
    ------
    BadInput
        When a required column is absent or has missing values; the message names it.
    """
    return encode_rows(table, TRANSACTION_FIELDS, REQUIRED)


def encode_labels(table: pa.Table) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Label`; raises as transactions do."""
    return encode_rows(table, LABEL_FIELDS, REQUIRED)
