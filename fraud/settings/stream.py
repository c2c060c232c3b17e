"""Settings that the streaming job shares with every program that reads or writes beside it, by topic.

All are ``FRAUD_STREAM_*``: one deployment sets them once, and each program takes the topics that it needs.
"""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import DeltaAccess, KafkaAccess
from fraud.settings.base import Settings, StateFolder
from fraud.settings.home import in_home


class HomeSettings(Settings):
    """Where the streaming job keeps what must outlive its driver."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")

    home: StateFolder = Field(default_factory=lambda: in_home("stream"))
    """Folder on a volume that outlives the driver: checkpoint, spool, and what Delta and store default to.
    With ``home_uri`` it is this machine's copy of the driver's files, and need not outlive anything."""
    home_uri: str = Field(default="", pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9._-]+)*/?)?$")
    """Place in an object store, e.g. ``s3://bucket/prefix``, that holds checkpoint, spool and Delta tables in
    the folder's stead, so that driver and executors share no volume; ``AWS_*`` give access. Empty: none."""

    @property
    def folder(self) -> Path:
        """Where this machine has the driver's files."""
        return self.home.absolute() / "mirror" if self.home_uri else self.home.absolute()

    @property
    def checkpoint_path(self) -> Path:
        """Spark's checkpoint: offsets and commits."""
        return self.folder / "checkpoint"

    @property
    def spool_path(self) -> Path:
        """Results of micro-batches on their way to Delta, where there is no ``home_uri``."""
        return self.folder / "spool"

    @property
    def spool(self) -> Path | str:
        """Folder or URI of the results of micro-batches."""
        return f"{self.home_uri.rstrip('/')}/spool" if self.home_uri else self.spool_path

    @property
    def rules_path(self) -> Path:
        """Every version of the rules that has decided, and from which micro-batch on."""
        return self.folder / "rules"

    @property
    def rates_path(self) -> Path:
        """The reference rates of the last micro-batches."""
        return self.folder / "rates"

    @property
    def rebuild_mark(self) -> Path | str:
        """There while the feature store is being rebuilt; it must be rebuilt again where it was left."""
        return f"{self.home_uri.rstrip('/')}/rebuilding" if self.home_uri else self.folder / "rebuilding"


class LakeSettings(HomeSettings, DeltaAccess):
    """Where the Delta tables are."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")

    delta: str = ""
    """Where the Delta tables are (path or URI); default ``<home>/delta``, or below ``home_uri``."""

    @property
    def delta_path(self) -> str:
        """Folder or URI of the Delta tables."""
        if self.home_uri:
            return self.delta or f"{self.home_uri.rstrip('/')}/delta"
        return self.delta or str(self.folder / "delta")


class StoreSettings(HomeSettings):
    """Where the feature store is."""

    store_url: str = ""
    """Feature store; default ``lmdb://<home>/store``."""

    @property
    def store(self) -> str:
        """URL of the feature store."""
        return self.store_url or f"lmdb://{self.folder / 'store'}"

    @model_validator(mode="after")
    def _check_store(self) -> Self:
        if self.home_uri and self.store.startswith("lmdb:"):
            raise ValueError(
                "FRAUD_STREAM_HOME_URI keeps the stream's state in an object store, but the feature store is "
                "on this machine: name a Redis or Valkey server by FRAUD_STREAM_STORE_URL"
            )
        return self


class KafkaSettings(KafkaAccess):
    """Where the brokers are; the options of Spark's source are made from ``kafka_options``."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")


class GuardSettings(Settings):
    """What is refused as from the future (``fraud.contracts.future``)."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")

    most_ahead_s: float = Field(default=300.0, ge=0.0, le=3_200_000_000.0)
    """How far a record may be dated ahead of its append time, seconds; one further ahead is a dead letter.
    A backfill and a replay of dead letters leave it out. A source has its own bound, if the schema has one
    (part ``future``)."""


class LogSettings(LakeSettings, StoreSettings):
    """Where the log, the feature store and the stream's own files are: for what makes one from the other."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")
