"""The wire: what travels between the parts, as JSON with a schema version, and on which topics."""

from fraud.contracts.decision import Decision, Outcome, Reason
from fraud.contracts.dead_letter import DeadLetter
from fraud.contracts.label import Label
from fraud.contracts.score import FeatureVector, Score, Thresholds
from fraud.contracts.topics import ALERTS, DEAD_LETTERS, DECISIONS, LABELS, TOPICS, TRANSACTIONS
from fraud.contracts.transaction import Transaction
from fraud.contracts.wire import SCHEMA_VERSION, parse_record

__all__ = [
    "ALERTS",
    "DEAD_LETTERS",
    "DECISIONS",
    "LABELS",
    "SCHEMA_VERSION",
    "TOPICS",
    "TRANSACTIONS",
    "DeadLetter",
    "Decision",
    "FeatureVector",
    "Label",
    "Outcome",
    "Reason",
    "Score",
    "Thresholds",
    "Transaction",
    "parse_record",
]
