"""Entry of the analysis of an experiment: ``python -m jobs.experiment.main``."""

import sys

from fraud.errors import FraudError
from fraud.runtime.telemetry import configure_logging
from jobs.experiment.run import run
from jobs.experiment.settings import ExperimentSettings


def main() -> None:
    """Run the job as a program."""
    configure_logging()
    try:
        run(ExperimentSettings())
    except FraudError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
