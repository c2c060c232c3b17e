"""Thresholds by segment, chosen by cost on labelled history within the reviews that people can do in a day.

A segment's transactions are sorted by score. The highest are declined, the next challenged, the next
reviewed, the rest approved; of all such cuts the cheapest is found exactly, by running minima. The review
capacity joins the segments: each review costs so much more, everywhere alike, that the busiest day stays
within it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from fraud.contracts import Outcome, Thresholds
from fraud.decide.columns import Bools, Floats
from fraud.errors import BadInput
from fraud.rules.effects import CODES, OUTCOMES, Costs, Ints

LEAST_FRAUDS: Final = 30
"""That a segment needs for thresholds of its own."""
_STEPS: Final = 25
"""Halvings in which the price of a review is found."""
_SHARES: Final = (0.0, *np.geomspace(1e-3, 1.0, 32).tolist())
"""Ways from the choice on one side of that price to the one on the other."""
_MOVED: Final = ((0, 1, 2), (0,), (1,))
"""Thresholds that move on that way: all, review, challenge."""
_DEAREST: Final = 1e9
"""Cost of a review that is so high that no transaction is reviewed."""
_BY_STRENGTH: Final = (Outcome.DECLINE, Outcome.CHALLENGE, Outcome.REVIEW, Outcome.APPROVE)
_RISING: Final = np.array([CODES[one] for one in reversed(_BY_STRENGTH)])
_DIGITS: Final = 6
"""Of a threshold."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Transactions whose outcome the score decides, and what came out of them.

    Parameters
    ----------
    score, amount
        [n]; amounts in currency units.
    is_fraud
        [n].
    day
        When it was received, days since 1970 (UTC), [n].
    segment
        Number of its segment, [n].
    """

    score: Floats
    amount: Floats
    is_fraud: Bools
    day: Ints
    segment: Ints

    def take(self, rows: Bools) -> "Scored":
        """Take some of them."""
        return Scored(
            self.score[rows], self.amount[rows], self.is_fraud[rows], self.day[rows], self.segment[rows]
        )

    def together(self) -> "Scored":
        """See all of them as one segment."""
        return Scored(self.score, self.amount, self.is_fraud, self.day, np.zeros_like(self.segment))

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class PolicyLimits:
    """Costs and limits that the chosen thresholds must respect."""

    costs: Costs
    capacity: float
    """Reviews of the busiest day, at most."""
    reviewed: Mapping[int, int]
    """Reviews by day that rules ask for already."""
    with_challenge: bool = True


def choose(known: Scored, segments: int, wanted: PolicyLimits) -> list[Thresholds]:
    """Find the thresholds of each segment that together cost least within the capacity.

    Parameters
    ----------
    segments
        How many there are.

    Raises
    ------
    BadInput
        When rules alone ask for more reviews.
    """
    of = [known.take(known.segment == at) for at in range(segments)]

    def chosen(price: float) -> list[Thresholds]:
        return [cheapest(one, wanted.costs, price, with_challenge=wanted.with_challenge) for one in of]

    def fits(found: Sequence[Thresholds]) -> bool:
        return busiest(known, outcomes(known, found), wanted.reviewed) <= wanted.capacity

    over, under = _priced(chosen, fits)
    # At one price many reviews may turn into challenges at once, which leaves capacity unused.
    tried = (
        [_between(*pair, share, moved) for pair in zip(over, under, strict=True)]
        for share in _SHARES
        for moved in _MOVED
    )
    return min(
        (found for found in tried if fits(found)),
        key=lambda found: costs_of(known, outcomes(known, found), wanted.costs).sum(),
        default=under,
    )


def cheapest(known: Scored, costs: Costs, price: float = 0.0, *, with_challenge: bool = True) -> Thresholds:
    """Find the thresholds that cost least, where each review costs ``price`` more.

    Examples
    --------
    >>> days = np.zeros(4, np.int64)
    >>> is_fraud = np.array([False, False, True, True])
    >>> four = Scored(np.array([0.1, 0.3, 0.8, 0.9]), np.full(4, 100.0), is_fraud, days, days)
    >>> found = cheapest(four, Costs())
    >>> found.review, found.decline
    (0.55, 0.55)
    """
    order = np.argsort(-known.score, kind="stable")
    score, amount, is_fraud = known.score[order], known.amount[order], known.is_fraud[order]
    # "The first k rows" is a threshold only where the score falls after the k-th row.
    cuts = np.unique(np.r_[0, np.flatnonzero(np.diff(score) < 0.0) + 1, len(score)])
    steps = [one for one in _BY_STRENGTH if with_challenge or one is not Outcome.CHALLENGE]
    sums = {one: np.r_[0.0, np.cumsum(costs.of(one, amount, is_fraud))][cuts] for one in steps}
    sums[Outcome.REVIEW] += price * cuts
    least, places = np.zeros(len(cuts)), []
    for harder, softer in pairwise(steps):
        cost = least + sums[harder] - sums[softer]  # by the place of the border between the two
        least = np.minimum.accumulate(cost)
        is_less = cost < np.r_[np.inf, least[:-1]]
        places.append(np.maximum.accumulate(np.where(is_less, np.arange(len(cuts)), 0)))
    at, bounds = len(cuts) - 1, []
    for place in reversed(places):
        at = int(place[at])
        bounds.append(_bound(score, int(cuts[at])))
    challenge = bounds[1] if with_challenge and bounds[1] < bounds[-1] else None
    return Thresholds(review=bounds[0], challenge=challenge, decline=bounds[-1])


def outcomes(known: Scored, thresholds: Sequence[Thresholds]) -> Ints:
    """Decide by the thresholds of each segment; gives codes in ``OUTCOMES``."""
    found = np.zeros(len(known), np.int64)
    for at, one in enumerate(thresholds):
        rows = np.flatnonzero(known.segment == at)
        found[rows] = _RISING[np.searchsorted(_steps(one), known.score[rows], side="right")]
    return found


def costs_of(known: Scored, became: Ints, costs: Costs) -> Floats:
    """Tell what each transaction costs by its outcome, [n]."""
    by_outcome = np.array([costs.of(one, known.amount, known.is_fraud) for one in OUTCOMES])
    found: Floats = by_outcome[became, np.arange(len(known))]
    return found


def busiest(known: Scored, became: Ints, reviewed: Mapping[int, int]) -> int:
    """Count the reviews of the busiest day, with those that rules ask for."""
    days, counts = np.unique(known.day[became == CODES[Outcome.REVIEW]], return_counts=True)
    by_day = Counter(dict(zip(days.tolist(), counts.tolist(), strict=True)))
    by_day.update(reviewed)
    return max(by_day.values(), default=0)


def of_worth(known: Scored, segments: int, wanted: PolicyLimits) -> list[int]:
    """Find the segments whose own thresholds are cheaper than common ones, also where they were not chosen.

    They are chosen on each half of the time, and judged by the other half: what they save must be twice its
    standard error.
    """
    is_late = known.day > np.median(known.day)
    saved, spread = np.zeros(segments), np.zeros(segments)
    for half in (is_late, ~is_late):
        here, there = known.take(half), known.take(~half)
        own = outcomes(there, choose(here, segments, wanted))
        common = outcomes(there.together(), choose(here.together(), 1, wanted))
        change = costs_of(there, own, wanted.costs) - costs_of(there, common, wanted.costs)
        saved -= np.bincount(there.segment, change, segments)
        spread += np.bincount(there.segment, change * change, segments)
    frauds = np.bincount(known.segment, known.is_fraud, segments)
    return np.flatnonzero((saved > 2.0 * np.sqrt(spread)) & (frauds >= LEAST_FRAUDS)).tolist()


def _priced(
    chosen: Callable[[float], list[Thresholds]], fits: Callable[[Sequence[Thresholds]], bool]
) -> tuple[list[Thresholds], list[Thresholds]]:
    """Find the price of a review at which the capacity becomes enough; gives the choices on its two sides."""
    over = found = chosen(0.0)
    if fits(found):
        return found, found
    low, high = 0.0, 1.0
    while not fits(found := chosen(high)):
        low, high, over = high, 4.0 * high, found
        if high > _DEAREST:
            raise BadInput(
                "the rules alone ask for more reviews on a day than the capacity; raise the capacity, or let "
                "these rules decline or challenge"
            )
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if fits(nearer := chosen(middle)):
            high, found = middle, nearer
        else:
            low, over = middle, nearer
    return over, found


def _between(over: Thresholds, under: Thresholds, share: float, moved: Sequence[int]) -> Thresholds:
    """Go a share of the way from one choice to another, with some of the thresholds."""
    to, bounds = _steps(over), list(_steps(under))
    for at in moved:
        bounds[at] = round(bounds[at] + share * (to[at] - bounds[at]), _DIGITS)
    review, challenge, decline = np.maximum.accumulate(bounds).tolist()
    return Thresholds(review=review, challenge=challenge if challenge < decline else None, decline=decline)


def _steps(one: Thresholds) -> tuple[float, float, float]:
    return one.review, one.decline if one.challenge is None else one.challenge, one.decline


def _bound(score: Floats, first: int) -> float:
    """Place a threshold below the first so many scores: in the middle of the gap."""
    if first == 0:
        return 1.0
    if first == len(score):
        return 0.0
    return round(float(score[first - 1] + score[first]) / 2.0, _DIGITS)
