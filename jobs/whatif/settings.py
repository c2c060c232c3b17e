"""Settings of the what-if report (``FRAUD_WHATIF_*``)."""

from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from fraud.learn.settings import CostSettings
from fraud.log.sql import CASE_DAYS
from fraud.settings.access import JudgedTables, ModelAccess
from fraud.settings.home import in_home


class WhatIfSettings(JudgedTables, CostSettings, ModelAccess):
    """Which decisions to judge, what outcomes cost, and where the report goes."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_WHATIF_", frozen=True, extra="forbid")

    since: AwareDatetime | None = None
    """Beginning of the period; None: where the models that decided had been trained."""
    until: AwareDatetime | None = None
    """End of the period; None: the last transaction that is old enough for its label."""
    label_gap_days: Annotated[float, Field(ge=0.0)] = 21.0
    """How long labels take to arrive, days: an older transaction without one is honest, a younger one is
    left out."""
    trained_until: AwareDatetime | None = None
    """When the model had been trained that decided; None: as the registry says (tag ``as_of``)."""
    reviews_per_day: Annotated[float, Field(gt=0.0)] | None = None
    """Transactions that can be reviewed a day: the report takes the threshold that gives so many. None:
    it takes the decisions as they were made."""
    case_gap_days: Annotated[float, Field(gt=0.0)] = float(CASE_DAYS)
    """A fraud of a card that comes so many days after its last one begins a new case."""
    bootstrap: Annotated[int, Field(ge=20, le=10_000)] = 200
    """Resamples of cards behind the intervals."""
    seed: int = 7
    """Seed of the resampling."""
    out: Path = Field(default_factory=lambda known: in_home("whatif", known["delta"]))
    """Folder for whatif.html, whatif.json and cases.csv; default ``whatif`` in the home of the tables."""
