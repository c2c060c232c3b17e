"""What the stream counts in the tasks of each micro-batch, on ``GET /metrics`` of the driver."""

from collections.abc import Sequence
from typing import Any, Final

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from fraud.contracts import Outcome
from fraud.decide.engine import RuleSet
from fraud.features.passes import Passes, age_columns
from fraud.runtime.telemetry import EVENT_BUCKETS_S, LATENCY_BUCKETS_S, STORE_BUCKETS_S
from jobs.stream.tasks.feature_age import age_histogram
from jobs.stream.tasks.histograms import SummedHistogram

TRANSACTIONS: Final = Counter("fraud_stream_transactions_total", "Transactions decided.")
DECISIONS: Final = Counter("fraud_stream_decisions_total", "Decisions by outcome.", ["outcome"])
FALLBACKS: Final = Counter("fraud_stream_fallbacks_total", "Decisions made without the model.")
ARMS: Final = Counter("fraud_stream_arms_total", "Transactions decided in an experiment, by arm.", ["arm"])
RULE_HITS: Final = Counter(
    "fraud_stream_rule_hits_total", "Decisions to which a live rule applied.", ["rule"]
)
RULE_SHADOW_HITS: Final = Counter(
    "fraud_stream_rule_shadow_hits_total", "Decisions to which a rule in shadow applied.", ["rule"]
)
RULE_ERRORS: Final = Counter(
    "fraud_stream_rule_errors_total", "Decisions for which a rule's expression failed.", ["rule"]
)
RULES_INFO: Final = Gauge("fraud_stream_rules_info", "1 for the rules in force.", ["version"])
RULES_REFUSED: Final = Gauge("fraud_stream_rules_refused", "1 while the rules file is wrong.")
LISTS_UNAVAILABLE: Final = Gauge(
    "fraud_stream_lists_unavailable", "1 while changes of the lists cannot be read."
)
LISTS_BAD: Final = Gauge("fraud_stream_lists_bad_records", "Records of the topic lists that were not read.")
_BY_EFFECT: Final = {"live": RULE_HITS, "shadow": RULE_SHADOW_HITS, "failed": RULE_ERRORS}
SCORED: Final = Counter("fraud_stream_scored_total", "Transactions archived for the scoring service.")
LABELS: Final = Counter("fraud_stream_labels_total", "Labels applied to features.")
RESULTS: Final = Counter("fraud_stream_results_total", "Results of transactions, archived and folded.")
PROFILES: Final = Counter("fraud_stream_profiles_total", "Profiles of entities, archived and folded.")
DEAD_LETTERS: Final = Counter("fraud_stream_dead_letters_total", "Records refused, by reason.", ["reason"])
DEAD_LETTERS.labels(
    "forged_record"
)  # it begins at 0: Prometheus does not see the step of one that begins at 1
ALERTS: Final = Counter("fraud_stream_alerts_total", "Decisions published as alerts: those not approved.")
LATENCY: Final = SummedHistogram(
    "fraud_stream_latency_seconds",
    "From the broker's append of a transaction to its published decision.",
    LATENCY_BUCKETS_S,
)
EVENT_LATENCY: Final = SummedHistogram(
    "fraud_stream_event_latency_seconds",
    "From a transaction's event time to its published decision.",
    EVENT_BUCKETS_S,
)
STAGES: Final = Histogram(
    "fraud_stream_stage_seconds",
    "Time of a task's stage; the passes include their calls of the store.",
    ["stage"],
    buckets=LATENCY_BUCKETS_S,
)
STORE: Final = Histogram(
    "fraud_stream_store_seconds",
    "Time of a task's calls of the feature store in one pass.",
    ["operation"],
    buckets=STORE_BUCKETS_S,
)
BATCH: Final = Histogram("fraud_stream_batch_seconds", "Time of a micro-batch.", buckets=LATENCY_BUCKETS_S)
SCORES: Final = Counter("fraud_stream_scores_total", "Scores, in bins of a tenth.", ["bin"])
EPOCH: Final = Gauge("fraud_stream_epoch", "Number of the newest processed micro-batch.")
ARCHIVED: Final = Counter("fraud_stream_archived_batches_total", "Micro-batches committed to Delta.")
ARCHIVE_ERRORS: Final = Counter(
    "fraud_stream_archive_errors_total", "Failed attempts to commit to Delta; they are retried."
)
SPOOL_BYTES: Final = Gauge(
    "fraud_stream_spool_bytes", "Size of the results of micro-batches that wait for Delta, bytes."
)
SPOOL_AGE: Final = Gauge(
    "fraud_stream_spool_age_seconds", "Age of the oldest result that waits for Delta, seconds."
)
SPOOL_FULL: Final = Gauge("fraud_stream_spool_full", "1 if the spool is full, so that no micro-batch begins.")
QUERY_FAILURES: Final = Counter(
    "fraud_stream_query_failures_total", "Failures after which the query was restarted."
)
CATCHING_UP: Final = Gauge(
    "fraud_stream_catching_up", "1 while an older copy of the feature store catches up from the log."
)
CATCH_UPS: Final = Counter(
    "fraud_stream_catch_ups_total", "How often an older copy of the feature store caught up."
)
EXPIRED: Final = Counter("fraud_stream_expired_entities_total", "Idle entities deleted.", ["entity"])
AGES: Final = age_histogram()
for _counted in (LATENCY, EVENT_LATENCY, AGES):
    REGISTRY.register(_counted)
LAG: Final = Gauge(
    "fraud_stream_lag_records", "Records in Kafka that were not read yet, over all partitions."
)


def name_entities(passes: Passes) -> None:
    """Show the ages of these passes' entities from the start."""
    AGES.name(tuple(age_columns(passes)))


def record(summaries: Sequence[dict[str, Any]], epoch: int, batch_s: float) -> None:
    """Count one micro-batch."""
    for summary in summaries:
        TRANSACTIONS.inc(summary["transactions"])
        LABELS.inc(summary["labels"])
        RESULTS.inc(summary["results"])
        PROFILES.inc(summary["profiles"])
        SCORED.inc(summary["scored"])
        for outcome, n in summary["outcomes"].items():
            DECISIONS.labels(outcome).inc(n)
            ALERTS.inc(0 if outcome == Outcome.APPROVE else n)
        for reason, n in summary["dead_letters"].items():
            DEAD_LETTERS.labels(reason).inc(n)
        FALLBACKS.inc(summary["fallbacks"])
        _record_rules(summary["rules"])
        for arm, n in summary["arms"].items():
            ARMS.labels(arm).inc(n)
        for tenth, n in enumerate(summary["scores"]):
            SCORES.labels(f"{tenth / 10:.1f}").inc(n)
        LATENCY.add(summary["latency"])
        EVENT_LATENCY.add(summary["event_latency"])
        for stage, seconds in ((stage, s) for found in summary["stages_s"] for stage, s in found.items()):
            if stage.startswith("store_"):
                STORE.labels(stage.removeprefix("store_")).observe(seconds)
            else:
                STAGES.labels(stage).observe(seconds)
        for entity, found in summary["ages"].items():
            AGES.add(found, entity)
    BATCH.observe(batch_s)
    EPOCH.set(epoch)


def name_rules(rules: RuleSet) -> None:
    """Name the rules in force; errors of rules and segments are counted from 0: an alert sees the first."""
    RULES_INFO.clear()
    RULES_INFO.labels(rules.version).set(1.0)
    for rule in (*rules.rules, *(segment.rule for segment in rules.segments)):
        RULE_ERRORS.labels(rule.name)


def _record_rules(counts: dict[str, dict[str, int]]) -> None:
    for effect, by_rule in counts.items():
        for rule, n in by_rule.items():
            _BY_EFFECT[effect].labels(rule).inc(n)
