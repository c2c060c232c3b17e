"""The decision policy: from a score and its model's thresholds, or from neither, to an outcome with reasons.

With a score: below the review threshold approve, from it review, from the decline threshold decline.
Thresholds of a segment (``fraud.decide.compiling``) may name a challenge between the two.
Without (the model did not answer within its deadline): the fallback sends to review whatever one of the
schema's fallback rules holds for, and approves the rest; it never declines.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.contracts import Outcome, Reason, Thresholds
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Fallback, Schema

Floats = NDArray[np.float64]

OUTCOMES: Final = (Outcome.APPROVE, Outcome.REVIEW, Outcome.CHALLENGE, Outcome.DECLINE)


def reason_of(rule: Fallback, schema: Schema) -> Reason:
    """Make what the decision says when a rule of a schema's fallback holds."""
    words = schema.features[schema.feature_names.index(rule.feature)]
    return Reason(
        code=f"fallback_{rule.feature}", text=f"{words.description}: at least {rule.limit:g} {words.unit}"
    )


def decide(probability: Floats, thresholds: Thresholds) -> list[Outcome]:
    """Decide by score.

    Examples
    --------
    >>> [str(o) for o in decide(np.array([0.1, 0.5, 0.9]), Thresholds(review=0.5, decline=0.9))]
    ['approve', 'review', 'decline']
    """
    challenge = thresholds.decline if thresholds.challenge is None else thresholds.challenge
    bounds = np.array([thresholds.review, challenge, thresholds.decline])
    return [OUTCOMES[i] for i in np.searchsorted(bounds, probability, side="right").tolist()]


def by_thresholds(probability: float, thresholds: Thresholds) -> Outcome:
    """Decide one by score, as :func:`decide` does for many."""
    if probability >= thresholds.decline:
        return Outcome.DECLINE
    if thresholds.challenge is not None and probability >= thresholds.challenge:
        return Outcome.CHALLENGE
    return Outcome.REVIEW if probability >= thresholds.review else Outcome.APPROVE


def decide_without_model(
    vectors: Floats, names: Sequence[str] | None = None, schema: Schema | None = None
) -> list[tuple[Outcome, list[Reason]]]:
    """Decide by the fallback rules, as far as their features are there.

    They are what a person on duty would look at first.

    Parameters
    ----------
    vectors
        [n, features].
    names
        Of the features, in the vectors' order; by default the schema's.
    schema
        Whose fallback decides; by default the deployment's.
    """
    schema = schema or deployed_schema()
    names = names or schema.feature_names
    rules = [rule for rule in schema.fallback if rule.feature in names]
    columns = vectors[:, [names.index(rule.feature) for rule in rules]]
    holds = columns >= np.array([rule.limit for rule in rules])
    reasons = [reason_of(rule, schema) for rule in rules]
    return [
        (Outcome.REVIEW, [reason for reason, held in zip(reasons, row, strict=True) if held])
        if any(row)
        else (Outcome.APPROVE, [])
        for row in holds.tolist()
    ]
