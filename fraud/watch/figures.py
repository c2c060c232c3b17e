"""Figures of jobs that end (parity, drift, ...), kept in a table for Prometheus.

Writes and reads the Delta table ``figures`` beside the other tables: one row a job, its newest figures as
Prometheus text. A job writes as it ends; the streaming job, which is always there and has the tables at
hand, shows them all on its ``/metrics`` (DECISIONS.md, 24).

>>> from prometheus_client import CollectorRegistry, Gauge
>>> registry = CollectorRegistry()
>>> Gauge("fraud_parity_missing_vectors", "Without a served vector.", registry=registry).set(0)
>>> publish_figures("/path/of/delta", {}, "parity", registry)  # doctest: +SKIP
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from fraud.errors import Unavailable

TABLE: Final = "figures"
"""Name of the table under the folder or URI of the Delta tables."""
ATTEMPTS: Final = 5
"""Of a commit that meets another job's."""
_SCHEMA: Final = pa.schema([pa.field("job", pa.string()), pa.field("text", pa.string())])

log = logging.getLogger(__name__)


def publish_figures(delta: str, options: Mapping[str, str], job: str, registry: CollectorRegistry) -> None:
    """Leave a job's figures in place of those of its run before, whole or not at all.

    Adds ``fraud_<job>_last_run_timestamp_seconds``, so that a job that no longer runs can be told.

    Parameters
    ----------
    delta
        Path or URI under which the Delta tables lie (``LakeSettings().delta_path``).
    options
        Access to the object store, under delta-rs' names (``LakeSettings().delta_options``).
    job
        One word, the job's folder; a job's figures are all named ``fraud_<job>_...``.
    registry
        Gauges of this run alone, made for it; labels of few values only, no ids.

    Raises
    ------
    ValueError
        When a figure is not named after the job.
    Unavailable
        When the table cannot be written; the job's own result stands.
    """
    when = Gauge(
        f"fraud_{job}_last_run_timestamp_seconds", "When the job ended, Unix time.", registry=registry
    )
    when.set(time.time())
    for family in registry.collect():
        if not family.name.startswith(f"fraud_{job}_"):
            raise ValueError(f"{family.name} is not named fraud_{job}_...")
    row = pa.table({"job": [job], "text": [generate_latest(registry).decode()]}, schema=_SCHEMA)
    uri = f"{delta.rstrip('/')}/{TABLE}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _replace(uri, dict(options), job, row)
        except CommitFailedError as error:  # another job's run ended in the same moment
            if attempt == ATTEMPTS:
                raise Unavailable(f"the figures of {job} cannot be written: {error}") from error
        except (DeltaError, OSError) as error:
            raise Unavailable(f"the figures of {job} cannot be written: {error}") from error
        else:
            return


def _replace(uri: str, options: dict[str, str], job: str, row: pa.Table) -> None:
    if DeltaTable.is_deltatable(uri, options):
        predicate = f"job = '{job}'"
        write_deltalake(uri, row, mode="overwrite", predicate=predicate, storage_options=options)
    else:
        write_deltalake(uri, row, mode="error", partition_by=["job"], storage_options=options)


class Figures(Collector):
    """Shows the newest figures of every job in a Prometheus registry.

    A scrape shows what :meth:`refresh` read last and never waits for the object store.
    """

    def __init__(self, delta: str, options: Mapping[str, str]) -> None:
        self._uri = f"{delta.rstrip('/')}/{TABLE}"
        self._options = dict(options)
        self._lock = threading.Lock()
        self._table: DeltaTable | None = None
        self._version = -1
        self._families: list[Metric] = []

    def refresh(self) -> None:
        """Read the table if it has changed; one that cannot be read leaves what was known."""
        try:
            found = self._read()
        except (DeltaError, OSError) as error:
            log.warning("the figures of the jobs cannot be read, older ones stay: %s", error)
            return
        if found is not None:
            families = [family for text in found for family in text_string_to_metric_families(text)]
            with self._lock:
                self._families = families

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: what there is depends on the jobs."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Give the figures as they were read last."""
        with self._lock:
            return list(self._families)

    def _read(self) -> list[Any] | None:
        """Read the texts; None where nothing has changed."""
        if self._table is None:
            if not DeltaTable.is_deltatable(self._uri, self._options):
                return None
            self._table = DeltaTable(self._uri, storage_options=self._options)
        else:
            self._table.update_incremental()
        version = self._table.version()
        if version == self._version:
            return None
        texts: list[Any] = self._table.to_pyarrow_table(columns=["text"]).column("text").to_pylist()
        self._version = version
        return texts
