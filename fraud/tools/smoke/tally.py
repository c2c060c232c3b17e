"""The tally of a smoke test: what was sent, and what came back for it."""

from dataclasses import dataclass, field

from fraud.contracts import Decision


@dataclass(slots=True)
class Tally:
    """Decisions of the transactions that were sent; those of others are passed over."""

    sent: frozenset[str]
    """Their transaction_id."""
    decided: set[str] = field(default_factory=set)
    fallbacks: int = 0
    """Decided without the model."""
    repeated: int = 0
    """Decisions published again by a micro-batch that ran twice; readers skip them."""

    def take(self, decision: Decision) -> None:
        """Count one decision.

        Examples
        --------
        >>> Tally(frozenset("a")).is_complete
        False
        """
        if decision.transaction_id not in self.sent:
            return
        if decision.transaction_id in self.decided:
            self.repeated += 1
            return
        self.decided.add(decision.transaction_id)
        self.fallbacks += decision.is_fallback

    @property
    def is_complete(self) -> bool:
        """Whether every transaction has its decision."""
        return self.decided == self.sent
