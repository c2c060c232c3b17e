"""Accounts of rules for people: the columns of the command line and the console, and lines for the audit."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from fraud.money import round_words
from fraud.rules.effects import RuleEffect, RuleEffects

Column = tuple[str, str, Callable[[RuleEffects, RuleEffect], str]]
"""Heading, what it means, and how it is written."""


def _precision(_: RuleEffects, one: RuleEffect) -> str:
    return share(one.precision, *one.precision_bounds)


def _recall(of: RuleEffects, one: RuleEffect) -> str:
    return share(*(of.recall(one) or (None, 0.0, 1.0)))


def _drift(of: RuleEffects, one: RuleEffect) -> str:
    drift = of.drift(one)
    return "" if drift is None else f"{drift:.2f} x"


def _beside(_: RuleEffects, one: RuleEffect) -> str:
    beside = one.beside.most_common(1)
    return f"{beside[0][0]} {beside[0][1] / one.all_hits:.0%}" if beside else ""


COLUMNS: Final[tuple[Column, ...]] = (
    ("hits", "with effect", lambda _, one: f"{one.hits:,}"),
    ("shadow", "hits without effect", lambda _, one: f"{one.shadow_hits:,}"),
    ("rate", "share of all transactions", lambda of, one: f"{one.all_hits / max(1, of.transactions):.2%}"),
    ("7 days", "hits of the newest 7 days", lambda of, one: f"{of.recent(one):,}"),
    ("drift", "rate of the newest 7 days over that of the days before", _drift),
    ("changed", "hits in which the rule alone changes the decision", lambda _, one: f"{one.changed:,}"),
    ("precision", "share of fraud among its matured hits, with bounds of 95 %", _precision),
    ("recall", "share of all known frauds that it holds for, with bounds of 95 %", _recall),
    ("wrong", "honest transactions that it declines", lambda _, one: f"{one.false_declines:,}"),
    ("model too", "hits that the model alone would have stopped", lambda _, one: f"{one.overlap:.0%}"),
    ("saved", "money saved against the model alone", lambda of, one: round_words(one.saved, of.currency)),
    ("lost", "money lost against the model alone", lambda of, one: round_words(one.lost, of.currency)),
    ("most beside", "the rule that most often holds too", _beside),
)


def share(value: float | None, low: float, high: float) -> str:
    """Write a share with its bounds.

    Examples
    --------
    >>> share(0.9, 0.596, 0.982), share(None, 0.0, 1.0)
    ('90% (60-98)', '')
    """
    return "" if value is None else f"{value:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def together(effects: RuleEffects) -> str:
    """Say what all rules did to the money."""
    words = "save" if effects.cost <= 0 else "cost"
    money = round_words(abs(effects.cost), effects.currency)
    return f"together they {words} {money} against the model without rules"


def reviews(effects: RuleEffects) -> str:
    """Say how many transactions people would have to review on a day."""
    if not effects.days:
        return "no reviews"
    mean = effects.reviews.total() / len(effects.days)
    most = max(effects.reviews.values(), default=0)
    return f"reviews with these rules: {mean:,.0f} a day on average, {most:,} on the busiest"


def heading(effects: RuleEffects) -> str:
    """Say what was looked at."""
    if not effects.transactions:
        return f"rules {effects.version}: no transactions in this range"
    since, until = (
        datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
        for at in (effects.first_us, effects.last_us)
    )
    return (
        f"rules {effects.version}: {effects.transactions:,} transactions from {since} to {until} UTC, "
        f"{effects.labelled:,} with a label, {effects.fraud:,} known frauds"
    )


def lines_of(effects: RuleEffects) -> Iterator[str]:
    """Say what rules do, a line each, for the audit."""
    yield heading(effects)
    for one in effects.all_rules:
        if not one.all_hits:
            yield f"{one.rule}: no hits"
            continue
        without = f", {one.shadow_hits:,} of them without effect" if one.shadow_hits else ""
        yield (
            f"{one.rule}: {one.all_hits:,} hits ({one.all_hits / effects.transactions:.2%}){without}, "
            f"{one.changed:,} would change the decision, precision {_precision(effects, one) or 'unknown'}, "
            f"recall {_recall(effects, one) or 'unknown'}, "
            f"saved {round_words(one.saved, effects.currency)}, "
            f"lost {round_words(one.lost, effects.currency)}"
        )
    yield together(effects)
    yield reviews(effects)
