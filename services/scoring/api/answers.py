"""What the endpoints answer, as models: the OpenAPI document is made of them.

The answers themselves are written without them (``services.scoring.records``), which takes a tenth of the
time; a fuzz over the document holds both together.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fraud.contracts import Outcome
from fraud.contracts.decision import OutcomePart, RulesPart
from services.scoring.records import Part


def _need_all(schema: dict[str, Any]) -> None:
    """Say that every field is there: records of earlier releases may lack some, answers do not."""
    for described in schema["properties"].values():
        described.pop("default", None)
    schema["required"] = list(schema["properties"])


class Answer(RulesPart, OutcomePart):
    """The decision on one transaction."""

    model_config = ConfigDict(json_schema_extra=_need_all)

    transaction_id: str
    outcome_without_rules: Outcome
    degraded: list[Part]
    features_version: str
    scored_at: datetime


class Accepted(BaseModel):
    """What became of a label."""

    transaction_id: str
    status: Annotated[
        Literal["accepted", "pending"], Field(description="pending: kept until its transaction is known")
    ]


class ProfileTaken(BaseModel):
    """What became of a profile."""

    entity: str
    status: Literal["accepted"]


class ListChanged(BaseModel):
    """What became of a change."""

    list: str
    status: Literal["accepted"]


class WrongField(BaseModel):
    """One field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """Why there is no answer (RFC 9457); :class:`fraud.http.problems.Problem` writes it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[WrongField] = []


class Answers(BaseModel):
    """An answer or a problem for each transaction, in the order of the request."""

    answers: list[Answer | Problem]


class Predictions(BaseModel):
    """An answer for each transaction (KServe v1)."""

    predictions: list[Answer]


class InferAnswer(BaseModel):
    """The tensors ``outcome``, ``probability`` and ``decision`` (KServe v2)."""

    outputs: list[dict[str, Any]]
