"""The summary of a performance run for Prometheus; the stream shows it (``fraud.watch.figures``).

Labels are the windows, at most six versions (``all`` among them), and the names of figures.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from jobs.performance.measure import METRICS, Estimate, Quality
from jobs.performance.summary import Performance


def as_gauges(summary: Performance) -> CollectorRegistry:
    """Lay the summary out."""
    registry = CollectorRegistry()
    show_truth, show_estimate = _truth(registry), _estimate(registry)
    for line in summary.lines:
        if line.window_days is None:
            show_estimate(line.expected, line.version)
        else:
            show_truth(line.truth, line.expected, f"{line.window_days}d", line.version)
    recall = _gauge(registry, "type_recall_ratio", "Of one type of fraud, newest matured period.", "type")
    frauds = _gauge(registry, "type_frauds", "Frauds of one type in it.", "type")
    for of_type in summary.types:
        recall.labels(of_type.fraud_type).set(of_type.recall)
        frauds.labels(of_type.fraud_type).set(of_type.frauds)
    fall = _gauge(
        registry, "fall", "1 if it is significantly lower, by more than the tolerance.", "metric", "basis"
    )
    for found in summary.falls:
        fall.labels(found.metric, found.basis).set(found.has_fallen)
    _gauge(registry, "falls", "Number of figures that have fallen.").set(len(summary.fallen))
    moment = _gauge(registry, "as_of_timestamp_seconds", "Time of the measurement, Unix time.")
    moment.set(summary.as_of.timestamp())
    return registry


def _truth(registry: CollectorRegistry) -> Any:
    labels = ("window", "version")
    ratio = _gauge(registry, "ratio", "Quality in the newest matured period.", "metric", *labels)
    caught = _gauge(
        registry, "caught_amount", "Amount of fraud that was not approved in that period.", *labels
    )
    lost = _gauge(registry, "lost_amount", "Amount of fraud that was approved in that period.", *labels)
    frauds = _gauge(registry, "frauds", "Frauds in that period.", *labels)
    rows = _gauge(registry, "transactions", "Transactions in that period.", *labels)
    added_up = _gauge(
        registry, "expected_frauds", "Sum of the scores in that period: expected frauds.", *labels
    )

    def show(truth: Quality, expected: Estimate | None, *values: str) -> None:
        for metric in METRICS:
            ratio.labels(metric, *values).set(getattr(truth, metric))
        caught.labels(*values).set(truth.caught)
        lost.labels(*values).set(truth.lost)
        frauds.labels(*values).set(truth.frauds)
        rows.labels(*values).set(truth.rows)
        if expected is not None:
            added_up.labels(*values).set(expected.mean.frauds)

    return show


def _estimate(registry: CollectorRegistry) -> Any:
    labels = ("metric", "version")
    mean = _gauge(
        registry, "estimated_ratio", "Quality in the newest period, estimated from the scores.", *labels
    )
    low = _gauge(registry, "estimated_lower_ratio", "Lower bound of the estimate (95 %).", *labels)
    high = _gauge(registry, "estimated_upper_ratio", "Upper bound of the estimate (95 %).", *labels)

    def show(expected: Estimate | None, version: str) -> None:
        for gauge, quality in ((mean, "mean"), (low, "low"), (high, "high")) if expected else ():
            for metric in METRICS:
                gauge.labels(metric, version).set(getattr(getattr(expected, quality), metric))

    return show


def _gauge(registry: CollectorRegistry, name: str, words: str, *labels: str) -> Gauge:
    return Gauge(f"fraud_performance_{name}", words, labels, registry=registry)
