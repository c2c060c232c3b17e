"""Accounts of rules name the currency in which they add up."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake
from rich.console import Console

from fraud.decide.compiling import compile_rules
from fraud.rules.effects import RuleEffects
from fraud.rules.report import report
from fraud.rules.words import lines_of
from fraud.schema.reading import default_schema, read_schema
from fraud.schema.schema import Schema
from jobs.rules.show import show

RECEIVED = datetime(2026, 3, 1, tzinfo=UTC)
RULES = b"version: '1'\nrules: [{name: giant, when: 'amount > 100.0', then: decline, reason: giant}]"
MONEY = read_schema(Path(__file__).parents[1] / "money" / "payments.yaml")


def told(folder: Path, schema: Schema, amounts: dict[str, list[float] | list[int]]) -> RuleEffects:
    """Report on two frauds, the first of which the rule declined."""
    decisions = {
        "transaction_id": ["a", "b"],
        **amounts,
        "outcome": ["decline", "approve"],
        "outcome_without_rules": ["approve", "approve"],
        "rules": ['["giant"]', "[]"],
        "shadow_rules": ["[]", "[]"],
        "received_at": [RECEIVED, RECEIVED],
    }
    labels = {"transaction_id": ["a", "b"], "is_fraud": [True, True], "label_time": [RECEIVED] * 2}
    write_deltalake(folder / "decisions", pa.table(decisions))
    write_deltalake(folder / "labels", pa.table(labels))
    rules = compile_rules(RULES, schema=schema)
    return report(rules, str(folder), now=RECEIVED + timedelta(days=20))


def printed(found: RuleEffects) -> str:
    console = Console(file=io.StringIO(), width=300)
    show(console, found, daily=False, examples=False)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_what_rules_save_is_told_in_the_base_currency(tmp_path: Path) -> None:
    """25,000,000 VND count as the 985 USD that they were recorded as."""
    found = told(tmp_path, MONEY, {"amount": [25_000_000.0, 10.0], "base_minor": [98_500, 1_000]})
    (of_rule,) = [line for line in lines_of(found) if line.startswith("giant:")]
    assert of_rule.endswith("saved 985 USD, lost 0 USD")
    assert "together they save 985 USD against the model without rules" in printed(found)
    assert printed(found).count("985 USD") == 2


def test_where_all_amounts_are_in_one_currency_it_has_no_name(tmp_path: Path) -> None:
    found = told(tmp_path, default_schema(), {"amount": [985.0, 10.0]})
    (of_rule,) = [line for line in lines_of(found) if line.startswith("giant:")]
    assert of_rule.endswith("saved 985, lost 0")
    assert "together they save 985 against the model without rules" in printed(found)
