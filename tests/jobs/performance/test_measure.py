"""Quality by hand and by scikit-learn; the estimate is right on average where scores are probabilities."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from jobs.performance import measure, report
from jobs.performance.measure import METRICS, Rows, estimate

COARSE = st.integers(0, 10).map(lambda tenth: tenth / 10)


@pytest.mark.parametrize("module", [measure, report])
def test_examples(module) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@given(st.lists(st.tuples(COARSE, st.booleans(), st.integers(1, 3)), min_size=1, max_size=40))
def test_average_precision_is_scikit_learns_also_with_ties_and_weights(drawn) -> None:
    score, fraud, weight = (np.array(column, float) for column in zip(*drawn, strict=True))
    found = Rows(score, score > 0.5, np.ones(len(score))).measure(fraud, weight).pr_auc
    if fraud.any():
        assert found == pytest.approx(average_precision_score(fraud, score, sample_weight=weight))
    else:
        assert np.isnan(found)


def test_a_weight_counts_a_row_so_often() -> None:
    score, amount = np.array([0.9, 0.1, 0.5]), np.array([3.0, 4.0, 5.0])
    fraud, times = np.array([1.0, 0.0, 1.0]), np.array([2, 1, 3])
    weighted = Rows(score, score > 0.3, amount).measure(fraud, times.astype(float))
    again = np.repeat(np.arange(3), times)
    assert weighted == Rows(score[again], score[again] > 0.3, amount[again]).measure(fraud[again])


def test_a_decision_without_a_score_counts_but_not_in_the_area() -> None:
    score = np.array([0.9, np.nan, 0.1])
    found = Rows(score, np.array([True, False, False]), np.full(3, 10.0)).measure(np.array([1.0, 1.0, 0.0]))
    assert (found.pr_auc, found.recall, found.lost) == (1.0, 0.5, 10.0)


def test_the_estimate_is_unbiased_for_calibrated_scores() -> None:
    """Over many worlds, truth minus estimate has mean 0, and the bounds hold 95 % of the truths."""
    rng = np.random.default_rng(3)
    misses = {metric: [] for metric in METRICS}
    inside = {metric: [] for metric in METRICS}
    for world in range(150):
        chance = rng.beta(0.3, 3.0, 400)
        rows = Rows(chance, chance >= 0.3, rng.lognormal(3.0, 1.0, 400))
        truth = rows.measure((rng.random(400) < chance).astype(float))
        found = estimate(rows, 100, world)
        for metric in METRICS:
            value, mean = getattr(truth, metric), getattr(found.mean, metric)
            misses[metric].append(value - mean)
            inside[metric].append(getattr(found.low, metric) <= value <= getattr(found.high, metric))
    for metric in METRICS:
        missed = np.array(misses[metric])
        assert abs(missed.mean()) < 4.0 * missed.std() / np.sqrt(len(missed)), metric
        assert np.mean(inside[metric]) > 0.88, metric


def test_the_estimate_follows_scores_that_promise_too_much() -> None:
    """It believes the scores: what is not calibrated shows as a difference from the truth."""
    rng = np.random.default_rng(5)
    chance = rng.beta(0.3, 3.0, 4_000)
    rows = Rows(np.minimum(2.0 * chance, 1.0), chance >= 0.3, np.ones(4_000))
    truth = rows.measure((rng.random(4_000) < chance).astype(float))
    assert estimate(rows, 100, 1).low.precision > truth.precision
