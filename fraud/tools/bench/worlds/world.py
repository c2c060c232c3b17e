"""What a world is, and what drawing several of them has in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DAY_US: Final = 86_400_000_000
START_US: Final = 1_767_225_600_000_000
"""2026-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class World:
    """A form of data, how to draw it, and how it is divided."""

    name: str
    form: str
    """Whose description it is drawn from."""
    published: str
    """Figures that others published for that form, in words."""
    draw: Callable[[int, float], pa.Table]
    """From a seed and a size (1: the full one), in the order of time."""
    features: Callable[[pa.Table], Floats]
    """The features that are published, or usual, for that form; each row sees what was known at its time."""
    train_days: float | None
    """None: from the beginning."""
    gap_days: float
    """How long labels take."""
    test_days: float
    schema: str = ""
    """File beside this module; empty: the packaged schema."""
    without_known: bool = False
    """Whether cards with a fraud that is known by the day before are left out of the test."""
    leaks: tuple[str, ...] = ()
    """What makes figures over a random split of this form too good."""


def window_sums(
    key: Ints, time_us: Ints, value: Floats, start_us: int, length_us: int
) -> tuple[Floats, Floats]:
    """Count and sum each row's key over (t - length, t - start], by cumulative sums."""
    order = np.lexsort([time_us, key])
    rank = key[order].astype(np.int64) * (1 << 46) + (time_us[order] - time_us.min()) + (1 << 45)
    totals = np.concatenate([[0.0], np.cumsum(value[order])])
    last = np.searchsorted(rank, rank - start_us, "right")
    first = np.searchsorted(rank, rank - length_us, "right")
    count, total = np.empty(len(key)), np.empty(len(key))
    count[order], total[order] = last - first, totals[last] - totals[first]
    return count, total


def since_last(key: Ints, time_us: Ints) -> Floats:
    """Seconds since the key's row before; NaN where there is none."""
    order = np.lexsort([time_us, key])
    apart = np.diff(time_us[order]) / 1e6
    found = np.full(len(key), np.nan)
    found[order[1:]] = np.where(np.diff(key[order]) == 0, apart, np.nan)
    return found


def distinct_so_far(key: Ints, value: Ints, time_us: Ints) -> Floats:
    """How many values the key has had, with this row's."""
    order = np.lexsort([time_us, key])
    pair = key[order] * (int(value.max()) + 1) + value[order]
    is_new = np.zeros(len(key))
    is_new[np.unique(pair, return_index=True)[1]] = 1.0
    total = np.cumsum(is_new)
    begins = np.concatenate([[True], np.diff(key[order]) != 0])
    before = (total - is_new)[begins][np.cumsum(begins) - 1]
    found = np.empty(len(key))
    found[order] = total - before
    return found


def as_table(time_us: Ints, is_fraud: NDArray[np.bool_], gap_days: float, **columns: object) -> pa.Table:
    """Put columns together in the order of time, with ids, labels and when those come."""
    order = np.argsort(time_us, kind="stable")
    stamp = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "transaction_id": np.arange(len(order)).astype(str),
            "event_time": pa.array(time_us[order], stamp),
            **{name: np.asarray(values)[order] for name, values in columns.items()},
            "is_fraud": is_fraud[order].astype(np.int64),
            "label_time": pa.array(time_us[order] + round(gap_days * DAY_US), stamp),
        }
    )


def times_of(table: pa.Table) -> Ints:
    """Microseconds since 1970."""
    return np.asarray(table["event_time"].cast(pa.int64()).to_numpy())


def numbers_of(table: pa.Table, column: str) -> Ints:
    """Tell the values of a column apart by numbers, in the order in which they come."""
    encoded = table[column].combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), np.int64)
