"""When records are due: laws of the three paces, without a clock."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import BadConfig
from fraud.synthetic.pace import Accelerated, Constant, Unpaced, due_after_s, merge_by_time

moments = st.lists(st.integers(0, 10**13), max_size=50).map(
    lambda values: np.array(sorted(values), dtype=np.int64)
)
paces = st.one_of(
    st.just(Unpaced()),
    st.floats(0.01, 1e6).map(Constant),
    st.floats(0.01, 1e6).map(Accelerated),
)


@given(moments, moments)
def test_merging_keeps_every_time_in_order_with_transactions_first(transaction_us, label_us):
    time_us, which = merge_by_time(transaction_us, label_us)
    is_transaction = which == 0
    assert np.array_equal(time_us[is_transaction], transaction_us)
    assert np.array_equal(time_us[~is_transaction], label_us)
    assert np.all(np.diff(time_us) >= 0)
    is_equal = np.diff(time_us) == 0
    assert not np.any(is_equal & ~is_transaction[:-1] & is_transaction[1:])


@given(paces, moments, moments)
def test_records_are_due_in_their_order_from_zero_on(pace, transaction_us, label_us):
    time_us, which = merge_by_time(transaction_us, label_us)
    is_transaction = which == 0
    due_s = due_after_s(pace, time_us, is_transaction)
    assert len(due_s) == len(time_us)
    assert np.all(np.diff(due_s) >= 0)
    assert np.all(due_s[:1] == 0)


@given(moments, moments, st.floats(0.1, 1e5))
def test_a_constant_rate_spaces_transactions_evenly_and_labels_cost_nothing(transaction_us, label_us, rate):
    time_us, which = merge_by_time(transaction_us, label_us)
    is_transaction = which == 0
    due_s = due_after_s(Constant(rate), time_us, is_transaction)
    assert np.allclose(due_s[is_transaction], np.arange(len(transaction_us)) / rate)
    assert set(due_s[~is_transaction]) <= set(due_s[is_transaction]) | {0.0}


@given(moments, st.floats(0.1, 1e5))
def test_an_accelerated_clock_keeps_the_proportions(time_us, speedup):
    due_s = due_after_s(Accelerated(speedup), time_us, np.ones(len(time_us), dtype=bool))
    assert np.allclose(due_s * speedup * 1e6, time_us - time_us[:1])


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_no_pace_stands_still_or_runs_backwards(value):
    with pytest.raises(BadConfig):
        Constant(value)
    with pytest.raises(BadConfig):
        Accelerated(value)
