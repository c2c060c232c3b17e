"""Settings of the backfill (``FRAUD_BACKFILL_*``); where it goes, the streaming job's own settings say."""

from typing import Annotated

from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.base import Settings


class BackfillSettings(Settings):
    """Which history to load into the feature store."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_BACKFILL_", frozen=True, extra="forbid")

    data: str = "/history"
    """Folder (or URI) with the tables ``transactions`` and ``labels``: Parquet; in a folder CSV, too."""
    wait_s: Annotated[float, Field(ge=0.0)] = 0.0
    """How long to wait for tables that are missing or still being written, seconds."""
    until: AwareDatetime | None = None
    """Take the transactions and the labels that came before this time; None: all."""
