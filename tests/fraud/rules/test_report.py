"""What each rule did, told by a log that the real passes and the real archive have written."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from fraud.decide.rules import read_rules
from fraud.rules.backtest import backtest, held_in, judged
from fraud.rules.effects import OUTCOMES, Costs, RuleEffect, RuleEffects
from fraud.rules.history import open_history
from fraud.rules.report import report
from jobs.stream.settings import StreamSettings
from tests.services.scoring.test_rule_paths import archived, transactions

RULES = [
    {"name": "large", "when": "amount >= 250.0", "then": "decline", "reason": "r"},
    {"name": "larger", "when": "amount >= 900.0", "then": "review", "reason": "r"},
    {"name": "beside", "when": "amount < 2.0", "then": "decline", "reason": "r", "state": "shadow"},
    {"name": "part", "when": "amount > 0.0", "tags": ["part"], "reason": "r", "share": "40 %"},
    {"name": "never", "when": "amount < 0.0", "then": "approve", "reason": "r"},
]
RECEIVED = datetime(2026, 4, 10, tzinfo=UTC)
"""``tests.jobs.stream.tasks.test_passes.kafka`` plays the broker's clock."""
FRAUD, HONEST = "t7", "t6"
"""Of 950 and of 400."""


@pytest.fixture
def settings(tmp_path: Path) -> StreamSettings:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"version": "1", "rules": RULES}))
    found = archived(tmp_path / "own", file)
    uri = f"{found.delta_path}/labels"
    schema = DeltaTable(uri).to_pyarrow_table().schema
    labels = [
        {
            "transaction_id": name,
            "is_fraud": is_fraud,
            "label_time": RECEIVED,
            "received_at": RECEIVED,
            "generation": 1,
            "epoch": 1,
            "source_partition": 0,
            "source_offset": at,
        }
        for at, (name, is_fraud) in enumerate([(FRAUD, True), (HONEST, False)])
    ]
    write_deltalake(uri, pa.Table.from_pylist(labels, schema), mode="append")
    return found


def told(
    settings: StreamSettings, file: Path, days: float = 0.0
) -> tuple[RuleEffects, dict[str, RuleEffect]]:
    now = RECEIVED + timedelta(days=days)
    found = report(
        read_rules(file), settings.delta_path, costs=Costs(review=5.0, wrong_decline=20.0), now=now
    )
    return found, found.of


def test_hits_precision_and_overlap_are_those_of_the_log(settings: StreamSettings, tmp_path: Path) -> None:
    found, rules = told(settings, tmp_path / "rules.yaml")
    assert found.transactions == len(transactions())
    large, beside = rules["large"], rules["beside"]
    assert (large.hits, large.shadow_hits, found.recent(large)) == (4, 0, 4)
    assert (large.mature, large.fraud, large.precision) == (2, 1, 0.5)
    assert (beside.hits, beside.shadow_hits) == (0, 2)
    assert rules["part"].hits + rules["part"].shadow_hits == len(transactions())
    assert 0 < rules["part"].hits < len(transactions())
    assert rules["larger"].beside["large"] == 2
    assert (rules["never"].all_hits, rules["never"].precision, rules["never"].overlap) == (0, None, 0.0)


def test_what_is_old_without_a_label_counts_as_honest(settings: StreamSettings, tmp_path: Path) -> None:
    young, old = (told(settings, tmp_path / "rules.yaml", days)[1]["large"] for days in (13.0, 15.0))
    assert (young.mature, old.mature) == (2, 4)
    assert old.precision == 0.25
    assert old.false_declines >= young.false_declines


def test_a_backtest_of_what_decided_tells_what_the_report_tells(
    settings: StreamSettings, tmp_path: Path
) -> None:
    found, live = told(settings, tmp_path / "rules.yaml", days=15.0)
    again = backtest(
        read_rules(tmp_path / "rules.yaml"),
        settings.delta_path,
        costs=Costs(review=5.0, wrong_decline=20.0),
        now=RECEIVED + timedelta(days=15),
    )
    assert again.of == live, "hits, days, money, examples: all of it"
    assert live["large"].hits > 0
    for figure in ("transactions", "labelled", "mature", "fraud", "days", "cost"):
        assert getattr(again, figure) == getattr(found, figure), figure
    assert found.cost != 0.0


def test_what_the_rules_of_the_log_decided_a_backtest_decides(
    settings: StreamSettings, tmp_path: Path
) -> None:
    rules = read_rules(tmp_path / "rules.yaml")
    (part,) = open_history(settings.delta_path, rules.reads).parts()
    found = judged(part, held_in(rules, part), {})
    assert [OUTCOMES[code] for code in found.became] == part["outcome"].to_pylist()
    assert found.became.tolist() != found.was.tolist()
