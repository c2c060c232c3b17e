"""Kafka topics: one name each, used by the code, the charts and the dashboards alike."""

from typing import Final

TRANSACTIONS: Final = "transactions"
LABELS: Final = "labels"
RESULTS: Final = "results"
PROFILES: Final = "profiles"
DECISIONS: Final = "decisions"
ALERTS: Final = "alerts"
DEAD_LETTERS: Final = "dead-letters"
SCORED: Final = "scored"
RATES: Final = "rates"

LISTS: Final = "lists"
"""Changes of the rules' lists: one partition (``fraud.decide.list_log``)."""

AUDIT: Final = "audit"
"""Who published which rules: one partition, kept for ever (``fraud.rules.audit_copies``)."""

SESSIONS: Final = "sessions"
"""Sessions of the console that ended by a logout (``services.console.ended``)."""

TOPICS: Final = (
    TRANSACTIONS,
    LABELS,
    RESULTS,
    PROFILES,
    DECISIONS,
    ALERTS,
    DEAD_LETTERS,
    SCORED,
    RATES,
    LISTS,
    AUDIT,
    SESSIONS,
)
"""All topics of the platform.

Records on ``transactions``, ``labels``, ``results``, ``decisions``, ``alerts`` and ``scored`` are keyed by
user_id; those on ``profiles`` by the entity that they speak of.
``rates`` and ``lists`` are compacted: they keep the newest record of each key, for ever (:data:`COMPACTED`).
All topics use ``message.timestamp.type=LogAppendTime``: the broker's clock is the arrival time.
"""
COMPACTED: Final = frozenset({RATES, LISTS})
ORDERED: Final = frozenset({LISTS, AUDIT})
"""With one partition, so that all records have one order."""
KEPT_WHOLE_MS: Final = {LISTS: 90 * 86_400_000}
"""For how long a compacted topic keeps every record, so that a backtest sees lists as they were."""
MOST_BYTES: Final = {AUDIT: 4_000_000}
"""Of a record, where it may be larger than Kafka's default of a million."""
