"""Topics ``decisions`` (all) and ``alerts`` (those not approved): what was decided, and why."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from fraud.contracts.score import Probability
from fraud.contracts.wire import EventTime, Identifier, Record


class Outcome(StrEnum):
    """What happens to the transaction."""

    APPROVE = "approve"
    REVIEW = "review"
    CHALLENGE = "challenge"
    """The cardholder is asked for another step (3DS): by a rule, or by the thresholds of a segment."""
    DECLINE = "decline"


class Reason(Record):
    """One reason of a decision."""

    code: str
    """A feature's name, or the code of a rule."""
    text: str
    """In words, for the analyst."""


class OutcomePart(BaseModel):
    """What the model, or the fallback, makes of a transaction."""

    outcome: Outcome
    score: Probability | None
    """Calibrated probability of fraud; None if the model was unavailable (``is_fallback``)."""
    reasons: list[Reason] = Field(default_factory=list)
    model_version: str | None
    """Version in the registry; None if the model was unavailable."""
    is_fallback: bool = False
    """True where the documented fallback decided, because the model did not answer in time."""


class RulesPart(BaseModel):
    """What rules make of it."""

    policy_version: str | None = None
    """Of the rules that had a say; None where there were none."""
    outcome_without_rules: Outcome | None = None
    """Of the model, or of the fallback; None in records of earlier releases."""
    rules: list[str] = Field(default_factory=list)
    """Live rules that held, also those that another one went before."""
    shadow_rules: list[str] = Field(default_factory=list)
    """Rules that held without effect: in shadow, or outside of their share."""
    tags: list[str] = Field(default_factory=list)
    """Of the live rules that held."""
    queue: str | None = None
    """Where a case of it goes; None: to the common queue."""
    segment: str | None = None
    """Whose thresholds decided by score; None: the model's own, or no score."""


class TrialPart(BaseModel):
    """The experiment that it is part of."""

    experiment: str | None = None
    """Id of the experiment (``fraud.decide.experiment``)."""
    arm: str | None = None
    """The user's arm."""
    shadow_score: Probability | None = None
    """Of the model that was scored without effect."""
    shadow_version: str | None = None


class DecisionPart(TrialPart, RulesPart, OutcomePart):
    """What is decided of a transaction: the one list of its fields.

    The topics ``decisions`` and ``scored``, the table ``decisions`` (``fraud.log.rows``) and the answers of
    the API (``services.scoring.api.answers``) are made of it.
    """


class _Decided(Record):
    """Which transaction."""

    transaction_id: Identifier
    event_time: EventTime
    amount: float


class Decision(DecisionPart, _Decided):
    """The decision on one transaction; a schema adds the transaction's keys."""

    features_version: str
    received_at: EventTime
    """When the broker took the transaction (log append time)."""
    processed_at: EventTime
    """When it was decided."""
    epoch: Annotated[int, Field(ge=-1)]
    """The micro-batch that decided it; -1: the scoring service."""
    source_partition: int
    """-1: the scoring service."""
    source_offset: int
