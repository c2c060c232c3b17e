"""Who gets in, what forms must carry, and pages while parts are down; the application without a network."""

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.requests import Request

from fraud.contracts import Outcome
from fraud.errors import BadConfig
from fraud.http.access import ANYONE, Client
from services.console.app import Console
from services.console.live import Live
from services.console.sessions import BROWSER, COOKIE, Sessions
from services.console.settings import ConsoleSettings
from tests.services.console.conftest import World, label_of, settings_of

KEY = "ana-s-secret-key"
HTML = {"accept": "text/html"}


def entry(client: str, key: str = KEY, scopes: str = "read, label") -> str:
    """Write a line of the file of keys."""
    return f"{client}: {{sha256: {hashlib.sha256(key.encode()).hexdigest()}, scopes: [{scopes}]}}\n"


def client_of(console: Console) -> Client:
    found = console.door.keys.find(KEY.encode())
    assert found is not None
    return found


def call(console: Console, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
    """Send requests in one browser's session."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(console.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return [await http.request(method, path, **options) for method, path, options in requests]

    return asyncio.run(ask())


def get(console: Console, path: str, **options: Any) -> httpx.Response:
    return call(console, ("GET", path, options))[0]


@pytest.fixture
def guarded(world: World, tmp_path: Path) -> Console:
    keys = tmp_path / "keys.yaml"
    keys.write_text(entry("ana"))
    return Console(settings_of(world, keys_file=keys, host="0.0.0.0"))  # noqa: S104  (nothing listens)


@pytest.fixture
def console(world: World) -> Console:
    made = Console(settings_of(world))
    for decision in world.decisions:
        made.live.take_decision(decision)
    return made


def test_beyond_this_machine_it_needs_keys(world: World) -> None:
    with pytest.raises(BadConfig, match="FRAUD_CONSOLE_KEYS_FILE"):
        Console(settings_of(world, host="0.0.0.0"))  # noqa: S104  (refused)


@pytest.mark.parametrize("path", ["/", "/cases/t1", "/model", "/experiment", "/events", "/nothing"])
def test_without_a_session_every_page_asks_to_log_in(guarded: Console, path: str) -> None:
    assert get(guarded, path).status_code == 401
    answer = get(guarded, path, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert get(guarded, "/health").status_code == 200


def test_a_key_opens_a_session_and_a_wrong_one_does_not(guarded: Console) -> None:
    wrong, right, home = call(
        guarded,
        ("POST", "/login", {"data": {"key": "wrong"}}),
        ("POST", "/login", {"data": {"key": KEY}}),
        ("GET", "/", {}),
    )
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    cookie = right.headers["set-cookie"].lower()
    assert (right.status_code, "httponly" in cookie, "samesite=strict" in cookie) == (303, True, True)
    assert home.status_code == 200
    assert "ana" in home.text
    assert KEY not in home.text + cookie


def test_a_form_is_read_no_further_than_one_can_be_long(guarded: Console) -> None:
    taken = []

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            taken.append(1)
            yield b"key=" + b"x" * 1_020

    (answer,) = call(guarded, ("POST", "/login", {"content": endless()}))
    assert answer.status_code == 401
    assert len(taken) < 10


def test_keys_cannot_be_guessed_quickly(guarded: Console, tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text(entry("ana") + entry("ben", "bens key"))
    guarded.door.keys.look()
    (before,) = call(guarded, ("POST", "/login", {"data": {"key": KEY}}))
    mark = {"cookie": f"{BROWSER}={before.cookies[BROWSER]}"}
    attempts = [("POST", "/login", {"data": {"key": str(i)}}) for i in range(12)]
    assert [answer.status_code for answer in call(guarded, *attempts)] == [401] * 10 + [429] * 2
    for key, headers, status in (
        (KEY, {}, 429),  # the guess that is right is told from the others by nothing
        ("bens key", mark, 429),
        ("wrong", mark, 429),
        (KEY, mark, 303),  # others behind the same proxy do not keep out who has used the key here
    ):
        (answer,) = call(guarded, ("POST", "/login", {"data": {"key": key}, "headers": headers}))
        assert answer.status_code == status, (key, headers)


@pytest.mark.parametrize(
    "later",
    [entry("ben"), entry("ana", "another key"), entry("ana", scopes="score")],
    ids=["taken", "new", "scope"],
)
def test_a_session_ends_with_its_key(guarded: Console, tmp_path: Path, later: str) -> None:
    cookie = {"cookie": f"{COOKIE}={guarded.sessions.write(guarded.sessions.begin(client_of(guarded)))}"}
    assert get(guarded, "/", headers=cookie).status_code == 200
    (tmp_path / "keys.yaml").write_text("half a li")
    with pytest.raises(BadConfig, match="FRAUD_CONSOLE_KEYS_FILE"):
        guarded.door.keys.look()
    assert get(guarded, "/", headers=cookie).status_code == 200, "a file that is wrong changes nothing"
    (tmp_path / "keys.yaml").write_text(later)
    guarded.door.keys.look()
    assert get(guarded, "/", headers=cookie).status_code == 401


def test_a_cookie_opens_nothing_after_the_logout(guarded: Console) -> None:
    session = guarded.sessions.begin(client_of(guarded))
    kept = {"cookie": f"{COOKIE}={guarded.sessions.write(session)}"}
    form = {"token": guarded.sessions.token(session)}
    before, out, after = call(
        guarded,
        ("GET", "/", {"headers": kept}),
        ("POST", "/logout", {"headers": kept, "data": form}),
        ("GET", "/", {"headers": kept}),
    )
    assert (before.status_code, out.status_code, after.status_code) == (200, 303, 401)


def test_a_cookie_of_an_older_version_is_no_session(guarded: Console) -> None:
    content = json.dumps(["ana", "nonce", time.time() + 60.0]).encode()
    signature = guarded.sessions._sign(b"session", content)
    cookie = f"{base64.urlsafe_b64encode(content).decode().rstrip('=')}.{signature}"
    assert get(guarded, "/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 401


def test_a_key_without_the_scope_neither_looks_nor_labels(world: World, tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(entry("gateway", "g", "score, label") + entry("ana", scopes="read"))
    made = Console(settings_of(world, keys_file=keys, host="0.0.0.0"))  # noqa: S104
    made.live.take_decision(world.alerts[0])
    (refused,) = call(made, ("POST", "/login", {"data": {"key": "g"}}))
    assert (refused.status_code, "scope `read`" in refused.text) == (403, True)
    session = made.sessions.begin(client_of(made))
    cookie = {"cookie": f"{COOKIE}={made.sessions.write(session)}"}
    form = {"label": "fraud", "token": made.sessions.token(session)}
    path = f"/cases/{world.alerts[0].transaction_id}/label"
    (refused,) = call(made, ("POST", path, {"data": form, "headers": cookie}))
    assert (refused.status_code, "scope `label`" in refused.text) == (403, True)
    assert made.live.label(world.alerts[0].transaction_id) is None


def test_a_case_is_found_by_whatever_its_id_is(console: Console, world: World) -> None:
    console.live.take_decision(world.alerts[0].model_copy(update={"transaction_id": "2026/03/01-17"}))
    assert get(console, "/cases/2026%2F03%2F01-17").status_code == 200
    (refused,) = call(console, ("POST", "/cases/2026%2F03%2F01-17/label", {"data": {"label": "fraud"}}))
    assert refused.status_code == 403, "for want of a token, not of a case"


def test_alerts_between_the_page_and_its_stream_are_sent(console: Console, world: World) -> None:
    page = get(console, "/").text
    number = int(re.search(r'data-number="(\d+)"', page)[1])  # type: ignore[index]
    console.live.take_decision(world.alerts[0].model_copy(update={"transaction_id": "gap-1"}))

    said = listen(console, f"after={number}")
    assert "gap-1" in said
    assert f"id: {console.live.number}\n" in said, "ends with its session"


def listen(console: Console, query: str) -> str:
    """Follow live for three seconds."""

    async def ask() -> str:
        session = replace(console.sessions.begin(ANYONE), until_s=time.time() + 3.0)
        scope = {"type": "http", "query_string": query.encode(), "headers": [], "method": "GET"}
        request = Request(scope, receive=asyncio.Event().wait)
        request.state.session = session
        answer = await console.events(request)
        return "".join([str(part) async for part in answer.body_iterator])  # type: ignore[attr-defined]

    return asyncio.run(ask())


def test_the_alerts_of_a_queue_can_be_seen_alone(world: World) -> None:
    console = Console(settings_of(world))
    sent = {
        "queue": "lost & found",
        "rules": ["stolen", "large"],
        "tags": ["device"],
        "policy_version": "7+ab",
    }
    alerts = world.alerts[:6]
    theirs = [one.model_copy(update=sent) for one in alerts[:2]]
    for decision in (*theirs, *alerts[2:]):
        console.live.take_decision(decision)
    text = get(console, "/").text
    assert 'data-queue="lost &amp; found"' in text
    assert "lost &amp; found (2)" in text
    assert len(re.findall("<tr data-id", text)) == len(alerts)
    alone = get(console, "/?queue=lost+%26+found").text
    assert set(re.findall('<tr data-id="([^"]+)"', alone)) == {one.transaction_id for one in theirs}
    empty = get(console, "/?queue=nobody").text
    assert "<tr data-id" not in empty
    case = get(console, f"/cases/{theirs[0].transaction_id}").text
    for words in ("stolen, large", "device", "lost &amp; found", "7+ab"):
        assert f"<dd>{words}</dd>" in case
    number = console.live.number
    for name, queue in (("new-1", "lost & found"), ("new-2", None)):
        console.live.take_decision(alerts[5].model_copy(update={"transaction_id": name, "queue": queue}))
    said = listen(console, f"after={number}&queue=lost%20%26%20found")
    assert 'data-id=\\"new-1' in said
    assert 'data-id=\\"new-2' not in said


@pytest.mark.parametrize("number", ["9" * 5_000, "-1", "1e9", "²", "x", ""])
@pytest.mark.parametrize("how", ["after", "last-event-id"])
def test_no_event_number_makes_the_console_fail(console: Console, number: str, how: str) -> None:
    query = f"after={quote(number)}" if how == "after" else ""
    head = [(b"last-event-id", number.encode("latin-1"))] if how == "last-event-id" else []
    scope = {"type": "http", "query_string": query.encode(), "headers": head, "method": "GET"}
    request = Request(scope, receive=asyncio.Event().wait)
    request.state.session = console.sessions.begin(ANYONE)
    assert asyncio.run(console.events(request)).status_code == 200


def test_pages_that_follow_live_are_bounded_by_session_and_in_all(world: World) -> None:
    console = Console(settings_of(world, max_readers=3, max_readers_of_one=2))

    async def ask() -> list[int]:
        found, opened = [], []
        for session in [console.sessions.begin(ANYONE)] * 3 + [console.sessions.begin(ANYONE)] * 2:
            scope = {"type": "http", "query_string": b"", "headers": [], "method": "GET"}
            request = Request(scope, receive=asyncio.Event().wait)
            request.state.session = session
            answer = await console.events(request)
            found.append(answer.status_code)
            if answer.status_code == 200:
                opened.append(answer.body_iterator)  # type: ignore[attr-defined]
                await anext(opened[-1])
        for stream in opened:
            await stream.aclose()
        return found

    assert asyncio.run(ask()) == [200, 200, 429, 200, 503]
    assert console._readers.total() == 0


@pytest.mark.parametrize(
    "id_", ["a\nb", "a\n", "\r\n", "a/b", "..a", "a/label", "ü 中", "%0A", "a?b#c", "\x00"]
)
def test_every_id_has_its_page_and_takes_a_label(console: Console, world: World, id_: str) -> None:
    console.live.take_decision(world.alerts[0].model_copy(update={"transaction_id": id_}))
    path = f"/cases/{quote(id_, safe='')}"
    assert get(console, path).status_code == 200
    (refused,) = call(console, ("POST", f"{path}/label", {"data": {"label": "fraud"}}))
    assert refused.status_code == 403, "for want of a token, not of a case"


def test_the_newest_alerts_are_held_in_whatever_order_they_come(world: World) -> None:
    live, at = Live(10), world.alerts[0].processed_at
    for minutes in [*range(20, 40), *range(20)]:
        update = {"transaction_id": f"t{minutes}", "processed_at": at + timedelta(minutes=minutes)}
        live.take_decision(world.alerts[0].model_copy(update=update))
    assert {one.transaction_id for one in live.alerts()} == {f"t{i}" for i in range(30, 40)}


def test_a_forged_or_old_cookie_is_no_session(guarded: Console) -> None:
    foreign = Sessions("another secret", 60.0)
    for cookie in (foreign.write(foreign.begin(client_of(guarded))), "x.y", "", "%%%", "e30=.\xe9"):
        sent = f"{COOKIE}={cookie}".encode("latin-1")
        assert get(guarded, "/", headers=[(b"cookie", sent)]).status_code == 401
    old = Sessions("s", -1.0)
    assert old.read(old.write(old.begin(ANYONE))) is None


def test_a_form_without_this_session_s_token_changes_nothing(console: Console, world: World) -> None:
    path = f"/cases/{world.alerts[0].transaction_id}/label"
    _, without, wrong = call(
        console,
        ("GET", "/", {}),
        ("POST", path, {"data": {"label": "fraud"}}),
        ("POST", path, {"data": {"label": "fraud", "token": "0" * 64}}),
    )
    assert (without.status_code, wrong.status_code) == (403, 403)
    assert console.live.label(world.alerts[0].transaction_id) is None


def test_a_name_that_only_resolves_to_this_machine_is_refused(console: Console) -> None:
    assert get(console, "/", headers={"host": "evil.example"}).status_code == 403


def test_pages_allow_nothing_from_elsewhere(console: Console) -> None:
    answer = get(console, "/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text


def test_while_kafka_is_away_a_label_is_refused_in_words(console: Console, world: World) -> None:
    path = f"/cases/{world.alerts[0].transaction_id}/label"
    home = get(console, "/")
    cookie = home.headers["set-cookie"].split(";")[0]
    session = console.sessions.read(cookie.split("=", 1)[1])
    assert session is not None
    form = {"label": "fraud", "token": console.sessions.token(session)}
    answer = call(console, ("POST", path, {"data": form, "headers": {"cookie": cookie}}))[0]
    assert answer.status_code == 503
    assert "so it is not stored" in answer.text


def test_a_case_shows_the_user_s_history_its_labels_and_places(console: Console, world: World) -> None:
    case = world.alerts[0]
    page = get(console, f"/cases/{case.transaction_id}").text
    near = [
        row
        for row in world.data.transactions.to_pylist()
        if row["user_id"] == case.user_id
        and case.event_time - timedelta(days=60) <= row["event_time"] <= case.event_time + timedelta(days=1)
    ]
    placed = [row for row in near if row["latitude"] is not None]
    assert page.count('class="event ') == len(near) + len(placed)  # in the timeline, and on the map
    assert len(placed) > 1
    assert case.reasons[0].text.split(":")[0] in page.replace("&#39;", "'")


def test_a_case_is_found_in_the_archive_once_memory_has_forgotten_it(world: World) -> None:
    console = Console(settings_of(world))
    for decision in (world.alerts[0], world.decisions[0]):
        page = get(console, f"/cases/{decision.transaction_id}")
        assert page.status_code == 200
        assert str(decision.outcome) in page.text


def test_what_there_is_not_is_said_in_words(world: World) -> None:
    console = Console(settings_of(world, delta=""))
    missing = get(console, "/cases/nothing")
    assert (missing.status_code, "This case cannot be shown" in missing.text) == (404, True)
    assert "Every alert has a label" in get(console, "/").text
    assert "the model registry does not answer" in get(console, "/model").text
    assert "No experiment is defined" in get(console, "/experiment").text
    assert get(console, "/ready").status_code == 503


@pytest.mark.parametrize("id_", ["<script>alert(1)</script>", "a'b", "../../etc/passwd", "x" * 300, "ü"])
def test_no_id_is_more_than_text(console: Console, id_: str) -> None:
    answer = get(console, f"/cases/{httpx.QueryParams({'i': id_})['i']}")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


def test_decisions_published_again_count_once_and_labels_close_alerts(world: World) -> None:
    console = Console(ConsoleSettings(kafka_bootstrap="127.0.0.1:9"))
    for _ in range(2):
        for decision in world.decisions:
            console.live.take_decision(decision)
    assert sum(console.live.outcomes.values()) == len(world.decisions)
    assert [one.transaction_id for one in console.live.open_alerts()] == [
        one.transaction_id for one in world.alerts
    ][::-1]
    console.live.take_label(label_of(world.alerts[0], is_fraud=True))
    assert world.alerts[0].transaction_id not in {one.transaction_id for one in console.live.open_alerts()}
    assert sum(sum(slot.values()) for slot in console.live.traffic()) == len(world.decisions)
    assert {one.outcome for one in world.alerts} == {Outcome.REVIEW, Outcome.DECLINE}


def test_a_label_on_a_held_alert_is_not_forgotten_however_many_labels_follow(world: World) -> None:
    console = Console(ConsoleSettings(kafka_bootstrap="127.0.0.1:9", kept=10))
    first, *others = world.alerts[:10]
    early = label_of(others[0], is_fraud=False)
    console.live.take_label(early)
    for decision in (first, *others):
        console.live.take_decision(decision)
    console.live.take_label(label_of(first, is_fraud=True))
    for number in range(300):
        console.live.take_label(early.model_copy(update={"transaction_id": f"other-{number}"}))
    is_open = {one.transaction_id for one in console.live.open_alerts()}
    assert is_open == {one.transaction_id for one in others[1:]}
