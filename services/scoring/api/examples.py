"""Requests and answers as examples: the OpenAPI document shows them, and the tests send them."""

import json
from typing import Any, Final

from fraud.contracts.models import sequence_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import SAMPLES
from services.scoring.feedback.lookup import PRIMARY

_SCHEMA: Final = deployed_schema()
_FEATURE: Final = _SCHEMA.features[-1]
TRANSACTION: Final[dict[str, Any]] = {
    name: value for field in _SCHEMA.fields for name, value in zip(field.names, field.sample, strict=False)
}
ANSWER: Final = {
    "transaction_id": "t-0001",
    "outcome": "review",
    "score": 0.61,
    "reasons": [{"code": _FEATURE.name, "text": f"{_FEATURE.description}: 7"}],
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
LABEL_WITH_KEYS: Final = {
    **LABEL,
    PRIMARY: TRANSACTION[PRIMARY],
}
RESULT: Final = {
    "transaction_id": "t-0001",
    "result": next(iter(_SCHEMA.results), "declined"),
    "reason_code": "51",
    PRIMARY: TRANSACTION[PRIMARY],
}


def _profile() -> dict[str, Any]:
    """Make a profile of the first entity that has one."""
    for entity, fields in _SCHEMA.profiles:
        of = dict(zip((one.name for one in _SCHEMA.entities), _SCHEMA.keys, strict=True))[entity]
        told = {
            name: value
            for field in fields
            for name, value in zip(field.names, field.examples or SAMPLES[field.type], strict=False)
        }
        return {"entity": entity, **{key.name: key.sample[0] for key in of if key.sample}, "profile": told}
    return {"entity": "card", "profile": {"limit": 5000.0}}


PROFILE: Final = _profile()
DECISION: Final = {
    **TRANSACTION,
    **{name: value for name, value in ANSWER.items() if name != "transaction_id"},
    "features": {_FEATURE.name: 7.0},
    **{sequence_of(name): 318 for entity in _SCHEMA.entities for name in entity.log_names},
    "store": "5f0c8a5f2a9b4f6d8f6f8d0f5a7c1e2b",
}
INFER: Final = {
    "inputs": [{"name": "transactions", "datatype": "BYTES", "shape": [1], "data": [json.dumps(TRANSACTION)]}]
}


def inferred(name: str) -> dict[str, Any]:
    """Make the answer to ``INFER`` of a model of this name."""
    return {
        "model_name": name,
        "outputs": [
            {"name": "outcome", "datatype": "BYTES", "shape": [1], "data": ["review"]},
            {"name": "probability", "datatype": "FP64", "shape": [1], "data": [0.61]},
            {"name": "decision", "datatype": "BYTES", "shape": [1], "data": [json.dumps(ANSWER)]},
        ],
    }
