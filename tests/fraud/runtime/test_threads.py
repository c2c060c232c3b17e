"""Threads outlive whatever fails, and readiness hears of those that do not."""

import threading

import pytest
from prometheus_client import REGISTRY

from fraud.errors import Unavailable
from fraud.runtime.threads import Watch, ended_threads
from tests.services.predictor.conftest import wait_until


class Looks:
    """Fails with each given error, then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = iter(errors)
        self.succeeded = threading.Event()

    def __call__(self) -> None:
        for error in self.errors:
            raise error
        self.succeeded.set()


class Failing(threading.Event):
    """What no look can do: the loop itself fails."""

    fails = False

    def wait(self, timeout: float | None = None) -> bool:
        if self.fails:
            raise RuntimeError
        return super().wait(timeout)


@pytest.mark.parametrize(
    "error", [ValueError("x"), MemoryError(), Unavailable("away"), SystemExit(1), GeneratorExit()]
)
def test_a_thread_outlives_every_error_and_counts_it(error: BaseException) -> None:
    looks = Looks(error, error)
    name = f"outlives-{type(error).__name__}"
    watch = Watch(name, looks, 0.01, first_retry_s=0.01)
    watch.start()
    assert looks.succeeded.wait(10.0)
    assert watch.stop()
    assert (watch.failures, watch.trouble) == (0, "")
    assert REGISTRY.get_sample_value("fraud_thread_failures_total", {"thread": name}) == 2.0


def test_waits_grow_while_looks_fail_and_shrink_after() -> None:
    watch = Watch("waits", Looks(*[ValueError("x")] * 6), 9.0, first_retry_s=1.0, backoff_max_s=8.0)
    waits = [watch.look() for _ in range(6)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, [1, 2, 4, 8, 8, 8], strict=True))
    assert watch.trouble == "ValueError: x"
    assert (watch.look(), watch.trouble) == (9.0, "")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_by_itself_is_named_and_one_that_was_stopped_is_not() -> None:
    stopping = Failing()
    lost = Watch("lost", lambda: None, 0.01, stopping=stopping)
    stopped = Watch("stopped", lambda: None, 0.01)
    lost.start()
    stopped.start()
    assert ended_threads() == []
    stopped.stop()
    stopping.fails = True
    wait_until(lambda: ended_threads() == ["lost"], "it is named")
    lost.stop()
    assert ended_threads() == []
