"""Waiting for a condition, and trying again."""

import pytest

from fraud.errors import BadConfig, Unavailable
from fraud.runtime.waiting import retry, wait_until


def test_waiting_ends_with_the_condition_or_the_deadline():
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 10, poll_s=0.001)
    assert not wait_until(lambda: False, 0.01, poll_s=0.001)


def test_a_call_is_tried_again_until_it_succeeds():
    said, waits = [], []
    answers = iter([Unavailable("away"), Unavailable("still away"), "there"])

    def act():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pause_s(failures):
        waits.append(failures)
        return 0.001

    assert retry(act, Unavailable, 10, pause_s=pause_s, tell=said.append) == "there"
    assert said == ["away", "still away"]
    assert waits == [1, 2]


def test_the_last_failure_is_raised_when_the_time_is_over():
    calls = []

    def act():
        calls.append(1)
        raise Unavailable(f"away {len(calls)}")

    with pytest.raises(Unavailable, match=r"away \d+") as raised:
        retry(act, Unavailable, 0.01, pause_s=lambda _: 0.001)
    assert str(raised.value) == f"away {len(calls)}"
    assert len(calls) > 1


def test_an_error_that_does_not_pass_is_raised_at_once():
    calls = []

    def act():
        calls.append(1)
        raise BadConfig("wrong")

    with pytest.raises(BadConfig, match="wrong"):
        retry(act, Unavailable, 10, pause_s=lambda _: 0.001)
    assert len(calls) == 1
