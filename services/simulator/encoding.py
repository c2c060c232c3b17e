"""Tables to JSON values of the wire, column by column: the bytes that the contracts would write.

A row is joined from columns of ``"name":value`` pieces, so that no Python object is made for a row until
its bytes are ready; a null (or NaN) leaves its field out.
"""

import json
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import SCHEMA_VERSION
from fraud.errors import BadInput

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
_NEEDS_ESCAPE: Final = r'["\\\x00-\x1f]'


def encode_transactions(table: pa.Table) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Transaction`.

    Raises
    ------
    BadInput
        When a required column is absent or has missing values; the message names it.
    """
    return _encode(table, TRANSACTION_FIELDS)


def encode_labels(table: pa.Table) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Label`; raises as transactions do."""
    return _encode(table, LABEL_FIELDS)


def _encode(table: pa.Table, names: tuple[str, ...]) -> list[bytes]:
    pieces = [pa.scalar(f'{{"schema_version":{SCHEMA_VERSION}')]
    for name in names:
        if name not in table.column_names:
            if name in REQUIRED:
                raise BadInput(f"the table has no column {name}")
            continue
        column = table[name].combine_chunks()
        value = _json_of(column)
        if name in REQUIRED and value.null_count:
            raise BadInput(f"column {name} has {value.null_count} missing values")
        pieces.append(pc.binary_join_element_wise(f',"{name}":', value, ""))
    rows = pc.binary_join_element_wise(
        *pieces, pa.scalar("}"), "", null_handling="replace", null_replacement=""
    )
    values: list[bytes] = rows.cast(pa.binary()).to_pylist()
    return values


def _json_of(column: pa.Array) -> pa.Array:
    """Turn values into JSON text; nulls stay null."""
    if pa.types.is_timestamp(column.type):
        moment = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us")).cast(pa.string())
        moment = pc.replace_substring(pc.replace_substring(moment, " ", "T"), ".000000", "")
        return pc.binary_join_element_wise('"', moment, 'Z"', "")
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return _number_json(column.cast(pa.float64()))
    return _text_json(column.cast(pa.string()))


def _number_json(column: pa.Array) -> pa.Array:
    known = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    text = pc.cast(known, pa.string())
    is_whole = pc.match_substring_regex(text, r"^-?\d+$")
    return pc.if_else(is_whole, pc.binary_join_element_wise(text, ".0", ""), text)


def _text_json(column: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(column, _NEEDS_ESCAPE)).as_py():
        texts = [
            None if text is None else json.dumps(text, ensure_ascii=False) for text in column.to_pylist()
        ]
        return pa.array(texts, pa.string())
    return pc.binary_join_element_wise('"', column, '"', "")
