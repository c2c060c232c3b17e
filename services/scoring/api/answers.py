"""What the endpoints answer, as models: the OpenAPI document is made of them.

The answers themselves are written without them (``services.scoring.records``), which takes a tenth of the
time; a fuzz over the document holds both together.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from fraud.contracts import Outcome, Reason
from services.scoring.records import Part


class Answer(BaseModel):
    """The decision on one transaction."""

    transaction_id: str
    outcome: Outcome
    score: Annotated[float, Field(ge=0.0, le=1.0)] | None
    reasons: list[Reason]
    model_version: str | None
    policy_version: str | None
    outcome_without_rules: Outcome
    rules: list[str]
    shadow_rules: list[str]
    tags: list[str]
    queue: str | None
    segment: str | None
    is_fallback: Annotated[bool, Field(description="no model answered; the documented fallback did")]
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
