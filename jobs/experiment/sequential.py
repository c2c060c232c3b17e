"""Inference that stays valid however often one looks: confidence sequences and a sample-ratio test.

A look compares two arms by a ratio, e.g. money saved per transaction, whose error is that of clusters
(users), because a user's transactions resemble each other and users, not transactions, were assigned. The
difference d with variance v carries the information V = 1 / v; S = d V then behaves like a Brownian motion
with drift, and a normal mixture with density N(0, 1 / rho) bounds it at all times together:

    |S - E S| < sqrt((V + rho) log((V + rho) / (rho alpha^2)))

Sources: Robbins (1970); Howard, Ramdas, McAuliffe and Sekhon (2021), Time-uniform, nonparametric,
nonasymptotic confidence sequences, eq. 14; Johari, Koomen, Pekelis and Walsh (2022), Always valid inference
(the mixture SPRT, its p-value); Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central
limit theory (why estimated variances do). Sample ratio: Lindon and Malek (2022), Anytime-valid inference for
multinomial count data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_INFORMED: Final = 20
"""Users of each arm that must have something to tell before a look counts: the bound is asymptotic."""
RATIO_ALPHA: Final = 0.001
"""Chance of one false alarm of the sample-ratio test."""
CONCENTRATION: Final = 100.0
"""Of the sample-ratio test's Dirichlet prior: expects shares within some hundredths of those designed."""


class Totals:
    """Sums by user of one arm's metric: ``top`` over ``bottom``.

    Parameters
    ----------
    users
        How many users there can be.
    """

    def __init__(self, users: int) -> None:
        self.top, self.bottom = np.zeros(users), np.zeros(users)

    def add(self, user: NDArray[np.int64], top: Floats, bottom: Floats) -> None:
        """Add observations of users, by index."""
        np.add.at(self.top, user, top)
        np.add.at(self.bottom, user, bottom)

    @property
    def informed(self) -> int:
        """Users that tell something."""
        return int(np.count_nonzero(self.top))

    def ratio(self) -> tuple[float, float]:
        """Estimate the ratio of the sums, and its variance by clusters (delta method).

        Examples
        --------
        >>> totals = Totals(4)
        >>> totals.add(np.arange(4), np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4))
        >>> [round(x, 4) for x in totals.ratio()]
        [0.5, 0.0833]
        """
        whole, clusters = float(self.bottom.sum()), int(np.count_nonzero(self.bottom))
        if clusters < 2:
            return math.nan, math.nan
        mean = float(self.top.sum()) / whole
        residual = self.top - mean * self.bottom
        return mean, float(residual @ residual) / whole**2 * clusters / (clusters - 1)


@dataclass(frozen=True, slots=True)
class Look:
    """What was known of a difference, treatment minus control, at one time."""

    control: float
    treatment: float
    difference: float
    lower: float
    upper: float
    """Of the confidence sequence: the truth lies between, at all looks together, but for ``alpha``."""
    p_value: float
    """Always valid, of "there is no difference"."""
    z: float
    """What a test with one look would take; not to be peeked at."""


def look(control: Totals, treatment: Totals, alpha: float, effect: float) -> Look:
    """Compare two arms.

    Parameters
    ----------
    alpha
        Chance that the truth ever leaves the bounds.
    effect
        Difference that the bounds are made sharpest for, about.
    """
    (of_control, its_variance), (of_treatment, other_variance) = control.ratio(), treatment.ratio()
    difference, variance = of_treatment - of_control, its_variance + other_variance
    if _informed(control, treatment) < LEAST_INFORMED or not variance > 0.0:
        return Look(of_control, of_treatment, difference, -math.inf, math.inf, 1.0, 0.0)
    information, rho = 1.0 / variance, 1.0 / effect**2
    total = information + rho
    radius = math.sqrt(total * math.log(total / (rho * alpha**2))) / information
    moved = difference * information
    log_p = 0.5 * math.log(total / rho) - moved**2 / (2.0 * total)
    return Look(
        control=of_control,
        treatment=of_treatment,
        difference=difference,
        lower=difference - radius,
        upper=difference + radius,
        p_value=math.exp(min(0.0, log_p)),
        z=difference / math.sqrt(variance),
    )


def _informed(control: Totals, treatment: Totals) -> float:
    """Tell how many users of the smaller arm would tell something if the arms did not differ.

    Where they differ as much as they can, one arm has none: a guardrail must see that all the same.
    """
    sizes = [int(np.count_nonzero(arm.bottom)) for arm in (control, treatment)]
    return min(sizes) * (control.informed + treatment.informed) / max(sum(sizes), 1)


def ratio_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Test that users fall into arms as designed; valid at any time, as the inverse of a Bayes factor.

    Examples
    --------
    >>> ratio_p_value([5000, 5010], [0.5, 0.5])
    1.0
    >>> ratio_p_value([5000, 5600], [0.5, 0.5]) < RATIO_ALPHA
    True
    """
    prior = [CONCENTRATION * weight for weight in weights]
    log_factor = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + sum(counts))
    for count, weight, pseudo in zip(counts, weights, prior, strict=True):
        log_factor += math.lgamma(pseudo + count) - math.lgamma(pseudo) - count * math.log(weight)
    return math.exp(min(0.0, -log_factor))
