"""Entry of the simulator's container: ``python -m services.simulator.main``.

Reads the environment (``FRAUD_SIMULATOR_*``) and, where it is told to, a data set on disk; writes the
topics ``transactions`` and ``labels``; serves ``/metrics`` and ``/ready``. SIGTERM ends it with code 0 after
what was sent is acknowledged; an error ends it with one line and code 1.
"""

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from prometheus_client import Counter, Gauge
from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from fraud.contracts import LABELS, TRANSACTIONS
from fraud.errors import FraudError
from fraud.kafka.counting import ProducerSettings
from fraud.runtime.telemetry import configure_logging, serve_metrics
from fraud.settings.base import Settings
from fraud.synthetic.files import read_table
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import Drift, GeneratorSettings
from services.simulator import stream
from services.simulator.commands import choose_pace

__all__ = ["SimulatorSettings", "main", "run"]

LOG = logging.getLogger("fraud.simulator")
SENT = Counter("fraud_simulator_sent", "Records that the broker acknowledged", ["topic"])
CLOCK = Gauge("fraud_simulator_clock_timestamp_seconds", "Time of the latest record, on the data's clock")
_DEFAULT = GeneratorSettings()


class SimulatorSettings(Settings):
    """What to play, to whom and how fast."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_SIMULATOR_", frozen=True, extra="forbid")

    kafka_bootstrap: str = "localhost:9092"
    """Kafka brokers, ``host:port`` separated by commas."""
    kafka_options: dict[str, str] = Field(default_factory=dict)
    """Further client options under Kafka's names, e.g. ``{"security.protocol": "SSL"}``."""
    data: Path | None = None
    """Folder of a data set; without one, it is generated from the settings below."""
    transactions: int = _DEFAULT.transactions
    """How many to generate."""
    users: int = _DEFAULT.users
    """Cardholders to generate."""
    merchants: int = _DEFAULT.merchants
    """Merchants to generate."""
    fraud_rate: float = _DEFAULT.fraud_rate
    """Share of fraud, 0 to 0.5."""
    seed: int = _DEFAULT.seed
    """Of all random numbers."""
    days: int = _DEFAULT.days
    """Length of the generated period, days."""
    start: AwareDatetime = _DEFAULT.start
    """Beginning of the generated period."""
    drift: Drift = _DEFAULT.drift
    """How the generated world changes."""
    drift_day: int = _DEFAULT.drift_day
    """First day that may differ, counted from the period's start."""
    drift_days: int = _DEFAULT.drift_days
    """How long a gradual change grows, and the period of a seasonal one, days."""
    drift_strength: float = _DEFAULT.drift_strength
    """Factor on the size of the change."""
    rate_per_s: float | None = None
    """Transactions a second; this or ``speedup``, or neither for as fast as it goes."""
    speedup: float | None = None
    """Times faster than the data's own clock."""
    labels: bool = True
    """Whether the labels follow at their time."""
    play_from: AwareDatetime | None = None
    """Leave out what lies before this time."""
    play_until: AwareDatetime | None = None
    """Leave out what lies at or after this time."""
    host: str = "127.0.0.1"
    """Address that metrics are served on."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9405
    """Port of ``/metrics`` and ``/ready``."""
    at_end: Literal["stay", "exit"] = "stay"
    """After the last record: stay up, so that a restart does not play it all again, or exit with code 0."""


def run(settings: SimulatorSettings, stopped: threading.Event) -> stream.Counts:
    """Load or generate the data set, play it, and, if so told, stay until ``stopped`` is set."""
    pace = choose_pace(settings.rate_per_s, settings.speedup)
    transactions, labels = _load(settings)
    sent = {TRANSACTIONS: 0, LABELS: 0}

    def count(now: stream.Progress) -> None:
        for topic, acknowledged in ((TRANSACTIONS, now.transactions), (LABELS, now.labels)):
            SENT.labels(topic).inc(acknowledged - sent[topic])
            sent[topic] = acknowledged
        CLOCK.set(now.simulated_time.timestamp())

    counts = stream.play(
        transactions,
        labels if settings.labels else None,
        ProducerSettings(bootstrap=settings.kafka_bootstrap, options=settings.kafka_options),
        pace,
        on_progress=count,
        is_stopped=stopped.is_set,
    )
    LOG.info(
        "sent %d transactions and %d labels in %.1f s", counts.transactions, counts.labels, counts.elapsed_s
    )
    if settings.at_end == "stay":
        stopped.wait()
    return counts


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


def _load(settings: SimulatorSettings) -> tuple[pa.Table, pa.Table]:
    if settings.data is not None:
        transactions, labels = read_table(settings.data, "transactions"), read_table(settings.data, "labels")
    else:
        data_set = generate(
            GeneratorSettings(**{name: getattr(settings, name) for name in GeneratorSettings.model_fields})
        )
        transactions, labels = data_set.transactions, data_set.labels
    window = (settings.play_from, settings.play_until)
    return (
        stream.select(transactions, "event_time", *window),
        stream.select(labels, "label_time", *window),
    )


if __name__ == "__main__":
    main()
