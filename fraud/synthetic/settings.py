"""What a person may choose about a synthetic data set."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fraud.contracts.wire import EARLIEST, LATEST
from fraud.errors import BadConfig
from fraud.settings.base import in_words

DAY_US = 86_400_000_000
LABELS_LAST = timedelta(days=30)
"""How long after the end of its period a world's labels come at most."""


class Drift(StrEnum):
    """How a world changes from a day on; :mod:`fraud.synthetic.drift` tells what each one does."""

    NONE = "none"
    SUDDEN = "sudden"
    GRADUAL = "gradual"
    SEASONAL = "seasonal"
    NEW_PATTERN = "new_pattern"


class GeneratorSettings(BaseModel):
    """The size, the shape and the seed of a data set; the same settings give the same data set.

    Raises
    ------
    BadConfig
        When a setting is out of its range; the message names each one that is wrong.

    Examples
    --------
    >>> GeneratorSettings(users=500).users
    500
    >>> GeneratorSettings(users=0)
    Traceback (most recent call last):
    ...
    fraud.errors.BadConfig: users: Input should be greater than or equal to 20 (got 0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transactions: Annotated[int, Field(ge=100, le=20_000_000)] = 100_000
    """Number of transactions, honest and fraudulent together; it is exact."""
    users: Annotated[int, Field(ge=20, le=10_000_000)] = 10_000
    """Cardholders; a few of them may make no purchase."""
    merchants: Annotated[int, Field(ge=30, le=1_000_000)] = 5_000
    """Merchants, online and with a shop; a few of them may sell nothing."""
    fraud_rate: Annotated[float, Field(ge=0.0, le=0.5)] = 0.02
    """Share of the transactions that are fraud."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    """Seed of all random numbers."""
    days: Annotated[int, Field(ge=14, le=3650)] = 120
    """Length of the period."""
    start: AwareDatetime = datetime(2026, 1, 1, tzinfo=UTC)
    """Beginning of the period."""
    kinds: bool = False
    """Whether there are verifications, withdrawals, refunds and reversals in addition to purchases."""
    drift: Drift = Drift.NONE
    """How the world changes: not at all, or one of four kinds."""
    drift_day: Annotated[int, Field(ge=0)] = 60
    """First day that may differ, counted from the period's start; the days before stay as they were."""
    drift_days: Annotated[int, Field(ge=1)] = 28
    """How long a gradual change grows, and the period of a seasonal one, days."""
    drift_strength: Annotated[float, Field(gt=0.0, le=2.0)] = 1.0
    """Factor on the size of the change."""

    @model_validator(mode="after")
    def _check_drift(self) -> Self:
        if self.drift is not Drift.NONE and self.drift_day >= self.days:
            raise ValueError("drift_day must lie before the end of the period")
        return self

    @model_validator(mode="after")
    def _check_years(self) -> Self:
        last = self.start + timedelta(days=self.days) + LABELS_LAST
        if self.start < EARLIEST or last >= LATEST:
            raise ValueError("start and days must lie in the years 2000 to 2099")
        return self

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadConfig(in_words(error)) from error

    @property
    def span_us(self) -> int:
        """Length of the period in microseconds."""
        return self.days * DAY_US

    @property
    def drift_us(self) -> int:
        """Microseconds from the period's start to the first day that may differ."""
        return self.drift_day * DAY_US

    @property
    def start_us(self) -> int:
        """Beginning of the period, microseconds since 1970 UTC."""
        return round(self.start.timestamp() * 1_000_000)


def past_start(now: datetime, days: int | None = None) -> datetime:
    """Choose the beginning of a world that has happened: the default one, or whole years of 52 weeks before.

    Its last labels lie in the past then, as the platform refuses records from the future.

    Parameters
    ----------
    now
        The machine's time.
    days
        Length of the world's period; by default the generator's own.

    Examples
    --------
    >>> past_start(datetime.fromisoformat("2026-01-09T00:00Z")).date()
    datetime.date(2025, 1, 2)
    """
    default = GeneratorSettings()
    start, period = default.start, timedelta(days=days or default.days)
    while start + period + LABELS_LAST > now:
        start -= timedelta(weeks=52)
    return start
