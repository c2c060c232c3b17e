"""Lists of every kind, their versions and their ends; kept in LMDB, as every path reads them."""

import json
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.decide.compiling import compile_rules
from fraud.decide.lists import Definition, ListEvent, ListKind, ListRecord, ListStore
from fraud.decide.past_lists import PastLists
from fraud.errors import BadInput

NOW_S = datetime(2026, 6, 1, tzinfo=UTC).timestamp()


class Topic:
    """The records of the topic, and a store that follows it."""

    def __init__(self, folder: Path) -> None:
        self.store = ListStore(folder)
        self.offset = 0
        self.known: dict[str, Definition] = {}

    def send(self, *events: ListEvent, oldest: int = 0) -> int:
        records = [
            ListRecord(self.offset + at, one.model_dump_json().encode(), self.time_of(self.offset + at))
            for at, one in enumerate(events)
        ]
        self.offset += len(records)
        assert self.store.apply(records, oldest) == 0
        return self.offset

    @staticmethod
    def time_of(offset: int) -> float:
        """When the broker takes a record: one a day, until now."""
        return NOW_S + (offset - 26) * 86_400.0

    def create(self, name: str, kind: ListKind, salt: str = "") -> None:
        self.known[name] = Definition(kind=kind, salt=salt)
        self.send(ListEvent(list=name, action="create", by="ana", at=datetime.now(UTC), kind=kind, salt=salt))

    def add(self, name: str, value: str, **more: object) -> int:
        return self.send(self.known[name].event(name, "add", value, by="ana", **more))

    def remove(self, name: str, value: str) -> int:
        return self.send(self.known[name].event(name, "remove", value, by="ben"))

    def holds(self, name: str, value: str, version: int | None = None, now_s: float = NOW_S) -> bool:
        return value in self.store.view([name], now_s, version)[name]


@pytest.fixture
def topic(tmp_path: Path) -> Topic:
    return Topic(tmp_path / "lists")


@pytest.mark.parametrize(
    ("kind", "entry", "values"),
    [
        (ListKind.TEXT, "d1", (["d1"], ["d", "d11", "D1"])),
        (ListKind.IP, "10.1.2.3/8", (["10.0.0.1", "10.255.0.9"], ["11.0.0.1", "10.0.0.1x", "::1"])),
        (ListKind.IP, "10.0.0.7", (["10.0.0.7"], ["10.0.0.8"])),
        (ListKind.IP, "2001:db8::/32", (["2001:db8:1::9"], ["2001:db9::1", "32.1.13.184"])),
        (
            ListKind.EMAIL,
            "Ann@Bad.example",
            (
                ["ann@bad.example", " ANN@BAD.EXAMPLE"],
                ["ben@bad.example", "bad.example", "ann@bad.example.org"],
            ),
        ),
        (
            ListKind.EMAIL_DOMAIN,
            "Ann@Bad.example",
            (
                ["x@bad.example", "y@mail.BAD.example", "bad.example"],
                ["x@good.example", "x@notbad.example", "example"],
            ),
        ),
        (ListKind.BIN, "411111", (["4111110000000000", "411111"], ["4111100000000000", "41111"])),
    ],
)
@pytest.mark.parametrize("salt", ["", "a salt of this list"])
def test_a_value_is_looked_up_by_the_kind_of_its_list(
    topic: Topic, kind: ListKind, entry: str, values: tuple[list[str], list[str]], salt: str
) -> None:
    held, not_held = values
    topic.create("some", kind, salt)
    topic.add("some", entry)
    assert [value for value in held if not topic.holds("some", value)] == []
    assert [value for value in not_held if topic.holds("some", value)] == []


def test_a_hashed_list_keeps_no_value(topic: Topic, tmp_path: Path) -> None:
    topic.create("people", ListKind.TEXT, "salt")
    topic.add("people", "ann-smith-7")
    assert topic.holds("people", "ann-smith-7")
    assert b"ann-smith-7" not in (tmp_path / "lists" / "data.mdb").read_bytes()
    assert [one["value"][0] for one in topic.store.entries("people")] == ["#"]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (ListKind.IP, "10.0.0.300", "neither an address nor a network"),
        (ListKind.EMAIL, "bad.example", "no e-mail address like ann@example.com"),
        (ListKind.EMAIL, "İ" * 60 + "@bad.example", "1 to 128"),
        (ListKind.EMAIL_DOMAIN, "ann@localhost", "neither an e-mail address nor a domain"),
        (ListKind.BIN, "41 11", "4 to 11 digits"),
        (ListKind.TEXT, "a\nb", "printable"),
        (ListKind.TEXT, "x" * 129, "1 to 128"),
        (ListKind.TEXT, "\U0001f600" * 128, "446 bytes at most"),
    ],
)
def test_a_value_that_is_not_of_the_kind_is_refused(kind: ListKind, value: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Definition(kind=kind).event("some", "add", value, by="ana")


@settings(max_examples=60)
@given(
    actions=st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from([None, -1, 1])), max_size=25
    ),
    cuts=st.sets(st.integers(1, 25), max_size=5),
)
def test_a_version_sees_what_stood_before_it_whatever_came_later(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[tuple[str, bool, int | None]],
    cuts: set[int],
) -> None:
    topic = Topic(tmp_path_factory.mktemp("lists"))
    topic.create("some", ListKind.TEXT)
    expected = {1: dict.fromkeys("abc", False)}
    for value, is_add, days in actions:
        until = datetime.fromtimestamp(NOW_S, UTC) + timedelta(days=days) if days else None
        event = topic.known["some"].event("some", "add" if is_add else "remove", value, by="a", until=until)
        oldest = max((cut for cut in cuts if cut <= topic.offset), default=0)
        version = topic.send(event, oldest=oldest)
        expected[version] = {**expected[version - 1], value: is_add and days != -1}
        for known, wanted in expected.items():
            if known >= oldest:
                assert {one: topic.holds("some", one, known) for one in "abc"} == wanted, (known, oldest)


@settings(max_examples=60)
@given(
    actions=st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from([None, -20, 1])), max_size=20
    ),
    moments=st.lists(st.tuples(st.integers(0, 26), st.booleans(), st.sampled_from("abcd")), min_size=1),
    salt=st.sampled_from(["", "salt"]),
)
def test_each_of_many_moments_sees_the_list_as_it_was_then(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[tuple[str, bool, int | None]],
    moments: list[tuple[int, bool, str]],
    salt: str,
) -> None:
    """By the version that a decision names, or by its time; by many at once, or one by one."""
    topic = Topic(tmp_path_factory.mktemp("lists"))
    topic.create("some", ListKind.TEXT, salt)
    for value, is_add, days in actions:
        until = datetime.fromtimestamp(NOW_S, UTC) + timedelta(days=days) if days else None
        topic.send(
            topic.known["some"].event("some", "add" if is_add else "remove", value, by="a", until=until)
        )
    versions = np.array([version if is_named else -1 for version, is_named, _ in moments])
    # A moment before the record with the version's offset, and after all before it.
    received_s = np.array([topic.time_of(version) - 1.0 for version, _, _ in moments])
    past = PastLists(topic.store).view(["some", "never"], versions, received_s)
    assert list(past) == ["some"]
    texts = ["a", "b", "c", "d"]
    codes = np.array([texts.index(value) for _, _, value in moments], np.int32)
    wanted = [
        topic.holds("some", value, version, at)
        for (version, _, value), at in zip(moments, received_s, strict=True)
    ]
    assert past["some"].hold(codes, texts).tolist() == wanted
    assert [value in past["some"].at(row) for row, (_, _, value) in enumerate(moments)] == wanted
    topic.store.close()


def test_a_version_of_a_topic_that_is_gone_counts_by_its_time(topic: Topic) -> None:
    topic.create("some", ListKind.TEXT)
    topic.add("some", "a")
    at = np.array([topic.time_of(1) - 1.0, topic.time_of(1) + 1.0])
    past = PastLists(topic.store).view(["some"], np.array([5_000, 5_000]), at)["some"]
    assert past.hold(np.zeros(2, np.int32), ["a"]).tolist() == [False, True]


def test_from_when_on_all_changes_are_known_is_told(topic: Topic) -> None:
    topic.create("some", ListKind.TEXT)
    assert topic.store.known_since_s == 0.0
    topic.offset = 9
    topic.add("some", "a")
    assert topic.store.known_since_s == topic.time_of(9)
    topic.add("some", "b")
    assert topic.store.known_since_s == topic.time_of(9)


def test_an_entry_tells_who_when_why_and_until(topic: Topic) -> None:
    topic.create("some", ListKind.TEXT)
    end = datetime.now(UTC) + timedelta(days=1)
    topic.add("some", "d1", why="reported", until=end)
    topic.add("some", "d2", until=datetime.now(UTC) - timedelta(days=1))
    topic.add("some", "d3")
    topic.remove("some", "d3")
    (entry,) = topic.store.entries("some")
    assert (entry["value"], entry["by"], entry["why"], entry["until"]) == (
        "d1",
        "ana",
        "reported",
        end.timestamp(),
    )
    assert datetime.fromisoformat(entry["at"]).tzinfo is not None


def test_what_cannot_be_read_changes_nothing_and_is_counted(topic: Topic) -> None:
    topic.create("some", ListKind.TEXT)
    values = (b"{", None, b'{"list": "some"}')
    assert topic.store.apply(ListRecord(at, value, NOW_S) for at, value in enumerate(values, 1)) == 3
    assert topic.store.position == 4


def test_a_rule_reads_a_live_list_and_one_that_is_not_there_is_unknown(topic: Topic) -> None:
    rule = {"name": "r", "when": "in_list(device_id, 'some')", "then": "decline", "reason": "r"}
    rules = compile_rules(json.dumps({"version": "1", "lists": {"some": "live"}, "rules": [rule]}).encode())
    assert (rules.live_lists, rules.version_with(7)) == ({"some"}, f"{rules.version}@7")
    row = {"device_id": "d1"}
    assert rules.holding(row, "u", NOW_S, topic.store.view(rules.live_lists, NOW_S)).failed == ("r",)
    topic.create("some", ListKind.TEXT)
    assert not rules.holding(row, "u", NOW_S, topic.store.view(rules.live_lists, NOW_S)).live
    topic.add("some", "d1")
    assert rules.holding(row, "u", NOW_S, topic.store.view(rules.live_lists, NOW_S)).live


def test_two_hundred_thousand_entries_take_no_memory_of_the_process(topic: Topic) -> None:
    topic.create("some", ListKind.TEXT)
    topic.add("some", "first")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for first in range(0, 200_000, 20_000):
        definition = topic.known["some"]
        topic.send(*(definition.event("some", "add", f"d{first + at}", by="a") for at in range(20_000)))
    assert topic.holds("some", "d199999")
    assert not topic.holds("some", "d200000")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
