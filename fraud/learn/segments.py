"""Quality by part of the transactions, by day, at other false-positive rates and capacities."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud.learn.examples import Bools, Examples
from fraud.learn.measure import score_at_fpr
from fraud.model.card import Floats

DAY_US: Final = 86_400_000_000
WEEK_US: Final = 7 * DAY_US
AMOUNT_BANDS: Final = (0.0, 10.0, 50.0, 100.0, 500.0, np.inf)
FALSE_POSITIVE_RATES: Final = (0.001, 0.005, 0.01, 0.02, 0.05)
CAPACITIES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Shares of the transactions that can be looked at."""
CARDS_A_DAY: Final = 100


@dataclass(frozen=True, slots=True)
class Segment:
    """Quality on one part; NaN where a class is missing."""

    kind: str
    name: str
    rows: int
    frauds: int
    pr_auc: float
    roc_auc: float
    recall: float
    """Share of its frauds at or above the review threshold."""
    precision: float


def by_segment(examples: Examples, probability: Floats, review: float) -> list[Segment]:
    """Measure categories (the twelve largest), amount bands, and users new and known."""
    of: dict[str, Any] = {"examples": examples, "probability": probability, "review": review}
    schema = examples.schema
    parts = [(schema.segments[0], *part) for part in _categories(examples)] if schema.segments else []
    bands = pairwise(AMOUNT_BANDS)
    for low, high in bands:
        name = f"{low:g} to {high:g}" if np.isfinite(high) else f"from {low:g}"
        parts.append(("amount", name, (examples.amount >= low) & (examples.amount < high)))
    if schema.new:
        is_new = examples.vectors[:, schema.feature_names.index(schema.new)] == 0.0
        entity = schema.primary.name
        parts += [(entity, f"new ({schema.new} is 0)", is_new), (entity, "known", ~is_new)]
    return [_measure(kind, name, rows, **of) for kind, name, rows in parts if rows.any()]


def by_week(examples: Examples, probability: Floats, review: float) -> list[Segment]:
    """Measure each seven days of the period, from its beginning."""
    of: dict[str, Any] = {"examples": examples, "probability": probability, "review": review}
    week = (examples.event_us - examples.event_us.min()) // WEEK_US
    found = []
    for number in np.unique(week):
        rows = week == number
        day = datetime.fromtimestamp(int(examples.event_us[rows].min()) / 1e6, UTC)
        found.append(_measure("week", f"from {day:%Y-%m-%d}", rows, **of))
    return found


def recalls_at(examples: Examples, probability: Floats) -> dict[float, tuple[float, float]]:
    """Share of the frauds, and of their amount, above the score that some of the honest reach."""
    truth, money = examples.is_fraud, examples.amount
    found = {}
    for rate in FALSE_POSITIVE_RATES:
        caught = probability >= score_at_fpr(probability, truth, rate)
        share = money[truth & caught].sum() / money[truth].sum()
        found[rate] = (float(caught[truth].mean()), float(share))
    return found


def amount_by_capacity(examples: Examples, probability: Floats) -> dict[float, float]:
    """Share of the fraud amount among the highest scores, by how many can be looked at."""
    order = np.argsort(-probability, kind="stable")
    money = np.cumsum((examples.amount * examples.is_fraud)[order])
    at = {capacity: max(int(capacity * len(order)), 1) for capacity in CAPACITIES}
    return {capacity: float(money[rows - 1] / money[-1]) for capacity, rows in at.items()}


def card_precision(examples: Examples, probability: Floats, k: int = CARDS_A_DAY) -> float:
    """Card precision at k, mean over the days (Dal Pozzolo, 2015).

    Of the ``k`` users with the day's highest scores, the share with a fraud on that day. Users found
    on an earlier day are still counted. Days with fewer than ``k`` users count all of them.
    """
    day = examples.event_us // DAY_US
    found = []
    for number in np.unique(day):
        rows = np.flatnonzero(day == number)
        users, inverse = np.unique(examples.user[rows], return_inverse=True)
        best, truth = np.full(len(users), -np.inf), np.zeros(len(users), bool)
        np.maximum.at(best, inverse, probability[rows])
        np.logical_or.at(truth, inverse, examples.is_fraud[rows])
        found.append(float(truth[np.argsort(-best, kind="stable")[:k]].mean()))
    return float(np.mean(found))


def calibration_error(probability: Floats, is_fraud: Bools, bins: int = 15) -> float:
    """Measure the mean distance of said and seen over equal bins (expected calibration error)."""
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [
        abs(float(probability[part].mean() - is_fraud[part].mean())) * len(part)
        for part in parts
        if len(part)
    ]
    return float(sum(gaps) / len(probability))


def _categories(examples: Examples) -> Iterator[tuple[str, Bools]]:
    counts = np.bincount(examples.category, minlength=max(len(examples.categories), 1))
    for code in np.argsort(-counts, kind="stable")[:12]:
        if counts[code]:
            name = examples.categories[code] if examples.categories else str(code)
            yield name, examples.category == code


def _measure(
    kind: str, name: str, rows: Bools, *, examples: Examples, probability: Floats, review: float
) -> Segment:
    truth, score = examples.is_fraud[rows], probability[rows]
    flagged = score >= review
    both = 0 < truth.sum() < len(truth)

    def area(score_of: Callable[..., float]) -> float:
        return float(score_of(truth, score)) if both else float("nan")

    return Segment(
        kind=kind,
        name=name,
        rows=len(truth),
        frauds=int(truth.sum()),
        pr_auc=area(average_precision_score),
        roc_auc=area(roc_auc_score),
        recall=float(flagged[truth].mean()) if truth.any() else float("nan"),
        precision=float(truth[flagged].mean()) if flagged.any() else float("nan"),
    )
