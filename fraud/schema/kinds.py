"""Kinds of transactions, and which of them count in an entity's history where the schema does not say."""

from typing import Final, Literal

Kind = Literal["purchase", "verification", "withdrawal", "transfer", "refund", "reversal"]
PURCHASE: Final = "purchase"
VERIFICATION: Final = "verification"
REFUND: Final = "refund"
KINDS: Final = (PURCHASE, VERIFICATION, "withdrawal", "transfer", REFUND, "reversal")
"""A record that names no kind is a purchase. A verification checks a card, mostly with an amount of 0."""
COUNTED_KINDS: Final = KINDS[:4]
"""Refunds and reversals are decided and archived as all others, and count in no history by default."""
