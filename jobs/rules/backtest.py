"""Applies rules to what was served, and counts what they would have done.

Reads the Delta tables ``transactions``, ``features``, ``decisions`` and ``labels``; writes nothing. A rule
is judged at the time of each transaction (an expiry counts), by the vector and the score that were served.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import fsum
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import Outcome
from fraud.contracts.priced import amount_column, base_amounts, with_kinds
from fraud.decide.rules import FIELDS, RuleSet, overrule
from fraud.features import FEATURE_NAMES
from fraud.log.arrival import COLUMNS
from fraud.log.labels import in_order_of_arrival
from fraud.log.tables import NO_OPTIONS, Options, find_table, open_table
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import AMOUNT_BASE

ROWS: Final = 20_000
_BASE: Final = AMOUNT_BASE
"""Column of amounts that can be added up, also a name that rules read where there is money."""
Sums = defaultdict[tuple[str, str], list[float]]
"""Terms of sums of money, by rule and figure."""
_ALL: Final = ""
"""In the place of a rule: all of them together."""
_IDENTITY: Final = ("generation", "epoch", "source_partition", "source_offset")


@dataclass(slots=True)
class Hits:
    """What one rule would have done."""

    rule: str
    outcome: Outcome
    hits: int = 0
    changed: int = 0
    """Hits in which the outcome would have been another one than it was."""
    known: int = 0
    """Hits with a label."""
    fraud: int = 0
    """Of these, fraud."""
    fraud_amount: float = 0.0
    """Of the fraud among the hits, currency units: saved by a decline, lost by an approval."""
    honest_amount: float = 0.0
    """Of the honest ones among the hits."""
    cost: float = 0.0
    """Of this rule alone against what was decided, currency units; negative: it would have saved."""

    @property
    def precision(self) -> float | None:
        """Share of fraud among the hits with a label; None without any."""
        return self.fraud / self.known if self.known else None


@dataclass(slots=True)
class Backtest:
    """The account of one run."""

    version: str
    transactions: int
    labelled: int
    rules: list[Hits]
    cost: float
    """Of all rules together against what was decided, currency units; negative: they would have saved."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What errors cost, currency units; approving a fraud costs its amount."""

    review: float = 5.0
    wrong_decline: float = 20.0

    def of(self, outcome: Outcome, amount: float, *, is_fraud: bool) -> float:
        """Cost of one outcome; a reviewed fraud is found."""
        if outcome is Outcome.REVIEW:
            return self.review
        if outcome is Outcome.DECLINE:
            return 0.0 if is_fraud else self.wrong_decline
        return amount if is_fraud else 0.0


def backtest(
    rules: RuleSet,
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    costs: Costs | None = None,
    on_progress: Callable[[int], None] = lambda _rows: None,
) -> Backtest:
    """Try rules on all of the log.

    Raises
    ------
    BadInput
        When a table is not there.
    Unavailable
        When the tables cannot be read.
    """
    costs = costs or Costs()
    whole = _history(delta, options)
    found = Backtest(rules.version, 0, 0, [Hits(rule.name, rule.outcome) for rule in rules.rules], 0.0)
    by_name = {one.rule: one for one in found.rules}
    sums: Sums = defaultdict(list)
    for first in range(0, whole.num_rows, ROWS):
        for row in whole.slice(first, ROWS).to_pylist():
            _judge(found, by_name, row, rules, costs, sums=sums)
        on_progress(found.transactions)
    for (name, figure), terms in sums.items():  # exactly: the order of a join is chance
        setattr(by_name.get(name, found), figure, fsum(terms))
    return found


def _judge(
    found: Backtest,
    by_name: dict[str, Hits],
    row: dict[str, Any],
    rules: RuleSet,
    costs: Costs,
    *,
    sums: Sums,
) -> None:
    found.transactions += 1
    was, is_fraud = Outcome(row["outcome"]), row["is_fraud"]
    holding = rules.holding(row, row["received_at"].timestamp())
    outcome, _ = overrule(was, holding)
    of = [0.0, 0.0]
    if is_fraud is not None:
        found.labelled += 1
        of = [costs.of(one, row[_BASE], is_fraud=is_fraud) for one in (was, outcome)]
        sums[_ALL, "cost"].append(of[1] - of[0])
    for rule in holding:
        hits = by_name[rule.name]
        hits.hits += 1
        hits.changed += outcome is not was
        if is_fraud is None:
            continue
        alone, _ = overrule(was, [rule])
        sums[rule.name, "cost"].append(costs.of(alone, row[_BASE], is_fraud=is_fraud) - of[0])
        hits.known += 1
        hits.fraud += is_fraud
        sums[rule.name, "fraud_amount" if is_fraud else "honest_amount"].append(row[_BASE])


def _history(delta: str, options: Options) -> pa.Table:
    """Join what was served, decided and found out, one row a decided transaction."""
    names = [name for name in FIELDS if name != "transaction_id"]
    amounts = [amount_column(deployed_schema())]
    transactions = _table(
        delta,
        "transactions",
        [*dict.fromkeys(["transaction_id", *names, *amounts]), "received_at", *_IDENTITY],
        options,
    )
    features = _table(delta, "features", [*FEATURE_NAMES, *_IDENTITY], options)
    decisions = _table(delta, "decisions", ["outcome", "score", *_IDENTITY], options)
    whole = with_kinds(transactions).join(features, list(_IDENTITY), join_type="inner")
    whole = whole.join(decisions, list(_IDENTITY), join_type="inner")
    whole = whole.append_column(_BASE, base_amounts(whole, deployed_schema()))
    if find_table(delta, "labels", options) is None:
        return whole.append_column("is_fraud", pa.nulls(whole.num_rows, pa.bool_()))
    labels = _table(delta, "labels", ["transaction_id", "label_time", "is_fraud", *COLUMNS], options)
    last = in_order_of_arrival(labels).group_by("transaction_id", use_threads=False)
    verdicts = last.aggregate([("is_fraud", "last")]).rename_columns(["transaction_id", "is_fraud"])
    return whole.join(verdicts, "transaction_id", join_type="left outer")


def _table(delta: str, name: str, columns: list[str], options: Options) -> pa.Table:
    table = open_table(delta, name, options)
    known = [column for column in columns if column in table.columns]
    return table.rows(known, pc.scalar(True))
