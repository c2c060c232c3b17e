"""Rules: what holds, what goes before what, and that a wrong file is refused with its line."""

import json
import math
import os
import re
from pathlib import Path
from time import thread_time

import pytest

from fraud.contracts import Outcome
from fraud.decide.compiling import compile_rules
from fraud.decide.overruling import overrule
from fraud.decide.rules import RuleFile, read_rules
from fraud.errors import BadConfig
from fraud.schema.reading import parse_schema

GOOD = b"""\
version: "1"
lists:
  stolen: [d1, d2]
  good: [u9]
rules:
  - name: stolen_device
    when: in_list(device_id, 'stolen')
    then: decline
    reason: the device is reported as stolen
  - name: many
    when: count_1h_by_user >= 5.0 && amount > 10.0
    then: review
    reason: many transactions in an hour
  - name: good_customer
    when: in_list(user_id, 'good') && score < 0.9
    then: approve
    reason: known customer
    expires: 2026-12-31T00:00:00Z
"""
BEFORE, AFTER = 1_790_000_000.0, 1_800_000_000.0


def names(values: dict[str, object], now_s: float = BEFORE) -> list[str]:
    return [rule.name for rule in compile_rules(GOOD).holding(values, "u1", now_s).live]


def test_the_example_that_ships_compiles_and_has_a_rule_of_each_kind() -> None:
    rules = read_rules(Path(__file__).parents[3] / "services/scoring/rules.example.yaml")
    values = {"device_id": "device-reported-1", "count_1h_by_user": 8.0, "amount": 1.0}
    held = rules.holding(values, "u1", BEFORE).live
    assert [rule.name for rule in held] == ["stolen_device", "burst_of_small_amounts"]
    assert {rule.outcome for rule in rules.rules} == set(Outcome)
    assert min(rule.expires_s for rule in rules.rules) < math.inf


def test_rules_hold_by_fields_features_score_and_lists() -> None:
    assert names({"device_id": "d2"}) == ["stolen_device"]
    assert names({"count_1h_by_user": 5.0, "amount": 10.5}) == ["many"]
    assert names({"user_id": "u9", "score": 0.5}) == ["good_customer"]
    assert names({"user_id": "u9", "score": 0.95}) == []


def test_rules_read_profiles_and_the_time_of_day_by_their_features() -> None:
    file = Path(__file__).parents[3] / "docs" / "examples" / "account-takeover.yaml"
    word = "features:\n  - {statistic: profile_is, entity: merchant, profile: risk_class, equals: high}"
    schema = parse_schema(file.read_text().replace("features:", word, 1).encode(), "with a word")
    when = (
        "address_changed_24h_of_account == 1.0 && amount_over_credit_limit_of_card > 0.5 && hour_of_day < 6.0"
        " && risk_class_is_high_of_merchant == 1.0"
    )
    rule = {"name": "moved", "when": when, "then": "review", "reason": "r"}
    rules = compile_rules(json.dumps({"version": "1", "rules": [rule]}).encode(), schema=schema)
    known = {
        "address_changed_24h_of_account": 1.0,
        "amount_over_credit_limit_of_card": 0.8,
        "risk_class_is_high_of_merchant": 1.0,
    }
    assert [one.name for one in rules.holding({**known, "hour_of_day": 3.0}, "a", BEFORE).live] == ["moved"]
    assert rules.holding({**known, "hour_of_day": 12.0}, "a", BEFORE).live == ()
    assert rules.holding({"hour_of_day": 3.0}, "a", BEFORE).live == (), "without a profile it is unknown"


_TRUTH = {"true": True, "false": False, "unknown": None}
_ATOMS = {"true": "amount > 1.0", "false": "amount > 3.0", "unknown": "device_id == 'd1'"}


@pytest.mark.parametrize("left", _TRUTH)
@pytest.mark.parametrize("right", _TRUTH)
def test_missing_values_follow_three_valued_logic(left: str, right: str) -> None:
    a, b = _TRUTH[left], _TRUTH[right]
    either = True if True in (a, b) else None if None in (a, b) else False
    both = False if False in (a, b) else None if None in (a, b) else True
    for sign, expected in (("||", either), ("&&", both)):
        expression = f"({_ATOMS[left]}) {sign} ({_ATOMS[right]})"
        for when, value in (
            (expression, expected),
            (f"!({expression})", None if expected is None else not expected),
        ):
            rules = compile_rules(
                f'version: a\nrules:\n- {{name: x, when: "{when}", then: review, reason: r}}\n'.encode()
            )
            held = rules.holding({"amount": 2.0, "device_id": None}, "u1", BEFORE).live
            assert bool(held) is (value is True), when


def test_a_rule_that_needs_something_missing_does_not_hold() -> None:
    assert names({"count_1h_by_user": math.nan, "amount": 99.0}) == []
    assert names({"user_id": "u9", "score": None}) == []
    assert names({}) == []


def test_a_value_of_one_decision_is_not_seen_by_the_next() -> None:
    rules = compile_rules(GOOD)
    assert rules.holding({"device_id": "d1"}, "u1", BEFORE).live
    assert not rules.holding({"amount": 1.0}, "u1", BEFORE).live


def test_words_of_loops_in_texts_and_quick_patterns_are_no_loops() -> None:
    when = "category == 'all (x)' || channel == \"map(\" || user_id.matches(r'^test-[0-9]+') // any filter(x)"
    rule = {"name": "x", "when": when, "then": "review", "reason": "r"}
    rules = compile_rules(json.dumps({"version": "a", "rules": [rule]}).encode())
    values = {"category": "grocery", "channel": "chip", "user_id": "test-1"}
    assert rules.holding(values, "u1", BEFORE).live


def test_a_list_of_300_000_entries_is_read_in_seconds() -> None:
    entries = b"".join(b"  - device-%d\n" % i for i in range(300_000))
    started = thread_time()
    rules = compile_rules(GOOD.replace(b"  stolen: [d1, d2]\n", b"  stolen:\n" + entries))
    assert thread_time() - started < 10.0  # 25 s before; about 2 s
    assert [rule.name for rule in rules.holding({"device_id": "device-299999"}, "u1", BEFORE).live] == [
        "stolen_device"
    ]


def test_an_expired_rule_does_not_hold() -> None:
    assert names({"user_id": "u9", "score": 0.5}, AFTER) == []


@pytest.mark.parametrize(
    ("decided", "values", "expected"),
    [
        (Outcome.APPROVE, {"device_id": "d1", "user_id": "u9", "score": 0.1}, Outcome.DECLINE),
        (Outcome.DECLINE, {"user_id": "u9", "score": 0.1}, Outcome.APPROVE),
        (Outcome.APPROVE, {"count_1h_by_user": 9.0, "amount": 99.0}, Outcome.REVIEW),
        (Outcome.DECLINE, {"count_1h_by_user": 9.0, "amount": 99.0}, Outcome.DECLINE),
        (Outcome.REVIEW, {}, Outcome.REVIEW),
    ],
)
def test_decline_goes_before_approve_before_review_before_the_model(
    decided: Outcome, values: dict[str, object], expected: Outcome
) -> None:
    assert overrule(decided, compile_rules(GOOD).holding(values, "u1", BEFORE)).outcome is expected


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (b"count_1h_by_user >=", b"count_1h_by_usr >=", 11, "did you mean count_1h_by_user"),
        (b"amount > 10.0", b"amount > 'x'", 11, "many: "),
        (b"amount > 10.0", b"amount >", 11, "many: "),
        (b"in_list(device_id, 'stolen')", b"in_list(device_id, 'stollen')", 7, "stolen_device: .*stollen"),
        (b"in_list(device_id, 'stolen')", b"__import__('os')", 7, "stolen_device: "),
        (b"in_list(device_id, 'stolen')", b"amount * 2.0", 7, "true or false"),
        (b"then: review", b"then: refuse", 12, "then"),
        (b"name: many", b"name: stolen_device", 10, "has this name already"),
        (b"expires:", b"expire:", 18, "expire"),
        (b"rules:\n", b"rules: [\n", 6, "not YAML"),
        (
            b"in_list(device_id, 'stolen')",
            b"in_list(device_id, 'stollen')",
            7,
            "stolen_device: there is no list 'stollen'$",
        ),
        (
            b"in_list(device_id, 'stolen')",
            b"in_list(amount, 'stolen')",
            7,
            r"in_list\(\) looks up a text, not 1\.5",
        ),
        (b"then: review", b"then: review\n    share: 120 %", 13, "share: a share is written like 10 %"),
        (b"name: many", b"name: Many", 10, "rules.1.name: a name has 1 to 64 of a-z"),
        (
            b"then: review",
            b"then: review\n    starts: 2026-12-01T00:00:00",
            13,
            "starts: a time needs its offset; write it like 2026-12-01T00:00:00Z",
        ),
        (b"amount > 10.0", b"1 / 0 == 1", 11, "many: division by zero"),
        (b"amount > 10.0", b"[1][9] == 1", 11, "many: .*bounds"),
        (b"amount > 10.0", b"[1, 2].all(score, [1, 2].all(score, score > 0))", 11, r"all\(\) is a loop"),
        (b"amount > 10.0", b"[amount].exists_one(y, true)", 11, r"exists_one\(\) is a loop"),
        (b"amount > 10.0", b"[[amount]].map (amount, amount + amount) == []", 11, r"map\(\) is a loop"),
        (b"amount > 10.0", b"false && user_id.matches(user_id)", 11, "takes its pattern as a text"),
        (b"amount > 10.0", rb"false && user_id.matches(r'(\w{20}){5}')", 11, "ms to compile"),
        (b"amount > 10.0", b"false && user_id.matches('(')", 11, "not a valid regex"),
        (b"amount > 10.0", b" || ".join([b"user_id.matches('a')"] * 6), 11, "6 calls of matches"),
        (b"amount > 10.0", b"false && has_tag('lage')", 11, "no rule above gives the tag 'lage'"),
        (b"amount > 10.0", b"false && has_tag(user_id)", 11, "takes the tag as a text"),
        (
            b"then: review",
            b"then: review\n    then: decline",
            13,
            "the key then is given twice, first in line 12",
        ),
        (
            b"  good: [u9]",
            b"  good: [u9]\n  stolen: [u9]",
            5,
            "the key stolen is given twice, first in line 3",
        ),
        (b"  stolen: [d1, d2]\n  good: [u9]", b"  stolen: &a [d1, d2]\n  good: *a", 3, "an alias repeats"),
        (
            b"[d1, d2]",
            b"\n    - d1\n    - d2\n    - d1",
            6,
            "lists.stolen: 'd1' is given twice, first in line 4",
        ),
        (b"lists:", b"lists: !!set", 2, "the tag .*set is not allowed"),
        (b"[d1, d2]", b"[" * 100_000, 3, "nested deeper than 50"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason(old: bytes, new: bytes, line: int, words: str) -> None:
    assert old in GOOD
    with pytest.raises(BadConfig, match=f"rules:{line}: .*{words}"):
        compile_rules(GOOD.replace(old, new, 1))


def test_a_rule_that_fails_does_not_hold() -> None:
    raw = b"version: a\nrules:\n- {name: x, when: 10 / int(amount) > 3, then: review, reason: r}\n"
    assert compile_rules(raw).holding({"amount": 0.5}, "u1", 0.0).live == ()


def test_a_date_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(GOOD)
    watched = RuleFile(file)
    file.write_bytes(re.sub(rb"expires: \S+", b"expires: 2027-02-30T00:00:00Z", GOOD))
    assert not watched.look()
    assert "day is out of range" in watched.refused


def test_a_file_is_taken_in_when_it_changes_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_bytes(GOOD)
    watched = RuleFile(file)
    first = watched.rules.version
    assert not watched.look()
    file.write_bytes(GOOD.replace(b"then: review", b"then: refuse"))
    assert not watched.look()
    assert "rules.yaml:12" in watched.refused
    assert watched.rules.version == first
    file.write_bytes(GOOD.replace(b'"1"', b'"2"'))
    os.utime(file, (1, 1))
    assert watched.look()
    assert watched.rules.version.startswith("2+")
    assert watched.refused == ""
    file.unlink()
    assert not watched.look()
    assert watched.rules.version.startswith("2+")


def test_a_rule_is_in_force_from_its_start_on() -> None:
    started = GOOD.replace(b"    then: review\n", b"    then: review\n    starts: 2026-12-01T00:00:00Z\n")
    rules = compile_rules(started)
    starts_s = rules.rules[1].starts_s
    values = {"count_1h_by_user": 9.0, "amount": 50.0}
    held = [
        [rule.name for rule in rules.holding(values, "u", at).live]
        for at in (BEFORE, starts_s - 1.0, starts_s, AFTER)
    ]
    assert held == [[], [], ["many"], ["many"]]


def test_a_rule_that_ends_before_it_starts_is_refused_with_its_line() -> None:
    wrong = GOOD.replace(b"    expires:", b"    starts: 2027-01-01T00:00:00Z\n    expires:")
    with pytest.raises(BadConfig, match=r"rules:\d+: .*it expires before it starts"):
        compile_rules(wrong)
