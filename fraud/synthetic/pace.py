"""When each record of a replay is due: pure arithmetic, no clock."""

from dataclasses import dataclass

import numpy as np

from fraud.errors import BadConfig
from fraud.synthetic.population import Bools, Floats, Ints

__all__ = ["Accelerated", "Constant", "Pace", "Unpaced", "due_after_s", "merge_by_time"]


@dataclass(frozen=True, slots=True)
class Unpaced:
    """As fast as the broker takes them."""


@dataclass(frozen=True, slots=True)
class Constant:
    """So many transactions a second, evenly; labels do not count and follow the transaction before them."""

    rate_per_s: float

    def __post_init__(self) -> None:
        if not 0.0 < self.rate_per_s < float("inf"):
            raise BadConfig(
                f"rate must be a positive number of transactions a second (got {self.rate_per_s})"
            )


@dataclass(frozen=True, slots=True)
class Accelerated:
    """On the data's own clock, so many times faster: 3600 plays an hour in a second."""

    speedup: float

    def __post_init__(self) -> None:
        if not 0.0 < self.speedup < float("inf"):
            raise BadConfig(f"speedup must be a positive number (got {self.speedup})")


Pace = Unpaced | Constant | Accelerated


def merge_by_time(*series: Ints) -> tuple[Ints, Ints]:
    """Merge ascending series of times; at equal times the first series, of transactions, goes first.

    Returns
    -------
    time_us
        All times, ascending.
    which
        Number of the series that each comes from.

    Examples
    --------
    >>> merge_by_time(np.array([1, 5]), np.array([2, 5, 9]))
    (array([1, 2, 5, 5, 9]), array([0, 1, 0, 1, 1]))
    """
    time_us = np.concatenate(series)
    which = np.repeat(np.arange(len(series)), [len(times) for times in series])
    order = np.argsort(time_us, kind="stable")
    return time_us[order], which[order]


def due_after_s(pace: Pace, time_us: Ints, is_transaction: Bools) -> Floats:
    """Compute when each record is due, in seconds after the beginning of the replay; ascending.

    Parameters
    ----------
    pace
        How fast.
    time_us
        Times of the merged records, ascending, microseconds.
    is_transaction
        Which of them are transactions.

    Examples
    --------
    >>> due_after_s(Constant(2.0), np.array([0, 7, 8, 9]), np.array([True, True, False, True]))
    array([0. , 0.5, 0.5, 1. ])
    >>> due_after_s(Accelerated(10.0), np.array([0, 20_000_000]), np.array([True, False]))
    array([0., 2.])
    """
    match pace:
        case Constant(rate_per_s):
            return np.asarray(np.maximum(np.cumsum(is_transaction) - 1, 0) / rate_per_s)
        case Accelerated(speedup):
            return np.asarray((time_us - time_us[:1]) / (speedup * 1e6), dtype=np.float64)
        case Unpaced():
            return np.zeros(len(time_us))
