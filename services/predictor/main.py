"""Entry of the model server: ``python -m services.predictor.main``."""

import sys

from fraud.errors import FraudError
from fraud.runtime.telemetry import configure_logging
from fraud.schema.deployed import deployed_schema
from services.predictor.server import serve
from services.predictor.settings import PredictorSettings


def main() -> None:
    """Read the settings and serve."""
    configure_logging()
    try:
        settings, schema = PredictorSettings(), deployed_schema()
    except FraudError as error:
        sys.exit(f"error: {error}")
    serve(settings, schema)


if __name__ == "__main__":
    main()
