"""Settings of the console, read from the environment (``FRAUD_CONSOLE_*``)."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import DeltaAccess, KafkaAccess


class ConsoleSettings(KafkaAccess, DeltaAccess):
    """Where it listens, who may log in, and what it reads."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_CONSOLE_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on; any other than loopback needs ``keys_file``."""
    port: int = Field(default=8070, ge=0, le=65535)
    """HTTP port; 0: any free one."""
    keys_file: Path | None = None
    """YAML ``analyst: {sha256: of the API key in hex, scopes: [read, label]}``, the scoring service's too."""
    is_https: bool = False
    """Whether people use HTTPS (a proxy ends it); browsers then send the session's cookie by HTTPS only."""
    session_secret: SecretStr = SecretStr("")
    """Signs sessions. All replicas need the same; they then follow each other's logouts on the topic
    ``sessions``. Empty: a random one, so sessions end with the process."""
    session_s: float = Field(default=43_200.0, gt=0.0, le=604_800.0)
    """How long a session lasts, seconds; at most as long as the topic ``sessions`` keeps logouts."""
    max_readers: int = Field(default=200, ge=1)
    """Pages that may follow live at a time."""
    max_readers_of_one: int = Field(default=6, ge=1)
    """Pages that one session may follow live at a time."""

    kafka_timeout_s: float = Field(default=5.0, gt=0.0)
    """How long Kafka may take to accept a label, seconds."""
    look_back: int = Field(default=20_000, ge=0)
    """Newest decisions of each partition that are read again at the start, and all labels since the first."""
    kept: int = Field(default=2_000, ge=10)
    """Alerts held in memory, the newest; older ones are found in the archive by their id."""

    delta: str = ""
    """Path or URI of the Delta tables; empty: cases show only what is in Kafka."""
    history_days: float = Field(default=60.0, gt=0.0)
    """How much of a user's history a case shows, days before it."""

    rules_file: Path | None = None
    """Rules file of the stream and the scoring service, shown and published here; None: the page is empty."""
    rules_audit: Path | None = None
    """Who published what; default: ``<rules_file>.audit.jsonl``."""
    rules_copies: bool = False
    """Whether every record of the audit goes to the topic and the Delta table ``audit`` too."""
    rules_days: int = Field(default=30, ge=1)
    """How many of the newest days the report of the rules and the trial of a proposal cover."""
    rules_report_s: float = Field(default=60.0, ge=0.0)
    """Age from which the report of the rules is computed again, seconds."""

    mlflow_uri: str = "http://127.0.0.1:5000"
    """MLflow tracking server and registry."""
    model_name: str = "fraud"
    """Name of the model in the registry."""
    experiment_file: Path | None = None
    """Definition of the experiment (``fraud.decide.experiment``)."""
    experiment_state: Path | None = None
    """``state.json`` that ``fraud experiment report`` leaves."""
