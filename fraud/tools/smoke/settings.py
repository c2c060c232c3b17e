"""Settings of the smoke test (``FRAUD_SMOKE_*``)."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import KafkaAccess


class SmokeSettings(KafkaAccess):
    """How much to send, where, and how long an answer may take."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_SMOKE_", frozen=True, extra="forbid")

    predictor_url: str = ""
    """Base address of a model server that must answer first; empty: none is asked."""
    transactions: Annotated[int, Field(ge=100)] = 300
    """Number of transactions to send."""
    rate_per_s: Annotated[float, Field(gt=0.0)] = 50.0
    """Rate, transactions a second."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of the transactions; None: a new one each time, so that no run repeats an earlier one's."""
    wait_s: Annotated[float, Field(gt=0.0)] = 180.0
    """How long the last decision may take after the last transaction, seconds."""
    needs_model: bool = True
    """Whether a decision without the model fails the test."""
