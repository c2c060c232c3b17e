"""What the model server answers, and what it was asked."""

from typing import Annotated

from pydantic import Field, model_validator

from fraud.contracts.wire import Identifier, Record

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class FeatureVector(Record):
    """The features served for one transaction, in the order of the feature table."""

    transaction_id: Identifier
    features_version: str
    """Of the feature table, ``fraud.features.FEATURES_VERSION``."""
    values: list[float | None]
    """One value a feature; None where the feature is missing."""


class Thresholds(Record):
    """Where review, challenge and decline begin; the model's own are stored with it and have no challenge."""

    review: Probability
    decline: Probability
    challenge: Probability | None = None
    """Threshold between the two; None: no transaction is challenged by its score."""

    @model_validator(mode="after")
    def _check_order(self) -> "Thresholds":
        if self.review > self.decline:
            raise ValueError("review must not lie above decline")
        if self.challenge is not None and not self.review <= self.challenge <= self.decline:
            raise ValueError("challenge must lie between review and decline")
        return self


class Score(Record):
    """The model's answer for one transaction."""

    transaction_id: Identifier
    probability: Probability
    """Calibrated probability of fraud."""
    model_version: str
    """Version in the registry."""
    features_version: str
