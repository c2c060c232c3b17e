"""Sends a synthetic data set to Kafka from a container, and keeps running at the end of the data.

Reads the environment (``FRAUD_SIMULATOR_*``) and, where it is told to, a data set on disk; writes the
topics ``transactions``, ``labels``, ``results`` and ``profiles``; serves ``/metrics`` and ``/ready``. SIGTERM
ends it with code 0 after what was sent is acknowledged; an error ends it with one line and code 1.
"""

import logging
import threading
from functools import partial

import pyarrow as pa
from prometheus_client import Counter, Gauge

from fraud.contracts import LABELS, PROFILES, RESULTS, TRANSACTIONS
from fraud.kafka.producer import ProducerSettings
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.synthetic.files import read_table, read_told
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
    schema = deployed_schema()
    transactions, labels, further = _load(settings, schema)
    sent = dict.fromkeys((TRANSACTIONS, LABELS, RESULTS, PROFILES), 0)

    def count(now: stream.Progress) -> None:
        given = (now.transactions, now.labels, now.results, now.profiles)
        for topic, acknowledged in zip(sent, given, strict=True):
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
        further=further,
        schema=schema,
    )
    LOG.info(
        "sent %d transactions, %d labels, %d results and %d profiles in %.1f s",
        counts.transactions,
        counts.labels,
        counts.results,
        counts.profiles,
        counts.elapsed_s,
    )
    if settings.at_end == "stay":
        stopped.wait()
    return counts


def _load(settings: SimulatorSettings, schema: Schema) -> tuple[pa.Table, pa.Table, dict[str, pa.Table]]:
    window = (settings.play_from, settings.play_until)
    if settings.data is not None:
        transactions, labels = read_table(settings.data, "transactions"), read_table(settings.data, "labels")
        further = stream.select_told(partial(read_told, settings.data), *window, schema)
    else:
        data_set = generate(
            GeneratorSettings(**{name: getattr(settings, name) for name in GeneratorSettings.model_fields}),
            schema,
        )
        transactions, labels = data_set.transactions, data_set.labels
        further = stream.select_told(partial(getattr, data_set), *window, schema)
    return (
        stream.select(transactions, "event_time", *window),
        stream.select(labels, "label_time", *window),
        further,
    )
