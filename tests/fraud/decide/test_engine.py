"""What rules that hold do: their order, floors, tags, queues; states and shares."""

import json
from itertools import combinations
from typing import Any

import pytest

from fraud.contracts import Outcome, Thresholds
from fraud.decide.compiling import compile_rules
from fraud.decide.engine import NOTHING, RuleHits, RuleSet
from fraud.decide.overruling import Ruled, overrule
from fraud.decide.policy import by_thresholds
from fraud.errors import BadConfig

STRONGEST_FIRST = [Outcome.DECLINE, Outcome.APPROVE, Outcome.CHALLENGE, Outcome.REVIEW]
AT = Thresholds(review=0.5, decline=0.9)


def ruleset(*rules: dict[str, Any]) -> RuleSet:
    named = [
        {"name": f"r{at}", "when": "amount > 0.0", "reason": f"reason {at}", **rule}
        for at, rule in enumerate(rules)
    ]
    return compile_rules(json.dumps({"version": "1", "rules": named}).encode())


def held(*rules: dict[str, Any], key: str = "u1") -> RuleHits:
    return ruleset(*rules).holding({"amount": 1.0}, key, 0.0)


@pytest.mark.parametrize("decided", [Outcome.APPROVE, Outcome.REVIEW])
def test_of_two_rules_the_stronger_one_decides_whatever_their_order(decided: Outcome) -> None:
    for stronger, weaker in combinations(STRONGEST_FIRST, 2):
        for pair in ((stronger, weaker), (weaker, stronger)):
            found = overrule(decided, held(*({"then": str(one)} for one in pair)))
            assert found.outcome is stronger
            assert [reason.code for reason in found.reasons] == [f"rule_r{pair.index(stronger)}"]


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (Outcome.DECLINE, Outcome.DECLINE),
        (Outcome.APPROVE, Outcome.APPROVE),
        (Outcome.CHALLENGE, Outcome.DECLINE),
        (Outcome.REVIEW, Outcome.DECLINE),
    ],
)
def test_only_an_approval_softens_a_decline_of_the_model(then: Outcome, expected: Outcome) -> None:
    found = overrule(Outcome.DECLINE, held({"then": str(then)}))
    assert (found.outcome, found.outcome_without_rules) == (expected, Outcome.DECLINE)


@pytest.mark.parametrize(
    ("score", "floor", "expected"),
    [
        (0.1, 0.4, Outcome.APPROVE),
        (0.1, 0.5, Outcome.REVIEW),
        (0.1, 0.95, Outcome.DECLINE),
        (0.95, 0.6, Outcome.DECLINE),
    ],
)
def test_a_floor_raises_the_score_and_never_lowers_it(score: float, floor: float, expected: Outcome) -> None:
    decided = Outcome.DECLINE if score >= AT.decline else Outcome.APPROVE
    found = overrule(decided, held({"score_floor": floor}), score, AT)
    assert found.outcome is expected
    assert bool(found.reasons) is (expected is not decided)


def test_a_floor_changes_nothing_without_a_model_and_less_than_an_approval() -> None:
    assert overrule(Outcome.APPROVE, held({"score_floor": 1.0})).outcome is Outcome.APPROVE
    both = held({"score_floor": 1.0}, {"then": "approve"})
    assert overrule(Outcome.APPROVE, both, 0.1, AT).outcome is Outcome.APPROVE


def test_tags_are_gathered_and_the_first_queue_counts() -> None:
    rules = [{"tags": ["a", "b"]}, {"tags": ["b", "c"], "queue": "one"}, {"then": "review", "queue": "two"}]
    found = overrule(Outcome.APPROVE, held(*rules))
    assert (found.tags, found.queue, found.rules) == (("a", "b", "c"), "one", ("r0", "r1", "r2"))


def test_a_rule_reads_the_tags_of_the_live_rules_above_it_that_apply() -> None:
    rules = [
        {"when": "amount > 5.0", "tags": ["large"]},
        {"tags": ["ghost"], "state": "shadow"},
        {"when": "has_tag('large')", "tags": ["read"]},
        {"when": "has_tag('read') && !has_tag('ghost')", "queue": "second"},
    ]
    of = ruleset(*rules)
    assert [rule.name for rule in of.holding({"amount": 6.0}, "u1", 0.0).live] == ["r0", "r2", "r3"]
    assert of.holding({"amount": 1.0}, "u1", 0.0).live == ()
    with pytest.raises(BadConfig, match="no rule above gives the tag 'read'"):
        ruleset(*reversed(rules))


def test_a_rule_in_shadow_is_recorded_and_changes_nothing() -> None:
    rules = [{"then": "decline", "state": "shadow", "tags": ["a"], "queue": "q", "score_floor": 1.0}]
    found = overrule(Outcome.APPROVE, held(*rules), 0.1, AT)
    assert found == Ruled(Outcome.APPROVE, Outcome.APPROVE, shadow_rules=("r0",))
    assert held({"then": "decline", "state": "draft"}) is NOTHING


def test_a_share_is_its_part_of_the_entities_always_the_same_and_a_larger_one_adds() -> None:
    keys = [f"user-{at}" for at in range(4_000)]
    live = {}
    for share in ("0 %", "10 %", "30 %", "100 %"):
        (rule,) = ruleset({"then": "decline", "share": share}).rules
        live[share] = {key for key in keys if rule.is_live(key)}
        assert live[share] == {key for key in keys if rule.is_live(key)}
        assert abs(len(live[share]) / len(keys) - rule.share) < 0.02
    assert live["0 %"] < live["10 %"] < live["30 %"] < live["100 %"]
    assert held({"then": "decline", "share": "0 %"}).shadow


def test_two_rules_of_one_share_do_not_take_the_same_users() -> None:
    one, two = ruleset(*({"then": "decline", "share": "50 %"} for _ in range(2))).rules
    both = sum(one.is_live(f"u{at}") and two.is_live(f"u{at}") for at in range(4_000))
    assert 0.2 < both / 4_000 < 0.3


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "the rule has no effect; give one of then, tags, queue, score_floor"),
        ({"then": "decline", "share": "101 %"}, "share"),
        ({"then": "decline", "share": "10"}, "share"),
        ({"then": "decline", "state": "alive"}, "state"),
        ({"score_floor": 1.5}, "score_floor"),
        ({"tags": ["Not A Tag"]}, "tags"),
    ],
)
def test_a_wrong_effect_is_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        ruleset(rule)


def test_a_rule_that_is_retired_may_read_what_is_gone() -> None:
    assert ruleset({"when": "no_such_feature > 1.0", "then": "decline", "state": "retired"}).rules == ()
    with pytest.raises(BadConfig, match="no_such_feature"):
        ruleset({"when": "no_such_feature > 1.0", "then": "decline", "state": "draft"})


def segmented(*segments: dict[str, Any], rules: tuple[dict[str, Any], ...] = ()) -> RuleSet:
    named = [{"name": f"s{at}", "when": "amount > 0.0", **one} for at, one in enumerate(segments)]
    given = [{"name": f"r{at}", "when": "amount > 0.0", "reason": "r", **one} for at, one in enumerate(rules)]
    return compile_rules(json.dumps({"version": "1", "rules": given, "segments": named}).encode())


STEPS = {"review": 0.2, "challenge": 0.4, "decline": 0.6}


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.1, Outcome.APPROVE),
        (0.2, Outcome.REVIEW),
        (0.4, Outcome.CHALLENGE),
        (0.6, Outcome.DECLINE),
        (None, Outcome.REVIEW),
    ],
)
def test_the_thresholds_of_a_segment_go_before_the_models(score: float | None, expected: Outcome) -> None:
    found = segmented(STEPS).holding({"amount": 1.0}, "u1", 0.0)
    without = Outcome.REVIEW if score is None else by_thresholds(score, AT)
    ruled = overrule(without, found, score, AT if score is not None else None)
    assert (ruled.outcome, ruled.outcome_without_rules) == (expected, without)
    assert ruled.segment == (None if score is None else "s0")
    assert [one.code for one in ruled.reasons] == ([] if expected is without else ["segment_s0"])


def test_a_floor_and_a_rule_see_the_thresholds_of_the_segment() -> None:
    floor = segmented(STEPS, rules=({"score_floor": 0.45},)).holding({"amount": 1.0}, "u1", 0.0)
    ruled = overrule(Outcome.APPROVE, floor, 0.1, AT)
    assert (ruled.outcome, [one.code for one in ruled.reasons]) == (Outcome.CHALLENGE, ["rule_r0"])
    review = segmented(STEPS, rules=({"then": "review"},)).holding({"amount": 1.0}, "u1", 0.0)
    assert overrule(Outcome.APPROVE, review, 0.5, AT).outcome is Outcome.CHALLENGE, "a review is softer"
    assert overrule(Outcome.APPROVE, review, 0.1, AT).outcome is Outcome.REVIEW


def test_a_missing_value_leads_to_the_next_segment() -> None:
    rules = segmented({"when": "category == 'travel'", **STEPS}, {"when": "true", **STEPS})
    for values, name in (({}, "s1"), ({"category": "travel"}, "s0"), ({"category": "food"}, "s1")):
        segment = rules.holding(values, "u1", 0.0).segment
        assert segment is not None
        assert segment.rule.name == name


@pytest.mark.parametrize(
    ("segment", "words"),
    [
        ({"review": 0.5, "decline": 0.4}, "review must not lie above decline"),
        ({"review": 0.1, "challenge": 0.5, "decline": 0.4}, "challenge must lie between"),
        ({"review": 0.1, "decline": 1.5}, "segments.0.decline"),
        ({**STEPS, "when": "score > 0.5"}, "rules:1: s0: a segment cannot read the score"),
        ({**STEPS, "when": "amout > 1.0"}, "did you mean amount"),
        ({**STEPS, "when": "amount"}, "must be true or false"),
        ({**STEPS, "then": "decline"}, "then"),
        ({**STEPS, "starts": "2026-02-01T00:00:00Z", "expires": "2026-01-01T00:00:00Z"}, "expires before"),
    ],
)
def test_a_wrong_segment_is_refused(segment: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        segmented(segment)


def test_a_segment_has_a_name_of_its_own() -> None:
    with pytest.raises(BadConfig, match="a rule or a segment above has this name already; choose another"):
        segmented({**STEPS, "name": "r0"}, rules=({"then": "review"},))
