"""Topic ``scored``: a transaction that the scoring service has counted and decided, for the archive."""

from typing import Annotated

from pydantic import Field

from fraud.contracts.decision import Outcome, Reason
from fraud.contracts.score import Probability
from fraud.contracts.transaction import Transaction
from fraud.contracts.wire import EventTime

Sequence = Annotated[int, Field(strict=True, ge=1, le=2**53)]
FeatureValue = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ScoredTransaction(Transaction):
    """A transaction with its decision; the stream archives it and does not count it again.

    A schema adds the transaction's fields, and for each entity ``<entity>_sequence``.
    """

    outcome: Outcome
    score: Probability | None
    """Calibrated probability of fraud; None when no model answered (``is_fallback``)."""
    reasons: list[Reason] = Field(default_factory=list)
    model_version: str | None
    policy_version: str | None = None
    """Of the rules."""
    outcome_without_rules: Outcome | None = None
    """As in :class:`~fraud.contracts.Decision`, like the next five."""
    rules: list[str] = Field(default_factory=list)
    shadow_rules: list[str] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    queue: str | None = None
    segment: str | None = None
    is_fallback: bool = False
    features_version: str
    features: dict[str, FeatureValue | None]
    """The vector that was served, by name; None where a feature is missing."""
    scored_at: EventTime
    store: str
    """Identity of the feature store that has counted it."""
    experiment: str | None = None
    """As in :class:`~fraud.contracts.Decision`, like the next three."""
    arm: str | None = None
    shadow_score: Probability | None = None
    shadow_version: str | None = None
