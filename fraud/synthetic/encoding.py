"""Tables of transactions, labels, results and profiles to JSON values of the wire."""

from functools import lru_cache

import pyarrow as pa

from fraud.contracts import contracts_of
from fraud.contracts.encode import encode_rows
from fraud.contracts.models import record_names
from fraud.contracts.wire import Record
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

__all__ = ["encode_labels", "encode_profiles", "encode_results", "encode_transactions"]


@lru_cache(maxsize=64)
def fields_of(model: type[Record]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Name the fields of a contract that a table has as columns, and those that it must have."""
    required = frozenset(name for name, field in model.model_fields.items() if field.is_required())
    return tuple(record_names(model)), required


def encode_transactions(table: pa.Table, schema: Schema | None = None) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Transaction`.

    Parameters
    ----------
    table
        With a column a field.
    schema
        Of the records; by default the deployment's.

    Raises
    ------
    BadInput
        When a required column is absent or has missing values; the message names it.
    """
    return _encode(table, contracts_of(schema or deployed_schema()).transaction)


def encode_labels(table: pa.Table, schema: Schema | None = None) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Label`; raises as transactions do."""
    return _encode(table, contracts_of(schema or deployed_schema()).label)


def encode_results(table: pa.Table, schema: Schema | None = None) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Result`; raises as transactions do."""
    return _encode(table, contracts_of(schema or deployed_schema()).result)


def encode_profiles(table: pa.Table, schema: Schema | None = None) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Profile`; raises as transactions do."""
    return _encode(table, contracts_of(schema or deployed_schema()).profile)


def _encode(table: pa.Table, model: type[Record] | None) -> list[bytes]:
    return encode_rows(table, *(fields_of(model) if model else ((), frozenset[str]())))
