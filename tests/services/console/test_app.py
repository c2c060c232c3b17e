"""Who gets in, what forms must carry, and pages while parts are away; the application without a network."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fraud.contracts import Outcome
from fraud.errors import BadConfig
from services.console.app import Console
from services.console.sessions import COOKIE, Sessions
from services.console.settings import ConsoleSettings
from tests.services.console.conftest import World, label_of, settings_of

KEY = "ana-s-secret-key"
HTML = {"accept": "text/html"}


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
    keys.write_text(f"ana: {hashlib.sha256(KEY.encode()).hexdigest()}\n")
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


def test_keys_cannot_be_guessed_quickly(guarded: Console) -> None:
    attempts = [("POST", "/login", {"data": {"key": str(i)}}) for i in range(12)]
    assert [answer.status_code for answer in call(guarded, *attempts)][-1] == 429


def test_a_forged_or_old_cookie_is_no_session(guarded: Console) -> None:
    foreign = Sessions("another secret", 60.0)
    for cookie in (foreign.write(foreign.begin("ana")), "x.y", "", "%%%", "e30=.\xe9"):
        sent = f"{COOKIE}={cookie}".encode("latin-1")
        assert get(guarded, "/", headers=[(b"cookie", sent)]).status_code == 401
    old = Sessions("s", -1.0)
    assert old.read(old.write(old.begin("ana"))) is None


def test_a_form_without_this_session_s_token_changes_nothing(console: Console, world: World) -> None:
    path = f"/cases/{world.alerts[0].transaction_id}/verdict"
    _, without, wrong = call(
        console,
        ("GET", "/", {}),
        ("POST", path, {"data": {"verdict": "fraud"}}),
        ("POST", path, {"data": {"verdict": "fraud", "token": "0" * 64}}),
    )
    assert (without.status_code, wrong.status_code) == (403, 403)
    assert console.live.verdict(world.alerts[0].transaction_id) is None


def test_a_name_that_only_resolves_to_this_machine_is_refused(console: Console) -> None:
    assert get(console, "/", headers={"host": "evil.example"}).status_code == 403


def test_pages_allow_nothing_from_elsewhere(console: Console) -> None:
    answer = get(console, "/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text


def test_while_kafka_is_away_a_verdict_is_refused_in_words(console: Console, world: World) -> None:
    path = f"/cases/{world.alerts[0].transaction_id}/verdict"
    home = get(console, "/")
    cookie = home.headers["set-cookie"].split(";")[0]
    session = console.sessions.read(cookie.split("=", 1)[1])
    assert session is not None
    form = {"verdict": "fraud", "token": console.sessions.token(session)}
    answer = call(console, ("POST", path, {"data": form, "headers": {"cookie": cookie}}))[0]
    assert answer.status_code == 503
    assert "nothing is written" in answer.text


def test_a_case_shows_the_user_s_history_its_verdicts_and_places(console: Console, world: World) -> None:
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
    assert "Every alert has a verdict" in get(console, "/").text
    assert "the model registry does not answer" in get(console, "/model").text
    assert "No experiment is defined" in get(console, "/experiment").text
    assert get(console, "/ready").status_code == 503


@pytest.mark.parametrize("id_", ["<script>alert(1)</script>", "a'b", "../../etc/passwd", "x" * 300, "ü"])
def test_no_id_is_more_than_text(console: Console, id_: str) -> None:
    answer = get(console, f"/cases/{httpx.QueryParams({'i': id_})['i']}")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


def test_decisions_published_again_count_once_and_verdicts_close_alerts(world: World) -> None:
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


def test_a_verdict_on_a_held_alert_is_not_forgotten_however_many_labels_follow(world: World) -> None:
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
