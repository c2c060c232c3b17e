"""Intervals by resampling users: one user's transactions stand or fall together.

Resampling transactions would take a spree of ten for ten independent frauds, and give intervals that are
too narrow. Every model is measured on the same resamples, so that differences can be judged too.
"""

from collections.abc import Mapping
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
    """Scores in order, ready to be measured under any weights of the rows."""

    def __init__(self, scored: Scored, is_fraud: Bools, amount: Floats) -> None:
        self.order = np.argsort(-scored.score, kind="stable")
        score = scored.score[self.order]
        self._ends = np.flatnonzero(np.r_[np.diff(score) < 0.0, True])  # last row of each distinct score
        self._fraud = is_fraud[self.order].astype(np.float64)
        self._money = amount[self.order] * self._fraud
        self._flagged = int((score >= scored.threshold).sum())

    def measure(self, weight: Floats) -> Floats:
        """Compute the figures ``NAMES`` with row weights (in the rows' own order)."""
        weight = weight[self.order]
        hits_all = np.cumsum(weight * self._fraud)
        false_all = np.cumsum(weight * (1.0 - self._fraud))
        frauds, honest = hits_all[-1], false_all[-1]
        hits, false = hits_all[self._ends], false_all[self._ends]
        precision = hits / np.maximum(hits + false, 1e-12)
        pr_auc = float(np.diff(np.r_[0.0, hits]) @ precision) / frauds
        steps = np.diff(np.r_[0.0, false])
        roc_auc = float(steps @ (hits + np.r_[0.0, hits[:-1]]) / 2.0) / (frauds * honest)
        inside = int(
            np.searchsorted(false, 0.01 * honest, "right")
        )  # scores whose false positives are within 1%
        last = self._ends[inside - 1] + 1 if inside else 0
        money = np.cumsum(weight * self._money)
        at = self._flagged
        flagged_hits = hits_all[at - 1] if at else 0.0
        flagged = flagged_hits + (false_all[at - 1] if at else 0.0)
        p, r = flagged_hits / max(flagged, 1e-12), flagged_hits / frauds
        return np.array(
            [
                pr_auc,
                roc_auc,
                2.0 * p * r / max(p + r, 1e-12),
                p,
                r,
                hits_all[last - 1] / frauds if last else 0.0,
                money[last - 1] / max(money[-1], 1e-12) if last else 0.0,
            ]
        )


def user_weights(user: Codes, resamples: int, seed: int) -> Floats:
    """How often each user is drawn in each resample, [resamples, users]; users are numbered from 0."""
    users = int(user.max()) + 1
    rng = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(rng.integers(0, users, users), minlength=users) for _ in range(resamples)]
    ).astype(np.float64)


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
    for drawn in user_weights(user, resamples, seed) if resamples else ():
        weight = drawn[user]
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
