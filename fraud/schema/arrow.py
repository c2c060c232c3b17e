"""The columns of a schema's tables, as Arrow's fields."""

from typing import Final

import pyarrow as pa

from fraud.schema.fields import (
    AMOUNT_MINOR,
    BASE_MINOR,
    CURRENCY_RATE,
    MONEY_NAMES,
    RATE_SINCE,
    Field,
    FieldType,
)
from fraud.schema.schema import Schema

TIME: Final = pa.timestamp("us", tz="UTC")
_TYPES: Final = {
    FieldType.KEY: pa.string(),
    FieldType.CATEGORY: pa.string(),
    FieldType.TEXT: pa.string(),
    FieldType.ZONE: pa.string(),
    FieldType.NUMBER: pa.float64(),
    FieldType.PLACE: pa.float64(),
    FieldType.FLAG: pa.bool_(),
    FieldType.TIME: TIME,
}


def columns_of(field: Field) -> list[pa.Field]:
    """Make the columns of one field.

    Examples
    --------
    >>> [column.name for column in columns_of(Field("home", FieldType.PLACE))]
    ['home_latitude', 'home_longitude']
    """
    return [pa.field(name, _TYPES[field.type]) for name in field.names]


MONEY: Final = {
    AMOUNT_MINOR: pa.int64(),
    BASE_MINOR: pa.int64(),
    CURRENCY_RATE: pa.string(),
    RATE_SINCE: TIME,
}
"""Columns of a transaction's money, where its schema has some; see ``fraud.contracts.priced``."""


def transaction_columns(schema: Schema) -> list[pa.Field]:
    """Make the columns of a schema's transactions, in their order."""
    columns = [column for field in schema.fields for column in columns_of(field)]
    return [*columns, *(pa.field(name, MONEY[name]) for name in MONEY_NAMES if schema.money)]


OWN: Final = {b"fraud": b"columns under our names, with our types"}
"""Metadata of Parquet files that the platform writes: no ``source:`` part speaks of them."""


def is_own(schema: pa.Schema) -> bool:
    """Whether a Parquet file was written by the platform."""
    return bool(schema.metadata) and all(schema.metadata.get(key) == value for key, value in OWN.items())
