"""The rules of a micro-batch: one version for all of it, the same one when it runs again."""

import json
from pathlib import Path

import pytest

from fraud.decide.engine import NO_RULES
from fraud.decide.rules import RulesAt, read_rules
from fraud.errors import BadConfig
from fraud.rules.versions import newest_rules, rules_named
from jobs.stream import metrics
from jobs.stream.rules import StreamRules


def write(file: Path, version: str, then: str = "review") -> None:
    rule = {"name": "large", "when": "amount > 10.0", "then": then, "reason": "r"}
    file.write_text(json.dumps({"version": version, "rules": [rule]}))


def version_of(at: RulesAt | None) -> str:
    return read_rules(at.file).version.split("+")[0] if at else "none"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "rules.yaml"
    write(made, "one")
    return made


def test_a_change_counts_from_the_next_micro_batch_on(file: Path, tmp_path: Path) -> None:
    rules = StreamRules(file, tmp_path / "kept")
    assert version_of(rules.of(1, 0)) == "one"
    write(file, "two")
    assert version_of(rules.of(1, 1)) == "two"


def test_a_micro_batch_that_runs_again_has_the_rules_that_it_had(file: Path, tmp_path: Path) -> None:
    rules = StreamRules(file, tmp_path / "kept")
    assert version_of(rules.of(1, 0)) == "one"
    write(file, "two")
    assert version_of(rules.of(1, 0)) == "one", "its query was started again"
    after_crash = StreamRules(file, tmp_path / "kept", unfinished=0)
    assert version_of(after_crash.of(1, 0)) == "one"
    file.unlink()
    assert version_of(after_crash.of(1, 0)) == "one"
    write(file, "three")
    assert version_of(after_crash.of(1, 1)) == "three"


def test_rules_that_are_taken_away_still_decide_what_they_began(file: Path, tmp_path: Path) -> None:
    assert version_of(StreamRules(file, tmp_path / "kept").of(1, 0)) == "one"
    without = StreamRules(None, tmp_path / "kept", unfinished=0)
    assert version_of(without.of(1, 0)) == "one"
    assert without.of(1, 1) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("rules: [", r"rules\.yaml:2: not YAML"),
        ('version: !!int ""', r"rules\.yaml:1: '' is no value of the tag"),
    ],
)
def test_a_wrong_file_keeps_the_rules_that_decided_and_raises_a_metric(
    file: Path, tmp_path: Path, wrong: str, words: str
) -> None:
    rules = StreamRules(file, tmp_path / "kept")
    rules.of(1, 0)
    file.write_text(wrong)
    assert version_of(rules.of(1, 1)) == "one"
    assert metrics.RULES_REFUSED._value.get() == 1
    restarted = StreamRules(file, tmp_path / "kept")
    assert version_of(restarted.of(1, 2)) == "one"
    assert metrics.RULES_REFUSED._value.get() == 1
    write(file, "two")
    assert version_of(restarted.of(1, 3)) == "two"
    assert metrics.RULES_REFUSED._value.get() == 0
    file.write_text(wrong)
    with pytest.raises(BadConfig, match=words):
        StreamRules(file, tmp_path / "nothing kept")


def test_a_line_that_was_cut_off_names_nothing_that_decided(file: Path, tmp_path: Path) -> None:
    StreamRules(file, tmp_path / "kept").of(1, 0)
    with (tmp_path / "kept" / "history.jsonl").open("a") as history:
        history.write('{"generation": 1, "bat')
    write(file, "two")
    rules = StreamRules(file, tmp_path / "kept", unfinished=0)
    assert version_of(rules.of(1, 0)) == "one"
    assert version_of(rules.of(1, 1)) == "two"
    assert version_of(StreamRules(file, tmp_path / "kept", unfinished=1).of(1, 1)) == "two"


def test_the_newest_rules_are_those_that_an_undo_brought_back(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert newest_rules(kept) is NO_RULES
    rules = StreamRules(file, kept)
    for batch, version in enumerate(("one", "two", "one")):
        write(file, version)
        rules.of(1, batch)
    assert newest_rules(kept).version.startswith("one+")
    with (kept / "history.jsonl").open("a") as history:
        history.write('{"generation": 1, "bat')
    assert newest_rules(kept).version.startswith("one+"), "a line that was cut off hides nothing"


def test_a_version_that_decided_is_found_by_its_name(file: Path, tmp_path: Path) -> None:
    rules = StreamRules(file, tmp_path / "kept")
    rules.of(1, 0)
    first = read_rules(file).version
    write(file, "two")
    rules.of(1, 1)
    assert rules_named(first, tmp_path / "kept").version == first
    assert rules_named(str(file), tmp_path / "kept").version.startswith("two+")
    with pytest.raises(BadConfig, match=r"nowhere: neither a file nor a version .* newest: one\+"):
        rules_named("nowhere", tmp_path / "kept")
