"""Where review and decline begin, by what each outcome costs."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraud.contracts import Thresholds
from fraud.learn.examples import Bools
from fraud.learn.settings import SourceSettings
from fraud.model.card import Floats

CANDIDATES: Final = 400


@dataclass(frozen=True, slots=True)
class Costs:
    """What outcomes cost, in currency units."""

    review: float
    wrong_decline: float
    review_capacity: float
    """Greatest share of transactions that can be reviewed."""
    fraud_share: float = 1.0
    """What an approved fraud costs, as a share of its amount."""


def costs_of(settings: SourceSettings) -> Costs:
    """Take the costs from settings."""
    return Costs(
        settings.review_cost, settings.wrong_decline_cost, settings.review_capacity, settings.fraud_cost_share
    )


def choose_thresholds(probability: Floats, is_fraud: Bools, amount: Floats, costs: Costs) -> Thresholds:
    """Find the pair of thresholds that costs least on these transactions within the review capacity.

    A reviewed fraud is taken as stopped. Every pair out of some hundred candidates is tried, the
    candidates being denser where the probabilities are high.

    Returns
    -------
    Thresholds
        Review not above decline.
    """
    order = np.argsort(-probability, kind="stable")
    p, fraud, money = probability[order], is_fraud[order], amount[order]
    # "The first k rows" is a threshold only where the probability falls after the k-th row.
    cuts = np.flatnonzero(np.r_[np.diff(p) < 0.0, True]) + 1
    cuts = cuts[np.unique(np.geomspace(1, len(cuts), CANDIDATES).astype(int)) - 1]
    lost = np.r_[0.0, costs.fraud_share * np.cumsum(money * fraud)]  # fraud money among the first k rows
    honest = np.r_[0.0, np.cumsum(~fraud)]
    decline, review = cuts[:, None], cuts[None, :]
    cost = (
        (lost[-1] - lost[review]) + costs.review * (review - decline) + costs.wrong_decline * honest[decline]
    )
    allowed = (review >= decline) & (review - decline <= costs.review_capacity * len(p))
    best = np.unravel_index(int(np.argmin(np.where(allowed, cost, np.inf))), cost.shape)
    return Thresholds(review=float(p[cuts[best[1]] - 1]), decline=float(p[cuts[best[0]] - 1]))


def cost_of(
    probability: Floats, is_fraud: Bools, amount: Floats, costs: Costs, *, review: float, decline: float
) -> float:
    """Cost of a period under a pair of thresholds, in currency units.

    An approved fraud costs its share of the amount, a review its price, a declined honest transaction
    that of a wrong decline; a reviewed or declined fraud is stopped.
    """
    is_declined = probability >= decline
    is_reviewed = (probability >= review) & ~is_declined
    missed = amount[is_fraud & ~is_declined & ~is_reviewed].sum() * costs.fraud_share
    wrong = (is_declined & ~is_fraud).sum() * costs.wrong_decline
    return float(missed + is_reviewed.sum() * costs.review + wrong)
