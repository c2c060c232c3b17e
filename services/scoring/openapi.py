"""The OpenAPI document, made from the contracts, with examples that the tests send."""

import json
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from fraud import __version__
from fraud.contracts import Reason, contracts_of
from fraud.http.problems import MEDIA_TYPE, TITLES
from fraud.schema.reading import default_schema
from services.scoring.labels import LabelRequest

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
_NULLABLE_TEXT: Final = {"type": ["string", "null"]}


def document(name: str = "fraud", most: int = 500) -> dict[str, Any]:
    """Make the document.

    Parameters
    ----------
    name
        Of the model in KServe's paths.
    most
        Transactions of one batch.
    """
    contracts = contracts_of(default_schema())
    _, found = models_json_schema(
        [(kind, "validation") for kind in (contracts.request, LabelRequest, Reason, contracts.scored)],
        ref_template="#/components/schemas/{model}",
    )
    schemas = {**found["$defs"], "Answer": _answer(), "Accepted": _accepted(), "Problem": _problem()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Card-fraud scoring",
            "version": __version__,
            "description": "A decision on a raw transaction, in milliseconds. Idempotent by transaction_id: "
            "the same request gives the same answer, for at least seven days. Bodies may be packed "
            "(Content-Encoding: gzip). The v2 protocol takes and gives binary tensors "
            "(Inference-Header-Content-Length).",
        },
        "paths": {
            "/v1/score": _post(
                "Decide one transaction (scope score)", "TransactionRequest", TRANSACTION, "Answer", ANSWER
            ),
            "/v1/score/batch": _many(
                "Decide many, one after another (scope score)", "transactions", "answers", most
            ),
            "/v1/labels": _post(
                "Take the verdict on a transaction; with its user_id, merchant_id and event_time also where "
                "the service does not know it (scope label)",
                "LabelRequest",
                LABEL_WITH_KEYS,
                "Accepted",
                ACCEPTED,
            ),
            "/v1/decisions/{transaction_id}": {
                "get": {
                    "summary": "What was answered, with the features that it was made of (scope read)",
                    "operationId": "decision",
                    "parameters": [
                        {
                            "name": "transaction_id",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "minLength": 1, "maxLength": 64},
                        }
                    ],
                    "responses": _responses(_ref("ScoredTransaction"), DECISION, (401, 403, 404, 429, 503)),
                }
            },
            **kserve_paths(name, most),
            **{path: _get(path, words) for path, words in _LOOKS.items()},
        },
        "components": {
            "schemas": schemas,
            "headers": {
                "RetryAfter": {"description": "whole seconds", "schema": {"type": "integer", "minimum": 1}}
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


_LOOKS: Final = {
    "/health": "Whether the process lives",
    "/ready": "Whether it takes requests; it decides also while the model, the store or Kafka is away",
    "/v2/health/live": "As /health, in KServe's words",
    "/v2/health/ready": "As /ready, in KServe's words",
    "/metrics": "Metrics for Prometheus",
    "/openapi.json": "This document",
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


def _accepted() -> dict[str, Any]:
    status = {"enum": ["accepted", "pending"], "description": "pending: kept until its transaction is known"}
    properties = {"transaction_id": {"type": "string"}, "status": status}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _post(summary: str, request: str, example: Any, answer: str, answered: Any) -> dict[str, Any]:
    return _call(
        summary, request[0].lower() + request[1:], (_ref(request), example), (_ref(answer), answered)
    )


def _many(summary: str, name: str, answers: str, most: int, *, with_problems: bool = True) -> dict[str, Any]:
    """Describe a call that takes a list of transactions and gives a list of answers."""
    request = _object(
        name, {"type": "array", "minItems": 1, "maxItems": most, "items": _ref("TransactionRequest")}
    )
    one = {"anyOf": [_ref("Answer"), _ref("Problem")]} if with_problems else _ref("Answer")
    answer = _object(answers, {"type": "array", "items": one})
    return _call(summary, name, (request, {name: [TRANSACTION]}), (answer, {answers: [ANSWER]}))


def _call(
    summary: str, operation: str, request: tuple[dict[str, Any], Any], answer: tuple[dict[str, Any], Any]
) -> dict[str, Any]:
    body = {"application/json": {"schema": request[0], "example": request[1]}}
    return {
        "post": {
            "summary": summary,
            "operationId": operation,
            "requestBody": {"required": True, "content": body},
            "responses": _responses(*answer, (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)),
        }
    }


def kserve_paths(name: str, most: int) -> dict[str, Any]:
    """Describe KServe's protocols, in which raw transactions are the model's inputs."""
    tensor = _object("name", {"const": "transactions"})
    tensor["properties"].update(
        datatype={"const": "BYTES"},
        shape={"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 1},
        data={"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": most},
    )
    tensor["required"] = list(tensor["properties"])
    text = json.dumps(TRANSACTION)
    infer = {"inputs": [{"name": "transactions", "datatype": "BYTES", "shape": [1], "data": [text]}]}
    inferred = {
        "model_name": name,
        "outputs": [
            {"name": "outcome", "datatype": "BYTES", "shape": [1], "data": ["review"]},
            {"name": "probability", "datatype": "FP64", "shape": [1], "data": [0.61]},
            {"name": "decision", "datatype": "BYTES", "shape": [1], "data": [json.dumps(ANSWER)]},
        ],
    }
    inputs = _object("inputs", {"type": "array", "minItems": 1, "maxItems": 1, "items": tensor})
    outputs = _object("outputs", {"type": "array", "items": {"type": "object"}})
    words = "Whether answers are whole: the model is loaded and the store answers"
    return {
        f"/v1/models/{name}:predict": _many(
            "Decide many (KServe v1; scope score)", "instances", "predictions", most, with_problems=False
        ),
        f"/v2/models/{name}/infer": _call(
            "Decide many (KServe v2; scope score); the tensor holds transactions as JSON, and may be binary",
            "infer",
            (inputs, infer),
            (outputs, inferred),
        ),
        f"/v1/models/{name}": _get(f"/v1/models/{name}", words),
        f"/v2/models/{name}/ready": _get(f"/v2/models/{name}/ready", words),
        f"/v2/models/{name}": _get(f"/v2/models/{name}", "Names, types and shapes of the tensors"),
    }


def _object(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name]}


def _get(path: str, summary: str) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "yes"}}
    if path not in {"/health", "/v2/health/live", "/metrics", "/openapi.json"}:
        responses["503"] = _problem_answer(503)
    operation = path.strip("/").replace("/", "_").replace(".", "_")
    found: dict[str, Any] = {"summary": summary, "operationId": operation, "responses": responses}
    if path in _LOOKS:
        found["security"] = []
    else:
        responses["401"], responses["429"] = _problem_answer(401), _problem_answer(429)
    return {"get": found}


def _responses(schema: dict[str, Any], example: Any, problems: tuple[int, ...]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {
        "200": {"description": "the answer", "content": content},
        **{str(status): _problem_answer(status) for status in problems},
    }


def _problem_answer(status: int) -> dict[str, Any]:
    found = {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}
    if status in {429, 503}:
        found["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return found


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
