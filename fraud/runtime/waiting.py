"""Waiting, by tenacity: one way for all that waits or tries again outside the path of a transaction."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

T = TypeVar("T")


def wait_until(is_met: Callable[[], bool], timeout_s: float, poll_s: float = 0.05) -> bool:
    """Ask for a condition until it holds; False when it does not by the deadline.

    Parameters
    ----------
    is_met
        Asked at once, and again after each pause; what it raises ends the waiting.
    timeout_s, poll_s
        Longest wait and pause, seconds.

    Examples
    --------
    >>> wait_until(lambda: False, timeout_s=0.01, poll_s=0.001)
    False
    """
    asking = Retrying(
        retry=retry_if_result(lambda met: not met),
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(poll_s),
        retry_error_callback=lambda _state: False,
    )
    return bool(asking(is_met))


def retry(
    act: Callable[[], T],
    error: type[Exception],
    timeout_s: float,
    *,
    pause_s: Callable[[int], float],
    tell: Callable[[str], None] = lambda _: None,
) -> T:
    """Call a function until it no longer fails by an error that passes; return what it returns.

    Parameters
    ----------
    act
        Called at once, and again after each pause.
    error
        That passes; another one is raised at once, and this one when the time is over.
    timeout_s
        How long after the first call another one may begin, seconds.
    pause_s
        Pause after so many failures, seconds.
    tell
        Gets the error's words before each pause.

    Examples
    --------
    >>> found = iter(["", "", "7"])
    >>> retry(lambda: int(next(found)), ValueError, 10.0, pause_s=lambda _: 0.001)
    7
    """
    asking = Retrying(
        retry=retry_if_exception_type(error),
        stop=stop_after_delay(timeout_s),
        wait=lambda state: pause_s(state.attempt_number),
        before_sleep=lambda state: tell(str(state.outcome and state.outcome.exception())),
        reraise=True,
    )
    return asking(act)
