"""Rules that die, run wild, or break the guard that their file states; the latter go back to shadow.

A rule dies when it had hits and has none for so long that ten would have arrived, and for longer than ever
before in the range. It runs wild when a day's hits are beyond the band of the days before. Both alert.
A live rule with a ``guard`` in its file that breaks it is put into shadow, in the file and in the audit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise
from math import sqrt
from typing import Final

import yaml

from fraud.decide.compiling import compile_rules
from fraud.decide.engine import NO_GUARD, Rule, RuleSet, RuleState
from fraud.errors import BadState
from fraud.rules.audit import Entry
from fraud.rules.effects import RuleEffect, RuleEffects
from fraud.settings.definition import read_yaml

EARLIER_DAYS: Final = 7
"""Days that a rule must have been counted before it has a band."""
DEAD_AFTER: Final = 10.0
"""Hits that would have arrived by the rate before; none of them does by chance once in 20,000 times."""
BAND: Final = 4.0
"""Standard deviations."""
LEAST_FACTOR: Final = 2.0
"""Of a wild day's hits over those expected."""


class RuleProblem(StrEnum):
    """What is wrong with a rule."""

    DEAD = "dead"
    WILD = "wild"
    GUARD = "guard"
    """It breaks the guard that its file states."""


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """One rule and what is wrong with it."""

    rule: str
    trouble: RuleProblem
    words: str


def find(rules: RuleSet, effects: RuleEffects) -> list[RuleFinding]:
    """Judge the rules that are evaluated, by what they did."""
    found = []
    for rule in rules.rules:
        if rule.state not in {RuleState.LIVE, RuleState.SHADOW}:
            continue
        one = effects.of[rule.name]
        words = {
            RuleProblem.DEAD: dead(effects, one),
            RuleProblem.WILD: wild(effects, one),
            RuleProblem.GUARD: broken(rule, effects, one),
        }
        found += [RuleFinding(rule.name, trouble, text) for trouble, text in words.items() if text]
    return found


def dead(effects: RuleEffects, one: RuleEffect) -> str:
    """Say for how long a rule has had no hits where it had some; empty where it has not died."""
    days = sorted(effects.days)
    last = max((at for at, day in enumerate(days) if one.days[day]), default=None)
    if last is None or last == len(days) - 1:
        return ""
    before, since = days[: last + 1], days[last + 1 :]
    expected = _rate(effects, one, before) * sum(effects.days[day] for day in since)
    if expected < DEAD_AFTER or len(since) <= _longest_pause(one, before):
        return ""
    return f"no hits since {days[last]:%Y-%m-%d}, where {expected:,.0f} would have come"


def wild(effects: RuleEffects, one: RuleEffect) -> str:
    """Say how far a rule is beyond its band on one of the newest two days; empty where it is not."""
    days = sorted(effects.days)
    for day in days[-2:]:
        earlier = [other for other in days if other < day]
        if len(earlier) < EARLIER_DAYS:
            continue
        expected, most = band(effects, one, earlier, effects.days[day])
        hits = one.days[day]
        if hits > max(most, LEAST_FACTOR * expected):
            return f"{hits:,} hits on {day:%Y-%m-%d}, where at most {most:,.0f} belong to its band"
    return ""


def broken(rule: Rule, effects: RuleEffects, one: RuleEffect) -> str:
    """Say how a live rule breaks its guard; empty where it does not, or has none."""
    if rule.state is not RuleState.LIVE or rule.guard == NO_GUARD:
        return ""
    least, most = rule.guard.precision_at_least, rule.guard.hits_at_most_per_day
    low, high = one.precision_bounds
    if least is not None and one.mature and high < least:
        return (
            f"precision {one.fraud / one.mature:.1%} of {one.mature:,} matured hits, with 95 % between "
            f"{low:.1%} and {high:.1%}; its guard is {least:.1%}"
        )
    for day in sorted(effects.days)[-2:]:
        if most is not None and one.days[day] > most:
            return f"{one.days[day]:,} hits on {day:%Y-%m-%d}; its guard is {most:,} a day"
    return ""


def band(
    effects: RuleEffects, one: RuleEffect, days: Sequence[date], transactions: int
) -> tuple[float, float]:
    """Tell the hits that some transactions should have, and the most that belong to the band.

    The spread is that of chance (Poisson) and that of the days' own rates.
    """
    rates = [one.days[day] / effects.days[day] for day in days]
    mean = _rate(effects, one, days)
    expected = mean * transactions
    spread = sum((rate - mean) ** 2 for rate in rates) / max(1, len(rates) - 1)
    return expected, expected + BAND * sqrt(max(1.0, expected) + spread * transactions**2)


def _rate(effects: RuleEffects, one: RuleEffect, days: Sequence[date]) -> float:
    transactions = sum(effects.days[day] for day in days)
    return sum(one.days[day] for day in days) / transactions if transactions else 0.0


def _longest_pause(one: RuleEffect, days: Sequence[date]) -> int:
    longest = now = 0
    for day in days:
        now = 0 if one.days[day] else now + 1
        longest = max(longest, now)
    return longest


def since_last_undo(entries: Sequence[Entry]) -> Entry | None:
    """Find the last record by which people took back what a guard did; it judges what came since."""
    taken = [entry for entry in entries if entry.action in {"guarded", "undone", "approved"}]
    undone = [
        after for before, after in pairwise(taken) if (before.action, after.action) == ("guarded", "undone")
    ]
    return undone[-1] if undone else None


def in_shadow(content: bytes, names: Sequence[str], file: str = "rules") -> bytes:
    """Put rules of a file into shadow; all else in the file stays as people wrote it.

    Raises
    ------
    BadState
        When the file has no such rule, or is written so that nothing but people can change it.
    """
    text = content.decode()
    _, tree = read_yaml(content, file)
    edits = sorted((edit for name in names for edit in _edits(tree, text, name, file)), reverse=True)
    for start, end, words in edits:
        text = text[:start] + words + text[end:]
    changed = text.encode()
    before, after = (compile_rules(one, file).rules for one in (content, changed))
    wanted = [RuleState.SHADOW if rule.name in names else rule.state for rule in before]
    if [rule.state for rule in after] != wanted:
        raise BadState(f"{file}: {', '.join(names)}: cannot be put into shadow; write `state: shadow`")
    return changed


def _edits(tree: yaml.Node, text: str, name: str, file: str) -> Iterator[tuple[int, int, str]]:
    for rule in _rules_of(tree):
        pairs = {key.value: (key, value) for key, value in rule.value}
        if pairs["name"][1].value != name:
            continue
        if "state" in pairs:
            value = pairs["state"][1]
            yield value.start_mark.index, value.end_mark.index, "shadow"
            return
        key, value = pairs["name"]
        at = value.end_mark.index
        if rule.flow_style:
            quote = '"' if text[key.start_mark.index] == '"' else ""
            yield at, at, f", {quote}state{quote}: {quote}shadow{quote}"
            return
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield end, end, f"\n{' ' * key.start_mark.column}state: shadow"
        return
    raise BadState(f"{file}: there is no rule {name}")


def _rules_of(tree: yaml.Node) -> list[yaml.MappingNode]:
    for key, value in tree.value:
        if key.value == "rules":
            return list(value.value)
    return []
