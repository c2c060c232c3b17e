"""Settings of backups (``FRAUD_BACKUP_*``); where the stream keeps its files, ``FRAUD_STREAM_*`` says."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings
from fraud.settings.home import in_home


class BackupSettings(Settings):
    """Where backups are kept, and where the model registry is."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_BACKUP_", frozen=True, extra="forbid")

    place: str = Field(default_factory=lambda: str(in_home("backups").absolute()))
    """Folder or URI (``s3://bucket/path``, with credentials in ``AWS_*``) of the backups."""
    keep: int = Field(default=7, ge=1)
    """Backups that stay when a new one has been taken."""
    mlflow_database: Path = Field(default_factory=lambda: in_home("mlflow") / "mlflow.db")
    """MLflow's SQLite file. One in a Postgres is backed up by Postgres' own tools."""
    mlflow_artifacts: Path = Field(default_factory=lambda: in_home("mlflow") / "artifacts")
    """Folder of MLflow's artifacts. Those in an object store are kept by its versions."""
