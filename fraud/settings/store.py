"""Where the commands look for the feature store: the streaming job's own settings and defaults."""

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings


class StoreSettings(Settings):
    """The environment variables of the streaming job that say where its store is."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="ignore")

    home: Path = Path(".fraud/stream")
    """Folder of the streaming job, in which its store lies by default."""
    store_url: str = ""
    """Feature store; default ``lmdb://<home>/store``."""

    @property
    def store(self) -> str:
        """URL of the feature store."""
        return self.store_url or f"lmdb://{self.home.absolute() / 'store'}"
