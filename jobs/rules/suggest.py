"""Proposes short rules for frauds that the model and the rules miss: ``fraud rules suggest``.

Reads the log as the backtest does. Small decision trees (scikit-learn) learn on the earlier part of it, and
each of their leaves is a rule; what a rule is worth is told by the later part, with the engine that decides.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
import yaml

from fraud.contracts import Outcome
from fraud.decide.columns import Bools, Floats
from fraud.decide.compiling import compile_rules
from fraud.decide.engine import RuleSet
from fraud.decide.values import SCORE, vocabulary_of
from fraud.errors import BadInput
from fraud.log.tables import NO_OPTIONS, Options, floats_of, micros_of
from fraud.money import round_words
from fraud.rules.backtest import held_in, judged
from fraud.rules.effects import MATURITY, Costs, RuleEffect, RuleEffects
from fraud.rules.history import ALWAYS, BASE, History, Range, labels_of, last_labels, open_history
from fraud.rules.words import share
from fraud.schema.deployed import deployed_schema

DEPTH: Final = 3
"""Conditions of a rule, at most."""
MOST_HONEST: Final = 200_000
"""Honest transactions that are learnt from; others stand for them by weight."""
LEAST_FRAUDS: Final = 5
"""That a rule must hold for where it is learnt."""
WEIGHTS: Final = (1.0, 10.0, 100.0)
"""Of a fraud against an honest transaction, one tree each."""
_MISSING: Final = -1e30
Path = tuple[tuple[int, bool, float], ...]
"""Conditions: the column, whether it is above, and the bound."""


@dataclass(frozen=True, slots=True)
class SuggestionLimits:
    """Limits on the rules that are suggested."""

    most: int = 5
    """Rules."""
    min_precision: float = 0.1
    """Share of fraud among the hits on later data."""
    later: float = 0.3
    """Share of the time that is kept for telling what a rule is worth."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A rule, and what it is worth on later data, among what was approved there."""

    when: str
    later: RuleEffect
    recall: float
    """Share of the missed frauds that it holds for."""
    currency: str = ""
    """Of the money; empty where all amounts are in one currency."""

    @property
    def words(self) -> str:
        """Say what it is worth."""
        precision = share(self.later.precision, *self.later.precision_bounds)
        return (
            f"on later data: {self.later.all_hits:,} hits, precision {precision}, holds for "
            f"{self.recall:.0%} of the missed frauds, saves {round_words(-self.later.cost, self.currency)}"
        )


@dataclass(frozen=True, slots=True)
class Suggested:
    """What was found."""

    rules: list[Suggestion]
    tried: int
    """Candidates."""
    missed: int
    """Frauds that were approved, in the part that is learnt from."""
    split: datetime
    """Where the later part begins."""

    def as_file(self) -> str:
        """Write the rules as drafts, in a rules file."""
        lines = ['version: "suggested"', "rules:"]
        for at, one in enumerate(self.rules, 1):
            rule = {"name": f"suggested_{at}", "when": one.when, "then": "review", "state": "draft"}
            rule["reason"] = "like frauds that were missed before"
            text = yaml.safe_dump([rule], sort_keys=False, width=1_000).splitlines()
            lines += [f"  # {one.words}", *(f"  {line}" for line in text)]
        return "\n".join(lines if self.rules else ['version: "suggested"', "rules: []"]) + "\n"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is learnt from: transactions that were approved, and what came out of them."""

    names: tuple[str, ...]
    values: Floats
    """[n, names]."""
    is_fraud: Bools
    amounts: Floats
    weights: Floats
    """How many transactions each one stands for."""


class _Worth:
    """Tells what a rule is worth where it is learnt: the money that it saves, times its precision.

    Money alone would prefer broad rules, as a review costs little.

    Parameters
    ----------
    left
        Transactions that no rule holds for yet.
    """

    def __init__(self, known: _Known, costs: Costs, left: Bools) -> None:
        self._left, self._weights = left, known.weights
        self._frauds = known.is_fraud * known.weights
        self._money = self._frauds * known.amounts - costs.review * known.weights

    def of(self, rows: Bools) -> float:
        """Weigh some transactions."""
        rows = rows & self._left
        hits = float(self._weights[rows].sum())
        return float(self._money[rows].sum()) * float(self._frauds[rows].sum()) / hits if hits else 0.0


def suggest(
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    wanted: SuggestionLimits | None = None,
    costs: Costs | None = None,
    when: Range = ALWAYS,
    maturity: timedelta = MATURITY,
    now: datetime | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Suggested:
    """Find rules.

    Raises
    ------
    BadInput
        When there are no decisions, or too few frauds were missed to learn anything from.
    Unavailable
        When the tables cannot be read.
    """
    wanted, costs, now = wanted or SuggestionLimits(), costs or Costs(), now or datetime.now(UTC)
    labels = last_labels(delta, options)
    split = _split(open_history(delta, (), options, when=when), wanted.later)
    names = (*sorted(vocabulary_of(deployed_schema()).numbers - {SCORE}), SCORE)
    tell("reading what was approved")
    early = open_history(delta, names, options, when=Range(when.since, split))
    known = _approved(early, names, labels, now - maturity)
    missed = int(known.is_fraud.sum())
    if missed < LEAST_FRAUDS:
        raise BadInput(
            f"before {split:%Y-%m-%d %H:%M} only {missed} frauds were approved; at least "
            f"{LEAST_FRAUDS} are needed to learn from"
        )
    tell("learning")
    found = list(dict.fromkeys(_candidates(known, costs, wanted.most)))
    tell(f"trying {len(found)} candidates on later data")
    rules = _rules_of(found)
    later = RuleEffects(rules.version, {rule.name: rule for rule in rules.rules}, costs, now - maturity)
    log = open_history(delta, rules.reads, options, when=Range(split, when.until))
    later.currency = log.schema.base_currency
    _count_approved(later, rules, log, labels)
    return Suggested(_chosen(found, later, wanted), len(found), missed, split)


def _split(log: History, later: float) -> datetime:
    """Find the time that parts the transactions into an earlier and a later part."""
    times = [micros_of(part["received_at"]) for part in log.parts()]
    if not times:
        raise BadInput("there are no decided transactions in this range")
    at = float(np.quantile(np.concatenate(times), 1.0 - later))
    return datetime.fromtimestamp(round(at) / 1e6, UTC)


def _approved(log: History, names: Sequence[str], labels: dict[str, bool], mature_before: datetime) -> _Known:
    """Read what was approved and is mature."""
    dice = np.random.default_rng(1)
    kept: list[tuple[Floats, Bools, Floats]] = []
    honest = seen = 0
    chance = MOST_HONEST / max(MOST_HONEST, log.decided)
    for part in log.parts():
        approved = part.filter(pc.equal(part["outcome"], str(Outcome.APPROVE)))
        is_labelled, is_fraud = labels_of(approved["transaction_id"].to_pylist(), labels)
        is_mature = is_labelled | (micros_of(approved["received_at"]) < mature_before.timestamp() * 1e6)
        seen += int((is_mature & ~is_fraud).sum())
        drawn = dice.random(approved.num_rows) < chance
        rows = np.flatnonzero(is_mature & (is_fraud | drawn))
        honest += int((~is_fraud[rows]).sum())
        some = approved.take(rows)
        values = np.column_stack([_values(some, name) for name in names])
        kept.append((values, is_fraud[rows], some[BASE].to_numpy()))
    values, is_fraud, amounts = (np.concatenate(column) for column in zip(*kept, strict=True))
    weights = np.where(is_fraud, 1.0, seen / max(1, honest))
    return _Known(tuple(names), values, is_fraud, amounts, weights)


def _values(table: Any, name: str) -> Floats:
    if name not in table.column_names:
        return np.full(table.num_rows, _MISSING)
    return np.nan_to_num(floats_of(table[name]), nan=_MISSING)


def _candidates(known: _Known, costs: Costs, most: int) -> Iterator[str]:
    """Learn rules one after the other; the frauds that one holds for are left out for the next ones."""
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415  (in the image of the jobs alone)

    values, is_fraud, weights = known.values, known.is_fraud, known.weights
    left = np.ones(len(values), np.bool_)
    worth = _Worth(known, costs, left)
    for _ in range(2 * most):
        best: tuple[float, Path] | None = None
        for weight in WEIGHTS:
            tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=LEAST_FRAUDS, random_state=1)
            tree.fit(
                values[left],
                is_fraud[left],
                sample_weight=weights[left] * np.where(is_fraud[left], weight, 1),
            )
            for path in _paths(tree.tree_):
                inside = left & _inside(path, values)
                if (is_fraud & inside).sum() < LEAST_FRAUDS:
                    continue
                found = worth.of(inside)
                if best is None or found > best[0]:
                    best = found, path
        if best is None or best[0] <= 0.0:
            return
        path = _pruned(best[1], values, worth)
        yield _expression(path, known.names)
        left &= ~_inside(path, values)
        if (is_fraud & left).sum() < LEAST_FRAUDS:
            return


def _paths(tree: Any, node: int = 0, path: Path = ()) -> Iterator[Path]:
    """Walk to every leaf that a condition leads to."""
    left, right = int(tree.children_left[node]), int(tree.children_right[node])
    if left < 0:
        if path:
            yield path
        return
    at, bound = int(tree.feature[node]), float(tree.threshold[node])
    yield from _paths(tree, left, (*path, (at, False, bound)))
    yield from _paths(tree, right, (*path, (at, True, bound)))


def _inside(path: Path, values: Floats) -> Bools:
    """Tell where conditions hold; one on a missing value does not, as in a rule."""
    holds = np.ones(len(values), np.bool_)
    for at, is_above, bound in path:
        holds &= ((values[:, at] > bound) == is_above) & (values[:, at] > _MISSING)
    return holds


def _pruned(path: Path, values: Floats, worth: _Worth) -> Path:
    """Leave out the conditions without which a rule is worth as much."""
    most = worth.of(_inside(path, values))
    for one in path:
        shorter = tuple(other for other in path if other != one)
        found = worth.of(_inside(shorter, values))
        if shorter and found >= most:
            path, most = shorter, found
    return path


def _expression(path: Path, names: Sequence[str]) -> str:
    """Write conditions in CEL, one a side of a name: the narrowest."""
    bounds: dict[tuple[str, bool], float] = {}
    for at, is_above, bound in path:
        key = names[at], is_above
        known = bounds.get(key, bound)
        bounds[key] = max(known, bound) if is_above else min(known, bound)
    parts = [
        f"{name} {'>' if is_above else '<='} {_double(bound)}" for (name, is_above), bound in bounds.items()
    ]
    return " && ".join(parts)


def _double(value: float) -> str:
    text = f"{value:.6g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _rules_of(found: Sequence[str]) -> RuleSet:
    made = [
        {"name": f"c{at}", "when": text, "then": "review", "reason": "r"} for at, text in enumerate(found)
    ]
    return compile_rules(json.dumps({"version": "suggested", "rules": made}).encode(), "suggested")


def _count_approved(effects: RuleEffects, rules: RuleSet, log: History, labels: dict[str, bool]) -> None:
    """Count what rules do among what was approved."""
    for part in log.parts():
        approved = part.filter(pc.equal(part["outcome"], str(Outcome.APPROVE))).combine_chunks()
        if approved.num_rows:
            effects.count(judged(approved, held_in(rules, approved), labels))


def _chosen(found: Sequence[str], later: RuleEffects, wanted: SuggestionLimits) -> list[Suggestion]:
    """Keep what saves money on later data and is precise enough there, the best first."""
    kept = [
        Suggestion(text, one, one.fraud / max(1, later.fraud), later.currency)
        for text, one in zip(found, later.all_rules, strict=True)
        if one.cost < 0.0 and (one.precision or 0.0) >= wanted.min_precision
    ]
    return sorted(kept, key=lambda one: one.later.cost)[: wanted.most]
