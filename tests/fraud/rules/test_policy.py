"""Laws of thresholds by segment, against a brute-force search."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import Outcome, Thresholds
from fraud.decide.policy import by_thresholds
from fraud.errors import BadInput
from fraud.rules.effects import CODES, Costs
from fraud.rules.policy import PolicyLimits, Scored, busiest, cheapest, choose, costs_of, of_worth, outcomes

COSTS = Costs(review=5.0, challenge=1.0, wrong_decline=20.0, challenge_left=0.2, challenge_passed=0.1)
SCORES = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]
BORDERS = [0.0, 0.05, 0.2, 0.4, 0.7, 0.95, 1.0]


def scored(rows: list[tuple[float, bool, int]]) -> Scored:
    score, is_fraud, amount = (np.array(column) for column in zip(*rows, strict=True))
    nothing = np.zeros(len(rows), np.int64)
    return Scored(score, amount.astype(float), is_fraud, nothing, nothing)


def cost(known: Scored, thresholds: Thresholds, costs: Costs, price: float) -> float:
    total = 0.0
    for score, amount, is_fraud in zip(known.score, known.amount, known.is_fraud, strict=True):
        outcome = by_thresholds(score, thresholds)
        total += float(costs.of(outcome, np.array([amount]), np.array([is_fraud]))[0])
        total += price * (outcome is Outcome.REVIEW)
    return total


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(SCORES), st.booleans(), st.integers(1, 300)), min_size=1, max_size=20),
    st.builds(
        Costs,
        review=st.integers(0, 50).map(float),
        challenge=st.integers(0, 20).map(float),
        wrong_decline=st.integers(0, 100).map(float),
        challenge_left=st.floats(0.0, 1.0),
        challenge_passed=st.floats(0.0, 1.0),
    ),
    st.integers(0, 30).map(float),
    st.booleans(),
)
def test_no_thresholds_cost_less(
    rows: list[tuple[float, bool, int]], costs: Costs, price: float, with_challenge: bool
) -> None:
    # A score of 1 cannot lie above the greatest threshold.
    rows = [row for row in rows if row[0] < 1.0] or [(0.5, True, 1)]
    known = scored(rows)
    found = cheapest(known, costs, price, with_challenge=with_challenge)
    assert with_challenge or found.challenge is None
    others = [
        Thresholds(review=review, challenge=challenge if with_challenge else None, decline=decline)
        for review, challenge, decline in combinations_with_replacement(BORDERS, 3)
    ]
    least = min(cost(known, one, costs, price) for one in others)
    assert cost(known, found, costs, price) == pytest.approx(least)
    assert costs_of(known, outcomes(known, [found]), costs).sum() == pytest.approx(
        cost(known, found, costs, 0.0)
    )


def drawn(seed: int = 1, n: int = 20_000) -> Scored:
    """Draw two segments; in the second one the same score means a tenth of the fraud, and small amounts."""
    dice = np.random.default_rng(seed)
    segment, score = dice.integers(0, 2, n), dice.beta(1.0, 6.0, n)
    is_fraud = dice.random(n) < np.where(segment == 0, score, score / 10.0)
    amount = dice.gamma(2.0, np.where(segment == 0, 200.0, 20.0))
    return Scored(score, amount, is_fraud, np.arange(n) // 1_000, segment)


@pytest.mark.parametrize("capacity", [0.0, 30.0, 100.0, 1e9])
def test_the_capacity_holds_on_the_busiest_day_over_all_segments(capacity: float) -> None:
    known, reviewed = drawn(), {3: 10}
    if capacity < 10:
        with pytest.raises(BadInput, match="the rules alone ask for more reviews"):
            choose(known, 2, PolicyLimits(COSTS, capacity, reviewed))
        reviewed = {}
    wanted = PolicyLimits(COSTS, capacity, reviewed)
    became = outcomes(known, choose(known, 2, wanted))
    assert busiest(known, became, reviewed) <= capacity
    if capacity == 100.0:
        assert busiest(known, became, reviewed) > 80, "it is used"
    together = outcomes(known.together(), choose(known.together(), 1, wanted))
    assert costs_of(known, became, COSTS).sum() < costs_of(known, together, COSTS).sum()


def test_less_capacity_costs_more_and_moves_reviews_to_challenges() -> None:
    known = drawn()
    found = [outcomes(known, choose(known, 2, PolicyLimits(COSTS, most, {}))) for most in (1e9, 60.0)]
    costs = [costs_of(known, one, COSTS).sum() for one in found]
    challenges = [(one == CODES[Outcome.CHALLENGE]).sum() for one in found]
    assert costs[0] < costs[1]
    assert challenges[0] < challenges[1]


def test_a_segment_that_is_none_gets_no_thresholds_of_its_own() -> None:
    known = drawn()
    assert of_worth(known, 2, PolicyLimits(COSTS, 1e9, {})) == [0, 1]
    dice = np.random.default_rng(2)
    by_chance = Scored(known.score, known.amount, known.is_fraud, known.day, dice.integers(0, 40, len(known)))
    assert len(of_worth(by_chance, 40, PolicyLimits(COSTS, 1e9, {}))) < 8
