"""Tables of transactions, labels, results and profiles to JSON values of the wire."""

from typing import Final

import pyarrow as pa
from pydantic import BaseModel

from fraud.contracts import contracts_of
from fraud.contracts.encode import encode_rows
from fraud.contracts.models import record_names
from fraud.schema.deployed import deployed_schema

__all__ = ["encode_labels", "encode_profiles", "encode_results", "encode_transactions"]

_CONTRACTS: Final = contracts_of(deployed_schema())
TRANSACTION_FIELDS: Final = record_names(_CONTRACTS.transaction)
LABEL_FIELDS: Final = record_names(_CONTRACTS.label)


def _required_of(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if field.is_required())


REQUIRED: Final = _required_of(_CONTRACTS.transaction)
LABEL_REQUIRED: Final = _required_of(_CONTRACTS.label)
RESULT_FIELDS: Final = record_names(_CONTRACTS.result) if _CONTRACTS.result else ()
RESULT_REQUIRED: Final = _required_of(_CONTRACTS.result) if _CONTRACTS.result else frozenset()


PROFILE_FIELDS: Final = record_names(_CONTRACTS.profile) if _CONTRACTS.profile else ()
PROFILE_REQUIRED: Final = _required_of(_CONTRACTS.profile) if _CONTRACTS.profile else frozenset()


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
    return encode_rows(table, LABEL_FIELDS, LABEL_REQUIRED)


def encode_results(table: pa.Table) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Result`; raises as transactions do."""
    return encode_rows(table, RESULT_FIELDS, RESULT_REQUIRED)


def encode_profiles(table: pa.Table) -> list[bytes]:
    """Encode every row as the JSON of :class:`~fraud.contracts.Profile`; raises as transactions do."""
    return encode_rows(table, PROFILE_FIELDS, PROFILE_REQUIRED)
