"""Entry of the simulator: ``python -m services.simulator.main``; settings from ``FRAUD_SIMULATOR_*``."""

import signal
import sys
import threading

from fraud.errors import FraudError
from fraud.runtime.telemetry import configure_logging, serve_metrics
from services.simulator.run import run
from services.simulator.settings import SimulatorSettings


def main() -> None:
    """Read the settings and run until the end or SIGTERM."""
    configure_logging()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        settings = SimulatorSettings()
        serve_metrics(settings.host, settings.metrics_port, lambda: True)
        run(settings, stopped)
    except FraudError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
