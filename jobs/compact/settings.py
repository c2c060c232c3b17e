"""Settings of the compaction, read from the environment (``FRAUD_COMPACT_*``)."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings


class CompactSettings(Settings):
    """How large files become, and how long what they replace stays."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_COMPACT_", frozen=True, extra="forbid")

    target_mb: int = Field(default=128, ge=1)
    """Size that files grow to, megabytes."""
    retention_hours: int = Field(default=168, ge=24, le=720)
    """How long a replaced file stays for those who read an older version, hours; longer than any job runs."""
    max_tasks: int = Field(default=2, ge=1)
    """Files written at the same time."""
