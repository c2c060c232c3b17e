"""Settings of the embedded platform, read from the environment (``FRAUD_LOCAL_*``)."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from fraud.errors import BadConfig
from fraud.settings.base import Settings, StateFolder
from fraud.settings.names import suggest


class LocalSettings(Settings):
    """Where the embedded platform lives, and on which ports; 0 stands for any free port."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_LOCAL_", frozen=True, extra="forbid")

    home: StateFolder = Path(".fraud")
    """Folder for all that the platform keeps: data, logs, process ids."""
    host: str = "127.0.0.1"
    """Address that the parts listen on and are reached at."""
    kafka_port: int = Field(default=9092, ge=0, le=65535)
    """Port of the broker for its clients."""
    kafka_controller_port: int = Field(default=9093, ge=0, le=65535)
    """Port that the broker uses for its own coordination."""
    kafka_partitions: int = Field(default=4, ge=1)
    """Partitions that each new topic gets."""
    kafka_heap_mb: int = Field(default=768, ge=128)
    """Java heap of the broker at most, MiB."""
    mlflow_port: int = Field(default=5000, ge=0, le=65535)
    """Port of MLflow, the tracking server and model registry."""
    predictor_port: int = Field(default=8080, ge=0, le=65535)
    """Port of the model server, for scores and for ``/metrics``."""
    canary_port: int = Field(default=8081, ge=0, le=65535)
    """Port of a second model server, which runs while `fraud rollout` tries a version. The model server fixes
    the port at its start; the rollout asks it for the port."""
    stream_metrics_port: int = Field(default=9404, ge=0, le=65535)
    """Port of the streaming job's ``/metrics`` and ``/ready``."""
    scoring_port: int = Field(default=8090, ge=0, le=65535)
    """Port of the scoring service, for decisions and for ``/metrics``."""
    console_port: int = Field(default=8070, ge=0, le=65535)
    """Port of the console."""
    ready_timeout_s: float = Field(default=180.0, gt=0.0)
    """How long a part may take until it is ready, seconds."""

    @model_validator(mode="after")
    def _refuse_unknown(self) -> Self:
        """Refuse a variable of this prefix that is no setting: a misspelt one would change nothing."""
        prefix = "FRAUD_LOCAL_"
        known = [f"{prefix}{name.upper()}" for name in type(self).model_fields]
        for name in os.environ:
            if name.upper().startswith(prefix) and name.upper() not in known:
                raise BadConfig(f"{name}: there is no such setting; {suggest(name.upper(), known)}")
        return self

    @property
    def home_path(self) -> Path:
        """The home folder as an absolute path."""
        return self.home.expanduser().resolve()
