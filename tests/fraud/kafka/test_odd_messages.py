"""A follower skips records that it cannot read, and takes the right one after them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fraud.contracts.topics import AUDIT, DECISIONS, LABELS, LISTS, ORDERED, RATES, SESSIONS
from fraud.decide.list_log import ListFollower
from fraud.decide.lists import ListStore
from fraud.kafka.rates import RateFeed
from fraud.rules.audit import FIRST, Entry
from fraud.rules.published import PublishedRules
from fraud.runtime.waiting import wait_until
from services.console.ended import EndedSessions
from services.console.live import Follower, Live
from services.console.sessions import Session, Sessions
from services.console.settings import ConsoleSettings
from tests.deployed import SCHEMA
from tests.fraud.kafka.broker import Broker

WEEK_S: Final = 604_800.0
MANY: Final = "9" * 6_000
_ODD: Final = [f"{MANY}", '"x"', "[]", "{}", "null", "true", "-1", "0", "1e400", "NaN", "2e308", '"\\ud800"']
_WHOLE: Final = [b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000, b"\x00", "€".encode("utf-16")]
_TIMES: Final = ['"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"']
AT: Final = "2026-03-01T00:00:00Z"


@pytest.fixture
def broker() -> Iterator[Broker]:
    found = Broker()
    yield found
    found.stop()


def send_odd(broker: Broker, topic: str, right: dict[str, Any], **more: list[str]) -> None:
    """Send what is no JSON, what is no record, and records with one odd field each."""
    partition = 0 if topic in ORDERED else -1
    broker.send(topic, *_WHOLE, *(one.encode() for one in _ODD), partition=partition)
    for name in right:
        rest = json.dumps({one: value for one, value in right.items() if one != name})[:-1]
        comma = ", " if len(rest) > 1 else ""
        odd = [*_ODD, *_TIMES, *more.get(name, ())]
        values = [f'{rest}{comma}"{name}": {one}}}'.encode() for one in odd]
        broker.send(topic, *values, key=b"odd", partition=partition)


def test_rates(broker: Broker) -> None:
    right = {"currency": "EUR", "base": "USD", "rate": "1.25", "since": AT}
    wrong = ['"1.' + "0" * 6_000 + '"', '"1.25' + "0" * 30 + '7"', '"1_0"', '"1e999999"', '"1e-999999"']
    send_odd(broker, RATES, right, rate=wrong)
    broker.send(RATES, json.dumps(right).encode(), key=b"right")
    feed = RateFeed("USD", None, broker.address)
    feed.look()
    found = [str(one.rate) for one in feed.rates]
    assert "1.25" in found
    assert all(one.to_base(10_000) >= 0 for one in feed.rates)
    feed.close()


def test_lists(broker: Broker, tmp_path: Path) -> None:
    create = {"list": "some", "action": "create", "by": "ana", "at": AT, "kind": "text"}
    add = {"list": "some", "action": "add", "by": "ana", "at": AT, "value": "d1", "length": 2, "until": None}
    broker.send(LISTS, json.dumps(create).encode(), partition=0)
    send_odd(broker, LISTS, {**create, "list": "others", "salt": ""})
    long = json.dumps("\U0001f600" * 128)
    send_odd(broker, LISTS, {**add, "value": "d2"}, value=[long, '"a\\u0000b"'], length=["129", "-1"])
    broker.send(LISTS, json.dumps(add).encode(), partition=0)
    store = ListStore(tmp_path / "lists")
    follower = ListFollower(store, broker.address)
    follower.load(20.0)
    assert not follower.trouble
    assert follower.bad_records > len(_ODD) + len(_WHOLE)
    found = store.view(["some"], time.time())["some"]
    assert found.hold(["d1", "d3", "\U0001f600" * 128, "x" * 4_096]) == [True, False, False, False]
    follower.close()
    store.close()


def test_published_rules(broker: Broker, tmp_path: Path) -> None:
    content = 'version: "one"\nrules: []\n'
    told = {"number": 1, "at": AT, "by": "ana", "action": "proposed", "proposal": 1, "version": "one"}
    proposed = entry(told | {"content": content, "previous": FIRST})
    told |= {"number": 2, "by": "ben", "action": "approved", "content": content, "previous": proposed.hash}
    send_odd(broker, AUDIT, json.loads(proposed.model_dump_json()), number=["-3", "1000000"])
    broker.send(AUDIT, *(one.model_dump_json().encode() for one in (proposed, entry(told))), partition=0)
    source = PublishedRules(tmp_path / "rules.yaml", broker.address)
    source.load(20.0)
    assert not source.refused
    assert source.file.read_text() == content
    source.close()


def entry(told: dict[str, Any]) -> Entry:
    found = Entry.model_validate(told)
    return found.model_copy(update={"hash": found.hashed()})


def test_logouts(broker: Broker) -> None:
    sessions = Sessions("secret", 60.0)
    ended = Session("ana", "key", "nonce", time.time() + 50.0)
    send_odd(broker, SESSIONS, {"until_s": ended.until_s}, until_s=["9e15"])
    broker.send(SESSIONS, json.dumps({"until_s": ended.until_s}).encode(), key=b"k" * 100_000)
    broker.send(SESSIONS, json.dumps({"until_s": ended.until_s}).encode(), key=ended.nonce.encode())
    settings = ConsoleSettings(kafka_bootstrap=broker.address)
    follower = EndedSessions(settings, sessions, None)  # type: ignore[arg-type]
    follower.start()
    try:
        assert wait_until(lambda: sessions.knows_all, 20.0)
        assert not follower.trouble
        assert not sessions.is_on(ended)
        kept = sessions._ended
        assert all(len(nonce) <= 64 and until <= time.time() + WEEK_S for nonce, until in kept.items())
    finally:
        follower.stop()


def test_decisions_and_labels(broker: Broker) -> None:
    keys = {"user_id": "u", "merchant_id": "m"}
    decision = {
        "transaction_id": "t",
        **keys,
        "event_time": AT,
        "amount": 1.0,
        "outcome": "review",
        "score": 0.5,
        "model_version": "1",
        "features_version": "f",
        "received_at": AT,
        "processed_at": AT,
        "epoch": 1,
        "source_partition": 0,
        "source_offset": 1,
        "rules": [],
        "tags": [],
        "queue": None,
    }
    label = {"transaction_id": "t", **keys, "label_time": AT, "is_fraud": True, "source": "s"}
    broker.send(DECISIONS, b"")  # the topics come with their first records
    broker.send(LABELS, b"")
    live = Live(100)
    follower = Follower(ConsoleSettings(kafka_bootstrap=broker.address), live, SCHEMA)
    follower.start()
    try:
        assert wait_until(lambda: not live.trouble, 20.0)
        send_odd(broker, DECISIONS, {**decision, "transaction_id": "odd"})
        send_odd(broker, LABELS, {**label, "transaction_id": "odd"})
        broker.send(DECISIONS, json.dumps(decision).encode())
        broker.send(LABELS, json.dumps(label).encode())
        assert wait_until(lambda: live.find("t") is not None and live.label("t") is not None, 20.0)
    finally:
        follower.stop()
