"""The watch over the rules, on a log that the real passes and the real archive have written."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from fraud.decide.engine import RuleState
from fraud.decide.rules import read_rules
from fraud.errors import BadConfig, BadState
from fraud.rules.guard import RuleProblem
from fraud.rules.publishing import Publishing
from jobs.rules.guard import run
from jobs.rules.settings import RuleGuardSettings
from jobs.stream.settings import StreamSettings
from tests.services.scoring.test_rule_paths import archived

RULES = [
    {"name": "large", "when": "amount >= 250.0", "then": "decline", "reason": "r"},
    {"name": "larger", "when": "amount >= 900.0", "then": "review", "reason": "r"},
]
RECEIVED = datetime(2026, 4, 10, tzinfo=UTC)
"""``tests.jobs.stream.tasks.test_passes.kafka`` plays the broker's clock."""


@pytest.fixture
def settings(tmp_path: Path) -> StreamSettings:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"version": "1", "rules": RULES}))
    return archived(tmp_path / "own", file)


def figures_of(settings: StreamSettings) -> str:
    rows = DeltaTable(f"{settings.delta_path}/figures").to_pyarrow_table().to_pylist()
    (text,) = [row["text"] for row in rows if row["job"] == "rules"]
    return str(text)


def test_a_guard_is_in_the_record_and_people_may_take_it_back(
    settings: StreamSettings, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    guarded = [{**RULES[0], "guard": {"hits_at_most_per_day": 3}}, *RULES[1:]]
    content = json.dumps({"version": "2", "rules": guarded}, indent=1)
    Publishing(file, "ben").approve(Publishing(file, "ana").propose(content.encode(), "new").number)
    watch = RuleGuardSettings(file=file, delta=str(settings.delta_path), returns_to_shadow=True)
    now = RECEIVED + timedelta(days=1)
    looked, nothing = run(watch.model_copy(update={"returns_to_shadow": False}), now=now)
    assert [(one.rule, one.trouble) for one in looked] == [("large", RuleProblem.GUARD)]
    assert nothing is None
    assert read_rules(file).rules[0].state is RuleState.LIVE, "it is told, not done"
    _, entry = run(watch, now=now)
    assert entry is not None
    assert (entry.by, entry.action) == ("guard", "guarded")
    assert entry.note == "large back to shadow: 4 hits on 2026-04-10; its guard is 3 a day"
    assert read_rules(file).rules[0].state is RuleState.SHADOW
    assert run(watch, now=now) == ([], None), "in shadow it breaks nothing"
    text = figures_of(settings)
    assert 'fraud_rules_guard{rule="large"} 0.0' in text
    assert "fraud_rules_audit_troubles 0.0" in text
    assert 'fraud_rules_hit_ratio{rule="large"}' in text
    Publishing(file, "ana").undo("the campaign is over")
    assert read_rules(file).rules[0].state is RuleState.LIVE
    _, again = run(watch, now=now)
    assert again is None, "what came before people took it back does not count again"


def test_a_guard_changes_no_file_that_is_not_what_was_published(
    settings: StreamSettings, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    Publishing(file, "ben").approve(Publishing(file, "ana").propose(file.read_bytes(), "new").number)
    guarded = [{**RULES[0], "guard": {"hits_at_most_per_day": 3}}, *RULES[1:]]
    file.write_text(json.dumps({"version": "by hand", "rules": guarded}))
    watch = RuleGuardSettings(file=file, delta=str(settings.delta_path), returns_to_shadow=True)
    with pytest.raises(BadState, match="is not what was published last"):
        run(watch, now=RECEIVED + timedelta(days=1))
    assert b"by hand" in file.read_bytes()


def test_what_should_change_a_file_needs_one(settings: StreamSettings) -> None:
    with pytest.raises(BadConfig, match="FRAUD_GUARD_FILE"):
        run(RuleGuardSettings(delta=str(settings.delta_path), returns_to_shadow=True))
