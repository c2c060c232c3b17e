"""How programs reach what they share: Kafka, the Delta tables, the model registry.

Each program's own settings are composed of these, under the prefix that its own ``model_config`` states (of
several bases the last one's prefix would hold); so a variable such as ``FRAUD_SCORING_KAFKA_OPTIONS`` means
the same in every program.
"""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings


class KafkaAccess(Settings):
    """Where the brokers are."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap: str = "127.0.0.1:9092"
    """Host and port of the brokers, comma separated."""
    kafka_options: dict[str, str] = Field(default_factory=dict)
    """Further client options under librdkafka's names, e.g. ``{"security.protocol": "SSL"}``."""


class DeltaAccess(Settings):
    """How the object store of the Delta tables is reached."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    delta_options: dict[str, str] = Field(default_factory=dict)
    """Access to the tables' object store, under delta-rs' names, e.g. ``{"AWS_REGION": "eu-west-1"}``."""


class JudgedTables(Settings):
    """Which Delta tables a job judges; ``FRAUD_STREAM_DELTA_OPTIONS`` gives access to their object store."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    delta: str = ""
    """Path or URI under which the Delta tables lie; default: where the stream writes (FRAUD_STREAM_*)."""


class MlflowAccess(Settings):
    """Where models are registered."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    mlflow_uri: str = "http://127.0.0.1:5000"
    """MLflow tracking server: an address, ``sqlite:///<file>``, or ``databricks[://profile]``."""
    registry_uri: str = ""
    """MLflow registry where it is another one, e.g. ``databricks-uc``; empty: ``mlflow_uri``'s own."""


class ModelAccess(MlflowAccess):
    """Where one model's versions are registered."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    model_name: str = "fraud"
    """Name in the registry; in Unity Catalog ``catalog.schema.model``."""
