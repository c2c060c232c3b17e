"""Settings of the evaluation job (``FRAUD_EVALUATE_*``) and of the gate (``FRAUD_GATE_*``)."""

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from fraud.learn.settings import SourceSettings
from fraud.settings.base import Settings


class EvaluateSettings(SourceSettings):
    """Which model to evaluate, on what."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_EVALUATE_", frozen=True, extra="forbid")

    model: str = "champion"
    """Version or alias in the registry."""
    test_from: AwareDatetime | None = None
    """Beginning of the period; None: the model's own moment of training, so that it has seen none of it."""
    test_until: AwareDatetime | None = None
    """End of the period; None: the end of the data."""
    out: Path = Path("evaluation")
    """Folder for report.html, metrics.json and the pictures."""
    bootstrap: Annotated[int, Field(ge=0)] = 200
    """Resamples of users behind the intervals; 0: none."""


class GateSettings(Settings):
    """What a challenger must keep to become champion."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_GATE_", frozen=True, extra="forbid")

    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.9
    """One-sided confidence that the PR-AUC rises by at least ``min_gain``, by resampled users."""
    min_gain: float = 0.0
    """Least rise of the PR-AUC over the champion's."""
    min_frauds: Annotated[int, Field(ge=1)] = 50
    """Frauds that the period must have for a judgement."""
    resamples: Annotated[int, Field(ge=50)] = 400
    """Of the users."""
    max_calibration_error: Annotated[float, Field(gt=0.0)] = 0.02
    """Greatest expected calibration error."""
    max_bias: Annotated[float, Field(gt=1.0)] = 1.5
    """Greatest ratio, either way, of the frauds that the probabilities add up to and those that came."""
    max_latency_ms: Annotated[float, Field(gt=0.0)] = 10.0
    """Greatest 99th percentile of scoring one transaction on one thread, milliseconds."""
    segment_drop: Annotated[float, Field(gt=0.0)] = 0.1
    """Greatest fall of the PR-AUC below the champion's in any segment."""
    segment_frauds: Annotated[int, Field(ge=1)] = 20
    """Segments with fewer frauds are not judged."""
    seed: int = 7
    """Of the resampling."""
