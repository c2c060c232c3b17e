"""``fraud schema import``: an export of AWS Fraud Detector becomes a schema and rules, with a report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.schema.reading import parse_schema
from fraud.tables import open_source
from jobs.schema.aws import convert
from jobs.schema.detectorpl import Untranslatable, translate
from jobs.schema.export import as_yaml, read_export

EVENT = {
    "eventTypes": [
        {
            "name": "online_order",
            "eventVariables": [
                "order_price",
                "currency",
                "ip_address",
                "email",
                "card_bin",
                "product",
                "user_agent",
            ],
            "entityTypes": ["customer"],
            "labels": ["fraud", "legit"],
        }
    ]
}
VARIABLES = {
    "variables": [
        {"name": name, "dataType": data, "variableType": kind, "defaultValue": default}
        for name, data, kind, default in (
            ("order_price", "FLOAT", "PRICE", "0.0"),
            ("currency", "STRING", "CURRENCY_CODE", ""),
            ("ip_address", "STRING", "IP_ADDRESS", "1.1.1.1"),
            ("email", "STRING", "EMAIL_ADDRESS", "unknown"),
            ("card_bin", "INTEGER", "CARD_BIN", "0"),
            ("product", "STRING", "PRODUCT_CATEGORY", ""),
            ("user_agent", "STRING", "USERAGENT", ""),
        )
    ]
}
RULES = {
    "ruleDetails": [
        {"ruleId": "blocked_mail", "expression": "$email in $blocked_emails", "outcomes": ["block"]},
        {
            "ruleId": "high-price",
            "expression": '$order_price > 500 and not ($product == "books")',
            "outcomes": ["verify"],
        },
        {"ruleId": "by_score", "expression": "$orders_insightscore > 900", "outcomes": ["block"]},
        {"ruleId": "odd", "expression": "$order_price > 5", "outcomes": ["call_customer"]},
    ]
}
OTHERS = {
    "outcomes": [{"name": "block"}, {"name": "verify"}, {"name": "call_customer"}],
    "lists": [{"name": "blocked_emails", "elements": ["a@b.c"]}],
}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for name, content in (("event", EVENT), ("variables", VARIABLES), ("rules", RULES), ("others", OTHERS)):
        found.append(tmp_path / f"{name}.json")
        found[-1].write_text(json.dumps(content))
    return found


def test_the_schema_reads_their_training_file(files: list[Path], tmp_path: Path) -> None:
    made = convert(read_export(files))
    schema = parse_schema(as_yaml(made.schema).encode(), "made")
    assert [entity.name for entity in schema.entities] == ["customer", "ip", "email", "card_bin"]
    (tmp_path / "train.csv").write_text(
        "EVENT_ID,EVENT_TIMESTAMP,ENTITY_ID,ENTITY_TYPE,EVENT_LABEL,LABEL_TIMESTAMP,order_price,currency,"
        "ip_address,email,card_bin,product,user_agent\n"
        "e1,2024-05-01T10:00:00Z,c1,customer,legit,2024-05-20T00:00:00Z,12.5,EUR,1.2.3.4,a@b.c,411111,books,x\n"
        "e2,2024-05-02T10:00:00Z,c1,customer,fraud,2024-05-21T00:00:00Z,99,EUR,,d@e.f,522222,,x\n"
    )
    also = {"is_fraud": pa.bool_()}
    read = open_source("transactions", tmp_path / "train.csv", schema=schema, also=also).table()
    assert read["is_fraud"].to_pylist() == [False, True]
    assert read["amount"].to_pylist() == [12.5, 99.0]
    assert read["customer_id"].to_pylist() == ["c1", "c1"]
    assert read["card_bin"].to_pylist() == ["411111", "522222"]


def test_the_report_names_what_has_no_counterpart(files: list[Path]) -> None:
    made = convert(read_export(files))
    assert {(note.what, note.theirs) for note in made.missing} == {
        ("rule", "by_score"),
        ("rule", "odd"),
        ("outcome", "call_customer"),
    }
    notes = {note.theirs: note for note in made.notes}
    assert "a score of 0 to 1000" in notes["by_score"].words
    assert "--outcome NAME=" in notes["odd"].words
    assert notes["ip_address"].words == "the default 1.1.1.1 is not filled in: missing stays missing"
    assert notes["order_price"].ours == "amount"


def test_rules_and_lists_are_translated_and_an_outcome_can_be_said(files: list[Path]) -> None:
    made = convert(read_export(files), outcomes={"call_customer": "review"})
    assert made.rules is not None
    found = {rule["name"]: (rule["when"], rule["then"]) for rule in made.rules["rules"]}
    assert found == {
        "blocked_mail": ("in_list(email, 'blocked_emails')", "decline"),
        "high_price": ("amount > 500.0 && ! ( product == 'books' )", "review"),
        "odd": ("amount > 5.0", "review"),
    }
    assert made.rules["lists"] == {"blocked_emails": ["a@b.c"]}


def test_the_command_writes_what_the_other_commands_take(files: list[Path], tmp_path: Path) -> None:
    out, rules = tmp_path / "schema.yaml", tmp_path / "rules.yaml"
    words = ["schema", "import", *map(str, files), "--out", str(out), "--rules", str(rules)]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "3 of " in done.output
    checked = subprocess.run(
        [sys.executable, "-m", "fraud", "rules", "check", str(rules)],
        env={**os.environ, "FRAUD_SCHEMA_FILE": str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 1
    assert "--overwrite" in again.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eventTypes": []}, "the export has no event type"),
        (
            {"eventTypes": [{**EVENT["eventTypes"][0], "labels": ["weird"]}]},
            "label weird: .*--label weird=fraud",
        ),
        (
            {"eventTypes": [*EVENT["eventTypes"], {"name": "other"}]},
            "--event-type NAME: the export has online_order, other",
        ),
    ],
)
def test_what_cannot_be_told_is_asked_by_a_flag(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "e.json").write_text(json.dumps({**VARIABLES, **change}))
    with pytest.raises(BadInput, match=words):
        convert(read_export([tmp_path / "e.json"]))


@pytest.mark.parametrize("content", ["[]", "{}", "no json", '{"variables": [1]}'])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "e.json").write_text(content)
    with pytest.raises(BadInput, match=r"e\.json"):
        read_export([tmp_path / "e.json"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$a == 'x' or $b >= 2.5", "f == 'x' || g >= 2.5"),
        ('$a in ["x", "it\'s"]', "f in ['x', 'it\\'s']"),
        ("not $c", "! h"),
        ("$c == true", "h == true"),
    ],
)
def test_expressions_are_translated(text: str, found: str) -> None:
    assert translate(text, {"a": "f", "b": "g", "c": "h"}, {}) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$a + 1 > 2", "has no counterpart"),
        ("lowercase($a) == 'x'", "lowercase has no counterpart"),
        ("$a in $nowhere", r"the list \$nowhere is not in the export"),
        ("$unknown > 1", r"\$unknown is no variable"),
        ("", "it is empty"),
    ],
)
def test_what_has_no_counterpart_is_named(text: str, words: str) -> None:
    with pytest.raises(Untranslatable, match=words):
        translate(text, {"a": "f"}, {})
