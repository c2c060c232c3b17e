"""Metrics of the streaming job, fed by what the tasks of each micro-batch tell the driver."""

from collections.abc import Sequence
from typing import Any, Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from fraud.telemetry import LATENCY_BUCKETS_S
from jobs.stream.ages import AgeHistogram

TRANSACTIONS: Final = Counter("fraud_stream_transactions_total", "Transactions decided.")
DECISIONS: Final = Counter("fraud_stream_decisions_total", "Decisions by outcome.", ["outcome"])
FALLBACKS: Final = Counter("fraud_stream_fallbacks_total", "Decisions taken without the model.")
SCORED: Final = Counter("fraud_stream_scored_total", "Transactions archived for the scoring service.")
LABELS: Final = Counter("fraud_stream_labels_total", "Labels folded.")
DEAD_LETTERS: Final = Counter("fraud_stream_dead_letters_total", "Records refused, by reason.", ["reason"])
LATENCY: Final = Histogram(
    "fraud_stream_latency_seconds",
    "From the broker's append of a transaction to its published decision.",
    buckets=LATENCY_BUCKETS_S,
)
STAGES: Final = Histogram(
    "fraud_stream_stage_seconds", "Time of a task's stage.", ["stage"], buckets=LATENCY_BUCKETS_S
)
BATCH: Final = Histogram("fraud_stream_batch_seconds", "Time of a micro-batch.", buckets=LATENCY_BUCKETS_S)
SCORES: Final = Counter("fraud_stream_scores_total", "Scores by tenth.", ["bin"])
EPOCH: Final = Gauge("fraud_stream_epoch", "Newest micro-batch that was processed.")
ARCHIVED: Final = Counter("fraud_stream_archived_batches_total", "Micro-batches committed to Delta.")
EXPIRED: Final = Counter("fraud_stream_expired_entities_total", "Idle entities forgotten.", ["entity"])
AGES: Final = AgeHistogram()
REGISTRY.register(AGES)
LAG: Final = Gauge("fraud_stream_lag_records", "Records in Kafka that are not taken yet, all partitions.")


def record(summaries: Sequence[dict[str, Any]], epoch: int, batch_s: float) -> None:
    """Count one micro-batch."""
    for summary in summaries:
        TRANSACTIONS.inc(summary["transactions"])
        LABELS.inc(summary["labels"])
        SCORED.inc(summary["scored"])
        for outcome, n in summary["outcomes"].items():
            DECISIONS.labels(outcome).inc(n)
        for reason, n in summary["dead_letters"].items():
            DEAD_LETTERS.labels(reason).inc(n)
        if summary["is_fallback"]:
            FALLBACKS.inc(summary["transactions"])
        for tenth, n in enumerate(summary["scores"]):
            SCORES.labels(f"{tenth / 10:.1f}").inc(n)
        for latency_s in summary["latencies_s"]:
            LATENCY.observe(latency_s)
        for stage, seconds in summary["stages_s"].items():
            STAGES.labels(stage).observe(seconds)
        AGES.add(summary["ages"])
    BATCH.observe(batch_s)
    EPOCH.set(epoch)


def record_progress(progress: Any) -> None:
    """Take the consumer lag from Spark's own progress report."""
    lag = 0
    for source in progress["sources"]:
        end, latest = source["endOffset"] or {}, source["latestOffset"] or {}
        for topic, partitions in latest.items():
            lag += sum(offset - end.get(topic, {}).get(part, 0) for part, offset in partitions.items())
    LAG.set(lag)
