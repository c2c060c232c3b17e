"""Where the registry is and which of its models a program follows."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.access import MlflowAccess


class RegistrySettings(MlflowAccess):
    """The registry and one model in it (``FRAUD_PREDICTOR_*``)."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_PREDICTOR_", frozen=True, extra="forbid")

    model: str = Field(default="models:/fraud@champion", pattern=r"^models:/[^/@]+(@[^/@]+|/\d+)$")
    """What to serve: ``models:/<name>@<alias>`` follows the alias, ``models:/<name>/<version>`` stays."""
    threads: int = Field(default=1, ge=1)
    """Threads of one scoring call."""
