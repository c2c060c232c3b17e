"""Settings that the streaming job shares with every program that reads or writes beside it, by topic.

All are ``FRAUD_STREAM_*``: one deployment sets them once, and each program takes the topics that it needs.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings, StateFolder
from fraud.settings.home import in_home


class HomeSettings(Settings):
    """Where the streaming job keeps what must outlive its driver."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")

    home: StateFolder = Field(default_factory=lambda: in_home("stream"))
    """Folder on a volume that outlives the driver: checkpoint, spool, and what Delta and store default to."""

    @property
    def checkpoint_path(self) -> Path:
        """Spark's checkpoint: offsets and commits."""
        return self.home.absolute() / "checkpoint"

    @property
    def spool_path(self) -> Path:
        """Results of micro-batches on their way to Delta."""
        return self.home.absolute() / "spool"

    @property
    def rules_path(self) -> Path:
        """Every version of the rules that has decided, and from which micro-batch on."""
        return self.home.absolute() / "rules"

    @property
    def rebuild_mark(self) -> Path:
        """There while the feature store is being rebuilt; it must be rebuilt again where it was left."""
        return self.home.absolute() / "rebuilding"


class LakeSettings(HomeSettings):
    """Where the Delta tables are."""

    delta: str = ""
    """Where the Delta tables are (path or URI); default ``<home>/delta``."""
    delta_options: dict[str, str] = Field(default_factory=dict)
    """Access to the tables' object store, under delta-rs' names, e.g. ``{"AWS_REGION": "eu-west-1"}``."""

    @property
    def delta_path(self) -> str:
        """Folder or URI of the Delta tables."""
        return self.delta or str(self.home.absolute() / "delta")


class StoreSettings(HomeSettings):
    """Where the feature store is."""

    store_url: str = ""
    """Feature store; default ``lmdb://<home>/store``."""

    @property
    def store(self) -> str:
        """URL of the feature store."""
        return self.store_url or f"lmdb://{self.home.absolute() / 'store'}"


class KafkaSettings(Settings):
    """Where the brokers are."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")

    kafka_bootstrap: str = "127.0.0.1:9092"
    """Host and port of the brokers, comma separated."""
    kafka_options: dict[str, str] = Field(default_factory=dict)
    """Further client options under librdkafka's names, e.g. ``{"security.protocol": "SSL"}``; those of
    Spark's source are made from them."""


class GuardSettings(Settings):
    """What is refused as from the future (``fraud.contracts.future``)."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")

    most_ahead_s: float = Field(default=300.0, ge=0.0, le=3_200_000_000.0)
    """How far a record may be dated ahead of its append time, seconds; one further ahead is a dead letter.
    A backfill and a replay of dead letters leave it out. A source has its own bound, if the schema has one
    (part ``future``)."""


class LogSettings(LakeSettings, StoreSettings):
    """Where the log, the feature store and the stream's own files are: for what makes one from the other."""
