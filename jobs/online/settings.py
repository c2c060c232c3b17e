"""Settings of the online learner (``FRAUD_ONLINE_*``)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.learn.settings import Days, SourceSettings
from fraud.settings.access import KafkaAccess
from fraud.settings.home import in_home


class OnlineSettings(SourceSettings, KafkaAccess):
    """Where labels come from, which transactions the learner trains on, and what it adds to the model."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_ONLINE_", frozen=True, extra="forbid")

    kafka_bootstrap: str = "127.0.0.1:9092"
    """Host and port of the brokers, comma separated; empty: no topic, the tables' labels alone."""
    work: Path = Field(default_factory=lambda: in_home("online"))
    """Folder with the labels read from the topic, and the offsets up to which they were read."""
    patience_s: Annotated[float, Field(gt=0.0)] = 30.0
    """How long reading the topic may take, seconds."""

    window_days: Days = 45.0
    """Length of the window that the learner trains on, days of event time."""
    ripe_days: Annotated[float, Field(ge=0.0)] = 7.0
    """A transaction counts as honest if it is older than this and no label says fraud."""
    rounds: Annotated[int, Field(ge=1)] = 200
    """Trees that are added to the champion's."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.06
    """Weight of each of these trees."""
    leaves: Annotated[int, Field(ge=2)] = 12
    """Most leaves of each tree."""
    rows: Annotated[int, Field(ge=1_000)] = 60_000
    """Transactions of the window that are learnt from at most: every fraud, and a sample of the honest."""
    least_frauds: Annotated[int, Field(ge=1)] = 30
    """Fewest frauds in the window; with fewer, no model is trained."""
    judge_days: Days = 7.0
    """Newest days, which the learner leaves out and the gate judges on."""
