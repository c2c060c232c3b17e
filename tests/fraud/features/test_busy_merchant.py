"""A merchant with a million transactions in a week: a small state, values within the stated bounds."""

import numpy as np
import pytest

from fraud.features import kernel
from fraud.features.engine import fold_events
from fraud.features.plan import compile_plan
from fraud.schema.default import MERCHANT, MERCHANT_FEATURES
from fraud.schema.entities import WINDOWS_US

EVENTS = 1_000_000
START_US = 1_772_323_200_000_000  # 2026-03-01
MOST_BYTES = 60_000
CHECKED = slice(EVENTS // 2, EVENTS, 997)
NAMES = [feature.name for feature in MERCHANT_FEATURES]


@pytest.fixture(scope="module")
def busy():
    """Events at one merchant: a daily rhythm, amounts of cents, 50,000 users; its vectors and its state."""
    dice = np.random.default_rng(11)
    days, hours = dice.integers(0, 7, EVENTS), dice.beta(4, 3, EVENTS) * 24
    events = np.zeros((EVENTS, kernel.EVENT_COLUMNS))
    events[:, kernel.E_TIME] = START_US + np.sort(np.round((24 * days + hours) * 3.6e9))
    events[:, kernel.E_CENTS] = np.round(dice.lognormal(8.0, 1.0, EVENTS)) + 1.0
    events[:, kernel.E_ID] = np.arange(1, EVENTS + 1)
    events[:, kernel.E_MERCHANT] = 7.0
    events[:, kernel.E_USER] = dice.integers(1, 50_001, EVENTS)
    folded = fold_events(MERCHANT, events, {})
    return events, folded.vectors, folded.states[7.0]


def column(vectors, name):
    return vectors[CHECKED, NAMES.index(name)]


def sums_over(events, values, window, tile_us):
    """Exact sums over (t - window, t] by arrival, the far end moved back to the beginning of its tile."""
    times = events[:, kernel.E_TIME]
    total = np.concatenate([[0], np.cumsum(values.astype(np.int64))])
    rows = np.arange(EVENTS)[CHECKED]
    starts = times[rows] - WINDOWS_US[window]
    if tile_us:
        first = np.searchsorted(times, starts // tile_us * tile_us, side="left")
    else:
        first = np.searchsorted(times, starts, side="right")
    return (total[rows] - total[first]).astype(float), first


def test_the_state_stays_under_its_stated_size(busy):
    _, _, state = busy
    assert len(state) <= compile_plan(MERCHANT).state_floats * 8 <= MOST_BYTES


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
def test_counts_sums_and_means_are_those_of_a_window_that_begins_with_a_tile(busy, window):
    events, vectors, _ = busy
    tile_us = MERCHANT_FEATURES[NAMES.index(f"count_{window}_by_merchant")].tiles_us[window]
    count, _ = sums_over(events, np.ones(EVENTS), window, tile_us)
    cents, _ = sums_over(events, events[:, kernel.E_CENTS], window, tile_us)
    assert (column(vectors, f"count_{window}_by_merchant") == count).all()
    assert (column(vectors, f"amount_sum_{window}_by_merchant") == cents / 100.0).all()
    assert (column(vectors, f"amount_mean_{window}_by_merchant") == cents / (count * 100.0)).all()


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
def test_the_error_is_what_lies_in_less_than_one_tile_before_the_window(busy, window):
    events, vectors, _ = busy
    tile_us = MERCHANT_FEATURES[NAMES.index(f"count_{window}_by_merchant")].tiles_us[window]
    exact, first = sums_over(events, np.ones(EVENTS), window, 0)
    error = column(vectors, f"count_{window}_by_merchant") - exact
    times = events[:, kernel.E_TIME]
    before = first - np.searchsorted(times, times[CHECKED] - WINDOWS_US[window] - tile_us, side="right")
    assert (error >= 0).all()
    assert (error <= before).all()


def test_spread_and_maximum_are_those_of_a_window_that_begins_with_a_tile(busy):
    events, vectors, _ = busy
    times, cents = events[:, kernel.E_TIME], events[:, kernel.E_CENTS]
    std, most = column(vectors, "amount_std_1h_by_merchant"), column(vectors, "amount_max_1h_by_merchant")
    tile_us = 300_000_000
    for number, row in enumerate(range(EVENTS)[CHECKED]):
        start = (times[row] - WINDOWS_US["1h"]) // tile_us * tile_us
        inside = cents[np.searchsorted(times, start, side="left") : row] / 100.0
        assert std[number] == pytest.approx(inside.std(ddof=1), rel=1e-9)
        assert most[number] == inside.max()


def test_micro_batches_give_a_busy_merchant_the_same_bits(busy):
    events, vectors, state = busy
    states = {}
    for first in range(0, EVENTS, 170_000):
        part = fold_events(MERCHANT, events[first : first + 170_000], states)
        assert part.vectors.tobytes() == vectors[first : first + 170_000].tobytes()
        states = part.states
    assert states[7.0] == state
