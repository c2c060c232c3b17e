"""Entry of the smoke test: ``python -m fraud.tools.smoke.main``; settings from ``FRAUD_SMOKE_*``."""

import json
import sys
import time

from fraud.errors import FraudError
from fraud.runtime.telemetry import configure_logging
from fraud.tools.smoke.run import run
from fraud.tools.smoke.settings import SmokeSettings


def main() -> int:
    """Read the settings, run, and write the tally."""
    configure_logging()
    started = time.monotonic()
    try:
        settings = SmokeSettings()
        tally = run(settings)
    except FraudError as error:
        sys.exit(f"error: {error}")
    figures = {
        "sent": len(tally.sent),
        "decided": len(tally.decided),
        "fallbacks": tally.fallbacks,
        "repeated": tally.repeated,
        "seconds": round(time.monotonic() - started, 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if tally.is_complete and not (settings.needs_model and tally.fallbacks) else 1


if __name__ == "__main__":
    sys.exit(main())
