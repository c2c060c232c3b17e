"""Entry of the model server: ``python -m services.predictor.main``."""

import logging
import sys

from fraud.errors import FraudError
from services.predictor.server import serve
from services.predictor.settings import PredictorSettings


def main() -> None:
    """Read the settings and serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = PredictorSettings()
    except FraudError as error:
        sys.exit(f"error: {error}")
    serve(settings)


if __name__ == "__main__":
    main()
