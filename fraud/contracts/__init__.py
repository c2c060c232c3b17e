"""Contracts: the records that programs exchange, as JSON with a schema version, and their topics."""

from fraud.contracts.dead_letter import DeadLetter
from fraud.contracts.decision import Decision, Outcome, Reason
from fraud.contracts.future import MOST_AHEAD_S, AheadBounds, bounds_of, check_future, without_future
from fraud.contracts.inputs import MOST_RECORD, TOO_LARGE, check_size, parse_input
from fraud.contracts.label import Label
from fraud.contracts.models import Contracts, contracts_of
from fraud.contracts.profile import Profile
from fraud.contracts.result import Result
from fraud.contracts.score import FeatureVector, Score, Thresholds
from fraud.contracts.scored import ScoredTransaction
from fraud.contracts.topics import (
    ALERTS,
    COMPACTED,
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    LISTS,
    PROFILES,
    RATES,
    RESULTS,
    SCORED,
    SESSIONS,
    TOPICS,
    TRANSACTIONS,
)
from fraud.contracts.transaction import Transaction
from fraud.contracts.wire import SCHEMA_VERSION, parse_record

__all__ = [
    "ALERTS",
    "COMPACTED",
    "DEAD_LETTERS",
    "DECISIONS",
    "LABELS",
    "LISTS",
    "MOST_AHEAD_S",
    "MOST_RECORD",
    "PROFILES",
    "RATES",
    "RESULTS",
    "SCHEMA_VERSION",
    "SCORED",
    "SESSIONS",
    "TOO_LARGE",
    "TOPICS",
    "TRANSACTIONS",
    "AheadBounds",
    "Contracts",
    "DeadLetter",
    "Decision",
    "FeatureVector",
    "Label",
    "Outcome",
    "Profile",
    "Reason",
    "Result",
    "Score",
    "ScoredTransaction",
    "Thresholds",
    "Transaction",
    "bounds_of",
    "check_future",
    "check_size",
    "contracts_of",
    "parse_input",
    "parse_record",
    "without_future",
]
