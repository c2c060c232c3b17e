"""Histograms whose values are counted in the tasks; the driver adds a few numbers a micro-batch."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from fraud.features.kernel import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray


def count(values: Floats, bounds_s: Sequence[float]) -> dict[str, Any]:
    """Count values by bucket, as JSON takes it.

    Parameters
    ----------
    values
        Seconds, [n]; a negative one (clocks that disagree) counts as 0.
    bounds_s
        Upper bounds of the buckets, rising.

    Returns
    -------
    dict
        ``counts`` by bucket, one more than there are bounds, and ``sum_s``.
    """
    values = np.maximum(values, 0.0)
    counts = np.bincount(np.searchsorted(bounds_s, values), minlength=len(bounds_s) + 1)
    return {"counts": counts.tolist(), "sum_s": float(values.sum())}


class SummedHistogram(Collector):
    """A Prometheus histogram that takes counts.

    Parameters
    ----------
    name, text
        Of the metric.
    bounds_s
        Upper bounds of its buckets, rising, seconds.
    label, values
        Its one label and the values that it shows from the start; without a label, the metric is one
        histogram.
    """

    def __init__(
        self,
        name: str,
        text: str,
        bounds_s: Sequence[float],
        label: str | None = None,
        values: Sequence[str] = ("",),
    ) -> None:
        self._name, self._text, self._label = name, text, label
        self._bounds = [*map(str, bounds_s), "+Inf"]
        self._lock = threading.Lock()
        self._counts: dict[str, NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}
        self.name(values)

    def name(self, values: Sequence[str]) -> None:
        """Show values of the label from now on, also where nothing is counted of them yet."""
        with self._lock:
            for value in values:
                self._counts.setdefault(value, np.zeros(len(self._bounds), np.int64))
                self._sums.setdefault(value, 0.0)

    def add(self, found: Mapping[str, Any], value: str = "") -> None:
        """Add what :func:`count` counted, of one value of the label."""
        self.name((value,))
        with self._lock:
            self._counts[value] += np.array(found["counts"], np.int64)
            self._sums[value] += found["sum_s"]

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Name the metric, without its values."""
        yield self._family()

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Give the metric as it stands."""
        family = self._family()
        with self._lock:
            for value, counts in self._counts.items():
                buckets = list(zip(self._bounds, np.cumsum(counts).astype(float).tolist(), strict=True))
                family.add_metric([value] if self._label else [], buckets, self._sums[value])
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._text, labels=[self._label] if self._label else [])
