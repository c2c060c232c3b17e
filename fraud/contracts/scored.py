"""Topic ``scored``: a transaction that the scoring service has counted and decided, for the archive."""

from typing import Annotated

from pydantic import Field

from fraud.contracts.decision import DecisionPart
from fraud.contracts.transaction import Transaction
from fraud.contracts.wire import EventTime

Sequence = Annotated[int, Field(strict=True, ge=1, le=2**53)]
FeatureValue = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ScoredTransaction(DecisionPart, Transaction):
    """A transaction with its decision; the stream archives it and does not count it again.

    A schema adds the transaction's fields, and for each entity ``<entity>_sequence``.
    """

    features_version: str
    features: dict[str, FeatureValue | None]
    """The vector that was served, by name; None where a feature is missing."""
    scored_at: EventTime
    store: str
    """Identity of the feature store that has counted it."""
