"""Entry of the backfill: ``python -m jobs.backfill.main``; settings from ``FRAUD_BACKFILL_*``."""

import logging
import sys

from fraud.errors import FraudError
from fraud.log.mirror import mirrored
from fraud.runtime.telemetry import configure_logging
from fraud.settings.stream import GuardSettings, LogSettings
from jobs.backfill.run import run
from jobs.backfill.settings import BackfillSettings

log = logging.getLogger("jobs.backfill")


def main() -> None:
    """Read the settings and fold."""
    configure_logging()
    try:
        with mirrored(LogSettings()) as (stream, _):
            done = run(BackfillSettings(), stream, GuardSettings().most_ahead_s)
    except FraudError as error:
        sys.exit(f"error: {error}")
    log.info("the streaming job has begun: nothing to do" if done is None else f"folded {done}")


if __name__ == "__main__":
    main()
