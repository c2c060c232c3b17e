"""Settings of the performance job (``FRAUD_PERFORMANCE_*``)."""

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import JudgedTables
from fraud.settings.home import in_home

Days = Annotated[int, Field(ge=1, le=365)]


class PerformanceSettings(JudgedTables):
    """Which decisions to measure, by which labels, and where the result goes."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_PERFORMANCE_", frozen=True, extra="forbid")

    as_of: AwareDatetime | None = None
    """Judge by what was known at this time; None: that of the newest event or label, at most now."""
    windows_days: Annotated[tuple[Days, ...], Field(min_length=1)] = (7, 14, 30)
    """Maturity windows, days: a transaction is judged at that age, by the label that it had then."""
    period_days: Days = 28
    """Length of the period that is measured, days."""
    earlier_days: Days = 56
    """Length of the stretch before it that a fall is measured from, days."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Relative fall of a figure that is tolerated."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    """Chance of a false alarm in one figure."""
    min_frauds: Annotated[int, Field(ge=1)] = 30
    """Frauds that both stretches need before a fall is judged."""
    draws: Annotated[int, Field(ge=50, le=10_000)] = 400
    """Random draws behind each estimate and each bound."""
    seed: int = 7
    """Seed of the draws."""
    out: Path = Field(default_factory=lambda known: in_home("performance", known["delta"]))
    """Folder for performance.json, performance.png and report.html; default ``performance`` in the home
    of the tables."""
    publishes: bool = True
    """Whether the figures go to the Delta table ``figures``, which the stream exports to Prometheus."""
    is_strict: bool = False
    """Whether a fall ends the command with exit code 3; else 0, whatever was found."""
