"""Intervals by resampling users: all transactions of a user are drawn together.

Resampling transactions would take a spree of ten for ten independent frauds, and give intervals that are
too narrow. Every model is measured on the same resamples, so that differences can be judged too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int64]

LEVEL: Final = 0.95
NAMES: Final = (
    "pr_auc",
    "roc_auc",
    "f1",
    "precision",
    "recall",
    "recall_at_1pct_fpr",
    "amount_caught_at_1pct_fpr",
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and where it would lie with other users."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write it as ``0.812 (0.790 to 0.833)``."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, slots=True)
class Scored:
    """A model's scores of a period, and where it flags."""

    score: Floats
    threshold: float
    """Flagged from here on, for F1, precision and recall."""


class Period(Protocol):
    """The transactions of a period, [n] each."""

    @property
    def user(self) -> Codes:
        """Number of the user."""

    @property
    def is_fraud(self) -> Bools:
        """Label."""

    @property
    def amount(self) -> Floats:
        """Currency units."""


class Ranked:
    """Scores in order, ready to be measured under any weights of the rows.

    What is between two frauds counts together, so that a measurement sorts nothing: each honest row
    has the number of its place among the distinct scores of the frauds.
    """

    def __init__(self, scored: Scored, is_fraud: Bools, amount: Floats) -> None:
        score = np.where(np.isnan(scored.score), -np.inf, scored.score)  # without a score: the last
        self._frauds, self._honest = np.flatnonzero(is_fraud), np.flatnonzero(~is_fraud)
        of_frauds, of_honest = score[self._frauds], score[self._honest]
        levels = np.unique(of_frauds)
        self._levels = len(levels)
        self._level = len(levels) - 1 - np.searchsorted(levels, of_frauds)
        """Of each fraud, 0 for the highest score."""
        beside = np.searchsorted(levels, of_honest, "left") + np.searchsorted(levels, of_honest, "right")
        self._place = 2 * len(levels) - beside
        """Of each honest row: twice the level that is next below it, and one more on a level."""
        self._money = amount[self._frauds]
        self._caught = of_frauds >= scored.threshold
        self._wrong = self._honest[of_honest >= scored.threshold]

    def measure(self, weight: Floats) -> Floats:
        """Compute the figures ``NAMES`` with row weights (in the rows' own order)."""
        fraud = weight[self._frauds]
        hits = np.cumsum(np.bincount(self._level, fraud, self._levels))
        money = np.cumsum(np.bincount(self._level, fraud * self._money, self._levels))
        false = np.cumsum(np.bincount(self._place, weight[self._honest], 2 * self._levels + 1))
        above, until = false[:-1:2], false[1::2]  # honest rows above a level, and down to it
        frauds, honest = hits[-1], false[-1]
        rise = np.diff(hits, prepend=0.0)
        pr_auc = float(rise @ (hits / np.maximum(hits + until, 1e-12))) / frauds
        roc_auc = float(rise @ (honest - (above + until) / 2.0)) / (frauds * honest)
        inside = int(np.searchsorted(until, 0.01 * honest, "right"))  # levels within 1% false positives
        flagged_hits = float(fraud[self._caught].sum())
        flagged = flagged_hits + float(weight[self._wrong].sum())
        p, r = flagged_hits / max(flagged, 1e-12), flagged_hits / frauds
        return np.array(
            [
                pr_auc,
                roc_auc,
                2.0 * p * r / max(p + r, 1e-12),
                p,
                r,
                hits[inside - 1] / frauds if inside else 0.0,
                money[inside - 1] / max(money[-1], 1e-12) if inside else 0.0,
            ]
        )


def user_weights(user: Codes, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Draw the users with replacement; yields, a resample at a time, how often each row counts, [n].

    Parameters
    ----------
    user
        Number of each row's user, from 0.
    """
    users = int(user.max(initial=-1)) + 1
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, users, users), minlength=users)[user].astype(np.float64)


def resample(models: Mapping[str, Scored], examples: Period, resamples: int, seed: int) -> dict[str, Floats]:
    """Measure every model on the period itself (row 0), then on resamples of its users.

    Returns
    -------
    dict
        Model: [1 + resamples, figures ``NAMES``].
    """
    user = np.unique(examples.user, return_inverse=True)[1]
    ranked = {name: Ranked(scored, examples.is_fraud, examples.amount) for name, scored in models.items()}
    found = {name: [one.measure(np.ones(len(user)))] for name, one in ranked.items()}
    for weight in user_weights(user, resamples, np.random.default_rng(seed)):
        if weight[examples.is_fraud].any() and weight[~examples.is_fraud].any():
            for name, one in ranked.items():
                found[name].append(one.measure(weight))
    return {name: np.stack(rows) for name, rows in found.items()}


def interval(values: Floats) -> Interval:
    """Take the middle 95 % of the resamples around the first value, the figure itself."""
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail]) if len(values) > 1 else (np.nan, np.nan)
    return Interval(float(values[0]), float(low), float(high))


def best_f1_threshold(score: Floats, is_fraud: Bools) -> float:
    """Score from which flagging gives the greatest F1 on a validation period."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(score[order]) < 0.0, True])
    hits = np.cumsum(is_fraud[order])[ends]
    f1 = 2.0 * hits / (ends + 1 + is_fraud.sum())
    return float(score[order][ends[int(np.argmax(f1))]])
