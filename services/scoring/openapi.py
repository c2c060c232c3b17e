"""The OpenAPI document, made from the contracts, with examples that the tests send."""

from importlib.metadata import version
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from fraud.contracts import Reason, ScoredTransaction
from services.scoring.labels import LabelRequest
from services.scoring.problems import MEDIA_TYPE, TITLES
from services.scoring.records import TransactionRequest

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
LABEL: Final = {"transaction_id": "t-0001", "is_fraud": True, "source": "chargeback"}
_NULLABLE_TEXT: Final = {"type": ["string", "null"]}


def document() -> dict[str, Any]:
    """Make the document."""
    _, found = models_json_schema(
        [(kind, "validation") for kind in (TransactionRequest, LabelRequest, Reason, ScoredTransaction)],
        ref_template="#/components/schemas/{model}",
    )
    schemas = {**found["$defs"], "Answer": _answer(), "Problem": _problem()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Card-fraud scoring",
            "version": version("fraud"),
            "description": "A decision on a raw transaction, in milliseconds. Idempotent by transaction_id: "
            "the same request gives the same answer, for at least seven days.",
        },
        "paths": {
            "/v1/score": _post("Decide one transaction", "TransactionRequest", TRANSACTION, "Answer", ANSWER),
            "/v1/score/batch": _batch(),
            "/v1/labels": _post(
                "Take the verdict on a transaction", "LabelRequest", LABEL, "Accepted", {"status": "accepted"}
            ),
            "/v1/decisions/{transaction_id}": {
                "get": {
                    "summary": "What was answered, with the features that it was made of",
                    "operationId": "decision",
                    "parameters": [
                        {
                            "name": "transaction_id",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "minLength": 1, "maxLength": 64},
                        }
                    ],
                    "responses": _responses("ScoredTransaction", None, (401, 404, 429, 503)),
                }
            },
            **{path: _get(path, words) for path, words in _LOOKS.items()},
        },
        "components": {
            "schemas": {
                **schemas,
                "Accepted": {"type": "object", "properties": {"status": {"type": "string"}}},
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


_LOOKS: Final = {
    "/health": "Whether the process lives",
    "/ready": "Whether a model is loaded and the store answers",
    "/metrics": "Metrics for Prometheus",
}


def _answer() -> dict[str, Any]:
    properties = {
        "transaction_id": {"type": "string"},
        "outcome": {"enum": ["approve", "review", "decline"]},
        "score": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
        "model_version": _NULLABLE_TEXT,
        "policy_version": _NULLABLE_TEXT,
        "is_fallback": {"type": "boolean", "description": "no model answered; the documented fallback did"},
        "degraded": {"type": "array", "items": {"enum": ["store", "model", "log"]}},
        "features_version": {"type": "string"},
        "scored_at": {"type": "string", "format": "date-time"},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _problem() -> dict[str, Any]:
    field = {"type": "object", "properties": {"field": {"type": "string"}, "message": {"type": "string"}}}
    properties = {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": field},
    }
    return {"type": "object", "properties": properties, "required": ["type", "title", "status", "detail"]}


def _post(summary: str, request: str, example: Any, answer: str, answered: Any) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "operationId": request[0].lower() + request[1:],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _ref(request), "example": example}},
            },
            "responses": _responses(answer, answered, (400, 401, 404, 409, 413, 422, 429, 503)),
        }
    }


def _batch() -> dict[str, Any]:
    found = _post("Decide many, one after another", "Batch", {"transactions": [TRANSACTION]}, "Answer", None)
    items = {"type": "array", "minItems": 1, "maxItems": 500, "items": _ref("TransactionRequest")}
    schema = {"type": "object", "properties": {"transactions": items}, "required": ["transactions"]}
    found["post"]["requestBody"]["content"]["application/json"]["schema"] = schema
    one = {"anyOf": [_ref("Answer"), _ref("Problem")]}
    answers = {"type": "object", "properties": {"answers": {"type": "array", "items": one}}}
    found["post"]["responses"]["200"]["content"] = {"application/json": {"schema": answers}}
    return found


def _get(path: str, summary: str) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "yes"}, "503": {"description": TITLES[503]}}
    return {
        "get": {"summary": summary, "operationId": path.strip("/"), "security": [], "responses": responses}
    }


def _responses(answer: str, example: Any, problems: tuple[int, ...]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _ref(answer)}
    if example is not None:
        content["example"] = example
    found: dict[str, Any] = {"200": {"description": "the answer", "content": {"application/json": content}}}
    for status in problems:
        found[str(status)] = {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
        }
    return found


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
