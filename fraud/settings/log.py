"""Settings of the log, the same for every program (``FRAUD_LOG_*``)."""

from typing import Literal

from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings


class LoggingSettings(Settings):
    """How a program writes its log to standard error."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_LOG_", frozen=True, extra="forbid")

    format: Literal["text", "json"] = "text"
    """``text``: lines for people; ``json``: an object a line, for a log store. Ids are hashed in both."""
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least level that is written."""
