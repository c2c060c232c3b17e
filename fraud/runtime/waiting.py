"""Waiting for a condition, by tenacity: one way for all that waits outside the path of a transaction."""

from collections.abc import Callable

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed


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
