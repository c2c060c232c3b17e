"""Waiting for a condition."""

from fraud.runtime.waiting import wait_until


def test_waiting_ends_with_the_condition_or_the_deadline():
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 10, poll_s=0.001)
    assert not wait_until(lambda: False, 0.01, poll_s=0.001)
