"""Lists through a real broker: changed by people, and seen by the scoring service and the stream."""

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.decide.list_changes import (
    ChangeAuthor,
    ListResult,
    change,
    changes_of,
    create,
    opened,
    read_file,
    write_file,
)
from fraud.decide.lists import ListKind
from fraud.decide.rules import RuleFile, RulesAt
from fraud.errors import BadInput, Unavailable
from fraud.kafka.producer import Producer, ProducerSettings
from fraud.rules.audit_copies import differences
from fraud.rules.audit_topic import TopicCopy
from fraud.rules.published import PublishedRules
from fraud.rules.publishing import Publishing
from fraud.settings.stream import KafkaSettings
from jobs.stream.rules import StreamLists, StreamRules
from tests.services.scoring.api.test_api import Api

pytestmark = pytest.mark.flow

ANA = ChangeAuthor("ana", "reported")
RULE = {"name": "stolen", "when": "in_list(device_id, 'stolen')", "then": "decline", "reason": "r"}
SEEN_S = 2.0


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=kafka)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "rules.yaml"
    made.write_text(json.dumps({"version": "1", "lists": {"stolen": "live"}, "rules": [RULE]}))
    return made


def entries(*values: str) -> list[tuple[str, datetime | None, str]]:
    return [(value, None, "") for value in values]


def values_of(settings: KafkaSettings, name: str) -> set[str]:
    with opened(settings) as store:
        return {entry["value"] for entry in store.entries(name)}


def test_lists_are_created_filled_emptied_and_carried_over(settings: KafkaSettings, tmp_path: Path) -> None:
    create(settings, "networks", ListKind.IP, ANA, is_hashed=False)
    with pytest.raises(BadInput, match="a list networks already"):
        create(settings, "networks", ListKind.IP, ANA, is_hashed=False)
    with pytest.raises(BadInput, match="there is no list stolen; write one of networks"):
        change(settings, "stolen", "add", entries("d1"), ANA)
    with pytest.raises(BadInput, match=r"entry 2: 'x' is neither an address .* nothing was changed"):
        change(settings, "networks", "add", entries("10.0.0.0/8", "x"), ANA)
    past = [("10.0.0.0/8", datetime(2020, 1, 1, tzinfo=UTC), "")]
    with pytest.raises(
        BadInput, match=r"entry 1: until 2020-01-01T.* is in the past; .* nothing was changed"
    ):
        change(settings, "networks", "add", past, ANA)
    assert values_of(settings, "networks") == set()
    source = tmp_path / "networks.csv"
    source.write_text(
        "value,until,why\n10.1.2.3/8,2099-01-01T00:00:00+00:00,bots\n10.0.0.0/8,,\n192.0.2.1,,\n"
    )
    assert change(settings, "networks", "add", read_file(source), ANA) == ListResult(2, already=0, repeated=1)
    again = change(settings, "networks", "add", entries("10.0.0.0/8"), ANA)
    assert again == ListResult(1, already=1, repeated=0)
    change(settings, "networks", "remove", entries("192.0.2.1"), ChangeAuthor("ben", "a mistake"))
    assert values_of(settings, "networks") == {"10.0.0.0/8"}
    for gone in ("192.0.2.1", "198.51.100.7"):
        with pytest.raises(BadInput, match=rf"entry 2: '{gone}' is not in networks; nothing was changed"):
            change(settings, "networks", "remove", entries("10.0.0.0/8", gone), ANA)
    assert values_of(settings, "networks") == {"10.0.0.0/8"}
    told = [
        (one.by, one.action, one.value, one.why) for _, one in changes_of(settings, "networks", "192.0.2.1")
    ]
    assert told == [
        ("ana", "add", "192.0.2.1/32", "reported"),
        ("ben", "remove", "192.0.2.1/32", "a mistake"),
    ]
    times = [at for at, _ in changes_of(settings, "networks")]
    assert len(times) == 5, "created, two added, one of them again, one removed"
    assert times == sorted(times)
    until = [("203.0.113.0/24", datetime(2099, 1, 1, tzinfo=UTC), "bots")]
    change(settings, "networks", "add", until, ANA)
    given = {"FRAUD_STREAM_KAFKA_BOOTSTRAP": settings.kafka_bootstrap}
    shown = CliRunner().invoke(app, ["lists", "show", "networks"], env=given).output.splitlines()
    assert [line.split(maxsplit=2)[2] for line in shown] == [
        "ana  10.0.0.0/8  reported",
        "ana  203.0.113.0/24  until 2099-01-01 00:00  bots",
    ]
    change(settings, "networks", "remove", entries("203.0.113.0/24"), ANA)
    with opened(settings) as store:
        assert write_file(tmp_path / "out.csv", store.entries("networks")) == 1
    assert read_file(tmp_path / "out.csv") == [("10.0.0.0/8", None, "reported")]


def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path) -> None:
    source = tmp_path / "some.csv"
    source.write_text("value,until\nd1,2099-01-01T00:00:00+00:00\nd2,tomorrow\n")
    with pytest.raises(BadInput, match=r"some\.csv:3: 'tomorrow' is no time"):
        read_file(source)
    source.write_text("d1\n\n d2 \n")
    assert [value for value, _, _ in read_file(source)] == ["d1", "d2"]
    source.write_text("item,until\nd1,\n")
    with pytest.raises(BadInput, match=r"some\.csv:1: the header has the column until, but no column value"):
        read_file(source)
    source.write_text("")
    assert read_file(source) == []


def lists(settings: KafkaSettings, *words: str) -> str:
    """Run ``fraud lists``; gives what it prints."""
    given = {"FRAUD_STREAM_KAFKA_BOOTSTRAP": settings.kafka_bootstrap}
    return CliRunner().invoke(app, ["lists", *words], env=given).output.strip()


def test_the_commands_tell_what_was_there_already_and_refuse_what_is_none(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    assert lists(settings, "create", "Bad Name") == (
        "error: the name of a list has 1 to 64 of a-z, 0-9 and _, and begins with a letter"
    )
    assert lists(settings, "create", "cards").startswith("created cards")
    assert lists(settings, "add", "cards", "c1", "c2", "c1") == "cards: 2 added; 1 given more than once"
    assert lists(settings, "add", "cards", "c2", "c3") == (
        "cards: 1 added; 1 there already, with the new reason and end"
    )
    too_long = "entry 1: a reason has 300 characters at most; nothing was changed"
    assert lists(settings, "add", "cards", "c4", "--why", "x" * 301) == f"error: {too_long}"
    nobody = "entry 1: the name of the person who changes a list has 1 to 64 characters; nothing was changed"
    assert lists(settings, "add", "cards", "c4", "--by", "x" * 65) == f"error: {nobody}"
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert lists(settings, "import", "cards", str(empty)) == (
        "error: there are no entries; give at least one value"
    )
    assert lists(settings, "remove", "cards", "c1", "c3") == "cards: 2 removed"
    assert values_of(settings, "cards") == {"c2"}
    assert lists(settings, "add", "cards", "c1") == "cards: 1 added", "one that was removed is new"


def definitions_of(api: Api) -> set[str]:
    api.service.lists.look()
    return set(api.service.lists.store.definitions())


def wait_for(is_so: Callable[[], bool]) -> float:
    """Wait for a condition; returns how long that took, seconds."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < 30.0
        time.sleep(0.02)
    return time.monotonic() - started


def test_the_scoring_service_changes_and_sees_a_list(kafka: str, file: Path, tmp_path: Path) -> None:
    sender = Producer(ProducerSettings(bootstrap=kafka))
    api = Api(tmp_path, kafka=sender, kafka_bootstrap=kafka, rules_file=file, model_wait_s=0.1)
    api.service.start()

    def ask(**body: Any) -> tuple[int, Any]:
        answer = api.call("POST", "/v1/lists", json={"list": "stolen", **body})
        return answer.status_code, answer.json()

    def outcome() -> str:
        answer = api.score(transaction_id=f"t{time.monotonic_ns()}", device_id="d-9").json()
        return "decline" if "stolen" in answer["rules"] else "other"

    try:
        api.score(transaction_id="t-first")  # compiles the fold
        assert ask(action="add", value="d-9")[0] == 422, "there is no such list"
        assert ask(action="create")[0] == 422, "of what kind?"
        assert ask(action="create", kind="text") == (200, {"list": "stolen", "status": "accepted"})
        wait_for(lambda: "stolen" in definitions_of(api))
        assert ask(action="create", kind="text")[0] == 422, "there is one"
        assert ask(action="add", value="d-9", until="2020-01-01T00:00:00Z")[0] == 422, "it has ended"
        assert ask(action="add", value="d-9", why="reported")[0] == 200
        assert wait_for(lambda: outcome() == "decline") < SEEN_S
        assert "@" in api.score(transaction_id="t-last").json()["policy_version"]
        assert [entry["by"] for entry in api.service.lists.store.entries("stolen")] == ["anonymous"]
        assert ask(action="remove", value="d-9")[0] == 200
        assert wait_for(lambda: outcome() == "other") < SEEN_S
    finally:
        api.service.stop()


def test_a_micro_batch_that_runs_again_sees_the_lists_that_it_saw(
    settings: KafkaSettings, file: Path, tmp_path: Path
) -> None:
    create(settings, "stolen", ListKind.TEXT, ANA, is_hashed=False)
    change(settings, "stolen", "add", entries("d1"), ANA)
    home = tmp_path / "rules"

    def seen(at: RulesAt | None) -> dict[str, bool]:
        assert at is not None
        assert at.lists is not None
        now_s = datetime.now(UTC).timestamp()
        view = readers.view(["stolen"], now_s, at.lists_version)
        return {value: value in view["stolen"] for value in ("d1", "d2")}

    lists = StreamLists(home, settings.kafka_bootstrap, {})
    rules = StreamRules(file, home, lists=lists)
    first = rules.of(1, 0)
    readers = lists.store
    assert seen(first) == {"d1": True, "d2": False}
    change(settings, "stolen", "add", entries("d2"), ANA)
    change(settings, "stolen", "remove", entries("d1"), ANA)
    assert rules.of(1, 0) == first, "its query was started again"
    batches = count(1)
    wait_for(lambda: seen(rules.of(1, next(batches))) == {"d1": False, "d2": True})
    assert seen(first) == {"d1": True, "d2": False}, "also once the store has the changes"
    last = rules.of(1, next(batches))
    number = next(batches) - 1
    lists.close()
    change(settings, "stolen", "add", entries("d1"), ANA)
    lists = StreamLists(home, settings.kafka_bootstrap, {})
    after_crash = StreamRules(file, home, number, lists=lists)
    assert after_crash.of(1, number) == last
    lists.close()
    shutil.rmtree(home / "lists")  # the rest of the folder comes from an object store
    lists = StreamLists(home, settings.kafka_bootstrap, {})
    on_an_empty_disk = StreamRules(file, home, number, lists=lists)
    assert on_an_empty_disk.of(1, number) == last
    readers = lists.store
    assert seen(last) == {"d1": False, "d2": True}
    lists.close()
    shutil.rmtree(home / "lists")
    lists = StreamLists(home, "127.0.0.1:9", {})
    with pytest.raises(Unavailable, match="a micro-batch runs again, and its lists are missing"):
        StreamRules(file, home, number, lists=lists).of(1, number)
    lists.close()


def test_published_rules_reach_programs_by_the_topic_of_the_audit(
    kafka: str, file: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    topic = TopicCopy(kafka, {})
    ana, ben = (Publishing(tmp_path / "own.yaml", who, copies=(topic,), tell=told.append) for who in "ab")
    source = PublishedRules(tmp_path / "program" / "rules.yaml", kafka)
    rules = RuleFile(source.file, source=source)
    assert rules.rules.rules == (), "nothing was published yet"
    large = file.read_bytes() + b" " * 1_500_000  # above what Kafka takes by default
    first = ben.approve(ana.propose(large, "rules", "case 7").number)
    wait_until(rules.look, "the rules were published")
    assert rules.rules.version == first.version
    second = ben.approve(ana.propose(file.read_bytes(), "rules").number)
    wait_until(rules.look, "other rules were published")
    assert rules.rules.version == second.version
    assert ana.undo("it runs wild").version == first.version
    wait_until(rules.look, "they were undone")
    assert rules.rules.version == first.version
    begins = datetime.now(UTC) + timedelta(seconds=5)
    third = ben.approve(ana.propose(file.read_bytes(), "rules").number, starts=begins)
    wait_until(rules.look, "the time of other rules had come")
    assert datetime.now(UTC) >= begins
    assert rules.rules.version == third.version
    assert ana.begin_due(), "who publishes writes the file, too"
    ana.undo()
    wait_until(rules.look, "they were undone")
    assert ana.undo("all of it").version.startswith("none-published+")
    wait_until(rules.look, "the first publication was undone")
    assert rules.rules.rules == ()
    assert told == []
    assert topic.records() == ana.audit.file.read_text().splitlines()
    assert differences(topic.name, topic.records(), ana.audit.entries()) == []
    forged = ana.audit.entries()[-1].model_copy(update={"number": 11, "content": "version: x\nrules: []\n"})
    topic.append([forged])
    wait_until(lambda: rules.look() or rules.refused, "a record was refused")
    assert "record 11 does not follow record 10" in rules.refused
    assert rules.rules.rules == ()
    again = PublishedRules(source.file, "127.0.0.1:9")
    again.load(1.0)
    assert again.trouble, "it goes on with the file that an earlier run left"
    with pytest.raises(Unavailable, match="the published rules cannot be read"):
        PublishedRules(tmp_path / "none.yaml", "127.0.0.1:9").load(1.0)
    source.close()


def wait_until(is_so: Callable[[], object], words: str) -> None:
    give_up = time.monotonic() + 20.0
    while not is_so():
        assert time.monotonic() < give_up, words
        time.sleep(0.02)
