"""Laws of the thresholds, against a brute-force search."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fraud.learn.thresholds import Costs, choose_thresholds


def cost_of(rows, review, decline, costs):
    total, reviews = 0.0, 0
    for p, fraud, money in rows:
        if p >= decline:
            total += 0.0 if fraud else costs.wrong_decline
        elif p >= review:
            total, reviews = total + costs.review, reviews + 1
        else:
            total += money if fraud else 0.0
    return total, reviews


cases = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans(), st.integers(1, 300)),
    min_size=1,
    max_size=25,
)
costs_drawn = st.builds(
    Costs,
    review=st.integers(0, 50).map(float),
    wrong_decline=st.integers(0, 100).map(float),
    review_capacity=st.floats(0.01, 0.99),
)


@given(cases, costs_drawn)
def test_no_pair_of_thresholds_costs_less_within_the_capacity(rows, costs):
    probability, is_fraud, amount = (np.array(column) for column in zip(*rows, strict=True))
    amount = amount.astype(float)
    found = choose_thresholds(probability, is_fraud, amount, costs)
    assert found.review <= found.decline
    cost, reviews = cost_of(rows, found.review, found.decline, costs)
    capacity = costs.review_capacity * len(rows)
    assert reviews <= capacity
    levels = np.unique(probability)
    others = [
        cost_of(rows, review, decline, costs) for review in levels for decline in levels if review <= decline
    ]
    assert cost <= min(other for other, used in others if used <= capacity) + 1e-9


def test_dearer_reviews_and_wrong_declines_flag_less():
    rng = np.random.default_rng(0)
    probability = rng.random(5_000) ** 3
    is_fraud = rng.random(5_000) < probability
    amount = np.full(5_000, 50.0)
    cheap = choose_thresholds(probability, is_fraud, amount, Costs(1.0, 5.0, 0.5))
    dear = choose_thresholds(probability, is_fraud, amount, Costs(20.0, 200.0, 0.5))
    assert cheap.review < dear.review
    assert cheap.decline < dear.decline
