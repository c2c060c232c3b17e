"""What the scoring service counts, on ``GET /metrics``; no ids, clients by their configured names."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from fraud.contracts import Outcome
from fraud.decide.engine import RuleHits, RuleSet
from fraud.features.kernel import Floats
from fraud.runtime.telemetry import AGE_BUCKETS_S, STORE_BUCKETS_S
from fraud.store.answers import Load

_FAST_SECONDS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

SECONDS: Final = Histogram(
    "fraud_scoring_request_seconds", "From the whole request to its answer.", ["path"], buckets=_FAST_SECONDS
)
REQUESTS: Final = Counter("fraud_scoring_requests_total", "Requests by answer.", ["path", "status"])
OUTCOMES: Final = Counter("fraud_scoring_decisions_total", "Decisions by outcome.", ["outcome"])
SCORES: Final = Counter("fraud_scoring_scores_total", "Scores, in bins of a tenth.", ["bin"])
AGES: Final = Histogram(
    "fraud_scoring_feature_age_seconds",
    "Age of the newest known event of a transaction's entity, by event time.",
    ["entity"],
    buckets=AGE_BUCKETS_S,
)
STORE: Final = Histogram(
    "fraud_scoring_store_seconds",
    "Time of one call of the feature store.",
    ["operation"],
    buckets=STORE_BUCKETS_S,
)
MODEL_SECONDS: Final = Histogram(
    "fraud_scoring_model_seconds", "Time of one score by the champion.", buckets=STORE_BUCKETS_S
)
MODEL_ERRORS: Final = Counter("fraud_scoring_model_errors_total", "Scores that the champion failed to give.")
REPLAYS: Final = Counter(
    "fraud_scoring_replays_total", "Repeated requests, which got their first answer again."
)
CONFLICTS: Final = Counter(
    "fraud_scoring_conflicts_total",
    "Transactions computed again, because another one of the same entity came first.",
)
DEGRADED: Final = Counter(
    "fraud_scoring_degraded_total",
    "Decisions made while a dependency was unavailable, by dependency.",
    ["part"],
)
BAD_STATES: Final = Counter(
    "fraud_scoring_bad_states_total",
    "Transactions refused because a state is corrupt, by entity.",
    ["entity"],
)
STORE_REFUSED: Final = Gauge(
    "fraud_scoring_store_refused", "1 while the store is not used: another layout, an older copy or deleted."
)
SHED: Final = Counter("fraud_scoring_shed_total", "Requests refused to keep the others fast.", ["reason"])
OUTBOX: Final = Gauge("fraud_scoring_outbox_records", "Transactions that Kafka does not have yet.")
SHARD_OUTBOX: Final = Gauge(
    "fraud_scoring_shard_outbox_records",
    "Transactions that Kafka does not have yet, by the store's server that holds them.",
    ["shard"],
)
SHARD_LOCKED: Final = Gauge(
    "fraud_scoring_shard_locked_states",
    "States locked by commits over several servers of the store, by server.",
    ["shard"],
)
PUBLISHED: Final = Counter("fraud_scoring_published_total", "Transactions that Kafka has accepted.")
IS_DRAINER: Final = Gauge("fraud_scoring_is_drainer", "1 if this replica empties the outbox.")
RULES_INFO: Final = Gauge("fraud_scoring_rules_info", "1 for the rules in force.", ["version"])
RULES_REFUSED: Final = Gauge("fraud_scoring_rules_refused", "1 while the rules file is wrong.")
RULE_HITS: Final = Counter(
    "fraud_scoring_rule_hits_total", "Decisions to which a live rule applied.", ["rule"]
)
RULE_SHADOW_HITS: Final = Counter(
    "fraud_scoring_rule_shadow_hits_total", "Decisions to which a rule in shadow applied.", ["rule"]
)
RULE_ERRORS: Final = Counter(
    "fraud_scoring_rule_errors_total", "Decisions for which a rule's expression failed.", ["rule"]
)
LISTS_UNAVAILABLE: Final = Gauge(
    "fraud_scoring_lists_unavailable", "1 while changes of the lists cannot be read."
)
LISTS_BAD: Final = Gauge("fraud_scoring_lists_bad_records", "Records of the topic lists that were not read.")
ARMS: Final = Counter("fraud_scoring_arms_total", "Transactions decided in an experiment, by arm.", ["arm"])
LABELS_PENDING: Final = Gauge("fraud_scoring_labels_pending", "Labels that wait for their transactions.")
LABELS_EXPIRED: Final = Counter(
    "fraud_scoring_labels_expired_total", "Kept labels that became dead letters, by reason.", ["reason"]
)
for _reason in ("unknown_transaction", "invalid_label"):
    LABELS_EXPIRED.labels(_reason)  # it begins at 0: Prometheus does not see the step of one that begins at 1
MODEL_INFO: Final = Gauge(
    "fraud_scoring_model_info", "1 for the model in use.", ["model", "version", "is_fast"]
)

_OF_OUTCOME: Final = {outcome: OUTCOMES.labels(str(outcome)) for outcome in Outcome}
_OF_TENTH: Final = [SCORES.labels(f"{tenth / 10:.1f}") for tenth in range(10)]
requests_of: Final = cache(REQUESTS.labels)
seconds_of: Final = cache(SECONDS.labels)
_age_of: Final = cache(AGES.labels)


def name_rules(rules: RuleSet) -> None:
    """Name the rules in force; errors of rules and segments are counted from 0: an alert sees the first."""
    RULES_INFO.clear()
    RULES_INFO.labels(rules.version).set(1.0)
    for rule in (*rules.rules, *(segment.rule for segment in rules.segments)):
        RULE_ERRORS.labels(rule.name)


def count_loads(loads: Sequence[Load]) -> None:
    """Show what waits in the store, by its servers from 1."""
    OUTBOX.set(sum(load.outbox for load in loads))
    for shard, load in enumerate(loads, 1):
        SHARD_OUTBOX.labels(shard).set(load.outbox)
        SHARD_LOCKED.labels(shard).set(load.locked)


def count_rules(held: RuleHits) -> None:
    """Count the rules that held for a transaction, and those that failed."""
    for rule in held.live:
        RULE_HITS.labels(rule.name).inc()
    for rule in held.shadow:
        RULE_SHADOW_HITS.labels(rule.name).inc()
    for name in held.failed:
        RULE_ERRORS.labels(name).inc()


def count_decision(
    outcome: Outcome, score: float | None, vector: Floats, age_columns: Mapping[str, int]
) -> None:
    """Count a transaction that was decided here for the first time.

    Parameters
    ----------
    vector
        [1, features].
    age_columns
        ``fraud.features.passes.age_columns`` of the vector.
    """
    _OF_OUTCOME[outcome].inc()
    if score is not None:
        _OF_TENTH[min(int(score * 10.0), 9)].inc()
    for entity, column in age_columns.items():
        age_s = float(vector[0, column])
        if age_s == age_s:  # noqa: PLR0124  not missing
            _age_of(entity).observe(max(age_s, 0.0))
