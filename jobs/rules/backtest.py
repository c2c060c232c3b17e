"""Applies rules to what was served, and counts what they would have done.

Reads the Delta tables ``transactions``, ``features``, ``decisions`` and ``labels``; writes nothing. A rule
is judged at the time of each transaction (an expiry counts), by the vector and the score that were served. A
rule in shadow is judged too; a score floor changes nothing here, as the log has no thresholds.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import fsum
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import Outcome
from fraud.contracts.priced import amount_column, base_amounts, with_kinds
from fraud.decide.columns import Columns
from fraud.decide.engine import Held, RuleSet, overrule
from fraud.decide.values import FIELDS
from fraud.features import FEATURE_NAMES
from fraud.log.arrival import COLUMNS
from fraud.log.labels import in_order_of_arrival
from fraud.log.tables import NO_OPTIONS, Options, find_table, open_table
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import AMOUNT_BASE

ROWS: Final = 20_000
_BASE: Final = AMOUNT_BASE
"""Column of amounts that can be added up, also a name that rules read where there is money."""
WITHOUT: Final = "outcome_without_rules"
Sums = defaultdict[tuple[str, str], list[float]]
"""Terms of sums of money, by rule and figure."""
Row = tuple[Outcome, bool | None, float]
"""What the model decided, the label, the amount."""
_ALL: Final = ""
"""In the place of a rule: all of them together."""
_IDENTITY: Final = ("generation", "epoch", "source_partition", "source_offset")


@dataclass(slots=True)
class Hits:
    """What one rule would have done."""

    rule: str
    outcome: Outcome | None
    """None: it only tags, routes or raises the score."""
    hits: int = 0
    changed: int = 0
    """Hits in which this rule alone would have changed the outcome."""
    known: int = 0
    """Hits with a label."""
    fraud: int = 0
    """Of these, fraud."""
    fraud_amount: float = 0.0
    """Of the fraud among the hits, currency units: saved by a decline, lost by an approval."""
    honest_amount: float = 0.0
    """Of the honest ones among the hits."""
    cost: float = 0.0
    """Of this rule alone against the model without rules, currency units; negative: it would have saved."""

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
    """Of all rules together against the model without rules, currency units; negative: they save."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What errors cost, currency units; approving a fraud costs its amount."""

    review: float = 5.0
    challenge: float = 1.0
    """Of asking the cardholder for another step; a fraudster fails it."""
    wrong_decline: float = 20.0

    def of(self, outcome: Outcome, amount: float, *, is_fraud: bool) -> float:
        """Cost of one outcome; a reviewed fraud is found."""
        if outcome is Outcome.REVIEW:
            return self.review
        if outcome is Outcome.CHALLENGE:
            return self.challenge
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
    whole = history(delta, options)
    found = Backtest(rules.version, 0, 0, [Hits(rule.name, rule.outcome) for rule in rules.rules], 0.0)
    by_name = {one.rule: one for one in found.rules}
    sums: Sums = defaultdict(list)
    for first in range(0, whole.num_rows, ROWS):
        part = whole.slice(first, ROWS).combine_chunks()
        _judge_all(found, by_name, part, rules, costs, sums=sums)
        on_progress(found.transactions)
    for (name, figure), terms in sums.items():  # exactly: the order of a join is chance
        setattr(by_name.get(name, found), figure, fsum(terms))
    return found


def holding_of(rules: RuleSet, part: pa.Table) -> list[Held]:
    """Find the rules that hold for rows of the history, each at the time when it was received."""
    vectors = np.column_stack([part[name].to_numpy() for name in FEATURE_NAMES if name in part.column_names])
    names = [name for name in FEATURE_NAMES if name in part.column_names]
    score = part["score"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    received_s = part["received_at"].cast(pa.int64()).to_numpy() / 1e6
    keys = part[deployed_schema().primary_key.name].to_pylist()
    return rules.holding_columns(Columns(part, vectors, names, score), keys, received_s)


def _judge_all(
    found: Backtest, by_name: dict[str, Hits], part: pa.Table, rules: RuleSet, costs: Costs, *, sums: Sums
) -> None:
    """Count what rules would have done; only where one holds can anything differ."""
    found.transactions += part.num_rows
    found.labelled += part.num_rows - part["is_fraud"].null_count
    held = holding_of(rules, part)
    at = [row for row, one in enumerate(held) if one.live or one.shadow]
    hit = part.take(pa.array(at, pa.int64()))
    rows = zip(outcomes_without_rules(hit), hit["is_fraud"].to_pylist(), hit[_BASE].to_pylist(), strict=True)
    for row, index in zip(rows, at, strict=True):
        _judge(by_name, row, held[index], costs, sums)


def _judge(by_name: dict[str, Hits], row: Row, held: Held, costs: Costs, sums: Sums) -> None:
    was, is_fraud, amount = row
    outcome = overrule(was, held).outcome

    def cost_of(one: Outcome) -> float:
        return costs.of(one, amount, is_fraud=bool(is_fraud))

    if is_fraud is not None:
        sums[_ALL, "cost"].append(cost_of(outcome) - cost_of(was))
    for rule in (*held.live, *held.shadow):
        hits = by_name[rule.name]
        hits.hits += 1
        alone = overrule(was, Held((rule,))).outcome
        hits.changed += alone is not was
        if is_fraud is None:
            continue
        sums[rule.name, "cost"].append(cost_of(alone) - cost_of(was))
        hits.known += 1
        hits.fraud += is_fraud
        sums[rule.name, "fraud_amount" if is_fraud else "honest_amount"].append(amount)


def history(delta: str, options: Options = NO_OPTIONS) -> pa.Table:
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
    decisions = _table(delta, "decisions", ["outcome", WITHOUT, "score", *_IDENTITY], options)
    whole = with_kinds(transactions).join(features, list(_IDENTITY), join_type="inner")
    whole = whole.join(decisions, list(_IDENTITY), join_type="inner")
    whole = whole.append_column(_BASE, pa.array(base_amounts(whole, deployed_schema())))
    if find_table(delta, "labels", options) is None:
        return whole.append_column("is_fraud", pa.nulls(whole.num_rows, pa.bool_()))
    labels = _table(delta, "labels", ["transaction_id", "label_time", "is_fraud", *COLUMNS], options)
    last = in_order_of_arrival(labels).group_by("transaction_id", use_threads=False)
    verdicts = last.aggregate([("is_fraud", "last")]).rename_columns(["transaction_id", "is_fraud"])
    return whole.join(verdicts, "transaction_id", join_type="left outer")


def outcomes_without_rules(part: pa.Table) -> list[Outcome]:
    """Tell what the model decided; of records of earlier releases, what was decided."""
    outcome = part["outcome"]
    if WITHOUT in part.column_names:
        outcome = pc.coalesce(part[WITHOUT], outcome)
    return [Outcome(one) for one in outcome.to_pylist()]


def _table(delta: str, name: str, columns: list[str], options: Options) -> pa.Table:
    table = open_table(delta, name, options)
    known = [column for column in columns if column in table.columns]
    return table.rows(known, pc.scalar(True))
