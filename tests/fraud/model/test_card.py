"""Laws of the model's files and of its scoring."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from fraud.contracts import Thresholds
from fraud.errors import BadModel
from fraud.model.card import (
    Isotonic,
    ModelCard,
    Reference,
    ScoringModel,
    Sigmoid,
    check_fits,
    read_model,
    write_model,
)

NAMES = tuple(f"f{index}" for index in range(5))
FINITE = st.floats(-50.0, 50.0)


def make_card(**change: object) -> ModelCard:
    values = {
        "features_version": "v1",
        "feature_names": NAMES,
        "calibration": Isotonic(margins=(-3.0, 0.0, 2.0), probabilities=(0.01, 0.2, 0.9)),
        "thresholds": Thresholds(review=0.2, decline=0.6),
        "reference": Reference(
            levels=(0.0, 1.0), features={"f0": (None, None)}, missing={"f0": 1.0}, score=(0.0, 1.0)
        ),
    }
    return ModelCard.model_validate({**values, **change})


@pytest.fixture(scope="module")
def model() -> ScoringModel:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, len(NAMES)))
    is_fraud = vectors[:, 0] + vectors[:, 1] > 1.0
    booster = lightgbm.train(
        {"objective": "binary", "verbosity": -1}, lightgbm.Dataset(vectors, is_fraud), 10
    )
    return ScoringModel(booster, make_card())


VECTORS = np.random.default_rng(1).normal(size=(50, len(NAMES)))


def test_a_model_that_was_written_and_read_scores_bit_for_bit_the_same(model, tmp_path):
    write_model(tmp_path, model._booster.model_to_string(), model.card)
    again = read_model(tmp_path)
    assert again.card == model.card
    np.testing.assert_array_equal(again.predict(VECTORS), model.predict(VECTORS))
    np.testing.assert_array_equal(again.contributions(VECTORS), model.contributions(VECTORS))


def test_a_row_scores_the_same_alone_and_in_any_batch(model):
    alone = np.concatenate([model.predict(row[None]) for row in VECTORS])
    np.testing.assert_array_equal(model.predict(VECTORS), alone)


def test_contributions_and_the_mean_add_up_to_the_log_odds(model):
    margin = model._booster.predict(VECTORS, raw_score=True)
    rest = margin - model.contributions(VECTORS).sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-9)


def test_reasons_are_the_greatest_positive_contributions_of_the_chosen_rows(model):
    chosen = np.arange(len(VECTORS)) % 2 == 0
    index, value = model.reasons(VECTORS, chosen)
    parts = model.contributions(VECTORS)
    for row, (names, raised) in enumerate(zip(index, value, strict=True)):
        expected = (
            sorted((part for part in parts[row] if part > 0.0), reverse=True)[:3] if chosen[row] else []
        )
        assert raised[: len(expected)].tolist() == expected
        assert [parts[row][name] for name in names if name >= 0] == expected
        assert (raised[len(expected) :] == 0.0).all()
        assert (names[len(expected) :] == -1).all()


def test_no_rows_give_no_scores(model):
    none = np.empty((0, len(NAMES)))
    assert model.predict(none).shape == (0,)
    assert model.contributions(none).shape == none.shape
    assert model.reasons(none, np.empty(0, bool))[0].shape == (0, 3)


margins = arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6))


@given(margins, st.floats(1e-3, 50.0), FINITE)
def test_a_sigmoid_never_falls_and_stays_a_probability(margin, slope, offset):
    check_calibration(Sigmoid(slope=slope, offset=offset), margin)


@given(
    margins,
    st.lists(st.tuples(FINITE, st.floats(0.0, 1.0)), min_size=1, unique_by=lambda knot: round(knot[0], 9)),
)
def test_an_isotonic_line_never_falls_and_stays_a_probability(margin, knots):
    x = sorted(round(knot[0], 9) for knot in knots)  # of log-odds
    y = sorted(knot[1] for knot in knots)
    check_calibration(Isotonic(margins=tuple(x), probabilities=tuple(y)), margin)


def check_calibration(calibration, margin):
    probability = calibration.apply(np.sort(margin))
    assert (np.diff(probability) >= -1e-15).all()  # one rounding of the interpolation
    assert ((probability >= 0.0) & (probability <= 1.0)).all()


@pytest.mark.parametrize(
    ("margins", "probabilities"),
    [((0.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.1)), ((0.0,), (0.1, 0.2)), ((0.0,), (1.1,)), ((), ())],
)
def test_knots_that_are_no_rising_line_are_refused(margins, probabilities):
    with pytest.raises(ValidationError):
        Isotonic(margins=margins, probabilities=probabilities)


def test_trees_and_card_of_different_models_are_refused(model):
    with pytest.raises(BadModel, match="5 features, the card names 1"):
        ScoringModel(model._booster, make_card(feature_names=("f0",)))


@pytest.mark.parametrize("file", ["model.txt", "fraud.json"])
@pytest.mark.parametrize("content", [None, "", "{}", "tree\nnonsense"])
def test_a_folder_that_is_not_whole_is_refused(model, tmp_path, file, content):
    write_model(tmp_path, model._booster.model_to_string(), model.card)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(BadModel):
        read_model(tmp_path)


def test_another_feature_table_is_refused():
    check_fits(make_card(), "v1", NAMES)
    with pytest.raises(BadModel, match="v1, this build computes v2"):
        check_fits(make_card(), "v2", NAMES)
    with pytest.raises(BadModel, match="names differ"):
        check_fits(make_card(), "v1", NAMES[::-1])
