"""The deployed schema's examples of requests and answers, and its OpenAPI document, by name."""

from typing import Any, Final

from fraud.schema.deployed import deployed_schema
from services.scoring.api.examples import LABEL, examples_of
from services.scoring.api.openapi import document as document_of
from services.scoring.api.routes import routes_of

__all__ = ["ANSWER", "LABEL", "TRANSACTION", "document"]

TRANSACTION: Final[dict[str, Any]] = examples_of(deployed_schema()).transaction
ANSWER: Final[dict[str, Any]] = examples_of(deployed_schema()).answer


def document() -> dict[str, Any]:
    """Make the document of a service with the default settings."""
    return document_of(routes_of(deployed_schema()))
