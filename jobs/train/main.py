"""Entry of the training job: ``python -m jobs.train.main``; settings from ``FRAUD_TRAIN_*``."""

import json
import logging
import sys
from dataclasses import asdict

from fraud.errors import FraudError
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train

_log = logging.getLogger("jobs.train")


def main() -> int:
    """Read the settings, train, and write the result as one line of JSON."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        trained = train(TrainSettings(), _log.info)
    except FraudError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return 1
    sys.stdout.write(json.dumps({**asdict(trained), "thresholds": trained.thresholds.model_dump()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
