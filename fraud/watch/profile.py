"""How transactions are distributed, day by day: counts in fixed bins, small enough to travel with a model.

Training fixes the bins and counts its latest days (``profile.json`` beside the model's run); the drift job
counts the days that are served in the same bins. Counts of days add up: any stretch of days can be
compared with any other, and how much one ordinary day differs from another can be seen in them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, model_validator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROFILE_FILE: Final = "profile.json"
SCORE: Final = "score"
"""Name of the column of scores."""
"""Raw text columns of a transaction with few values."""
DAY_US: Final = 86_400_000_000
HOURS: Final = 24
DECILES: Final = tuple(np.linspace(0.1, 0.9, 9).round(1).tolist())
SCORE_LEVELS: Final = (0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.985, 0.995)
"""Where scores are cut: decisions fall in the upper tail."""
SHOWN_VALUES: Final = 30
"""Values of a text column that have a bin of their own; the rarer ones share one."""
KNOWN_VALUES: Final = 2_000
"""Values of a text column that count as seen before, the most frequent ones."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Part):
    """One column's bins: of numbers between edges, or of texts; the last bin is for missing values.

    Examples
    --------
    >>> amount = Column(name="amount", kind="feature", edges=(10.0, 20.0))
    >>> amount.codes(np.array([5.0, 10.0, 15.0, 99.0, np.nan])).tolist()
    [0, 0, 1, 2, 3]
    """

    name: str
    kind: Literal["feature", "score", "field"]
    edges: tuple[float, ...] = ()
    """Of numbers: upper bounds of all bins but the last, included."""
    values: tuple[str, ...] = ()
    """Of texts: the values with a bin of their own."""
    rare: tuple[str, ...] = ()
    """Of texts: seen too, in one bin; what is in neither goes into the bin ``new``."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the bins."""
        if self.kind == "field":
            return (*self.values, "rarer", "new", "missing")
        if not self.edges:
            return ("any", "missing")
        between = [f"{low:g} to {high:g}" for low, high in pairwise(self.edges)]
        return (f"to {self.edges[0]:g}", *between, f"above {self.edges[-1]:g}", "missing")

    def codes(self, values: Any) -> Ints:
        """Find the bin of each value: a float64 array, or an Arrow column of texts."""
        if self.kind != "field":
            codes = np.searchsorted(self.edges, values, side="left")
            return np.asarray(np.where(np.isnan(values), len(self.edges) + 1, codes), np.int64)
        known = pa.array([*self.values, *self.rare], pa.string())
        found = pc.index_in(values, value_set=known)
        missing = pc.is_null(values).to_numpy(zero_copy_only=False)
        new = len(self.values) + 1
        codes = np.minimum(pc.fill_null(found, len(known)).to_numpy(zero_copy_only=False), len(known))
        is_new = codes == len(known)
        codes = np.where(is_new, new, np.minimum(codes, len(self.values)))
        return np.asarray(np.where(missing, new + 1, codes), np.int64)


class Profile(_Part):
    """Counts of days.

    Raises
    ------
    ValueError
        When the counts do not fit the days and the bins.
    """

    layout: Literal[1] = 1
    columns: tuple[Column, ...]
    days: tuple[int, ...]
    """Days since 1970 UTC, rising."""
    hours: tuple[tuple[int, ...], ...]
    """Transactions in each hour of each day."""
    counts: dict[str, tuple[tuple[int, ...], ...]]
    """Column: day: bin: rows."""

    @model_validator(mode="after")
    def _check_shapes(self) -> "Profile":
        if {column.name for column in self.columns} != set(self.counts):
            raise ValueError("columns and counts must name the same")
        for column in self.columns:
            if self.matrix(column.name).shape != (len(self.days), len(column.labels)):
                raise ValueError(f"counts of {column.name} must have a row a day and a value a bin")
        return self

    def matrix(self, name: str) -> Ints:
        """Give the counts of a column, [days, bins]."""
        return np.array(self.counts[name], np.int64).reshape(len(self.days), -1)


class Tally:
    """Counts rows as they are read, in any order and in parts.

    Parameters
    ----------
    columns
        The bins.
    days
        The days to count, since 1970 UTC; rows of other days are left out.
    """

    def __init__(self, columns: Iterable[Column], days: Sequence[int]) -> None:
        self.columns = {column.name: column for column in columns}
        self.days = np.asarray(days, np.int64)
        self.counts = {
            name: np.zeros((len(self.days), len(column.labels)), np.int64)
            for name, column in self.columns.items()
        }
        self.hours = np.zeros((len(self.days), HOURS), np.int64)
        self.new_values: dict[str, Counter[str]] = {name: Counter() for name in self.columns}
        """Text column: values that the training had not seen, of the last day."""

    def add(self, event_us: Ints, columns: Mapping[str, Any]) -> None:
        """Count rows of some columns; ``event_us`` is microseconds since 1970 UTC."""
        row, inside = self._rows(event_us)
        for name, values in columns.items():
            column, counts = self.columns[name], self.counts[name]
            codes = column.codes(values)
            counts += _bincount(row[inside], codes[inside], counts.shape)
            if column.kind == "field":
                is_new = inside & (codes == len(column.values) + 1) & (row == len(self.days) - 1)
                self.new_values[name].update(values.filter(pa.array(is_new)).to_pylist())

    def add_times(self, event_us: Ints) -> None:
        """Count transactions by day and hour."""
        row, inside = self._rows(event_us)
        hour = event_us // (DAY_US // HOURS) % HOURS
        self.hours += _bincount(row[inside], hour[inside], self.hours.shape)

    def profile(self) -> Profile:
        """Make a profile of what was counted."""
        return Profile(
            columns=tuple(self.columns.values()),
            days=tuple(self.days.tolist()),
            hours=_rows_of(self.hours),
            counts={name: _rows_of(counts) for name, counts in self.counts.items()},
        )

    def _rows(self, event_us: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        day = np.asarray(event_us, np.int64) // DAY_US
        row = np.minimum(np.searchsorted(self.days, day), max(len(self.days) - 1, 0))
        inside = self.days[row] == day if len(self.days) else np.zeros(len(day), np.bool_)
        return row, np.asarray(inside, np.bool_)


def number_column(name: str, values: Floats, levels: Sequence[float] = DECILES) -> Column:
    """Cut numbers at their quantiles; equal ones make one cut."""
    there = values[~np.isnan(values)]
    edges = np.unique(np.quantile(there, levels)) if len(there) else np.zeros(0)
    return Column(name=name, kind="score" if name == SCORE else "feature", edges=tuple(edges.tolist()))


def text_column(name: str, values: Any) -> Column:
    """Give the most frequent texts a bin of their own."""
    found = Counter(
        {
            row["values"]: row["counts"]
            for row in pc.value_counts(values).to_pylist()
            if row["values"] is not None
        }
    )
    ordered = [value for value, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))]
    shown, rare = ordered[:SHOWN_VALUES], ordered[SHOWN_VALUES:KNOWN_VALUES]
    return Column(name=name, kind="field", values=tuple(shown), rare=tuple(rare))


def _bincount(row: Ints, code: Ints, shape: tuple[int, ...]) -> Ints:
    flat = np.bincount(row * shape[1] + code, minlength=shape[0] * shape[1])
    return np.asarray(flat.reshape(shape), np.int64)


def _rows_of(counts: Ints) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in counts.tolist())
