"""Requests and answers as examples: the OpenAPI document shows them, and the tests send them."""

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from fraud.contracts.models import sequence_of
from fraud.schema.fields import SAMPLES
from fraud.schema.schema import Schema

_ANSWER: Final[dict[str, Any]] = {
    "transaction_id": "t-0001",
    "outcome": "review",
    "score": 0.61,
    "reasons": [],
    "model_version": "3",
    "policy_version": "2026-11-24+1a2b3c4d",
    "outcome_without_rules": "review",
    "rules": [],
    "shadow_rules": ["burst_of_small_amounts"],
    "tags": [],
    "queue": None,
    "segment": None,
    "is_fallback": False,
    "degraded": [],
    "features_version": "0123456789ab",
    "scored_at": "2026-03-01T12:00:00.002Z",
}
LIST_CHANGE: Final = {
    "list": "stolen_devices",
    "action": "create",
    "kind": "text",
    "why": "devices reported as stolen",
}
ACCEPTED: Final = {"transaction_id": "t-0001", "status": "accepted"}
LABEL: Final = {"transaction_id": "t-0001", "is_fraud": True, "source": "chargeback"}


@dataclass(frozen=True, eq=False)
class Examples:
    """Those that a schema's names and values are part of.

    Parameters
    ----------
    schema
        Of the transactions.
    """

    schema: Schema

    @cached_property
    def transaction(self) -> dict[str, Any]:
        """A transaction to be decided."""
        fields = self.schema.fields
        return {
            name: value for field in fields for name, value in zip(field.names, field.sample, strict=False)
        }

    @property
    def _primary(self) -> dict[str, Any]:
        name = self.schema.primary_key.name
        return {name: self.transaction[name]}

    @cached_property
    def answer(self) -> dict[str, Any]:
        """What is answered."""
        feature = self.schema.features[-1]
        return {**_ANSWER, "reasons": [{"code": feature.name, "text": f"{feature.description}: 7"}]}

    @cached_property
    def label(self) -> dict[str, Any]:
        """A label that the service can take whether it knows the transaction or not."""
        return {**LABEL, **self._primary}

    @cached_property
    def result(self) -> dict[str, Any]:
        """A result, with one of the schema's words."""
        return {
            "transaction_id": "t-0001",
            "result": next(iter(self.schema.results), "declined"),
            "reason_code": "51",
            **self._primary,
        }

    @cached_property
    def profile(self) -> dict[str, Any]:
        """A profile of the first entity that has one."""
        schema = self.schema
        keys_of = dict(zip((one.name for one in schema.entities), schema.keys, strict=True))
        for entity, fields in schema.profiles:
            told = {
                name: value
                for field in fields
                for name, value in zip(field.names, field.examples or SAMPLES[field.type], strict=False)
            }
            keys = {key.name: key.sample[0] for key in keys_of[entity] if key.sample}
            return {"entity": entity, **keys, "profile": told}
        return {"entity": "card", "profile": {"limit": 5000.0}}

    @cached_property
    def decision(self) -> dict[str, Any]:
        """What was answered, with all that it was made of."""
        return {
            **self.transaction,
            **{name: value for name, value in self.answer.items() if name != "transaction_id"},
            "features": {self.schema.feature_names[-1]: 7.0},
            **{sequence_of(name): 318 for entity in self.schema.entities for name in entity.log_names},
            "store": "5f0c8a5f2a9b4f6d8f6f8d0f5a7c1e2b",
        }

    @cached_property
    def infer(self) -> dict[str, Any]:
        """A request of KServe's v2 protocol."""
        data = [json.dumps(self.transaction)]
        return {"inputs": [{"name": "transactions", "datatype": "BYTES", "shape": [1], "data": data}]}

    def inferred(self, name: str) -> dict[str, Any]:
        """Make the answer to ``infer`` of a model of this name."""
        return {
            "model_name": name,
            "outputs": [
                {"name": "outcome", "datatype": "BYTES", "shape": [1], "data": ["review"]},
                {"name": "probability", "datatype": "FP64", "shape": [1], "data": [0.61]},
                {"name": "decision", "datatype": "BYTES", "shape": [1], "data": [json.dumps(self.answer)]},
            ],
        }


@lru_cache(maxsize=64)
def examples_of(schema: Schema) -> Examples:
    """Make the examples of a schema's requests and answers."""
    return Examples(schema)
