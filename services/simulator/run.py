"""Plays a synthetic data set to Kafka from a container, and stays up when it has ended.

Reads the environment (``FRAUD_SIMULATOR_*``) and, where it is told to, a data set on disk; writes the
topics ``transactions``, ``labels`` and ``results``; serves ``/metrics`` and ``/ready``. SIGTERM ends it with
code 0 after what was sent is acknowledged; an error ends it with one line and code 1.
"""

import logging
import threading

import pyarrow as pa
from prometheus_client import Counter, Gauge

from fraud.contracts import LABELS, RESULTS, TRANSACTIONS
from fraud.kafka.producer import ProducerSettings
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.files import read_results, read_table
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from services.simulator import stream
from services.simulator.commands import choose_pace
from services.simulator.settings import SimulatorSettings

LOG = logging.getLogger("fraud.simulator")
SENT = Counter("fraud_simulator_sent", "Records that the broker acknowledged", ["topic"])
CLOCK = Gauge("fraud_simulator_clock_timestamp_seconds", "Time of the latest record, on the data's clock")


def run(settings: SimulatorSettings, stopped: threading.Event) -> stream.Counts:
    """Load or generate the data set, play it, and, if so told, stay until ``stopped`` is set."""
    pace = choose_pace(settings.rate_per_s, settings.speedup)
    transactions, labels, results = _load(settings)
    sent = {TRANSACTIONS: 0, LABELS: 0, RESULTS: 0}

    def count(now: stream.Progress) -> None:
        given = {TRANSACTIONS: now.transactions, LABELS: now.labels, RESULTS: now.results}
        for topic, acknowledged in given.items():
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
        results=results,
    )
    LOG.info(
        "sent %d transactions, %d labels and %d results in %.1f s",
        counts.transactions,
        counts.labels,
        counts.results,
        counts.elapsed_s,
    )
    if settings.at_end == "stay":
        stopped.wait()
    return counts


def _load(settings: SimulatorSettings) -> tuple[pa.Table, pa.Table, pa.Table | None]:
    if settings.data is not None:
        transactions, labels = read_table(settings.data, "transactions"), read_table(settings.data, "labels")
        results = read_results(settings.data) if deployed_schema().results else None
    else:
        data_set = generate(
            GeneratorSettings(**{name: getattr(settings, name) for name in GeneratorSettings.model_fields}),
            deployed_schema(),
        )
        transactions, labels, results = data_set.transactions, data_set.labels, data_set.results
    window = (settings.play_from, settings.play_until)
    return (
        stream.select(transactions, "event_time", *window),
        stream.select(labels, "label_time", *window),
        None if results is None else stream.select(results, "result_time", *window),
    )
