"""Feature age: how old the newest thing known of an entity was when a transaction was served.

It is the served feature "seconds since the last transaction" of the transaction's user and of its
merchant; an entity never seen before (or not since its events were forgotten) has no age. Each task
counts its ages in buckets, so that the driver adds a few numbers a micro-batch instead of observing
every transaction.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from fraud.features.definitions import ENTITIES, Feature

BUCKETS_S: Final = (
    1.0,
    10.0,
    60.0,
    600.0,
    3600.0,
    6 * 3600.0,
    86_400.0,
    7 * 86_400.0,
    30 * 86_400.0,
)
"""Upper bounds, seconds: to a second, ..., a minute, an hour, a day, a week, a month, beyond."""
_FEATURES: Final = {entity.name: Feature("since_last", entity).name for entity in ENTITIES}


def count_ages(table: pa.Table, is_transaction: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    """Count a task's ages.

    Parameters
    ----------
    table
        Rows of ``rows.SPOOLED``.
    is_transaction
        Which of them carry vectors.

    Returns
    -------
    dict
        By entity kind: ``counts`` by bucket (one more than there are bounds), and ``sum_s``.
    """
    found = {}
    for kind, name in _FEATURES.items():
        ages = table.column(name).to_numpy()[is_transaction]
        ages = ages[~np.isnan(ages)]
        counts = np.bincount(np.searchsorted(BUCKETS_S, ages), minlength=len(BUCKETS_S) + 1)
        found[kind] = {"counts": counts.tolist(), "sum_s": float(ages.sum())}
    return found


class AgeHistogram(Collector):
    """The Prometheus histogram ``fraud_stream_feature_age_seconds``, fed by counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {kind: np.zeros(len(BUCKETS_S) + 1, np.int64) for kind in _FEATURES}
        self._sums = dict.fromkeys(_FEATURES, 0.0)

    def add(self, ages: Mapping[str, Mapping[str, Any]]) -> None:
        """Add what :func:`count_ages` counted."""
        with self._lock:
            for kind, found in ages.items():
                self._counts[kind] += np.array(found["counts"], np.int64)
                self._sums[kind] += found["sum_s"]

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Name the metric, without its values."""
        yield self._family()

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Give the metric as it stands."""
        family = self._family()
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        with self._lock:
            for kind, counts in self._counts.items():
                buckets = list(zip(bounds, np.cumsum(counts).astype(float).tolist(), strict=True))
                family.add_metric([kind], buckets, self._sums[kind])
        yield family

    def _family(self) -> HistogramMetricFamily:
        text = "Age of the newest known event of a transaction's entity, by event time."
        return HistogramMetricFamily("fraud_stream_feature_age_seconds", text, labels=["entity"])
