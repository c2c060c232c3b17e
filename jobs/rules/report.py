"""What each rule did, from the log alone: ``fraud rules report``.

Reads the Delta tables ``decisions`` and ``labels``; writes nothing. A transaction is mature when it has a
label, or when it is older than the maturity: then it counts as honest. Money is compared with the model
without rules, one rule at a time.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import Outcome
from fraud.decide.engine import Held, Rule, overrule
from fraud.log.arrival import COLUMNS
from fraud.log.labels import in_order_of_arrival
from fraud.log.tables import NO_OPTIONS, Options, find_table, open_table
from jobs.rules.backtest import WITHOUT, Costs

RECENT: Final = timedelta(days=7)
_READ: Final = ("transaction_id", "amount", "outcome", WITHOUT, "rules", "shadow_rules", "received_at")


@dataclass(slots=True)
class RuleReport:
    """What one rule did."""

    rule: str
    hits: int = 0
    """With effect."""
    shadow_hits: int = 0
    """Without: in shadow, or outside of its share. All figures below count both kinds of hits."""
    recent: int = 0
    """Hits of the newest 7 days."""
    mature: int = 0
    fraud: int = 0
    """Of the mature ones."""
    false_declines: int = 0
    """Mature honest ones that this rule alone declines."""
    stopped_by_model: int = 0
    """Hits that the model alone did not approve."""
    saved: float = 0.0
    """Money, currency units, where this rule alone is better than the model; of mature hits."""
    lost: float = 0.0
    """Where it is worse."""
    beside: Counter[str] = field(default_factory=Counter)
    """Hits of other rules on the same transactions."""

    @property
    def all_hits(self) -> int:
        """Hits with and without effect."""
        return self.hits + self.shadow_hits

    @property
    def precision(self) -> float | None:
        """Share of fraud among the mature hits; None without any."""
        return self.fraud / self.mature if self.mature else None

    @property
    def overlap(self) -> float:
        """Share of hits that the model alone would have stopped too."""
        return self.stopped_by_model / self.all_hits if self.all_hits else 0.0


@dataclass(slots=True)
class Report:
    """Of all rules that held at least once, and of those that are known and never did."""

    transactions: int
    days: float
    """From the first decision to the last."""
    rules: list[RuleReport]


def report(
    rules: Mapping[str, Rule],
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    costs: Costs | None = None,
    maturity: timedelta = timedelta(days=14),
    now: datetime | None = None,
) -> Report:
    """Tell what each rule did.

    Parameters
    ----------
    rules
        By name: what their outcomes are; a rule that is not among them has no money.
    maturity
        After which a transaction without a label counts as honest.
    now
        By default the clock's.

    Raises
    ------
    BadInput
        When there are no decisions.
    """
    table = open_table(delta, "decisions", options)
    known = [name for name in _READ if name in table.columns]
    decisions = table.rows(known, pc.scalar(True))
    found = {name: RuleReport(name) for name in rules}
    newest = pc.max(decisions["received_at"]).as_py()
    days = newest - pc.min(decisions["received_at"]).as_py() if newest else timedelta()
    labels = _labels(delta, options)
    mature_before = (now or datetime.now(UTC)) - maturity
    for row in _hit(decisions).to_pylist():
        is_fraud = labels.get(row["transaction_id"])
        if is_fraud is None and row["received_at"] < mature_before:
            is_fraud = False
        _count(found, rules, row, is_fraud, costs or Costs(), is_recent=row["received_at"] > newest - RECENT)
    return Report(decisions.num_rows, days / timedelta(days=1), list(found.values()))


def _count(
    found: dict[str, RuleReport],
    rules: Mapping[str, Rule],
    row: dict[str, Any],
    is_fraud: bool | None,
    costs: Costs,
    *,
    is_recent: bool,
) -> None:
    live, shadow = json.loads(row["rules"] or "[]"), json.loads(row["shadow_rules"] or "[]")
    without = Outcome(row[WITHOUT] or row["outcome"])
    for name in (*live, *shadow):
        one = found.setdefault(name, RuleReport(name))
        one.hits += name in live
        one.shadow_hits += name in shadow
        one.recent += is_recent
        one.stopped_by_model += without is not Outcome.APPROVE
        one.beside.update(other for other in (*live, *shadow) if other != name)
        if is_fraud is not None:
            one.mature += 1
            one.fraud += is_fraud
            if name in rules:
                _weigh(one, rules[name], without, is_fraud=is_fraud, amount=row["amount"], costs=costs)


def _weigh(
    one: RuleReport, rule: Rule, without: Outcome, *, is_fraud: bool, amount: float, costs: Costs
) -> None:
    """Compare what a rule alone costs with what the model alone costs."""
    outcome = overrule(without, Held((rule,))).outcome
    change = costs.of(outcome, amount, is_fraud=is_fraud) - costs.of(without, amount, is_fraud=is_fraud)
    one.saved += max(-change, 0.0)
    one.lost += max(change, 0.0)
    is_wrong = outcome is Outcome.DECLINE and without is not Outcome.DECLINE and not is_fraud
    one.false_declines += is_wrong


def _hit(decisions: pa.Table) -> pa.Table:
    """Take the decisions that a rule held for."""
    if "rules" not in decisions.column_names:
        return decisions.slice(0, 0)
    has = [
        pc.fill_null(pc.not_equal(decisions[name], "[]"), fill_value=False)
        for name in ("rules", "shadow_rules")
    ]
    return decisions.filter(pc.or_(*has))


def _labels(delta: str, options: Options) -> dict[str, bool]:
    """Take the last label of each transaction."""
    if find_table(delta, "labels", options) is None:
        return {}
    columns = ["transaction_id", "label_time", "is_fraud", *COLUMNS]
    table = in_order_of_arrival(open_table(delta, "labels", options).rows(columns, pc.scalar(True)))
    return dict(zip(table["transaction_id"].to_pylist(), table["is_fraud"].to_pylist(), strict=True))
