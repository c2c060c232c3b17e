"""Requests and answers as examples: the OpenAPI document shows them, and the tests send them."""

import json
from typing import Any, Final

TRANSACTION: Final = {
    "transaction_id": "t-0001",
    "event_time": "2026-03-01T12:00:00Z",
    "user_id": "u-17",
    "merchant_id": "m-4",
    "amount": 129.5,
    "currency": "EUR",
    "category": "electronics",
    "country": "DE",
    "channel": "online",
    "device_id": "d-9",
    "latitude": 52.52,
    "longitude": 13.405,
}
ANSWER: Final = {
    "transaction_id": "t-0001",
    "outcome": "review",
    "score": 0.61,
    "reasons": [{"code": "count_1h_by_user", "text": "transactions of the user in the last 1h: 7"}],
    "model_version": "3",
    "policy_version": "2026-11-24+1a2b3c4d",
    "is_fallback": False,
    "degraded": [],
    "features_version": "0123456789ab",
    "scored_at": "2026-03-01T12:00:00.002Z",
}
ACCEPTED: Final = {"transaction_id": "t-0001", "status": "accepted"}
LABEL: Final = {"transaction_id": "t-0001", "is_fraud": True, "source": "chargeback"}
LABEL_WITH_KEYS: Final = {
    **LABEL,
    **{name: TRANSACTION[name] for name in ("user_id", "merchant_id", "event_time")},
}
DECISION: Final = {
    **TRANSACTION,
    **{name: value for name, value in ANSWER.items() if name != "transaction_id"},
    "features": {"count_1h_by_user": 7.0, "amount_mean_30d_by_user": 41.2},
    "user_sequence": 318,
    "merchant_sequence": 90214,
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
