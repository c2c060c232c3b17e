"""Entry of the evaluation job: ``python -m jobs.evaluate.main``; settings from ``FRAUD_EVALUATE_*``."""

import json
import logging
import sys

from fraud.errors import FraudError
from fraud.learn.evaluation import evaluate
from fraud.learn.settings import EvaluateSettings
from fraud.runtime.telemetry import configure_logging

_log = logging.getLogger("jobs.evaluate")


def main() -> int:
    """Read the settings, evaluate, and write the result as one line of JSON."""
    configure_logging()
    try:
        done = evaluate(EvaluateSettings(), _log.info)
    except FraudError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return 1
    sys.stdout.write(
        json.dumps({"version": done.version, "run_id": done.run_id, **done.metrics.as_dict()}) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
