"""Validation on a sample of the honest tells what all of them would tell."""

import numpy as np
import pytest

from fraud.learn.examples import Examples, forward_folds
from fraud.learn.fit import PARAMETERS, thin_rows_of, validate_trees
from tests.deployed import FEATURES

DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def train() -> Examples:
    """Transactions of 30 days, one in 50 a fraud, told apart by two features and the chance between them."""
    rng = np.random.default_rng(1)
    rows = 24_000
    is_fraud = rng.random(rows) < 0.02
    vectors = rng.normal(size=(rows, len(FEATURES)))
    vectors[:, :2] += 1.2 * is_fraud[:, None]
    times = np.sort(rng.integers(0, 30 * DAY_US, rows))
    return Examples(
        vectors=vectors,
        event_us=times,
        label_us=times,
        is_fraud=is_fraud,
        amount=np.ones(rows),
        user=rng.integers(0, rows // 10, rows),
        category=np.zeros(rows, np.int64),
    )


@pytest.fixture(scope="module")
def both(train):
    folds = forward_folds(train, 2, 0.4)
    given = {"seed": 1, "threads": 1, "rounds": 60, "monotone": (0,) * len(FEATURES)}
    given["parameters"] = {**PARAMETERS, "boost_from_average": True}  # few trees come from even odds not far
    return [validate_trees(train, folds, most_rows=most, **given) for most in (None, 4_000)]


def test_the_sampled_honest_count_for_those_left_out(train, both):
    whole, sampled = both
    share = train.is_fraud[sampled.rows].mean()
    for found in (whole, sampled):
        # Without their weight, frauds would be told to be four times as frequent.
        assert (1.0 / (1.0 + np.exp(-found.margin))).mean() == pytest.approx(share, rel=0.3)


def test_what_is_held_is_held_in_full_and_ranked_nearly_as_well(both):
    whole, sampled = both
    assert np.array_equal(whole.rows, sampled.rows)
    assert whole.sizes == sampled.sizes
    assert sampled.mean > 0.85 * whole.mean
    assert not np.array_equal(whole.margin, sampled.margin), "a sample was learnt from"


def test_every_fraud_is_learnt_from(train):
    rows = np.arange(5_000, 20_000)
    kept = thin_rows_of(train.is_fraud, rows, 2_000, 3)
    assert len(kept) == 2_000
    assert set(rows[train.is_fraud[rows]]) <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()


def test_rows_that_are_few_enough_are_all_learnt_from(train):
    rows = np.arange(5_000, 20_000)
    assert np.array_equal(thin_rows_of(train.is_fraud, rows, 15_000, 3), rows)
    assert np.array_equal(thin_rows_of(train.is_fraud, rows, None, 3), rows)
