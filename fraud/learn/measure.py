"""How good the scores of a period are."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from fraud.contracts import Thresholds
from fraud.learn.examples import Bools
from fraud.model.card import Floats


@dataclass(frozen=True, slots=True)
class Metrics:
    """Quality on one period. Flagged means: probability at or above the review threshold."""

    pr_auc: float
    """Average precision; the share of frauds is what a random score reaches."""
    roc_auc: float
    f1: float
    """Of the flagged."""
    precision: float
    """Of the flagged."""
    recall: float
    """Share of the frauds that are flagged."""
    recall_at_1pct_fpr: float
    """Share of the frauds above the score that 1% of the honest reach."""
    amount_caught_at_1pct_fpr: float
    """The same by amount."""
    brier: float
    """Mean squared error of the probability."""
    flagged_share: float
    fraud_share: float
    rows: int

    def as_dict(self) -> dict[str, float]:
        """Name: value."""
        return asdict(self)


def measure(probability: Floats, is_fraud: Bools, amount: Floats, thresholds: Thresholds) -> Metrics:
    """Compute the metrics of one period, which has frauds and honest transactions."""
    flagged = probability >= thresholds.review
    caught = probability >= score_at_fpr(probability, is_fraud, 0.01)
    return Metrics(
        pr_auc=float(average_precision_score(is_fraud, probability)),
        roc_auc=float(roc_auc_score(is_fraud, probability)),
        f1=float(f1_score(is_fraud, flagged, zero_division=0.0)),
        precision=float(precision_score(is_fraud, flagged, zero_division=0.0)),
        recall=float(recall_score(is_fraud, flagged)),
        recall_at_1pct_fpr=float(caught[is_fraud].mean()),
        amount_caught_at_1pct_fpr=float(amount[is_fraud & caught].sum() / amount[is_fraud].sum()),
        brier=float(brier_score_loss(is_fraud, probability)),
        flagged_share=float(flagged.mean()),
        fraud_share=float(is_fraud.mean()),
        rows=len(probability),
    )


def score_at_fpr(probability: Floats, is_fraud: Bools, rate: float) -> float:
    """Find the lowest threshold that at most ``rate`` of the honest reach; infinite when there is none."""
    false_rates, _, thresholds = roc_curve(is_fraud, probability, drop_intermediate=False)
    return float(thresholds[np.flatnonzero(false_rates <= rate)[-1]])
