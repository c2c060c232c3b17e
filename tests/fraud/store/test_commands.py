"""`fraud store`: what a person sees of a store that the fold has written, in each backend."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fraud.errors import BadInput
from fraud.features.batch import fold_passes
from fraud.features.engine import fold_events
from fraud.features.events import event_of_label, event_of_transaction, stack_events
from fraud.features.hashing import hash_text
from fraud.features.plan import compile_plan
from fraud.features.snapshot import read_snapshot
from fraud.schema.default import MERCHANT, USER
from fraud.settings.stream import StoreSettings
from fraud.store import LATEST, Epoch, Watermark, open_store
from fraud.store.commands import app
from fraud.store.lmdb.store import _KEY
from jobs.stream.settings import StreamSettings
from tests.deployed import ENTITIES
from tests.fraud.store.conftest import make_urls
from tests.wire import Label, Transaction

START = datetime(2026, 3, 1, tzinfo=UTC)


def transaction(i: int, user: str, merchant: str, hours: float) -> Transaction:
    time = START + timedelta(hours=hours)
    return Transaction(
        transaction_id=f"t{i}", event_time=time, user_id=user, merchant_id=merchant, amount=10.0 + i
    )


def write(url: str, records: list[Transaction], labelled: Transaction | None = None) -> None:
    events = [event_of_transaction(record) for record in records]
    if labelled is not None:
        fields = {"transaction_id", "user_id", "merchant_id", "event_time"}
        label = Label(**labelled.model_dump(include=fields), label_time=labelled.event_time, is_fraud=True)
        events.append(event_of_label(label))
    folded = fold_passes(stack_events(events))
    with open_store(url) as store:
        token = store.acquire("test")
        for entity, states in folded.states.items():
            store.write(entity, states, Epoch(2, 17), token)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return result.output


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture(params=["lmdb", "redis"])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    return make_urls(request, tmp_path_factory)


@pytest.fixture
def filled(url: str) -> str:
    records = [transaction(i, "anna", f"shop {i % 2}", 0.25 * i) for i in range(8)]
    write(url, [*records, transaction(8, "ben", "shop 0", 24.0 * 230)], records[3])
    return url


def test_inspect_shows_a_user_as_the_fold_has_left_it(filled: str) -> None:
    found = run_json("inspect", "--key", "anna", "--store", filled)
    assert (found["entity"], found["name"], found["key"]) == ("user", "anna", int(hash_text("anna")))
    assert (found["generation"], found["batch"]) == (2, 17)
    state = found["state"]
    assert state["newest_event"] == "2026-03-01T01:45:00+00:00"
    assert state["transactions"] == 8
    assert [event["amount"] for event in state["kept"]] == [10.0 + i for i in range(8)]
    assert [event["is_fraud"] for event in state["kept"]] == [None] * 3 + [True] + [None] * 4
    hashes = [value["value_hash"] for value in state["known"]["merchant"]]
    assert hashes == [int(hash_text("shop 0")), int(hash_text("shop 1"))]
    assert state["known"]["device"] == []
    assert state["windows"]["count_1h_by_user"] == 4.0
    assert state["windows"]["amount_mean_24h_by_user"] == 13.5
    assert state["windows"]["fraud_share_7d_by_user"] == 0.125
    assert state["windows"]["merchant_distinct_24h_by_user"] == 2.0


def test_inspect_shows_a_merchant_in_words(filled: str) -> None:
    shown = run("inspect", "--entity", "merchant", "--key", "shop 1", "--store", filled)
    for text in ("merchant shop 1", "2026-03-01 01:45:00 UTC", "4 folded", "generation 2, micro-batch 17"):
        assert text in shown
    assert "amount_max_24h_by_merchant" in shown
    assert "fraud" in shown


def test_inspect_changes_nothing(filled: str) -> None:
    def content() -> list[Any]:
        with open_store(filled) as store:
            return [sorted(store.scan(kind)) for kind in ENTITIES]

    before = content()
    run("inspect", "--key", "anna", "--store", filled)
    run("stats", "--store", filled)
    assert content() == before


@pytest.mark.parametrize(("entity", "key"), [("user", "carl"), ("merchant", "anna"), ("user", "Anna")])
def test_an_unknown_key_is_an_error_that_says_why_it_may_be_missing(
    filled: str, entity: str, key: str
) -> None:
    with pytest.raises(BadInput, match=f"knows no {entity} '{key}'"):
        run("inspect", "--entity", entity, "--key", key, "--store", filled)


def test_inspect_names_the_entities_where_there_is_no_such_one(filled: str) -> None:
    with pytest.raises(BadInput, match="--entity card: there is no such entity; write one of user, merchant"):
        run("inspect", "--entity", "card", "--key", "anna", "--store", filled)


def test_stats_count_and_tell_the_ages(filled: str) -> None:
    users, merchants = run_json("stats", "--store", filled)
    assert (users["entity"], users["entities"], merchants["entities"]) == ("user", 2, 2)
    assert users["oldest"] == merchants["oldest"] == "2026-03-01T01:45:00+00:00"
    assert users["age_days"]["age max"] == pytest.approx(230 - 1.75 / 24)
    assert users["stored_bytes"] > users["entities"] * 12 * 8
    shown = run("stats", "--store", filled)
    assert "user" in shown
    assert "229.9" in shown


def test_stats_of_an_empty_store_are_zero(url: str) -> None:
    open_store(url).close()
    assert [found["entities"] for found in run_json("stats", "--store", url)] == [0, 0]
    assert "empty" in run("expire", "--store", url)


def test_expire_deletes_the_idle_beside_a_running_writer(filled: str) -> None:
    with open_store(filled) as store:
        token = store.acquire("stream")
    assert "deleted 1 users and 1 merchants" in run("expire", "--store", filled)
    with open_store(filled) as store:
        assert store.read("user", [hash_text("anna")], LATEST) == [None]
        store.write("user", {1.0: bytes(96)}, Epoch(2, 18), token)


def test_expire_refuses_what_features_would_show_unless_told(filled: str) -> None:
    with pytest.raises(BadInput, match="212 days"):
        run("expire", "--older-than-days", "30", "--store", filled)
    assert "deleted 1 users" in run("expire", "--older-than-days", "30", "--inexact", "--store", filled)


def test_a_wrong_clock_in_the_future_makes_nobody_idle(url: str) -> None:
    now = datetime.now(UTC)
    hours = [(time - START) / timedelta(hours=1) for time in (now, datetime(2099, 1, 1, tzinfo=UTC))]
    write(url, [transaction(i, f"u{i}", "shop", at) for i, at in enumerate(hours)])
    assert "deleted 0 users and 0 merchants" in run("expire", "--store", url)


def test_forgetting_after_the_promised_time_shows_in_no_feature() -> None:
    past = [transaction(i, "anna", "shop", i) for i in range(50)]
    later = [transaction(100 + i, "anna", "shop", 24 * 180 + 50 + i * 5) for i in range(20)]
    new = stack_events([event_of_transaction(record) for record in later])
    for entity, name in ((USER, "anna"), (MERCHANT, "shop")):
        state = fold_events(entity, stack_events([event_of_transaction(r) for r in past]), {}).states
        kept = fold_events(entity, new, state)
        forgotten = fold_events(entity, new, {})
        assert kept.vectors.tobytes() == forgotten.vectors.tobytes()
        snapshots = [
            read_snapshot(compile_plan(entity), folded.states[hash_text(name)])
            for folded in (kept, forgotten)
        ]
        assert snapshots[0].known == snapshots[1].known


def test_a_state_of_a_label_alone_can_be_read() -> None:
    names = {"transaction_id": "t1", "user_id": "anna", "merchant_id": "shop"}
    label = Label(**names, event_time=START, label_time=START, is_fraud=True)
    folded = fold_events(USER, stack_events([event_of_label(label)]), {})
    found = read_snapshot(compile_plan(USER), folded.states[hash_text("anna")])
    assert (found.newest_event, found.transactions, found.kept) == (None, 0, ())
    assert math.isnan(found.windows["amount_mean_24h_by_user"])


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["stats", "--store", f"lmdb://{tmp_path / 'none'}"])
    assert "no feature store in" in str(result.exception)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "variables",
    [{}, {"FRAUD_STREAM_HOME": "/somewhere"}, {"FRAUD_STREAM_STORE_URL": "redis://host/0"}],
    ids=["default", "home", "url"],
)
def test_the_commands_look_where_the_stream_keeps_its_store(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert StoreSettings().store == StreamSettings().store


def fold_one(entity: Any, when: datetime) -> bytes:
    record = Transaction(transaction_id="t", event_time=when, user_id="u", merchant_id="m", amount=1.0)
    (state,) = fold_events(entity, stack_events([event_of_transaction(record)]), {}).states.values()
    return state


def check(url: str, exit_code: int) -> Any:
    result = CliRunner().invoke(app, ["check", "--store", url, "--json"], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    if exit_code:
        assert "`fraud replay rebuild-store --replace`" in result.stderr
    return json.loads(result.stdout)


def test_check_finds_nothing_in_a_store_as_the_fold_leaves_it(filled: str) -> None:
    with open_store(filled) as store:
        store.advance(Watermark("q", Epoch(2, 17)), None, store.acquire("test"))
    found = check(filled, 0)
    assert found["watermark"] == {"query_id": "q", "generation": 2, "batch": 17}
    assert found["entities"] == {"user": 2, "merchant": 2}
    assert found["first"] == []
    assert "micro-batch 17 of generation 2" in run("check", "--store", filled)


def test_check_finds_corrupt_foreign_and_future_states_among_good_ones(filled: str) -> None:
    good, ahead = fold_one(USER, START), fold_one(USER, datetime.now(UTC) + timedelta(days=400))
    bad = {11.0: good[:-8], 12.0: good[:-3], 13.0: fold_one(MERCHANT, START), 14.0: ahead}
    with open_store(filled) as store:
        store.write("user", {10.0: good, **bad}, Epoch(2, 18), store.acquire("test"))
    found = check(filled, 1)
    assert {name: counts["user"] for name, counts in found["faults"].items()} == {
        "corrupt": 2,
        "another layout": 1,
        "newest event in the future": 1,
    }
    assert sum(counts["merchant"] for counts in found["faults"].values()) == 0
    assert {one["key"] for one in found["first"]} == {11, 12, 13, 14}
    result = CliRunner().invoke(app, ["check", "--store", filled], env={"COLUMNS": "120"})
    assert result.exit_code == 1
    assert "user 11 (hash): corrupt" in result.stdout


def test_check_takes_no_time_for_the_future_that_the_guard_would_accept(
    filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(filled) as store:
        soon = fold_one(USER, datetime.now(UTC) + timedelta(hours=1))
        store.write("user", {10.0: soon}, Epoch(2, 18), store.acquire("test"))
    assert check(filled, 1)["faults"]["newest event in the future"]["user"] == 1
    monkeypatch.setenv("FRAUD_STREAM_MOST_AHEAD_S", "7200")
    check(filled, 0)


@pytest.mark.parametrize("damage", [b"", b"\1\2\3", bytes(8) + b"\xff\xff\xff\x7f" + bytes(100)])
def test_check_finds_values_that_are_not_even_whole(filled: str, damage: bytes) -> None:
    with open_store(filled) as store:
        key = float(hash_text("ben"))
        if filled.startswith("lmdb:"):
            with store._begin(write=True, db=store._states["user"]) as txn:  # type: ignore[attr-defined]
                txn.put(_KEY.pack(key), damage)
        else:
            store._client.set(store._name("user", key), damage)  # type: ignore[attr-defined]
    assert check(filled, 1)["faults"]["corrupt"] == {"user": 1, "merchant": 0}


def test_check_finds_a_store_that_is_not_whole(filled: str) -> None:
    with open_store(filled) as store:
        store.renew(is_whole=False)
    assert check(filled, 1)["is_whole"] is False
