"""The evaluator of trees gives LightGBM's bits on every model that it takes, and refuses the others."""

import logging

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.model.card import ScoringModel
from fraud.model.trees import FastTrees, Unsupported, open_trees
from fraud.model.trees.compile import main as compile_trees
from fraud.model.trees.fast import EXPLAINED, FEW, find_fault, probe_rows
from fraud.model.trees.forest import MASK_LEAVES
from tests.fraud.model.test_card import NAMES, make_card

QUIET = {
    "objective": "binary",
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "min_data_in_leaf": 3,
    "min_data_per_group": 3,
    "cat_smooth": 1.0,
}
KINDS = {
    "plain": {},
    "missing zeros": {"zero_as_missing": True},
    "no missing": {"use_missing": False},
    "more leaves than a mask": {"num_leaves": 200, "min_data_in_leaf": 1},
    "stumps": {"num_leaves": 2},
    "deep": {"num_leaves": 40, "max_depth": -1, "min_data_in_leaf": 1},
    "dart": {"boosting": "dart"},
    "goss": {"data_sample_strategy": "goss"},
}


def make_rows(rows: int, features: int, seed: int) -> np.ndarray:
    """Numbers, counts, and two categories, with zeros and missing values."""
    draw = np.random.default_rng(seed)
    values = draw.normal(0.0, 3.0, (rows, features))
    values[:, 1::3] = draw.poisson(1.0, values[:, 1::3].shape)
    values[:, :2] = draw.integers(0, (5, 90), (rows, 2))
    values[draw.random(values.shape) < 0.1] = np.nan
    values[draw.random(values.shape) < 0.1] = 0.0
    return values


def grow(features: int = 7, trees: int = 30, seed: int = 0, **parameters: object) -> lightgbm.Booster:
    values = make_rows(800, features, seed)
    draw = np.random.default_rng(seed)
    known = np.nan_to_num(values, nan=1.0)
    chosen = 6.0 * np.isin(known[:, 0], (1, 4)) + 6.0 * (known[:, 1] % 7 == 3)
    is_fraud = known[:, 2:].sum(axis=1) + chosen + draw.normal(size=800) > 3.0
    data = lightgbm.Dataset(values, is_fraud, categorical_feature=[0, 1], params={"verbosity": -1})
    return lightgbm.train({**QUIET, "seed": seed, **parameters}, data, trees)


def expected(booster: lightgbm.Booster, rows: np.ndarray, **kind: bool) -> np.ndarray:
    return np.asarray(booster.predict(rows, num_threads=1, num_iteration=-1, **kind))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_boosters_bit_for_bit_and_contributions_too_near_to_tell(kind: str) -> None:
    booster = grow(**KINDS[kind])
    trees = open_trees(booster)
    assert trees is not None
    rows = np.concatenate([make_rows(600, 7, 1), probe_rows(trees.forest, 7, 600)])
    np.testing.assert_array_equal(trees.margin(rows), expected(booster, rows, raw_score=True))
    alone = np.concatenate([trees.margin(row[None]) for row in rows[::7]])
    np.testing.assert_array_equal(alone, trees.margin(rows)[::7])
    parts = expected(booster, rows[:200], pred_contrib=True)[:, :-1]
    np.testing.assert_allclose(trees.contributions(rows[:200]), parts, atol=1e-9)


def test_the_kinds_have_what_they_are_to_show() -> None:
    plain, large = open_trees(grow()), open_trees(grow(**KINDS["more leaves than a mask"]))
    assert plain is not None
    assert large is not None
    assert plain.forest.has_masks
    assert len(plain.forest.sets) > 0
    assert set(plain.forest.columns[:, 1]) >= {3, 4}, "missing values go left here, right there"
    assert (plain.forest.twin > 0).any(), "a feature comes twice on a path"
    assert not large.forest.has_masks
    assert max(len(tree) for tree in np.split(large.forest.leaves, large.forest.trees[1:-1, 3])) > MASK_LEAVES


@settings(max_examples=25)
@given(
    features=st.integers(3, 40),
    trees=st.integers(1, 20),
    leaves=st.integers(2, 70),
    depth=st.integers(-1, 9),
    bins=st.integers(3, 300),
    seed=st.integers(0, 2**20),
    rows=st.sampled_from([1, FEW, FEW + 1, 31, 33, 300]),
)
def test_any_model_scores_as_its_booster(
    *, features: int, trees: int, leaves: int, depth: int, bins: int, seed: int, rows: int
) -> None:
    booster = grow(features, trees, seed, num_leaves=leaves, max_depth=depth, max_bin=bins)
    made = FastTrees(booster.model_to_string(), features)
    given_rows = make_rows(rows, features, seed + 1)
    np.testing.assert_array_equal(made.margin(given_rows), expected(booster, given_rows, raw_score=True))
    some = given_rows[:EXPLAINED]
    parts = expected(booster, some, pred_contrib=True)[:, :-1]
    np.testing.assert_allclose(made.contributions(some), parts, atol=1e-9)


def test_trees_after_the_best_round_count_for_neither() -> None:
    valid = lightgbm.Dataset(make_rows(200, 7, 4), np.arange(200) % 5 == 0)
    train = lightgbm.Dataset(make_rows(300, 7, 5), np.arange(300) % 4 == 0)
    stop = lightgbm.early_stopping(5, verbose=False)
    parameters = {**QUIET, "metric": "auc"}
    booster = lightgbm.train(
        parameters, train, 50, valid_sets=[valid], callbacks=[stop], keep_training_booster=True
    )
    assert 0 < booster.best_iteration < booster.current_iteration()
    trees, rows = open_trees(booster), make_rows(100, 7, 6)
    assert trees is not None
    np.testing.assert_array_equal(trees.margin(rows), booster.predict(rows, raw_score=True))
    assert (trees.margin(rows) != expected(booster, rows, raw_score=True)).any()


def test_learning_on_changes_neither_law() -> None:
    first = grow(trees=5)
    data = lightgbm.Dataset(make_rows(800, 7, 9), np.arange(800) % 3 == 0, categorical_feature=[0, 1])
    booster = lightgbm.train({**QUIET, "use_missing": False}, data, 5, init_model=first)
    trees = open_trees(booster)
    assert trees is not None
    rows = make_rows(300, 7, 2)
    np.testing.assert_array_equal(trees.margin(rows), expected(booster, rows, raw_score=True))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averaged"),
        ({"linear_tree": True}, "linear"),
        ({"objective": "multiclass", "num_class": 2}, "2 trees in each iteration"),
    ],
)
def test_a_model_of_another_kind_is_left_to_its_booster(
    parameters: dict[str, object], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    booster = grow(features=len(NAMES), **parameters)
    with pytest.raises(Unsupported, match=words):
        FastTrees(booster.model_to_string(), len(NAMES))
    with caplog.at_level(logging.WARNING):
        assert open_trees(booster) is None
    assert words in caplog.text
    if "num_class" not in parameters:
        model, rows = ScoringModel(booster, make_card()), make_rows(50, len(NAMES), 3)
        assert not model.is_fast
        margin = expected(booster, rows, raw_score=True)
        np.testing.assert_array_equal(model.predict(rows), model.card.calibration.apply(margin))


def test_a_text_of_other_trees_is_found_out() -> None:
    booster, other = grow(trees=30), grow(trees=30, learning_rate=0.1000001)
    assert find_fault(FastTrees(booster.model_to_string(), 7), booster) == ""
    assert "another score" in find_fault(FastTrees(other.model_to_string(), 7), booster)


def test_wrong_shares_of_the_rows_are_found_out() -> None:
    booster = grow(trees=5)
    lines = booster.model_to_string().splitlines()
    wrong = [
        line.replace("_count=8", "_count=9") if line.startswith("internal_count=") else line for line in lines
    ]
    assert wrong != lines
    assert "parts of a score differ" in find_fault(FastTrees("\n".join(wrong), 7), booster)


def test_rows_of_another_width_are_refused() -> None:
    trees = FastTrees(grow().model_to_string(), 7)
    with pytest.raises(ValueError, match="expected rows of 7 features"):
        trees.margin(np.zeros((3, 6)))


def test_the_images_build_can_compile_it_without_lightgbm() -> None:
    compile_trees()
