"""The audit's copies: they get every record, and whatever differs is named."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fraud.errors import BadState, Unavailable
from fraud.rules.audit import Entry
from fraud.rules.audit_copies import bring, differences
from fraud.rules.audit_table import TableCopy
from fraud.rules.publishing import Publishing


def rules(version: str) -> bytes:
    rule = {"name": "large", "when": "amount > 10.0", "then": "review", "reason": "r"}
    return json.dumps({"version": version, "rules": [rule]}).encode()


class Place:
    """A copy in memory, which may be away."""

    name = "topic audit"

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.is_away = False

    def records(self) -> list[str]:
        if self.is_away:
            raise Unavailable("no Kafka broker answers")
        return list(self.kept)

    def append(self, entries: Sequence[Entry]) -> None:
        self.kept += [one.as_json() for one in entries]


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def ana(tmp_path: Path, place: Place, told: list[str]) -> Publishing:
    table = TableCopy(str(tmp_path / "delta"), {})
    return Publishing(tmp_path / "rules.yaml", "ana", copies=(place, table), tell=told.append)


@pytest.fixture
def ben(tmp_path: Path, place: Place, told: list[str]) -> Publishing:
    table = TableCopy(str(tmp_path / "delta"), {})
    return Publishing(tmp_path / "rules.yaml", "ben", copies=(place, table), tell=told.append)


def words(place: Place, ana: Publishing) -> list[str]:
    return [one.words for one in differences(place.name, place.records(), ana.audit.entries())]


def test_every_record_is_in_file_topic_and_table(
    ana: Publishing, ben: Publishing, place: Place, told: list[str], tmp_path: Path
) -> None:
    ben.approve(ana.propose(rules("one"), "n").number)
    ben.reject(ana.propose(rules("two"), "n").number)
    lines = ana.audit.file.read_text().splitlines()
    assert len(lines) == 5
    assert place.kept == lines
    assert TableCopy(str(tmp_path / "delta"), {}).records() == lines
    assert told == []


def test_what_is_published_while_a_copy_is_away_stands_and_is_brought_later(
    ana: Publishing, ben: Publishing, place: Place, told: list[str]
) -> None:
    number = ana.propose(rules("one"), "n").number
    place.is_away = True
    ben.approve(number)
    assert ana.verify()[-1].action == "approved", "it is in force"
    assert told == ["warning: the copies of the audit lack its newest records: no Kafka broker answers"]
    place.is_away = False
    assert words(place, ana) == ["topic audit: record 2 to 3 not there yet; run `fraud audit copy`"]
    ana.propose(rules("two"), "n")
    assert words(place, ana) == []
    assert len(told) == 1


def changed(record: str, **fields: str) -> str:
    """Change a record, and make its hash fit."""
    entry = Entry.model_validate_json(record).model_copy(update=fields)
    return entry.model_copy(update={"hash": entry.hashed()}).model_dump_json()


def test_a_gap_a_changed_record_and_a_file_that_was_cut_off_are_named(
    ana: Publishing, ben: Publishing, place: Place, told: list[str]
) -> None:
    for version in ("one", "two", "three"):
        ben.approve(ana.propose(rules(version), "n").number)
    whole = list(place.kept)
    place.kept = whole[:2] + whole[3:]
    assert words(place, ana) == ["topic audit: record 3 is missing"]
    place.kept = [*whole[:4], whole[4].replace("ben", "eve"), *whole[5:]]
    assert words(place, ana) == ["topic audit: record 5 was changed after it was written"]
    place.kept = [*whole[:4], changed(whole[4], by="eve"), *whole[5:]]
    assert words(place, ana) == ["topic audit: record 5 is another one than in the file"]
    place.kept = [*whole, whole[6], changed(whole[6], by="eve")]
    assert words(place, ana) == ["topic audit: record 7 is there twice, in two forms"]
    place.kept = [*whole, "{}"]
    assert words(place, ana) == ["topic audit: its 8. record cannot be read: Field required"]
    place.kept = whole
    lines = ana.audit.file.read_text().splitlines(keepends=True)
    ana.audit.file.write_text("".join(lines[:-1]))
    assert len(words(place, ana)) == 1
    assert words(place, ana)[0].startswith("the file lacks record 7 of topic audit (ben approved three+")
    with pytest.raises(BadState, match="its end was cut off"):
        bring((place,), ana.audit.entries())
    ana.propose(rules("four"), "n")
    assert place.kept == whole, "what differs is never written to"
    assert "record 7 is another one than in the file" in told[-1]


def test_a_record_that_came_twice_counts_once(ana: Publishing, place: Place) -> None:
    ana.propose(rules("one"), "n")
    place.kept *= 2
    assert words(place, ana) == []


def test_troubles_are_told_for_the_file_and_for_each_copy(
    ana: Publishing, ben: Publishing, place: Place
) -> None:
    ben.approve(ana.propose(rules("one"), "n").number)
    assert ana.troubles() == []
    place.is_away = True
    assert ana.troubles() == ["topic audit: no Kafka broker answers"]
    place.is_away = False
    del place.kept[0]
    assert ana.troubles() == ["topic audit: record 1 is missing"]
    ana.file.write_bytes(rules("by hand"))
    (words,) = ana.troubles()
    assert "is not what was published last" in words
