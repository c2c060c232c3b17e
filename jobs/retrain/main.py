"""Entry of the retraining job: ``python -m jobs.retrain.main START/END [STEP]``; settings from FRAUD_*."""

import json
import logging
import sys

from fraud.errors import BadInput, FraudError
from jobs.evaluate.settings import GateSettings
from jobs.retrain.pipeline import retrain
from jobs.retrain.settings import Interval, RetrainSettings
from jobs.train.settings import TrainSettings

_log = logging.getLogger("jobs.retrain")


def main(arguments: list[str]) -> int:
    """Run the chain or one step, and write the last record as one line of JSON."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        if len(arguments) not in {1, 2}:
            raise BadInput("usage: python -m jobs.retrain.main START/END [STEP]")
        settings = RetrainSettings()
        record = retrain(
            Interval.parse(arguments[0]),
            settings,
            TrainSettings(),
            GateSettings(),
            step=arguments[1] if len(arguments) == 2 else "",
            tell=_log.info,
        )
    except FraudError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return 1
    if settings.result is not None:
        settings.result.write_text(json.dumps(record), encoding="utf-8")
    sys.stdout.write(json.dumps(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
