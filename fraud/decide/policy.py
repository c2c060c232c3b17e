"""The decision policy: from a score and its model's thresholds, or from neither, to an outcome with reasons.

With a score: below the review threshold approve, from it review, from the decline threshold decline.
Without (the model did not answer within its deadline): the fallback sends to review whatever one of
``FALLBACK_RULES`` holds for, and approves the rest; it never declines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.contracts import Outcome, Reason, Thresholds
from fraud.features import FEATURE_NAMES, FEATURES

Floats = NDArray[np.float64]

OUTCOMES: Final = (Outcome.APPROVE, Outcome.REVIEW, Outcome.DECLINE)


@dataclass(frozen=True, slots=True)
class FallbackRule:
    """Holds where a feature is at least ``limit``; a missing feature never is."""

    feature: str
    limit: float

    @property
    def reason(self) -> Reason:
        """What the decision says when the rule holds."""
        words = FEATURES[FEATURE_NAMES.index(self.feature)]
        return Reason(
            code=f"fallback_{self.feature}", text=f"{words.description}: at least {self.limit:g} {words.unit}"
        )


FALLBACK_RULES: Final = (
    FallbackRule("transaction_amount", 500.0),
    FallbackRule("count_1h_by_user", 5.0),
    FallbackRule("speed_from_last_by_user", 900.0),
    FallbackRule("fraud_share_30d_by_user", 0.05),
)
"""What a person on duty would look at first, when no model answers."""


def decide(probability: Floats, thresholds: Thresholds) -> list[Outcome]:
    """Decide by score.

    Examples
    --------
    >>> [str(o) for o in decide(np.array([0.1, 0.5, 0.9]), Thresholds(review=0.5, decline=0.9))]
    ['approve', 'review', 'decline']
    """
    bounds = np.array([thresholds.review, thresholds.decline])
    return [OUTCOMES[i] for i in np.searchsorted(bounds, probability, side="right").tolist()]


def decide_without_model(
    vectors: Floats, names: Sequence[str] = FEATURE_NAMES
) -> list[tuple[Outcome, list[Reason]]]:
    """Decide by the fallback rules, as far as their features are there.

    Parameters
    ----------
    vectors
        [n, features].
    names
        Of the features, in the vectors' order.
    """
    rules = [rule for rule in FALLBACK_RULES if rule.feature in names]
    columns = vectors[:, [names.index(rule.feature) for rule in rules]]
    holds = columns >= np.array([rule.limit for rule in rules])
    reasons = [rule.reason for rule in rules]
    return [
        (Outcome.REVIEW, [reason for reason, held in zip(reasons, row, strict=True) if held])
        if any(row)
        else (Outcome.APPROVE, [])
        for row in holds.tolist()
    ]
