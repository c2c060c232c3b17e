"""The OpenAPI document, made from the declarations of the endpoints and their models."""

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from fraud import __version__
from fraud.http.problems import MEDIA_TYPE, TITLES
from services.scoring.api.answers import Problem
from services.scoring.api.routes import ID, Route, Sample


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Make the document of these endpoints."""
    samples = [sample for route in routes for sample in (route.request, route.answer) if sample]
    models: Any = dict.fromkeys([Problem, *(sample.model for sample in samples)])
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
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
        "paths": {route.path: {route.method.lower(): _operation(route)} for route in routes},
        "components": {
            "schemas": found["$defs"],
            "headers": {
                "RetryAfter": {"description": "whole seconds", "schema": {"type": "integer", "minimum": 1}}
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": route.summary + (f" (scope {route.scope})" if route.scope else ""),
        "operationId": route.operation,
    }
    if ID in route.path:
        text = {"type": "string", "minLength": 1, "maxLength": 64}
        made["parameters"] = [{"name": ID.strip("{}"), "in": "path", "required": True, "schema": text}]
    if route.request:
        made["requestBody"] = {"required": True, "content": _content(route.request)}
    done = {"description": "the answer", **({"content": _content(route.answer)} if route.answer else {})}
    made["responses"] = {"200": done, **{str(status): _problem(status) for status in _statuses(route)}}
    if route.is_open:
        made["security"] = []
    return made


def _statuses(route: Route) -> list[int]:
    """List the problems that a call may end in."""
    found = {*route.problems}
    if not route.is_open:
        found |= {401, 429}
    if route.scope:
        found.add(403)
    if route.request:
        found |= {400, 413, 415, 422}
    return sorted(found)


def _content(sample: Sample) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(sample.model.__name__), "example": sample.example}}


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": TITLES[status],
        "content": {MEDIA_TYPE: {"schema": _ref(Problem.__name__)}},
    }
    if status in {429, 503}:
        found["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return found


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
