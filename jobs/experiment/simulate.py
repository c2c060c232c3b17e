"""Error rates of the analysis: thousands of simulated experiments with a known truth, each analysed daily.

Users differ in how much they spend and how often they are declined, fraud is rare and its amounts have a
heavy tail; the analysis is :mod:`jobs.experiment.sequential`, as it is used on real decisions.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from jobs.experiment.sequential import RATIO_ALPHA, Totals, look, ratio_p_value

USERS: Final = 4_000
DAYS: Final = 28
ALPHA: Final = 0.05
EFFECT: Final = 0.3
"""Currency units per transaction for which the bounds are made."""
RECALL: Final = 0.60
_Z: Final = 1.959964
"""Where a test with one look decides at 5 %."""


@dataclass(frozen=True, slots=True)
class Result:
    """Of many experiments with one truth."""

    truth: str
    experiments: int
    decided: float
    """Share in which the confidence sequence left 0 at any of the looks."""
    days: float
    """Mean day of that, of those that decided; NaN where none did."""
    by_peeking: float
    """Share in which a test for one look, looked at daily, would have decided."""
    covered: float
    """Share in which the truth lay within the bounds at all looks."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def simulate(
    experiments: int, recall: float, seed: int, *, control: float = RECALL, users: int = USERS
) -> Result:
    """Run experiments whose treatment stops a share ``recall`` of the fraud, and the control ``control``."""
    rng = np.random.default_rng(seed)
    decided, peeked, covered, days = 0, 0, 0, []
    truth = (recall - control) * FRAUD_SHARE * MEAN_AMOUNT
    for _ in range(experiments):
        looks = list(_one(rng, control, recall, users))
        first = next((day for day, one in enumerate(looks, 1) if one.lower > 0.0 or one.upper < 0.0), None)
        decided += first is not None
        days += [first] if first is not None else []
        peeked += any(abs(one.z) > _Z for one in looks)
        covered += all(one.lower <= truth <= one.upper for one in looks)
    n = float(experiments)
    mean_days = float(np.mean(days)) if days else math.nan
    words = f"recall {control:.0%} and {recall:.0%}"
    return Result(words, experiments, decided / n, mean_days, peeked / n, covered / n)


def simulate_ratio(experiments: int, share: float, seed: int) -> tuple[float, float]:
    """Assign users one after another, a share to the treatment where half was designed; look every 100.

    Returns
    -------
    tuple
        Share of the experiments with an alarm, and the mean number of users until then.
    """
    rng = np.random.default_rng(seed)
    alarms: list[int] = []
    for _ in range(experiments):
        treated = np.cumsum(rng.random(20_000) < share)[99::100]
        for look_at, count in enumerate(treated.tolist(), 1):
            if ratio_p_value([100 * look_at - count, count], [0.5, 0.5]) < RATIO_ALPHA:
                alarms.append(100 * look_at)
                break
    return len(alarms) / experiments, float(np.mean(alarms)) if alarms else math.nan


FRAUD_SHARE: Final = 0.01
_LOG_MEAN, _LOG_SPREAD = 4.0, 1.0
MEAN_AMOUNT: Final = math.exp(_LOG_MEAN + _LOG_SPREAD**2 / 2.0)


def _one(rng: np.random.Generator, control: float, treatment: float, users: int) -> Iterator[Any]:
    arms = Totals(users), Totals(users)
    is_treated = rng.random(users) < 0.5
    rate = rng.gamma(1.5, 1.0, users)  # transactions a day
    risk = FRAUD_SHARE * rng.gamma(0.5, 2.0, users)  # some users are hit often
    recall = np.where(is_treated, treatment, control)
    everyone = np.arange(users)
    for _ in range(DAYS):
        n = rng.poisson(rate)
        caught = rng.poisson(n * risk * recall)
        money = np.zeros(users)
        hit = np.repeat(everyone, caught)
        np.add.at(money, hit, rng.lognormal(_LOG_MEAN, _LOG_SPREAD, len(hit)))
        for totals, chosen in zip(arms, (~is_treated, is_treated), strict=True):
            totals.add(everyone[chosen], money[chosen], n[chosen].astype(float))
        yield look(*arms, ALPHA, EFFECT)
