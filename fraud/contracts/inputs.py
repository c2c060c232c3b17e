"""Which contract the records of the topics that the stream reads must keep."""

from typing import Final

from fraud.contracts.label import Label
from fraud.contracts.scored import ScoredTransaction
from fraud.contracts.topics import LABELS, SCORED, TRANSACTIONS
from fraud.contracts.transaction import Transaction

CONTRACTS: Final[dict[str, type[Label | Transaction]]] = {
    TRANSACTIONS: Transaction,
    LABELS: Label,
    SCORED: ScoredTransaction,
}
"""By topic."""
