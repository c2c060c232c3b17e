"""What a threshold stops, what it costs and how much there is to review, with intervals.

All figures are sums over rows, so that a resample of the cards needs only weights. A row is stopped from a
level on: its score, or, for what was decided, 0 (approved), 1 (held for review) or 2 (declined).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.watch.bootstrap import Interval, interval, user_weights
from jobs.whatif.cases import Cases, cases_of
from jobs.whatif.read import DECLINED, HELD, Floats, History, Ints
from jobs.whatif.settings import WhatIfSettings

THRESHOLDS: Final = 40
"""Points of the curve."""
MOST_SHARE: Final = 0.2
"""Of the transactions; the curve ends where more would be reviewed."""
MOST_GROUPS: Final = 12


@dataclass(frozen=True, slots=True)
class Point:
    """What is stopped from one threshold on."""

    threshold: float
    stopped_a_day: float
    """Transactions that are not approved; those of the curve are all reviewed."""
    precision: Interval
    """Share of fraud in them."""
    recall: Interval
    """Share of the frauds."""
    cases: Interval
    """Share of the cases in which at least one fraud is stopped."""
    first: Interval
    """Share of the cases whose first fraud is stopped."""
    amount_share: Interval
    """Share of the frauds' amount."""
    saved: Interval
    """Amount of the frauds that are stopped."""
    saved_if_blocked: Interval
    """The same with what follows in the case, if the card is blocked at its first stop."""
    honest_stopped: float
    """Honest transactions that are stopped, all in all."""
    honest_amount: float
    net: Interval
    """Saved less what reviews and wrong declines cost."""


@dataclass(frozen=True, slots=True)
class Part:
    """A type of fraud, or a segment of the transactions."""

    name: str
    frauds: int
    amount: float
    point: Point


class Measured:
    """A history, ready to be measured at thresholds.

    Parameters
    ----------
    history
        Of a period; with frauds.
    settings
        Costs, the gap between cases, and the resampling.
    cases
        Of the history; None: found here.
    """

    def __init__(self, history: History, settings: WhatIfSettings, cases: Cases | None = None) -> None:
        self.history, self._settings = history, settings
        self.cases = cases_of(history, settings.case_gap_days) if cases is None else cases
        self._user = np.unique(history.user, return_inverse=True)[1]

    def curve(self, level: Floats, thresholds: Sequence[float], days: float) -> list[Point]:
        """Measure at thresholds, which fall; every row that is stopped is reviewed."""
        sums = self._sums(level, np.asarray(thresholds, np.float64))
        nothing = np.zeros_like(sums["rows"][:, 0])
        return [
            self._point(threshold, {name: one[:, at] for name, one in sums.items()}, nothing, nothing, days)
            for at, threshold in enumerate(thresholds)
        ]

    def decided(self, days: float) -> Point:
        """Measure what was decided: declines and reviews, whoever decided."""
        sums = self._sums(self.history.level, np.array([DECLINED, HELD]))
        declined = sums["rows"][:, 0], sums["rows"][:, 0] - sums["frauds"][:, 0]
        return self._point(HELD, {name: one[:, 1] for name, one in sums.items()}, *declined, days)

    def thresholds(self) -> list[float]:
        """Choose the curve's, falling: evenly by the logarithm of what they stop."""
        score = np.sort(self.history.score[self.history.score >= 0.0])[::-1]
        if not len(score):
            return []
        ends = np.flatnonzero(np.append(np.diff(score) < 0.0, [True]))
        ends = ends[ends < max(MOST_SHARE * len(self.history), 1)]
        if not len(ends):  # the highest score is that of many
            return [float(score[0])]
        wanted = np.geomspace(1, ends[-1] + 1, THRESHOLDS) - 1
        chosen = np.unique(np.searchsorted(ends, wanted).clip(max=len(ends) - 1))
        return [float(one) for one in score[ends[chosen]]]

    def threshold_for(self, stopped_a_day: float, days: float) -> float:
        """Find the lowest threshold that stops at most so many a day; above all scores where none does."""
        score = np.sort(self.history.score[self.history.score >= 0.0])[::-1]
        room = int(stopped_a_day * days)
        if room >= len(score):
            return float(score[-1]) if len(score) else 1.0
        above = score[:room][score[:room] > score[room]]
        return float(above[-1]) if len(above) else float(np.nextafter(score[0], np.inf))

    def _sums(self, level: Floats, thresholds: Floats) -> Mapping[str, Floats]:
        """Sum up what is stopped from each threshold on: [1 + resamples, thresholds], or [..., 1] of all."""
        history, cases = self.history, self.cases
        own = _groups(level, thresholds)
        by_case = np.full(len(history), len(thresholds))
        by_case[cases.row] = _groups(cases.reached(level), thresholds)
        is_first, is_last = np.zeros(len(history)), np.zeros(len(history))
        is_first[cases.row[cases.begins]] = 1.0
        is_last[cases.row[np.append(cases.begins[1:], len(cases.row)) - 1]] = 1.0
        fraud, amount = history.is_fraud.astype(np.float64), history.amount
        columns = {
            "rows": (own, np.ones(len(history))),
            "frauds": (own, fraud),
            "saved": (own, fraud * amount),
            "honest_amount": (own, (1.0 - fraud) * amount),
            "first": (own, is_first),
            "cases": (by_case, is_last),
            "blocked": (by_case, fraud * amount),
        }
        found: dict[str, list[Floats]] = {name: [] for name in columns}
        for weight in self._weights():
            for name, (group, values) in columns.items():
                summed = np.bincount(group, weight * values, len(thresholds) + 1)
                found[name].append(summed.astype(np.float64))
        sums = {name: np.cumsum(np.stack(one), axis=1) for name, one in found.items()}
        whole = {f"all_{name}": sums[name][:, -1:] for name in ("frauds", "saved", "cases")}
        wide = {name: np.broadcast_to(one, sums["rows"].shape) for name, one in whole.items()}
        return {**sums, **wide}

    def _weights(self) -> Iterator[Floats]:
        """Give every row the weight 1, then those of the resamples that hold a fraud."""
        yield np.ones(len(self.history))
        rng = np.random.default_rng(self._settings.seed)
        for weight in user_weights(self._user, self._settings.bootstrap, rng):
            if weight[self.history.is_fraud].any():
                yield weight

    def _point(
        self, threshold: float, of: Mapping[str, Floats], declined: Floats, wrong: Floats, days: float
    ) -> Point:
        settings = self._settings
        cost = settings.review_cost * (of["rows"] - declined) + settings.wrong_decline_cost * wrong
        return Point(
            threshold=threshold,
            stopped_a_day=float(of["rows"][0]) / days,
            precision=_share(of["frauds"], of["rows"]),
            recall=_share(of["frauds"], of["all_frauds"]),
            cases=_share(of["cases"], of["all_cases"]),
            first=_share(of["first"], of["all_cases"]),
            amount_share=_share(of["saved"], of["all_saved"]),
            saved=interval(of["saved"]),
            saved_if_blocked=interval(of["blocked"]),
            honest_stopped=float(of["rows"][0] - of["frauds"][0]),
            honest_amount=float(of["honest_amount"][0]),
            net=interval(settings.fraud_cost_share * of["saved"] - cost),
        )


def parts_of(
    history: History,
    names: NDArray[np.object_],
    settings: WhatIfSettings,
    *,
    level: Floats,
    threshold: float,
    days: float,
) -> list[Part]:
    """Measure parts of a history by the name of each row, those with the most frauds.

    A part without a fraud has nothing to be stopped and is left out.
    """
    frauds = names[history.is_fraud].astype(str)
    values, counts = np.unique(frauds, return_counts=True)
    found = []
    for at in np.argsort(-counts, kind="stable")[:MOST_GROUPS]:
        rows = names == values[at]
        part = history.take(rows)
        (point,) = Measured(part, settings).curve(level[rows], [threshold], days)
        found.append(Part(str(values[at]), int(counts[at]), float(part.amount[part.is_fraud].sum()), point))
    return found


def _groups(level: Floats, thresholds: Floats) -> Ints:
    """Find the first threshold, of falling ones, that each level reaches; their count where none."""
    found: Ints = np.searchsorted(-thresholds, -level, "left")
    return found


def _share(part: Floats, whole: Floats) -> Interval:
    with np.errstate(invalid="ignore", divide="ignore"):
        found = part / whole
    known = found[np.isfinite(found)]
    if not np.isfinite(found[0]):
        return Interval(float("nan"), float("nan"), float("nan"))
    return interval(known)
