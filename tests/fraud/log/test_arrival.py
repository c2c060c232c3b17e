"""Laws of the arrival order and of the join by it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fraud.log.arrival import order_between, order_within, raise_times
from fraud.log.matching import match
from fraud.log.slices import _cut
from fraud.store import Epoch

RECORD = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2), st.integers(0, 50))
MOMENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 9)), max_size=40)


@given(st.lists(RECORD, max_size=30, unique=True))
def test_labels_then_results_come_first_among_records_of_one_time_then_partition_then_offset(records):
    received, rank, partition, offset = np.array(records or np.empty((0, 4)), np.int64).reshape(-1, 4).T
    order = order_within(received, rank, partition, offset)
    found = [records[i] for i in order]
    assert found == sorted(records)


@given(st.lists(RECORD, max_size=30, unique=True), st.randoms())
def test_the_order_of_many_micro_batches_is_each_one_s_order_after_the_other(records, dice):
    epochs = np.array([dice.randrange(3) for _ in records], np.int64)
    received, rank, partition, offset = np.array(records or np.empty((0, 4)), np.int64).reshape(-1, 4).T
    expected = []
    for epoch in range(3):
        rows = np.flatnonzero(epochs == epoch)
        inner = order_within(received[rows], rank[rows], partition[rows], offset[rows])
        expected += rows[inner].tolist()
    assert order_between(epochs, received, rank, partition, offset).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=1, max_size=30), st.randoms())
def test_raised_times_never_fall_within_a_partition_and_never_rise_without_need(records, dice):
    times, partition = np.array(records, np.int64).T
    offset = np.arange(len(records))
    shuffled = np.array(dice.sample(range(len(records)), len(records)))
    topic = np.full(len(records), "t")
    raised = np.empty_like(times)
    raised[shuffled] = raise_times(times[shuffled], topic, partition[shuffled], offset[shuffled])
    for number in (0, 1):
        own = partition == number
        assert raised[own].tolist() == np.maximum.accumulate(times[own]).tolist()


@given(MOMENTS, st.integers(1, 12))
def test_slices_hold_every_record_once_in_order_and_part_only_history(moments, rows):
    found = np.array(sorted(moments) or np.empty((0, 3)), np.int64).reshape(-1, 3)
    number = np.array([Epoch(int(g), int(e)).number for g, e, _ in found], np.int64)
    slices = _cut(number, found[:, 2].copy(), rows)
    keys = list(zip(number.tolist(), found[:, 2].tolist(), strict=True))
    held = [[key for key in keys if part.first <= key <= part.last] for part in slices]
    assert [key for part in held for key in part] == keys
    for part, inside in zip(slices, held, strict=True):
        assert Epoch.of(part.first[0]).generation == part.epoch.generation
        assert {key for key in keys if key[0] == number[-1]} <= set(inside) or not (
            part.is_newest_epoch and part.epoch.generation
        )
    for epoch in {key[0] for key in keys if Epoch.of(key[0]).generation}:
        assert sum(any(key[0] == epoch for key in inside) for inside in held) == 1


@given(
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3))),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))),
)
def test_matching_is_the_join_by_all_coordinates(left, right):
    left = sorted(left, key=hash)
    pairs = match(np.array(left).reshape(-1, 2), np.array(right).reshape(-1, 2))
    expected = {(i, right.index(key)) for i, key in enumerate(left) if key in right}
    assert set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == expected
    assert pairs.left_only == len(set(left) - set(right))
    assert pairs.right_only == len(set(right) - set(left))
    assert pairs.right_repeated == len(right) - len(set(right))
