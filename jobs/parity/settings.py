"""Settings of the parity job, read from the environment (``FRAUD_PARITY_*``) or given by a caller."""

from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from fraud.log.reader import SLICE_ROWS
from fraud.settings.access import JudgedTables


class ParitySettings(JudgedTables):
    """What to compare, and where the result goes."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_PARITY_", frozen=True, extra="forbid")

    since: AwareDatetime | None = None
    """Compare what was received from this time on; all of the log is folded either way."""
    until: AwareDatetime | None = None
    """Compare what was received before this time."""
    without_future: bool = False
    """Whether the states leave out what is dated further ahead of its arrival than any bound allows, as those
    of ``fraud replay rebuild-store --without-future`` do."""
    tolerance: float = Field(default=0.0, ge=0.0)
    """Greatest absolute difference of a feature that is accepted; 0: every bit must be equal."""
    slice_rows: int = Field(default=SLICE_ROWS, ge=1)
    """Records held in memory at a time, about; one micro-batch at least."""
    scratch: Path | None = None
    """Folder for the states while it runs (about twice their size); default: the system's temporary one."""
    json_file: Path | None = None
    """JSON file to write the result to."""
    publishes: bool = True
    """Whether the result goes to the Delta table ``figures``, which the stream exports to Prometheus."""


def window_words(since: datetime | None, until: datetime | None) -> str:
    """Say which time is compared.

    Examples
    --------
    >>> window_words(None, None)
    'all of the log'
    """
    if since is None and until is None:
        return "all of the log"
    return f"received {since.isoformat() if since else 'ever'} to {until.isoformat() if until else 'now'}"
