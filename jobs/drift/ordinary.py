"""The distance of an ordinary day from the others: a day beyond it is called different.

Rows are not independent: a person pays many times, a day has its weather. Tests that count rows (the
p-values of Kolmogorov-Smirnov, chi-square) call every day different as soon as there are many. So the
spread is taken from the days of the profile themselves: each one's distance from the others of its
weekday, times the rows that it rests on, is fitted by a gamma distribution with the same mean and variance.
That is the second-order correction of Rao and Scott (1984) for clustered counts, estimated from days.

Its tail is too short where days differ in one direction (all amounts a little higher, say): what rows do not
explain is then the square of one normal variable, whose size is known from the days alone. So a day must be
improbable as such a square, too: Fisher's F with one degree of freedom and the days' (Student's t, squared).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import f, gamma, t

from fraud.watch.profile import Floats, Ints
from jobs.drift.distance import psi

FEWEST_SAME_WEEKDAY: Final = 3
"""Days of one weekday that are compared with that weekday alone; else with all days."""
FEWEST_DAYS: Final = 7
"""Fewer days tell nothing of the spread; then independent rows are assumed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of distance x rows on ordinary days (gamma)."""

    mean: float
    variance: float
    most_rows: float
    """Rows beyond which a distance does not shrink further: what days have in common does not average out."""
    rows_mean: float = 0.0
    """The mean that independent rows alone would give."""
    days: int = 0
    """Days that the spread was measured on; 0: it is assumed."""

    def weight(self, rows: float, other: float) -> float:
        """Rows that a distance between so many and so many rests on."""
        return float(min(rows * other / max(rows + other, 1.0), self.most_rows))

    def usual(self, weight: float) -> float:
        """Mean distance of an ordinary day."""
        return self.mean / max(weight, 1.0)

    def p_value(self, distance: float, weight: float) -> float:
        """Chance that an ordinary day lies as far away."""
        found, shape = distance * weight, self.mean**2 / self.variance
        by_rows = float(gamma.sf(found, shape, scale=self.variance / self.mean))
        if self.days < FEWEST_DAYS or self.mean <= self.rows_mean:
            return by_rows
        square = (found - self.rows_mean) / (self.mean - self.rows_mean)
        return max(by_rows, float(f.sf(square, 1, self.days - 1)))


def same_weekday(days: Ints, day: int) -> Ints:
    """Choose the rows to compare a day with: its weekday's if there are enough, else all; never itself."""
    others = np.flatnonzero(days != day)
    same = others[(days[others] - day) % 7 == 0]
    return same if len(same) >= FEWEST_SAME_WEEKDAY else others


def spread_of(days: Ints, counts: Ints) -> Spread:
    """Measure how the days of a profile differ from each other, [days], [days, bins]."""
    bins = max(int((counts.sum(axis=0) > 0).sum()) - 1, 1)
    weighted, weights = [], []
    rows = counts.sum(axis=1)
    for at in np.flatnonzero(rows):
        others = counts[same_weekday(days, int(days[at]))].sum(axis=0)
        weight = rows[at] * others.sum() / max(rows[at] + others.sum(), 1)
        if weight > 0:
            weighted.append(float(psi(counts[at], others)) * weight)
            weights.append(weight)
    if len(weighted) < FEWEST_DAYS:
        return Spread(float(bins), 2.0 * bins, np.inf)
    # Never less than independent rows would give: chi-square with so many degrees of freedom.
    mean, variance = max(float(np.mean(weighted)), bins), max(float(np.var(weighted, ddof=1)), 2.0 * bins)
    return Spread(mean, variance, float(np.median(weights)), float(bins), len(weighted))


def volume_p_value(rows: int, ordinary: Floats) -> float:
    """Chance of a day with so many more or fewer rows, by the logarithms of ordinary days (Student's t)."""
    logs = np.log(ordinary[ordinary > 0])
    if len(logs) < FEWEST_SAME_WEEKDAY:
        return 1.0
    deviation = max(float(logs.std(ddof=1)), float(np.exp(-logs.mean() / 2.0)))
    distance = abs(np.log(max(rows, 0.5)) - logs.mean()) / (deviation * np.sqrt(1.0 + 1.0 / len(logs)))
    return float(2.0 * t.sf(distance, len(logs) - 1))
