"""The records of the default schema, for tests."""

from typing import Any

from fraud.contracts import contracts_of
from fraud.schema.reading import default_schema

_CONTRACTS = contracts_of(default_schema())
Transaction: Any = _CONTRACTS.transaction
Label: Any = _CONTRACTS.label
ScoredTransaction: Any = _CONTRACTS.scored
Decision: Any = _CONTRACTS.decision
