"""Settings of the training job, read from the environment (``FRAUD_TRAIN_*``) or given by a caller."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fraud.errors import BadInput

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Cost = Annotated[float, Field(ge=0.0)]


class TrainSettings(BaseSettings):
    """What to train on, what errors cost, and where the model goes."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_TRAIN_", frozen=True, extra="forbid")

    data: Path = Path("data")
    """Folder with ``transactions.parquet`` and ``labels.parquet``."""
    as_of: AwareDatetime | None = None
    """The moment of training: no label that came later is used. None: ``test_share`` of the data's
    time span before its end."""
    test_share: Share = 0.25
    """Share of the time span that is test when ``as_of`` is not given."""
    label_gap_days: Annotated[float, Field(ge=0.0)] = 21.0
    """How long verdicts take, days. Transactions younger than this at ``as_of`` are not trained on;
    an older one without a verdict counts as honest."""
    validation_share: Share = 0.2
    """Last part of the training time span, kept for early stopping, calibration and thresholds."""
    review_cost: Cost = 5.0
    """An analyst's review, currency units."""
    wrong_decline_cost: Cost = 20.0
    """Declining an honest transaction, currency units. Approving a fraud costs its amount."""
    review_capacity: Share = 0.02
    """Greatest share of transactions that analysts can review."""
    seed: int = 7
    """Of everything random."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of the training; 0: all cores."""
    mlflow_uri: str = "http://127.0.0.1:5000"
    """MLflow tracking server and registry; ``sqlite:///<file>`` works without a server."""
    experiment: str = "fraud"
    """MLflow experiment."""
    model_name: str = "fraud"
    """Name in the registry."""
    alias: str = "champion"
    """Alias that the new version gets; empty: none."""


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time with an offset, or a date (midnight UTC).

    Raises
    ------
    BadInput
        When it is neither.

    Examples
    --------
    >>> parse_time("2026-03-01").isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"as-of must be a time such as 2026-03-01T00:00:00Z; got {text!r}") from error
    return value if value.tzinfo else value.replace(tzinfo=UTC)
