"""Quality of decisions: measured by labels, and estimated before labels arrive.

The expectation takes each score for what it says it is, the probability of fraud: labels are drawn by
it, repeatedly, and each draw is measured like the truth (confidence-based performance estimation; the
draws give the spread as well). It is right as far as the scores are calibrated, and sees no new fraud that
the model takes for honest; so it stands beside the truth of older transactions, never instead of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import repeat
from typing import Final

import numpy as np

from fraud.watch.bootstrap import user_weights
from fraud.watch.ranking import Ranking
from jobs.performance.read import Bools, Decided, Floats, Ints

METRICS: Final = ("precision", "recall", "pr_auc", "amount_caught")
"""Those between 0 and 1 that are watched for a fall."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good decisions were; counts may be weighted or expected ones. NaN: nothing to divide by."""

    precision: float
    """Share of fraud in what was not approved."""
    recall: float
    """Share of the fraud that was not approved."""
    pr_auc: float
    """Average precision of the scores, decisions without one left out."""
    amount_caught: float
    """Share of the fraud's amount that was not approved."""
    caught: float
    """Amount of fraud not approved."""
    lost: float
    """Amount of fraud approved."""
    frauds: float
    flagged: float
    rows: float


class Rows:
    """Some decisions, sorted once for many measurements.

    Examples
    --------
    >>> rows = Rows(np.array([0.9, 0.2, 0.6]), np.array([True, False, True]), np.array([10.0, 5.0, 7.0]))
    >>> found = rows.measure(np.array([1.0, 1.0, 0.0]))
    >>> found.precision, found.recall, found.caught, found.lost, round(found.pr_auc, 3)
    (0.5, 0.5, 10.0, 5.0, 0.833)
    """

    def __init__(self, score: Floats, is_flagged: Bools, amount: Floats, user: Ints | None = None) -> None:
        self.score = score
        self._ranking = Ranking(score)
        self._order = self._ranking.order
        self._is_flagged = is_flagged[self._order].astype(np.float64)
        self._amount = amount[self._order]
        who = np.arange(len(score)) if user is None else user[self._order]
        _, self._user = np.unique(who, return_inverse=True)

    @classmethod
    def of(cls, decided: Decided, chosen: Bools) -> "Rows":
        """Take the chosen ones."""
        return cls(
            decided.score[chosen], decided.is_flagged[chosen], decided.amount[chosen], decided.user[chosen]
        )

    def measure(self, is_fraud: Floats, weight: Floats | None = None) -> Quality:
        """Measure against labels (1 is fraud); ``weight`` says how often each row counts."""
        return self._measure(is_fraud[self._order], None if weight is None else weight[self._order])

    def draw(
        self, chance: Floats, draws: int, rng: np.random.Generator, *, by_user: bool = False
    ) -> Iterator[Quality]:
        """Measure against drawn labels.

        Parameters
        ----------
        chance
            Probability of fraud of each row; 0 or 1 where the truth is known.
        by_user
            Draw the cardholders as well: what other people would have given.
        """
        ordered = chance[self._order]
        for weight in user_weights(self._user, draws, rng) if by_user else repeat(None, draws):
            yield self._measure((rng.random(len(ordered)) < ordered).astype(np.float64), weight)

    def _measure(self, is_fraud: Floats, weight: Floats | None) -> Quality:
        """Measure rows in the order of their scores, the highest first."""
        counts = np.ones(len(is_fraud)) if weight is None else weight
        fraud = is_fraud if weight is None else counts * is_fraud
        hits = fraud * self._is_flagged
        caught, frauds = float(hits.sum()), float(fraud.sum())
        flagged = float(np.sum(counts * self._is_flagged))
        amount, amount_caught = float(np.sum(fraud * self._amount)), float(np.sum(hits * self._amount))
        return Quality(
            precision=_ratio(caught, flagged),
            recall=_ratio(caught, frauds),
            pr_auc=self._ranking.average_precision(fraud, counts),
            amount_caught=_ratio(amount_caught, amount),
            caught=amount_caught,
            lost=amount - amount_caught,
            frauds=frauds,
            flagged=flagged,
            rows=float(counts.sum()),
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is expected, and between what bounds 95 % of the outcomes lie."""

    mean: Quality
    low: Quality
    high: Quality


def estimate(rows: Rows, draws: int, seed: int) -> Estimate:
    """Estimate the quality of decisions that have a score, as if it were a probability."""
    found = list(rows.draw(rows.score, draws, np.random.default_rng(seed)))
    columns = {one.name: np.array([getattr(each, one.name) for each in found]) for one in fields(Quality)}
    known = {name: values[~np.isnan(values)] for name, values in columns.items()}

    def summary(level: float | None) -> Quality:
        return Quality(
            **{
                name: float("nan")
                if not len(values)
                else float(values.mean() if level is None else np.quantile(values, level))
                for name, values in known.items()
            }
        )

    return Estimate(summary(None), summary(0.025), summary(0.975))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else float("nan")
