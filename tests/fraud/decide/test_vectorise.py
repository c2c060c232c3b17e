"""The law of rules over columns: the answers are those of CEL, row by row, also of what is unknown."""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.decide.columns import Columns
from fraud.decide.compiling import compile_rules
from fraud.decide.engine import RuleSet
from fraud.decide.vectorise import vectorise
from fraud.errors import BadConfig
from fraud.schema.arrow import transaction_columns
from fraud.schema.deployed import deployed_schema
from tests.deployed import FEATURE_NAMES

NUMBERS = ("amount", "score", "count_1h_by_user", "latitude")
TEXTS = ("user_id", "device_id", "category")
LISTS = {"few": ["a", "ab", "é"], "none": []}
CLAUSES = (
    "amount > 10.0 && category == 'a'",
    "in_list(device_id, 'few') || score >= 0.5",
    "!(device_id == 'a') && !in_list(user_id, 'none')",
    "user_id.startsWith('a') || category.endsWith('b') || device_id.contains(\"é\")",
    "amount in [1.0, 2.0, 50.0] && category in ['a', \"x\"]",
    "amount * 2.0 - score / count_1h_by_user > latitude",
    "-amount < -5 && (score != 0.5 || latitude <= 1e3)",
    "'a' != category && 0.5 <= score",
    "device_id.contains(category)",
    "amount / 0.0 > 1.0 || score / 0.0 == 1.0",
    "user_id.matches('^a.*b$') && amount > 1.0",
    "score > 0.5 ? amount > 10.0 : category == 'a'",
    "size(user_id) > 1 && user_id < 'b'",
    "(amount > 1.0) == (score > 0.5)",
    "true && amount < 3 || false",
    "amount - 2.0 - 1.0 > 4.0 && 10.0 / amount / 2.0 < 1.0 || amount > 2.0 * 3.0 + score",
)

numbers = st.sampled_from([None, 0.0, -0.0, 0.5, 1.0, 2.0, 50.0, -5.0, 1e9, math.inf])
texts = st.sampled_from([None, "", "a", "ab", "b", "é", "x'y"])
rows_of_values = st.lists(
    st.fixed_dictionaries(
        dict.fromkeys(NUMBERS, numbers) | dict.fromkeys(TEXTS, texts),
    ),
    min_size=1,
    max_size=12,
)


def _expressions() -> st.SearchStrategy[str]:
    number = st.recursive(
        st.sampled_from([*NUMBERS, "1.0", "0.5", "50.0", "0.0"]),
        lambda part: st.one_of(
            st.tuples(part, st.sampled_from("+-*/"), part).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            part.map(lambda p: f"-({p})"),
        ),
        max_leaves=3,
    )
    comparison = st.tuples(number, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), number)
    text = st.sampled_from(TEXTS)
    atom = st.one_of(
        comparison.map(" ".join),
        st.tuples(text, st.sampled_from(["==", "!="]), st.sampled_from(["'a'", '"é"', "'x'"])).map(" ".join),
        st.tuples(number, st.just("in [1.0, 50.0, 2]")).map(" ".join),
        st.tuples(text, st.just("in ['a', 'b']")).map(" ".join),
        text.map("in_list({}, 'few')".format),
        st.tuples(text, st.sampled_from(["startsWith", "endsWith", "contains"])).map(
            lambda t: f"{t[0]}.{t[1]}('a')"
        ),
        st.sampled_from(["true", "false"]),
    )
    return st.recursive(
        atom,
        lambda part: st.one_of(
            st.tuples(part, st.sampled_from(["&&", "||"]), part).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
            part.map("!({})".format),
        ),
        max_leaves=6,
    )


def ruleset(*expressions: str) -> RuleSet:
    rules = [
        {"name": f"r{at}", "when": when, "then": "review", "reason": "r"}
        for at, when in enumerate(expressions)
    ]
    return compile_rules(json.dumps({"version": "1", "lists": LISTS, "rules": rules}).encode())


def columns_of(values: list[dict[str, Any]]) -> Columns:
    fields = [one for one in transaction_columns(deployed_schema()) if one.name in values[0]]
    table = pa.table(
        [pa.array([row[one.name] for row in values], one.type) for one in fields], schema=pa.schema(fields)
    )
    vectors = np.full((len(values), len(FEATURE_NAMES)), np.nan)
    column = [math.nan if row["count_1h_by_user"] is None else row["count_1h_by_user"] for row in values]
    vectors[:, FEATURE_NAMES.index("count_1h_by_user")] = column
    scores = np.array([math.nan if row["score"] is None else row["score"] for row in values], np.float64)
    return Columns(table, vectors, FEATURE_NAMES, scores)


def check(rules: RuleSet, values: list[dict[str, Any]]) -> None:
    keys = [f"k{at}" for at in range(len(values))]
    found = rules.holding_columns(columns_of(values), keys, np.zeros(len(values)))
    for row, key, one in zip(values, keys, found, strict=True):
        alone = rules.holding(row, key, 0.0)
        assert (one.live, one.failed) == (alone.live, alone.failed), row


@settings(max_examples=150)
@given(expression=_expressions(), values=rows_of_values)
def test_columns_answer_as_cel_does_row_by_row(expression: str, values: list[dict[str, Any]]) -> None:
    try:
        rules = ruleset(expression)
    except BadConfig:  # e.g. 0.0 / 0.0 > 1.0 whatever the values
        return
    check(rules, values)


TAGGED = st.recursive(
    st.sampled_from(["has_tag('a')", "has_tag('b')", "amount > 1.0", "user_id.matches('a')"]),
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from(["&&", "||"]), part).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        part.map("!({})".format),
    ),
    max_leaves=5,
)


@settings(max_examples=80)
@given(expression=TAGGED, values=rows_of_values)
def test_columns_read_the_tags_of_rules_above_as_row_by_row(
    expression: str, values: list[dict[str, Any]]
) -> None:
    rules = [
        {"when": "score >= 0.5", "tags": ["a"], "share": "50 %"},
        {"when": "has_tag('a') || category == 'a'", "tags": ["b"]},
        {"when": expression, "then": "review"},
    ]
    named = [{"name": f"r{at}", "reason": "r", **rule} for at, rule in enumerate(rules)]
    check(compile_rules(json.dumps({"version": "1", "rules": named}).encode()), values)


@settings(max_examples=60)
@given(values=rows_of_values)
def test_every_construct_answers_the_same(values: list[dict[str, Any]]) -> None:
    check(ruleset(*CLAUSES), values)


@pytest.mark.parametrize(
    "expression", [*CLAUSES[:8], "amount > 448.8 * 4.0", "amount > -(1.0 / 0.0)", "!has_tag('a')"]
)
def test_the_constructs_of_most_rules_take_columns(expression: str) -> None:
    assert vectorise(expression) is not None


@pytest.mark.parametrize(
    "expression",
    [
        "1 > 2",
        "amount + 1 > 2.0",
        "user_id.matches('a')",
        "score > 0.5 ? true : false",
        "amount > 9007199254740993",
        "user_id == r'a'",
        "user_id == 'a\\n'",
        "user_id == '''a'''",
        "user_id < 'b'",
        "amount > 0x10",
        "amount > 5u",
        "amount % 2.0 == 1.0",
        "size(user_id) > 2",
        "amount > 1.0 // more",
        "amount",
        "'a' in ['a']",
        "amount == user_id",
    ],
)
def test_what_columns_do_not_know_is_left_to_cel(expression: str) -> None:
    assert vectorise(expression) is None


def test_the_answers_of_a_list_that_is_not_there_are_unknown() -> None:
    rules = ruleset(
        "false && in_list(user_id, 'nowhere') || !in_list(user_id, 'nowhere') && false || amount > 1.0"
    )
    row = {"user_id": "a", "amount": 5.0, "score": None, "count_1h_by_user": None}
    assert rules.holding(row, "k", 0.0).live
    assert rules.holding_columns(columns_of([row]), ["k"], np.zeros(1))[0].live
