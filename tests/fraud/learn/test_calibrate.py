"""Laws of the calibration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.learn.calibrate import calibrate, fit_isotonic, fit_sigmoid
from fraud.model.card import Isotonic, Sigmoid


def draw(seed, rows=400, slope=1.0, offset=-2.0):
    rng = np.random.default_rng(seed)
    margin = rng.normal(0.0, 2.0, rows)
    is_fraud = rng.random(rows) < 1.0 / (1.0 + np.exp(-(slope * margin + offset)))
    is_fraud[:2] = [True, False]
    return margin, is_fraud


@given(st.integers(0, 10_000), st.integers(8, 300), st.sampled_from([-1.0, 0.0, 1.0]))
def test_a_higher_margin_never_gets_a_lower_probability(seed, rows, slope):
    margin, is_fraud = draw(seed, rows, slope)
    grid = np.linspace(margin.min() - 1.0, margin.max() + 1.0, 500)
    for fitted in (
        fit_sigmoid(margin, is_fraud),
        fit_isotonic(margin, is_fraud),
        calibrate(margin, is_fraud),
    ):
        probability = fitted.apply(grid)
        assert (np.diff(probability) >= 0.0).all()
        assert ((probability >= 0.0) & (probability <= 1.0)).all()


@pytest.mark.parametrize("fit", [fit_sigmoid, fit_isotonic, calibrate])
def test_probabilities_add_up_to_the_frauds(fit):
    margin, is_fraud = draw(3, 20_000)
    assert fit(margin, is_fraud).apply(margin).sum() == pytest.approx(is_fraud.sum(), rel=0.02)


def test_a_sigmoid_finds_the_slope_and_offset_that_drew_the_data():
    fitted = fit_sigmoid(*draw(1, 50_000, slope=0.7, offset=-3.0))
    assert (fitted.slope, fitted.offset) == pytest.approx((0.7, -3.0), abs=0.1)


def test_the_kind_is_chosen_by_what_the_data_look_like():
    assert isinstance(calibrate(*draw(1, 2_000)), Sigmoid)
    rng = np.random.default_rng(0)
    margin = rng.normal(0.0, 2.0, 20_000)
    is_fraud = rng.random(20_000) < np.where(margin > 0.0, 0.3, 0.02)  # a step, which is no sigmoid
    assert isinstance(calibrate(margin, is_fraud), Isotonic)


def test_an_isotonic_fit_is_never_certain():
    margin = np.linspace(-1.0, 1.0, 100)
    fitted = fit_isotonic(margin, margin > 0.0)
    assert 0.0 < fitted.probabilities[0] < fitted.probabilities[-1] < 1.0
