"""Entry of the compaction job: ``python -m jobs.compact.main``; settings from ``FRAUD_COMPACT_*``."""

import json
import logging
import sys
from dataclasses import asdict

from fraud.errors import FraudError
from fraud.runtime.telemetry import configure_logging
from jobs.compact.run import run
from jobs.compact.settings import CompactSettings

_log = logging.getLogger("jobs.compact")


def main() -> int:
    """Compact, and write a line of JSON a table."""
    configure_logging()
    try:
        for done in run(CompactSettings()):
            sys.stdout.write(json.dumps(asdict(done)) + "\n")
    except FraudError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
