"""Settings of the backfill (``FRAUD_BACKFILL_*``); where it goes, the streaming job's own settings say."""

from pydantic import AwareDatetime
from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings


class BackfillSettings(Settings):
    """Which history to fold."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_BACKFILL_", frozen=True, extra="forbid")

    data: str = "/history"
    """Folder (or URI) with the tables ``transactions`` and ``labels``, as Parquet."""
    until: AwareDatetime | None = None
    """Take the transactions and the labels that came before this time; None: all."""
