"""Settings of the model server, read from the environment (``FRAUD_PREDICTOR_*``)."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.model.settings import RegistrySettings


class PredictorSettings(RegistrySettings):
    """What to serve, where, and how often to look for a new version."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_PREDICTOR_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on. The model server checks no keys: any address other than loopback needs a network
    that lets only its clients in, as the charts' network policies do."""
    port: int = Field(default=8080, ge=1, le=65535)
    """HTTP port."""
    name: str = "fraud"
    """The model's name in the path ``/v2/models/<name>``; the challenger's is ``<name>-challenger``."""
    challenger: str = Field(default="models:/fraud@challenger", pattern=r"^(models:/[^/@]+(@[^/@]+|/\d+))?$")
    """A second model to serve, for shadow scores and experiments, if the registry has it; empty: none."""
    canary_url: str = ""
    """Base address of the model server of a version that is being rolled out; empty: it gets no requests."""
    canary_timeout_s: float = Field(default=1.0, gt=0.0)
    """How long the canary may take before the champion answers in its place, seconds; less where the caller
    waits less (half of what it says)."""
    parallel: int = Field(default=2, ge=1)
    """Large batches scored at the same time, per process."""
    inline_rows: int = Field(default=64, ge=0)
    """Batches up to this many rows are scored on the event loop: cheaper than in a thread."""
    max_in_flight: int = Field(default=64, ge=1)
    """Requests being scored or waiting for it, per process; more are answered 429."""
    max_body_bytes: int = Field(default=64_000_000, ge=1_000)
    """Greatest request, bytes: 90,000 vectors in binary."""
    head_s: float = Field(default=10.0, gt=0.0)
    """How long the head of a request may take to arrive, seconds."""
    body_s: float = Field(default=30.0, gt=0.0)
    """How long its body may take to arrive, seconds."""
    connection_s: float = Field(default=60.0, gt=0.0)
    """How long a connection is kept, seconds; then the next answer closes it: clients reach new replicas."""
    reload_s: float = Field(default=10.0, gt=0.0)
    """How often the registry is asked for the alias, seconds."""
    backoff_max_s: float = Field(default=30.0, gt=0.0)
    """Longest wait between attempts while the registry is unavailable, seconds."""
