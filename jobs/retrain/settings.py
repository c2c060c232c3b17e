"""Settings of the retraining (``FRAUD_RETRAIN_*``); training, gate and rollout keep their own prefixes."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.errors import BadInput
from fraud.learn.settings import Share
from fraud.settings.base import Settings, parse_time
from fraud.settings.home import in_home

Limit = Annotated[float, Field(ge=0.0)]


class RetrainSettings(Settings):
    """Where the steps leave their results, and what data are refused."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_RETRAIN_", frozen=True, extra="forbid")

    work: Path = Field(default_factory=lambda: in_home("retrain"))
    """Folder that the steps share (a volume, where they are containers): one folder an interval."""
    result: Path | None = None
    """File for the last record as JSON, for a scheduler that runs step by step (Airflow's XCom)."""
    gate_days: Annotated[float, Field(gt=0.0)] = 14.0
    """Length of the newest matured period, which the gate judges on and the training does not see."""

    min_rows: Annotated[int, Field(ge=1)] = 100
    """Fewest transactions of an interval."""
    volume_factor: Annotated[float, Field(gt=1.0)] = 3.0
    """Greatest ratio, either way, of the interval's transactions a day to those of the four weeks before."""
    max_duplicates: Limit = 0.001
    """Greatest share of repeated transaction ids."""
    max_fraud_share: Share = 0.2
    """Greatest share of fraud among the matured transactions."""
    fraud_factor: Annotated[float, Field(gt=1.0)] = 4.0
    """Greatest ratio, either way, of the share of fraud of the newest matured transactions to that before."""
    max_missing_rise: Limit = 0.3
    """Greatest rise of the missing share of an optional column over the four weeks before."""
    max_amount: Annotated[float, Field(gt=0.0)] = 10_000_000.0
    """Greatest amount, currency units."""


class Interval:
    """A data interval [start, end); ``end`` is the moment of the retraining.

    Examples
    --------
    >>> Interval.parse("2026-03-01/2026-03-02").name
    '20260301T000000-20260302T000000'
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        if end - start < timedelta(hours=1):
            raise BadInput(
                f"an interval must be an hour or longer; got {start.isoformat()} to {end.isoformat()}"
            )
        self.start = start
        self.end = end

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Read ``START/END``, dates or times.

        Raises
        ------
        BadInput
            When it is not of that form.
        """
        parts = text.split("/")
        if len(parts) != 2:
            raise BadInput(f"an interval must look like 2026-03-01/2026-03-02; got {text!r}")
        return cls(parse_time(parts[0]), parse_time(parts[1]))

    @property
    def name(self) -> str:
        """Names its folder and its version's tag."""
        return f"{self.start:%Y%m%dT%H%M%S}-{self.end:%Y%m%dT%H%M%S}"
