"""Entry of the model server: ``python -m services.predictor.main``."""

import sys

from fraud.errors import FraudError
from fraud.runtime.telemetry import configure_logging
from services.predictor.server import serve
from services.predictor.settings import PredictorSettings


def main() -> None:
    """Read the settings and serve."""
    configure_logging()
    try:
        settings = PredictorSettings()
    except FraudError as error:
        sys.exit(f"error: {error}")
    serve(settings)


if __name__ == "__main__":
    main()
