"""Settings of the simulator's container (``FRAUD_SIMULATOR_*``)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import KafkaAccess
from fraud.synthetic.settings import Drift, GeneratorSettings

_DEFAULT = GeneratorSettings()


class SimulatorSettings(KafkaAccess):
    """What to send, to which brokers and how fast."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_SIMULATOR_", frozen=True, extra="forbid")

    data: Path | None = None
    """Folder of a data set; without one, it is generated from the settings below."""
    transactions: int = _DEFAULT.transactions
    """Transactions to generate."""
    users: int = _DEFAULT.users
    """Cardholders to generate."""
    merchants: int = _DEFAULT.merchants
    """Merchants to generate."""
    fraud_rate: float = _DEFAULT.fraud_rate
    """Share of fraud, 0 to 0.5."""
    seed: int = _DEFAULT.seed
    """Seed of all random numbers."""
    days: int = _DEFAULT.days
    """Length of the generated period, days."""
    start: AwareDatetime = _DEFAULT.start
    """Beginning of the generated period."""
    kinds: bool = _DEFAULT.kinds
    """Whether to generate verifications, withdrawals, refunds and reversals, too."""
    drift: Drift = _DEFAULT.drift
    """How the generated world changes."""
    drift_day: int = _DEFAULT.drift_day
    """First day that may differ, counted from the period's start."""
    drift_days: int = _DEFAULT.drift_days
    """How long a gradual change grows, and the period of a seasonal one, days."""
    drift_strength: float = _DEFAULT.drift_strength
    """Factor on the size of the change."""
    rate_per_s: float | None = None
    """Transactions a second; this or ``speedup``, or neither: as fast as possible."""
    speedup: float | None = None
    """Times faster than the data's own clock."""
    labels: bool = True
    """Whether labels are sent too, each at its time."""
    play_from: AwareDatetime | None = None
    """Leave out records before this time."""
    play_until: AwareDatetime | None = None
    """Leave out records at or after this time."""
    host: str = "127.0.0.1"
    """Address that metrics are served on."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9405
    """Port of ``/metrics`` and ``/ready``."""
    at_end: Literal["stay", "exit"] = "stay"
    """``stay``: keep running after the last record, so that no restart sends all again; ``exit``: end."""
