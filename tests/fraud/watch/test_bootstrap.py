"""Laws of the figures under weights, and of the intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from fraud.learn.examples import Examples
from fraud.learn.measure import score_at_fpr
from fraud.watch.bootstrap import NAMES, Ranked, Scored, best_f1_threshold, interval, resample, user_weights

rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), st.booleans(), st.integers(1, 3)),
    min_size=2,
    max_size=60,
).filter(lambda found: 0 < sum(row[1] for row in found) < len(found))


@given(rows)
def test_weighted_figures_equal_those_of_rows_repeated(drawn):
    score, is_fraud, times = (np.array(column) for column in zip(*drawn, strict=True))
    amount = np.arange(1.0, len(score) + 1.0)
    found = dict(
        zip(NAMES, Ranked(Scored(score, 0.5), is_fraud, amount).measure(times.astype(float)), strict=True)
    )
    again = np.repeat(np.arange(len(score)), times)
    truth, repeated = is_fraud[again], score[again]
    assert found["pr_auc"] == pytest.approx(average_precision_score(truth, repeated))
    assert found["roc_auc"] == pytest.approx(roc_auc_score(truth, repeated))
    assert found["f1"] == pytest.approx(f1_score(truth, repeated >= 0.5, zero_division=0.0))
    caught = repeated >= score_at_fpr(repeated, truth, 0.01)
    assert found["recall_at_1pct_fpr"] == pytest.approx(caught[truth].mean())
    money = amount[again]
    assert found["amount_caught_at_1pct_fpr"] == pytest.approx(
        money[truth & caught].sum() / money[truth].sum()
    )


def test_the_interval_of_users_is_wider_where_one_user_makes_many_rows():
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.random(60) < 0.3, 20)
    score = truth + rng.normal(0.0, 1.0, len(truth)) + np.repeat(rng.normal(0.0, 1.0, 60), 20)
    widths = []
    for user in (np.repeat(np.arange(60), 20), np.arange(len(truth))):
        zeros = np.zeros(len(truth), np.int64)
        examples = Examples(np.zeros((len(truth), 1)), zeros, zeros, truth, np.ones(len(truth)), user, zeros)
        found = interval(resample({"m": Scored(score, 0.5)}, examples, 100, 1)["m"][:, 0])
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[0] > 1.5 * widths[1]


def test_a_resample_draws_as_many_users_as_there_are():
    weights = np.stack(list(user_weights(np.arange(5), 7, np.random.default_rng(1))))
    assert weights.shape == (7, 5)
    assert (weights.sum(axis=1) == 5).all()


def test_the_rows_of_a_user_count_equally_often():
    for weight in user_weights(np.array([0, 1, 1, 0]), 7, np.random.default_rng(1)):
        assert weight[0] == weight[3]
        assert weight[1] == weight[2]


def test_the_threshold_of_f1_is_the_best_one():
    rng = np.random.default_rng(2)
    truth = rng.random(200) < 0.2
    score = truth * 0.5 + rng.random(200)
    best = f1_score(truth, score >= best_f1_threshold(score, truth))
    assert best == pytest.approx(max(f1_score(truth, score >= cut) for cut in score))
