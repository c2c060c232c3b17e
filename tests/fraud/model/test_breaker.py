"""The circuit breaker against its state machine."""

from hypothesis import given
from hypothesis import strategies as st

from fraud.model.breaker import BreakerState, CircuitBreaker

LIMIT, COOLDOWN_S = 3, 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.one_of(st.sampled_from(["ok", "fail", "ask"]), st.floats(0.1, 8.0)), max_size=60))
def test_it_follows_the_state_machine(steps):
    clock = Clock()
    breaker = CircuitBreaker(LIMIT, COOLDOWN_S, clock)
    failures, open_until = 0, None
    for step in steps:
        if isinstance(step, float):
            clock.now += step
        elif step == "ok":
            breaker.record(is_success=True)
            failures, open_until = 0, None
        elif step == "fail":
            breaker.record(is_success=False)
            failures += 1
            if failures >= LIMIT:
                open_until = clock.now + COOLDOWN_S
        else:
            may = open_until is None or clock.now >= open_until
            assert breaker.allows() == may
            if may and open_until is not None:  # the one trial of this cool-down
                open_until = clock.now + COOLDOWN_S
        expected = BreakerState.CLOSED
        if open_until is not None:
            expected = BreakerState.OPEN if clock.now < open_until else BreakerState.HALF_OPEN
        assert breaker.state == expected


def test_it_opens_only_after_failures_in_a_row():
    breaker = CircuitBreaker(LIMIT, COOLDOWN_S, Clock())
    for is_success in (False, False, True, False, False):
        breaker.record(is_success=is_success)
    assert breaker.state == BreakerState.CLOSED
    breaker.record(is_success=False)
    assert breaker.state == BreakerState.OPEN


def test_half_open_lets_one_try_whose_success_closes_and_whose_failure_opens():
    clock = Clock()
    breaker = CircuitBreaker(1, COOLDOWN_S, clock)
    breaker.record(is_success=False)
    clock.now = COOLDOWN_S
    assert (breaker.allows(), breaker.allows()) == (True, False)
    breaker.record(is_success=False)
    assert not breaker.allows()
    clock.now = 2 * COOLDOWN_S
    assert breaker.allows()
    breaker.record(is_success=True)
    assert breaker.allows()
    assert breaker.allows()
