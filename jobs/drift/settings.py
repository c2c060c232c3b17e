"""Settings of the drift job (``FRAUD_DRIFT_*``)."""

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import JudgedTables, ModelAccess
from fraud.settings.home import in_home


class Limits(BaseModel):
    """What counts as drift."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    """False discovery rate of a day, over all columns."""
    gate: Annotated[float, Field(ge=0.0)] = 0.05
    """Least PSI beyond an ordinary day's."""
    major: Annotated[float, Field(gt=0.0)] = 0.25
    """PSI above an ordinary day's that raises an alarm even if the change was slow."""
    volume_factor: Annotated[float, Field(gt=1.0)] = 1.5
    """Least ratio, either way, of a day's transactions to those of the training's same weekdays."""
    persistence: Annotated[int, Field(ge=1)] = 2
    """Days, of the last ``window``, on which a column must be flagged to alarm."""
    window: Annotated[int, Field(ge=1, le=14)] = 3
    """How many of the newest days ``persistence`` counts over."""
    min_rows: Annotated[int, Field(ge=1)] = 100
    """Rows that a column needs on a day; with fewer, it is not judged."""


class DriftSettings(JudgedTables, ModelAccess):
    """Which days to compare with which profile, and where the report goes."""

    model_config = SettingsConfigDict(
        env_prefix="FRAUD_DRIFT_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    until: AwareDatetime | None = None
    """Judge the whole days (UTC) that end before this time; None: before the newest event in the tables."""
    model: str = "champion"
    """Version or alias whose profile is the reference."""
    limits: Limits = Limits()
    """What counts as drift; one by one as ``FRAUD_DRIFT_LIMITS__GATE`` and so on."""
    out: Path = Field(default_factory=lambda known: in_home("drift", known["delta"]))
    """Default: ``drift`` in the home of the tables. Folder for drift.json and report.html."""
    publishes: bool = True
    """Whether the figures go to the Delta table ``figures``, which the stream exports to Prometheus."""
    is_strict: bool = False
    """Whether drift ends the command with exit code 3; else 0, whatever was found."""
