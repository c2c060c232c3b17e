"""Rules that die, run wild or break their guard, and the way back to shadow."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from fraud.decide.compiling import compile_rules
from fraud.decide.engine import Guard
from fraud.errors import BadConfig, BadState
from fraud.rules.effects import Costs, RuleEffect, RuleEffects
from fraud.rules.guard import RuleProblem, find, in_shadow

START = date(2026, 3, 1)
FILE = b"""\
version: "1"
rules:
  # what people wrote stays
  - name: large      # of case 7
    when: amount >= 100.0
    then: decline
    reason: large
    guard: {precision_at_least: 20 %, hits_at_most_per_day: 50}
  - {name: busy, when: 'count_1h_by_user >= 2.0', then: review, reason: busy, state: live}
  - {"name": "other", "when": "amount > 1.0", "then": "review", "reason": "r"}
"""


def account_of(*hits: int, of: int = 1_000, name: str = "large", **figures: int) -> RuleEffects:
    """Make an account with so many hits a day."""
    rules = compile_rules(FILE)
    made = RuleEffects("1", {one.name: one for one in rules.rules}, Costs(), datetime(2026, 3, 1, tzinfo=UTC))
    days = [START + timedelta(days=at) for at in range(len(hits))]
    made.days = Counter(dict.fromkeys(days, of))
    by_day = Counter(dict(zip(days, hits, strict=True)))
    made.of[name] = RuleEffect(name, hits=sum(hits), days=by_day, **figures)
    return made


def troubles(account: RuleEffects, name: str = "large") -> set[RuleProblem]:
    return {one.trouble for one in find(compile_rules(FILE), account) if one.rule == name}


@pytest.mark.parametrize(
    ("hits", "wanted"),
    [
        ([5] * 10, set()),
        ([5] * 10 + [0, 0], {RuleProblem.DEAD}),
        ([5] * 10 + [0], set()),  # five would have arrived: it may be chance
        ([40, 0, 0, 0, 0] * 3, set()),  # it has always come in bursts
        ([40, 0, 0, 0] * 3 + [0, 0, 0], {RuleProblem.DEAD}),
        ([0] * 12, set()),  # it never had any
        ([5] * 10 + [30], {RuleProblem.WILD}),
        ([5] * 10 + [30, 5], {RuleProblem.WILD}),  # the day before, which a daily run may not have seen whole
        ([5] * 10 + [9], set()),
        ([2, 20, 3, 25, 1, 22, 2, 24, 3, 30], set()),  # its own days spread as far
        ([5] * 3 + [30], set()),  # no band yet
    ],
)
def test_a_rule_that_dies_or_runs_wild_is_found_and_chance_is_not(
    hits: list[int], wanted: set[RuleProblem]
) -> None:
    assert troubles(account_of(*hits)) == wanted


def test_a_wild_rate_counts_and_not_a_day_with_more_transactions() -> None:
    account = account_of(*[5] * 10, 30)
    account.days[max(account.days)] = 6_000
    assert troubles(account) == set()


@pytest.mark.parametrize(
    ("mature", "fraud", "is_broken"),
    [(0, 0, False), (5, 0, False), (100, 5, True), (100, 15, False), (1_000, 150, True), (100, 30, False)],
)
def test_precision_breaks_a_guard_only_where_it_is_certain(mature: int, fraud: int, is_broken: bool) -> None:
    found = troubles(account_of(5, 5, mature=mature, fraud=fraud))
    assert (RuleProblem.GUARD in found) == is_broken


def test_too_many_hits_break_a_guard() -> None:
    assert troubles(account_of(5, 50)) == set()
    assert troubles(account_of(5, 51)) == {RuleProblem.GUARD}


def test_a_rule_without_a_guard_breaks_none() -> None:
    assert troubles(account_of(500, 500, name="busy", mature=100), "busy") == set()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("large", "- name: large      # of case 7\n", "- name: large      # of case 7\n    state: shadow\n"),
        ("busy", "state: live}", "state: shadow}"),
        ("other", '"name": "other",', '"name": "other", "state": "shadow",'),
    ],
)
def test_a_rule_goes_into_shadow_and_the_rest_of_the_file_stays(name: str, old: str, new: str) -> None:
    assert in_shadow(FILE, [name]).decode() == FILE.decode().replace(old, new)


def test_several_rules_go_into_shadow_at_once() -> None:
    changed = compile_rules(in_shadow(FILE, ["other", "large"]))
    assert [str(rule.state) for rule in changed.rules] == ["shadow", "live", "shadow"]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(BadState, match="there is no rule gone"):
        in_shadow(FILE, ["gone"])


def test_a_guard_is_read_and_a_wrong_one_refused_with_its_line() -> None:
    assert compile_rules(FILE).rules[0].guard == Guard(0.2, 50)
    for wrong in (b"{precision_at_least: 120 %}", b"{}", b"{precision: 20 %}", b"{hits_at_most_per_day: -1}"):
        changed = FILE.replace(b"{precision_at_least: 20 %, hits_at_most_per_day: 50}", wrong)
        with pytest.raises(BadConfig, match=r"rules:8: .*guard"):
            compile_rules(changed)
