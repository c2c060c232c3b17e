"""What rules do on transactions, counted: hits by day, precision, money, overlap with model and rules.

``fraud rules report`` counts what was decided, ``fraud rules backtest`` what would be; both count here. Money
compares a rule alone with the model without rules. A transaction is mature when it has a label, or when it is
older than the maturity: then it counts as honest.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import fsum, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.contracts import Outcome
from fraud.decide.columns import Bools, Floats
from fraud.decide.engine import Rule, RuleHits
from fraud.decide.overruling import overrule

Ints = NDArray[np.int64]
OUTCOMES: Final = tuple(Outcome)
CODES: Final = {outcome: code for code, outcome in enumerate(OUTCOMES)}
EXAMPLES: Final = 5
"""Newest hits of a rule that are named."""
MATURITY: Final = timedelta(days=14)
RECENT: Final = timedelta(days=7)
_DAY_US: Final = 86_400_000_000
_Z: Final = 1.959963984540054
"""Of the normal distribution, for 95 %."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What errors cost, currency units; approving a fraud costs its amount."""

    review: float = 5.0
    challenge: float = 1.0
    """Of asking the cardholder for another step."""
    wrong_decline: float = 20.0
    challenge_left: float = 0.0
    """Share of honest cardholders who give up when they are asked; each costs a wrong decline."""
    challenge_passed: float = 0.0
    """Share of frauds that pass the step; each costs its amount."""

    def of(self, outcome: Outcome, amounts: Floats, is_fraud: Bools) -> Floats:
        """Cost of one outcome for many transactions; a reviewed fraud is found."""
        if outcome is Outcome.REVIEW:
            return np.full(len(amounts), self.review)
        if outcome is Outcome.CHALLENGE:
            later = np.where(
                is_fraud, self.challenge_passed * amounts, self.challenge_left * self.wrong_decline
            )
            return self.challenge + later
        if outcome is Outcome.DECLINE:
            return np.where(is_fraud, 0.0, self.wrong_decline)
        return np.where(is_fraud, amounts, 0.0)


@dataclass(frozen=True, slots=True)
class Example:
    """A transaction that a rule held for."""

    transaction_id: str
    received_us: int
    is_fraud: bool | None


@dataclass(slots=True)
class RuleEffect:
    """What one rule did, or would have done."""

    rule: str
    hits: int = 0
    """With effect."""
    shadow_hits: int = 0
    """Without: in shadow, or outside of its share. All figures below count both kinds of hits."""
    days: Counter[date] = field(default_factory=Counter)
    """Hits by day (UTC)."""
    changed: int = 0
    """Hits in which this rule alone changes what the model decides."""
    stopped_by_model: int = 0
    """Hits that the model alone did not approve."""
    mature: int = 0
    fraud: int = 0
    """Of the mature ones."""
    fraud_amount: float = 0.0
    """Of the frauds among the hits, currency units."""
    honest_amount: float = 0.0
    false_declines: int = 0
    """Mature honest ones that this rule alone declines."""
    saved: float = 0.0
    """Money, currency units, where this rule alone is better than the model; of mature hits."""
    lost: float = 0.0
    """Where it is worse."""
    beside: Counter[str] = field(default_factory=Counter)
    """Hits of other rules on the same transactions."""
    examples: list[Example] = field(default_factory=list)
    """The newest hits."""

    @property
    def all_hits(self) -> int:
        """Hits with and without effect."""
        return self.hits + self.shadow_hits

    @property
    def cost(self) -> float:
        """Of this rule alone against the model without rules; negative: it saves."""
        return self.lost - self.saved

    @property
    def precision(self) -> float | None:
        """Share of fraud among the mature hits; None without any."""
        return self.fraud / self.mature if self.mature else None

    @property
    def precision_bounds(self) -> tuple[float, float]:
        """Interval of 95 % (Wilson)."""
        return wilson(self.fraud, self.mature)

    @property
    def overlap(self) -> float:
        """Share of hits that the model alone would have stopped too."""
        return self.stopped_by_model / self.all_hits if self.all_hits else 0.0


@dataclass(slots=True)
class HistoryPart:
    """Some transactions, and the rules that held for them.

    Parameters
    ----------
    ids
        Of the transactions, [n].
    was
        Code in ``OUTCOMES`` of what the model decided, [n].
    became
        The same, of the decision with rules.
    is_fraud, is_labelled
        What is known; of what has no label ``is_fraud`` is False.
    names
        Of the rules, [rules].
    live, shadow
        Where they held, [rules, n].
    """

    ids: Sequence[str]
    received_us: Ints
    was: Ints
    became: Ints
    amounts: Floats
    is_fraud: Bools
    is_labelled: Bools
    names: Sequence[str]
    live: Bools
    shadow: Bools


@dataclass(slots=True)
class RuleEffects:
    """What all rules of a version did.

    Parameters
    ----------
    version
        Of the rules.
    rules
        Those whose outcomes are known; another one has no money.
    costs
        Of errors.
    mature_before
        A transaction received before counts as honest where it has no label.
    """

    version: str
    rules: Mapping[str, Rule]
    costs: Costs
    mature_before: datetime
    transactions: int = 0
    labelled: int = 0
    mature: int = 0
    fraud: int = 0
    """Of the mature ones."""
    cost: float = 0.0
    """Of the decisions against those of the model without rules, mature ones; negative: the rules save."""
    days: Counter[date] = field(default_factory=Counter)
    """Transactions by day (UTC)."""
    reviews: Counter[date] = field(default_factory=Counter)
    """Reviews by day, of the decisions with rules."""
    first_us: int = 0
    last_us: int = 0
    of: dict[str, RuleEffect] = field(default_factory=dict)
    currency: str = ""
    """Of all money here: the base currency; empty where all amounts are in one."""
    _terms: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        """Know every rule, also one that never holds."""
        self.of = {name: RuleEffect(name) for name in self.rules}

    @property
    def all_rules(self) -> list[RuleEffect]:
        """In the file's order."""
        return list(self.of.values())

    @property
    def length_days(self) -> float:
        """From the first transaction to the last."""
        return (self.last_us - self.first_us) / _DAY_US

    def recall(self, one: RuleEffect) -> tuple[float, float, float] | None:
        """Share of the frauds that a rule holds for, with its interval; None without frauds."""
        return (one.fraud / self.fraud, *wilson(one.fraud, self.fraud)) if self.fraud else None

    def recent(self, one: RuleEffect) -> int:
        """Hits of the newest 7 days."""
        return sum(n for day, n in one.days.items() if self._is_recent(day))

    @property
    def recent_transactions(self) -> int:
        """Transactions of the newest 7 days."""
        return sum(n for day, n in self.days.items() if self._is_recent(day))

    def drift(self, one: RuleEffect) -> float | None:
        """Hit rate of the newest 7 days over that of the days before; None where one of them has none."""
        recent, n = self.recent(one), self.recent_transactions
        earlier, others = one.all_hits - recent, self.transactions - n
        return (recent / n) / (earlier / others) if n and others and earlier else None

    def _is_recent(self, day: date) -> bool:
        return day > (datetime.fromtimestamp(self.last_us / 1e6, UTC) - RECENT).date()

    def count(self, part: HistoryPart) -> None:
        """Count some transactions."""
        n = len(part.ids)
        if not n:
            return
        mature_us = int(self.mature_before.timestamp() * 1e6)
        is_mature = part.is_labelled | (part.received_us < mature_us)
        self.first_us = min(self.first_us or part.received_us.min().item(), part.received_us.min().item())
        self.last_us = max(self.last_us, part.received_us.max().item())
        self.transactions += n
        self.labelled += int(part.is_labelled.sum())
        self.mature += int(is_mature.sum())
        self.fraud += int(part.is_fraud.sum())
        self.days.update(days_of(part.received_us))
        self.reviews.update(days_of(part.received_us[part.became == CODES[Outcome.REVIEW]]))
        self._add("", "cost", self._change(part, part.became, np.flatnonzero(is_mature)))
        held = part.live | part.shadow
        for at, name in enumerate(part.names):
            rows = np.flatnonzero(held[at])
            if len(rows):
                self._count_rule(self.of.setdefault(name, RuleEffect(name)), part, at, rows, is_mature)
        _count_beside(self.of, part.names, held)
        self._sum()

    def _count_rule(self, one: RuleEffect, part: HistoryPart, at: int, rows: Ints, is_mature: Bools) -> None:
        one.hits += int(part.live[at].sum())
        one.shadow_hits += int(part.shadow[at].sum())
        one.days.update(days_of(part.received_us[rows]))
        one.stopped_by_model += int((part.was[rows] != CODES[Outcome.APPROVE]).sum())
        mature = rows[is_mature[rows]]
        one.mature += len(mature)
        frauds = part.is_fraud[mature]
        one.fraud += int(frauds.sum())
        self._add(one.rule, "fraud_amount", part.amounts[mature][frauds])
        self._add(one.rule, "honest_amount", part.amounts[mature][~frauds])
        one.examples = _newest(one.examples, part, rows)
        if one.rule in self.rules:
            self._weigh(one, part, rows, mature)

    def _weigh(self, one: RuleEffect, part: HistoryPart, rows: Ints, mature: Ints) -> None:
        """Compare a rule alone with the model alone."""
        held = RuleHits((self.rules[one.rule],))
        alone = np.array([CODES[overrule(outcome, held).outcome] for outcome in OUTCOMES])
        became = alone[part.was]
        one.changed += int((became[rows] != part.was[rows]).sum())
        change = self._change(part, became, mature)
        self._add(one.rule, "saved", np.maximum(-change, 0.0))
        self._add(one.rule, "lost", np.maximum(change, 0.0))
        is_new = (became[mature] == CODES[Outcome.DECLINE]) & (part.was[mature] != CODES[Outcome.DECLINE])
        one.false_declines += int((is_new & ~part.is_fraud[mature]).sum())

    def _change(self, part: HistoryPart, became: Ints, rows: Ints) -> Floats:
        """Tell what an outcome costs more than the model's."""
        rows = rows[became[rows] != part.was[rows]]
        amounts, is_fraud = part.amounts[rows], part.is_fraud[rows]
        by_outcome = np.array([self.costs.of(outcome, amounts, is_fraud) for outcome in OUTCOMES])
        at = np.arange(len(rows))
        change: Floats = by_outcome[became[rows], at] - by_outcome[part.was[rows], at]
        return change

    def _add(self, rule: str, figure: str, terms: Floats) -> None:
        self._terms[rule, figure].append(fsum(terms.tolist()))  # exactly: the order of a join is chance

    def _sum(self) -> None:
        for (rule, figure), terms in self._terms.items():
            if rule or figure == "cost":
                setattr(self.of[rule] if rule else self, figure, fsum(terms))


def wilson(found: int, of: int) -> tuple[float, float]:
    """Bound a share with 95 % confidence (Wilson's score interval).

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson(9, 10)]
    [0.596, 0.982]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if not of:
        return 0.0, 1.0
    share, z2 = found / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def days_of(received_us: Ints) -> Counter[date]:
    """Count transactions by day (UTC)."""
    days, counts = np.unique(received_us // _DAY_US, return_counts=True)
    start = date(1970, 1, 1)
    return Counter(
        {start + timedelta(days=day): n for day, n in zip(days.tolist(), counts.tolist(), strict=True)}
    )


def _newest(examples: list[Example], part: HistoryPart, rows: Ints) -> list[Example]:
    received = part.received_us[rows]
    oldest = np.sort(received)[-EXAMPLES:][0]
    newest = rows[received >= oldest].tolist()  # more where several came at the same time
    found = [
        Example(
            part.ids[row],
            int(part.received_us[row]),
            bool(part.is_fraud[row]) if part.is_labelled[row] else None,
        )
        for row in newest
    ]
    return sorted([*examples, *found], key=lambda one: (-one.received_us, one.transaction_id))[:EXAMPLES]


def _count_beside(of: Mapping[str, RuleEffect], names: Sequence[str], held: Bools) -> None:
    hit = held[:, held.any(axis=0)].astype(np.float32)  # whole numbers below 2^24 are exact
    together = (hit @ hit.T).astype(np.int64)
    for at, name in enumerate(names):
        for other in np.flatnonzero(together[at]).tolist():
            if other != at:
                of[name].beside[names[other]] += int(together[at, other])
