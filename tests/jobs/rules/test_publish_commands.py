"""``fraud publish`` and ``fraud audit`` as people type them."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.cli import app

PEOPLE = ("ana", "ben")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys = {
        name: {"sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": ["rules"]} for name in PEOPLE
    }
    (tmp_path / "keys.yaml").write_text(json.dumps(keys))
    for name, limit in (("rules", 10.0), ("new", 20.0)):
        rule = {"name": "large", "when": f"amount > {limit}", "then": "review", "reason": "r"}
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"version": name, "rules": [rule]}))
    return tmp_path


def run(folder: Path, *words: str, who: str = "ana") -> tuple[int, str]:
    given = {
        "FRAUD_RULES_FILE": str(folder / "rules.yaml"),
        "FRAUD_RULES_KEYS_FILE": str(folder / "keys.yaml"),
        "FRAUD_RULES_KEY": who,
        "FRAUD_STREAM_DELTA": str(folder / "nothing"),
    }
    done = CliRunner().invoke(app, list(words), env=given)
    return done.exit_code, done.output


def verify(folder: Path) -> tuple[int, str]:
    return run(folder, "audit", "verify", str(folder / "rules.yaml"))


def test_the_steps_of_the_fraud_leads_page_in_their_order(folder: Path) -> None:
    code, said = run(folder, "publish", "propose", str(folder / "new.yaml"), "--note", "case 4711")
    assert code == 0
    assert "no backtest: there is no Delta table" in said
    assert run(folder, "publish", "approve", "1")[0] == 1, "nobody approves what is one's own"
    assert run(folder, "publish", "approve", "1", who="ben")[0] == 0
    code, said = verify(folder)
    assert (code, said.splitlines()[0].partition("+")[0]) == (0, "3 records, all unchanged; published: new")
    assert run(folder, "publish", "undo", "--note", "too many hits")[0] == 0
    assert '"version": "rules"' in (folder / "rules.yaml").read_text()
    assert verify(folder)[0] == 0
    shown = run(folder, "audit", "show", str(folder / "rules.yaml"))[1].splitlines()
    assert [line.split()[4] for line in shown] == ["proposed", "recorded", "approved", "undone"]


def test_rules_that_were_never_published_are_not_verified(folder: Path) -> None:
    code, said = verify(folder)
    assert code == 1
    assert "rules.yaml was never published" in said
    run(folder, "publish", "propose", str(folder / "new.yaml"), "--days", "0")
    assert verify(folder)[0] == 1, "nobody has approved it"
    run(folder, "publish", "approve", "1", who="ben")
    (folder / "rules.yaml.audit.jsonl").unlink()
    assert verify(folder)[0] == 1, "whoever deletes the audit has not published"
