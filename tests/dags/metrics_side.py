"""Runs in Airflow's own environment: what it sends to a statsd exporter, as one line of JSON."""

import json
import os
import socket
import sys
from datetime import timedelta

exporter = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
exporter.bind(("127.0.0.1", 0))
exporter.settimeout(10)
os.environ["AIRFLOW__METRICS__STATSD_PORT"] = str(exporter.getsockname()[1])

from airflow._shared.observability.metrics import stats  # noqa: E402
from airflow.configuration import conf  # noqa: E402
from airflow.observability.metrics import stats_utils  # noqa: E402

stats.initialize(
    factory=stats_utils.get_stats_factory(), export_legacy_names=conf.getboolean("metrics", "legacy_names_on")
)
tags = {"dag_id": "compact_tables", "run_type": "scheduled"}
stats.timing("dagrun.duration.failed", timedelta(seconds=2), tags=tags)
stats.timing("dagrun.duration.success", timedelta(seconds=2), tags=tags)
stats.incr("scheduler_heartbeat", 1, 1)
sent: list[str] = []
while not sent or "heartbeat" not in sent[-1]:  # the last one
    sent.append(exporter.recv(65_536).decode())
sys.stdout.write(json.dumps({"sent": sent}))
