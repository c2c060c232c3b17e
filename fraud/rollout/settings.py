"""Settings of the rollout, read from the environment (``FRAUD_ROLLOUT_*``)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import ModelAccess

Percent = Annotated[float, Field(gt=0.0, le=100.0)]
Seconds = Annotated[float, Field(ge=0.0)]


class RolloutSettings(ModelAccess):
    """Where the canary runs, which share of the requests it gets, and when it is withdrawn."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_ROLLOUT_", frozen=True, extra="forbid")

    place: Literal["auto", "local", "kubernetes", "registry"] = "auto"
    """``local``: the canary is one more process of the embedded platform; ``kubernetes``: KServe runs it;
    ``registry``: nothing is served, and the champion's alias moves without a trial; ``auto``: ``registry``
    where the registry is a file (``sqlite:///``), else ``local``."""
    predictor_url: str = "http://127.0.0.1:8080"
    """The embedded platform's model server."""
    canary_port: int = Field(default=0, ge=0, le=65535)
    """Port of the canary's process; 0: the one at which the model server asks for it (``canary_url``)."""
    namespace: str = ""
    """Namespace of the InferenceService; empty: the namespace of the rollout's own pod."""
    service: str = "fraud"
    """Name of the InferenceService; the canary's is ``<service>-canary``."""
    served_name: str = "fraud"
    """The model's name in the path ``/v2/models/<name>``."""

    percents: tuple[Percent, ...] = Field(default=(5.0, 25.0), min_length=1)
    """Shares of the requests that the canary gets, one stage after the other."""
    stage_s: Seconds = 300.0
    """Shortest duration of a stage, seconds."""
    stage_rows: int = Field(default=1_000, ge=1)
    """Fewest rows that the canary must have scored in a stage."""
    stage_max_s: Seconds = 3600.0
    """Longest wait for these rows, seconds; a version that scores fewer is withdrawn."""
    poll_s: float = Field(default=5.0, gt=0.0)
    """Time between two checks, seconds."""
    lease_s: float = Field(default=60.0, gt=0.0)
    """How long the canary gets requests after the rollout has last renewed its lease, seconds."""
    ready_s: float = Field(default=600.0, gt=0.0)
    """How long the canary may take to start, and the model servers to load the new champion, seconds."""
    after_s: Seconds = 120.0
    """How long the new champion is watched, seconds; if it is worse, it is rolled back automatically."""

    max_failures: float = Field(default=0.01, ge=0.0, lt=1.0)
    """Greatest share of the requests that it does not answer."""
    min_failures: int = Field(default=5, ge=1)
    """Failures that a version may have before their share counts."""
    latency_factor: float = Field(default=2.0, gt=1.0)
    """Greatest ratio of its 99th percentile of latency to the champion's."""
    latency_floor_ms: float = Field(default=20.0, ge=0.0)
    """A 99th percentile up to this is never too slow, milliseconds."""
    flagged_factor: float = Field(default=2.0, gt=1.0)
    """Greatest ratio, either way, of the shares of rows at or above the review threshold."""
    max_psi: float = Field(default=0.25, gt=0.0)
    """Greatest population stability index of its scores against the champion's, beyond what chance gives."""

    @model_validator(mode="after")
    def _check_percents(self) -> Self:
        if list(self.percents) != sorted(self.percents):
            raise ValueError("percents must increase, e.g. [5, 25]")
        if self.lease_s < 3 * self.poll_s:
            raise ValueError("lease_s must be three times poll_s or longer")
        return self
