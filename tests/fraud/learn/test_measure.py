"""The metrics, on cases that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.contracts import Thresholds
from fraud.learn.measure import measure, score_at_fpr

THRESHOLDS = Thresholds(review=0.5, decline=0.9)


def test_a_perfect_score_is_perfect():
    is_fraud = np.arange(300) < 3
    found = measure(is_fraud.astype(float), is_fraud, np.ones(300), THRESHOLDS)
    for name in (
        "pr_auc",
        "roc_auc",
        "f1",
        "precision",
        "recall",
        "recall_at_1pct_fpr",
        "amount_caught_at_1pct_fpr",
    ):
        assert getattr(found, name) == 1.0, name
    assert found.brier == 0.0
    assert (found.rows, found.fraud_share, found.flagged_share) == (300, 0.01, 0.01)


def test_counts_and_amounts_by_hand():
    # 200 honest, 1% of them at 0.8, the others at 0.2; frauds of 10, 30 and 60 units at 0.9, 0.85 and 0.1
    probability = np.r_[np.full(198, 0.2), 0.8, 0.8, 0.9, 0.85, 0.1]
    is_fraud = np.arange(203) >= 200
    amount = np.r_[np.ones(200), 10.0, 30.0, 60.0]
    found = measure(probability, is_fraud, amount, THRESHOLDS)
    assert found.precision == pytest.approx(2 / 4)
    assert found.recall == pytest.approx(2 / 3)
    assert found.recall_at_1pct_fpr == pytest.approx(2 / 3)
    assert found.amount_caught_at_1pct_fpr == pytest.approx(40 / 100)
    assert found.flagged_share == pytest.approx(4 / 203)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), st.booleans()), min_size=2, max_size=60),
    st.floats(0.0, 1.0),
)
def test_the_score_at_a_false_positive_rate_keeps_the_rate_and_could_not_be_lower(rows, rate):
    probability, is_fraud = (np.array(column) for column in zip(*rows, strict=True))
    if is_fraud.all() or not is_fraud.any():
        return
    honest = probability[~is_fraud]
    threshold = score_at_fpr(probability, is_fraud, rate)
    assert (honest >= threshold).mean() <= rate
    lower = probability[probability < threshold]
    if len(lower):
        assert (honest >= lower.max()).mean() > rate
