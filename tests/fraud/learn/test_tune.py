"""The search replaces the defaults by merit, not by luck."""

import itertools

import numpy as np
import pytest

from fraud.learn.examples import Examples
from fraud.learn.fit import PARAMETERS, Validation, average_precision
from fraud.learn.settings import TrainSettings
from fraud.learn.tune import LEAST_FRAUDS, choose, is_better
from tests.deployed import FEATURES

BLOCKS = (2_000, 2_000, 2_000)
DAY_US = 86_400_000_000


def examples(rng: np.random.Generator, rows: int, share: float, signal: float = 1.5) -> Examples:
    """Transactions of a tenth as many users, whose first feature tells frauds apart."""
    is_fraud = rng.random(rows) < share
    vectors = rng.normal(size=(rows, len(FEATURES)))
    vectors[:, 0] += signal * is_fraud
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


def validation(held: Examples, margin: np.ndarray) -> Validation:
    ends = np.cumsum([0, *BLOCKS])
    blocks = [slice(*edges) for edges in itertools.pairwise(ends)]
    return Validation(
        scores=np.array([average_precision(held.is_fraud[rows], margin[rows]) for rows in blocks]),
        frauds=np.array([held.is_fraud[rows].sum() for rows in blocks], np.float64),
        rounds=1,
        rows=np.arange(len(held)),
        margin=margin,
        sizes=BLOCKS,
    )


def best_of_eight(seed: int, gain: float) -> bool:
    """Whether any of eight candidates, which see the frauds better by ``gain``, replaces the defaults."""
    rng = np.random.default_rng(seed)
    held = examples(rng, sum(BLOCKS), 0.03)

    def draw(better: float) -> Validation:
        signal = (2.0 + better) * held.is_fraud
        return validation(held, shared + signal + 0.5 * rng.normal(size=len(held)))

    shared = rng.normal(size=len(held))  # models of the same data err alike
    default = draw(0.0)
    return any(is_better(draw(gain), default, held, seed) for _ in range(8))


def test_of_candidates_that_are_all_alike_the_luckiest_replaces_the_defaults_seldom():
    replaced = sum(best_of_eight(seed, 0.0) for seed in range(20))
    assert replaced <= 5, f"{replaced} of 20 searches chose noise"


def test_a_candidate_that_is_better_replaces_the_defaults():
    assert all(best_of_eight(seed, 0.6) for seed in range(10))


@pytest.mark.parametrize("balance", ["auto", "none"])
def test_with_few_frauds_nothing_is_searched_and_a_step_says_so(balance):
    train = examples(np.random.default_rng(0), 4_000, 0.02)
    assert 0 < train.is_fraud.sum() < LEAST_FRAUDS
    steps: list[str] = []
    choice = choose(train, TrainSettings(trials=2, threads=1, balance=balance), steps.append)
    assert (choice.parameters, choice.balance, choice.trials) == (PARAMETERS, "none", ())
    assert f"too few ({LEAST_FRAUDS}) to choose by" in steps[-1]


def test_with_enough_frauds_the_trials_are_made():
    train = examples(np.random.default_rng(0), 4_000, 0.2)
    choice = choose(train, TrainSettings(trials=1, threads=1, balance="none", folds=2), lambda _: None)
    assert len(choice.trials) == 2, "the defaults, and one trial"
