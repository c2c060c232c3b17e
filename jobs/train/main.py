"""Entry of the training job: ``python -m jobs.train.main``; settings from ``FRAUD_TRAIN_*``."""

import json
import logging
import sys
from dataclasses import asdict

from fraud.errors import FraudError
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.model.aliases import CHAMPION
from fraud.model.registry import ModelVersions, open_registry
from fraud.runtime.telemetry import configure_logging

_log = logging.getLogger("jobs.train")


def main() -> int:
    """Read the settings, train, and write the result as one line of JSON."""
    configure_logging()
    try:
        settings = TrainSettings()
        if settings.only_first and _has_champion(settings):
            _log.info("%s has a champion: nothing to do", settings.model_name)
            return 0
        trained = train(settings, _log.info)
    except FraudError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return 1
    sys.stdout.write(json.dumps({**asdict(trained), "thresholds": trained.thresholds.model_dump()}) + "\n")
    return 0


def _has_champion(settings: TrainSettings) -> bool:
    with open_registry(settings.mlflow_uri, registry_uri=settings.registry_uri):
        return ModelVersions(settings.model_name).at(CHAMPION) is not None


if __name__ == "__main__":
    sys.exit(main())
