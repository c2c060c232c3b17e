"""Rules are published by two people; the audit shows whoever touches it or the file in another way."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from fraud.decide.rules import RuleFile
from fraud.errors import BadConfig, BadInput, BadState
from fraud.rules.audit import Entry
from fraud.rules.publishing import Publishing, in_force, open_proposals, verify
from jobs.rules.settings import PublishSettings

Person = Callable[[str], Publishing]


def rules(version: str, then: str = "review") -> bytes:
    rule = {"name": "large", "when": "amount > 10.0", "then": then, "reason": "r"}
    return json.dumps({"version": version, "rules": [rule]}, indent=1).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scopes = {"ana": "rules", "ben": "rules", "eve": "score"}
    keys = {
        name: {"sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": [scope]}
        for name, scope in scopes.items()
    }
    (tmp_path / "keys.yaml").write_text(json.dumps(keys))
    return tmp_path


def open_as(folder: Path, name: str) -> Publishing:
    return PublishSettings(file=folder / "rules.yaml", keys_file=folder / "keys.yaml", key=name).open()


@pytest.fixture
def person(folder: Path) -> Person:
    return lambda name: open_as(folder, name)


def publish(person: Person, version: str) -> None:
    person("ben").approve(person("ana").propose(rules(version), "new.yaml").number)


def test_rules_are_in_force_once_another_person_has_approved_them(person: Person, folder: Path) -> None:
    proposal = person("ana").propose(rules("one"), "new.yaml", "for case 7")
    lines = person("ben").diff(proposal).splitlines()
    assert lines[:3] == ["--- in force", "+++ proposal 1", "@@ -0,0 +1,11 @@"]
    assert not (folder / "rules.yaml").exists()
    with pytest.raises(BadInput, match="ana has proposed 1 and cannot approve it"):
        person("ana").approve(proposal.number)
    person("ben").approve(proposal.number, "fine")
    assert RuleFile(folder / "rules.yaml").rules.version == proposal.version
    told = [(one.by, one.action, one.proposal, one.note) for one in person("ana").verify()]
    assert told == [
        ("ana", "proposed", 1, "for case 7"),
        ("ben", "recorded", 2, "in force before the first publication"),
        ("ben", "approved", 1, "fine"),
    ]


def test_who_has_no_right_does_nothing(person: Person) -> None:
    with pytest.raises(BadConfig, match=r"FRAUD_RULES_KEY: .* lacks the scope `rules`"):
        person("eve")
    with pytest.raises(BadConfig, match=r"FRAUD_RULES_KEY: no person in .*keys\.yaml has this key"):
        person("nobody")


def test_what_does_not_compile_is_not_proposed(person: Person) -> None:
    with pytest.raises(BadConfig, match=r"new\.yaml:\d+: .*then"):
        person("ana").propose(rules("one", "refuse"), "new.yaml")
    assert person("ana").audit.entries() == []


def test_a_proposal_is_closed_once_and_holds_for_the_rules_that_it_saw(person: Person, folder: Path) -> None:
    first, second = (person("ana").propose(rules(version), "n").number for version in ("one", "two"))
    person("ben").approve(first)
    with pytest.raises(BadInput, match="have changed since 2 was proposed"):
        person("ben").approve(second)
    with pytest.raises(BadInput, match="no proposal 1 waits for approval; these wait: 2"):
        person("ben").approve(first)
    person("ana").reject(second)
    assert open_proposals(person("ana").audit.entries()) == []
    assert RuleFile(folder / "rules.yaml").rules.version.startswith("one+")


def test_undo_goes_back_one_step_each_time(person: Person, folder: Path) -> None:
    for version in ("one", "two", "three"):
        publish(person, version)
    found = []
    for _ in range(3):
        person("ana").undo("it runs wild")
        found.append(RuleFile(folder / "rules.yaml").rules.version.partition("+")[0])
        person("ana").verify()
    assert found == ["two", "one", "none-published"]
    with pytest.raises(BadInput, match="no published rules before these"):
        person("ana").undo()
    publish(person, "four")
    in_turn = [one.version.split("+")[0] for one in in_force(person("ana").verify())]
    assert in_turn == ["none-published", "four"]


def test_the_first_publication_can_be_undone_to_the_rules_before_it(person: Person, folder: Path) -> None:
    (folder / "rules.yaml").write_bytes(rules("by hand"))
    publish(person, "one")
    assert RuleFile(folder / "rules.yaml").rules.version.startswith("one+")
    assert person("ana").undo("it runs wild").version.startswith("by hand+")
    assert (folder / "rules.yaml").read_bytes() == rules("by hand")
    person("ana").verify()


def test_a_wrong_file_before_the_first_publication_does_not_come_back(person: Person, folder: Path) -> None:
    (folder / "rules.yaml").write_bytes(b"rules: [")
    publish(person, "one")
    person("ana").undo()
    assert RuleFile(folder / "rules.yaml").rules.rules == ()


def test_a_file_that_was_changed_in_another_way_is_told_and_can_be_restored(
    person: Person, folder: Path
) -> None:
    publish(person, "one")
    (folder / "rules.yaml").write_bytes(rules("by hand"))
    with pytest.raises(BadState, match=r"rules\.yaml is not what was published last, one\+"):
        person("ana").verify()
    person("ana").restore()
    person("ana").verify()


@pytest.mark.parametrize("change", ["edit", "drop", "swap", "cut", "forge"])
def test_whoever_changes_the_audit_breaks_it(person: Person, folder: Path, change: str) -> None:
    for version in ("one", "two"):
        publish(person, version)
    audit = person("ana").audit
    lines = audit.file.read_text().splitlines()
    if change == "edit":
        lines[1] = lines[1].replace('"ben"', '"eve"')
    elif change == "drop":
        del lines[1]
    elif change == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    elif change == "cut":
        lines[2] = lines[2][:-20]
    else:  # the record's own hash is rebuilt, those behind it are not
        forged = audit.entries()[1].model_copy(update={"by": "eve"})
        lines[1] = forged.model_copy(update={"hash": forged.hashed()}).model_dump_json()
    audit.file.write_text("\n".join(lines) + "\n")
    with pytest.raises(BadState, match=r"audit\.jsonl:[23]: the audit (is broken|cannot be read)"):
        verify(audit, folder / "rules.yaml")


def _propose(folder: Path, at: int) -> None:
    open_as(folder, "ana").propose(rules(f"v{at}"), "n")


def test_people_who_act_at_once_make_one_chain(folder: Path) -> None:
    context = get_context("fork")
    started = [context.Process(target=_propose, args=(folder, at)) for at in range(6)]
    for one in started:
        one.start()
    for one in started:
        one.join()
    assert [one.exitcode for one in started] == [0] * 6
    assert [one.number for one in open_as(folder, "ben").audit.entries()] == [1, 2, 3, 4, 5, 6]


NO_FILE = hashlib.sha256(b"").hexdigest()
OLD = {
    "number": 1,
    "at": "2026-11-20T10:00:00Z",
    "by": "ana",
    "action": "proposed",
    "proposal": 1,
    "version": "1+1a2b3c4d",
    "base": NO_FILE,
    "content": 'version: "1"\nrules: []\n',
    "note": "",
    "previous": "0" * 64,
    "hash": "a38fe4d89ae0b37925fc3263d42d2d4110d91ea75e237abc628e6be9cfa0f859",
}
"""A record of the release before."""


def test_records_of_the_release_before_stay_whole_and_are_gone_on_with(person: Person) -> None:
    audit = person("ana").audit
    audit.file.write_text(json.dumps(OLD) + "\n")
    person("ben").approve(1)
    entry = person("ana").propose(rules("two"), "new", tried="large: 4 hits")
    assert [one.number for one in person("ana").verify()] == [1, 2, 3, 4]
    assert entry.tried == "large: 4 hits"
    text = audit.file.read_text()
    audit.file.write_text(text.replace("large: 4 hits", "large: 5 hits"))
    with pytest.raises(BadState, match="this record was changed after it was written"):
        audit.entries()


def test_an_approval_with_a_time_is_in_force_from_then_on(folder: Path) -> None:
    """Also for who shares no file; the one who writes the file may have slept meanwhile."""
    clock, ana, ben = with_rules_in_force(folder)
    number, begins = ana.propose(rules("two"), "n").number, clock.moment + timedelta(hours=2)
    ben.approve(number, "from noon on", begins)
    assert not ben.begin_due()
    assert versions(ana.verify(), clock.moment) == ["none-published", "one"]
    assert versions(ana.verify(), begins) == ["none-published", "one", "two"]
    assert RuleFile(ana.file).rules.version.startswith("one+")
    other = ana.propose(rules("three"), "n").number
    with pytest.raises(BadInput, match=rf"proposal {number} is approved and begins at .* take it back"):
        ben.approve(other)
    clock.moment = begins
    with pytest.raises(BadState, match="not what was published last"):
        ana.verify()
    assert ben.begin_due()
    assert not ben.begin_due()
    assert RuleFile(ana.file).rules.version.startswith("two+")
    ana.verify()
    ben.undo()
    assert RuleFile(ana.file).rules.version.startswith("one+")
    assert versions(ana.verify(), clock.moment) == ["none-published", "one"]


def test_an_approval_that_waits_is_taken_back_by_undo(folder: Path) -> None:
    clock, ana, ben = with_rules_in_force(folder)
    begins = clock.moment + timedelta(days=1)
    ben.approve(ana.propose(rules("two"), "n").number, starts=begins)
    assert ana.undo("not yet").version.startswith("one+")
    clock.moment = begins + timedelta(days=1)
    assert not ben.begin_due()
    assert versions(ana.verify(), clock.moment) == ["none-published", "one"]


def test_a_file_that_was_changed_by_hand_is_not_written_over_when_a_time_comes(folder: Path) -> None:
    clock, ana, ben = with_rules_in_force(folder)
    begins = clock.moment + timedelta(days=1)
    ben.approve(ana.propose(rules("two"), "n").number, starts=begins)
    ana.file.write_bytes(rules("by hand"))
    clock.moment = begins
    assert not ben.begin_due()
    assert ana.file.read_bytes() == rules("by hand")
    with pytest.raises(BadState, match="changed in another way"):
        ana.verify()


def test_a_time_that_is_past_is_refused(folder: Path) -> None:
    clock = Clock()
    ana, ben = (Publishing(folder / "rules.yaml", name, now=clock) for name in ("ana", "ben"))
    number = ana.propose(rules("one"), "n").number
    with pytest.raises(BadInput, match="is in the past; leave the time out to begin at once"):
        ben.approve(number, starts=clock.moment)
    assert [one.number for one in open_proposals(ana.audit.entries())] == [number]


def test_a_record_without_a_time_is_written_as_releases_before_read_it(person: Person) -> None:
    publish(person, "one")
    assert '"starts"' not in person("ana").audit.file.read_text()


@dataclass
class Clock:
    """Shows what a test says."""

    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.moment


def with_rules_in_force(folder: Path) -> tuple[Clock, Publishing, Publishing]:
    """A clock that two people share, some seconds after they published rules."""
    clock = Clock()
    ana, ben = (Publishing(folder / "rules.yaml", name, now=clock) for name in ("ana", "ben"))
    ben.approve(ana.propose(rules("one"), "n").number)
    clock.moment += timedelta(seconds=10)  # past the record's own time
    return clock, ana, ben


def versions(entries: list[Entry], at: datetime) -> list[str]:
    return [one.version.split("+")[0] for one in in_force(entries, at)]
