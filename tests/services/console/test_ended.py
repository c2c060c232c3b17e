"""A session that has ended at one replica of the console opens nothing at the others."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from annotated_types import Le

from fraud.contracts import DECISIONS, LABELS, LISTS, SESSIONS
from fraud.kafka.producer import Delivery, Record
from services.console.app import Console
from services.console.ended import EndedSessions
from services.console.sessions import COOKIE
from services.console.settings import ConsoleSettings
from tests.fraud.kafka.broker import Broker
from tests.services.console.conftest import World, serve, settings_of
from tests.services.predictor.conftest import wait_until

KEY = "an analyst's key"


@pytest.fixture
def broker() -> Iterator[Broker]:
    found = Broker()
    for topic in (DECISIONS, LABELS, LISTS, SESSIONS):
        found.send(topic, b"")  # the topic comes with its first record
    yield found
    found.stop()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.yaml"
    write_keys(file, "ana")
    return file


def write_keys(file: Path, client: str) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    file.write_text(f"{client}: {{sha256: {digest}, scopes: [read]}}\n")


def replica(world: World, keys: Path, address: str, **given: Any) -> Console:
    # Both sign alike, as the replicas of a deployment do.
    return Console(settings_of(world, keys_file=keys, kafka_bootstrap=address, session_secret="s", **given))  # noqa: S106


def log_in(url: str) -> dict[str, str]:
    cookie = httpx.post(f"{url}/login", data={"key": KEY}).cookies[COOKIE]
    return {"cookie": f"{COOKIE}={cookie}"}


def log_out(console: Console, url: str, cookie: dict[str, str]) -> int:
    session = console.sessions.read(cookie["cookie"].split("=", 1)[1])
    assert session is not None
    form = {"token": console.sessions.token(session)}
    return httpx.post(f"{url}/logout", data=form, headers=cookie).status_code


def trouble(console: Console) -> str:
    assert console.ended is not None, "replicas sign alike"
    return console.ended.trouble


def is_open(url: str, cookie: dict[str, str]) -> bool:
    status = httpx.get(f"{url}/model", headers=cookie).status_code
    assert status in {200, 401}
    return status == 200


def test_a_logout_is_known_to_every_replica_also_to_one_that_starts_later(
    broker: Broker, world: World, keys: Path
) -> None:
    with ExitStack() as running:
        consoles = [replica(world, keys, broker.address, kafka_timeout_s=5.0) for _ in range(2)]
        here, there = (running.enter_context(serve(one)) for one in consoles)
        wait_until(lambda: not any(map(trouble, consoles)), "both follow the logouts")
        cookie, other = log_in(here), log_in(there)
        assert all(is_open(url, one) for url in (here, there) for one in (cookie, other))
        broker.send(SESSIONS, b"no logout", b"[1]", b'{"until_s": null}', b"\xff", key=b"\xff")
        assert log_out(consoles[0], here, cookie) == 303
        wait_until(lambda: not is_open(there, cookie), "the other replica refuses it", 2.0)
        later = replica(world, keys, broker.address)
        url = running.enter_context(serve(later))
        wait_until(lambda: not trouble(later), "it follows the logouts")
        assert [is_open(one, cookie) for one in (here, there, url)] == [False] * 3
        assert [is_open(one, other) for one in (here, there, url)] == [True] * 3
        write_keys(keys, "ben")
        wait_until(lambda: not any(is_open(one, other) for one in (here, there, url)), "it ends with its key")


def test_without_kafka_people_log_in_and_out_and_a_cookie_of_before_the_start_is_not_trusted(
    world: World, keys: Path
) -> None:
    away = replica(world, keys, "127.0.0.1:9")
    session = away.sessions.begin(away.door.keys.client_of(f"Bearer {KEY}".encode()))
    before = away.sessions.write(replace(session, until_s=session.until_s - 60.0))
    with serve(away) as url:
        cookie = log_in(url)
        assert is_open(url, cookie)
        assert not is_open(url, {"cookie": f"{COOKIE}={before}"}), "it may have ended at another replica"
        assert log_out(away, url, cookie) == 303
        assert not is_open(url, cookie)
        assert "topic sessions" in trouble(away)
        assert httpx.get(f"{url}/ready").status_code == 503


class Refusing:
    """Refuses what it is sent first, as Kafka while it is unavailable."""

    def __init__(self, times: int = 1) -> None:
        self.sent: list[list[Record]] = []
        self._times = times

    def deliver(self, records: Iterable[Record]) -> Delivery:
        self.sent.append(list(records))
        return Delivery([len(self.sent) > self._times] * len(self.sent[-1]), "no broker")


def test_a_logout_that_kafka_did_not_take_is_told_later_once(
    broker: Broker, world: World, keys: Path
) -> None:
    console, kafka = replica(world, keys, broker.address), Refusing()
    ended = EndedSessions(console.settings, console.sessions, kafka)
    session = console.sessions.begin(console.door.keys.client_of(f"Bearer {KEY}".encode()))
    ended.publish(session)
    assert len(kafka.sent) == 1
    ended.start()
    try:
        wait_until(lambda: len(kafka.sent) == 2, "it is told again")
        wait_until(lambda: ended.trouble == "", "it follows")
    finally:
        ended.stop()
    assert len(kafka.sent) == 2
    assert [one.key for one in kafka.sent[1]] == [session.nonce]


def test_a_logout_that_kafka_does_not_take_is_forgotten_with_its_session(world: World, keys: Path) -> None:
    console = replica(world, keys, "127.0.0.1:9")
    ended = EndedSessions(console.settings, console.sessions, Refusing(times=10**9))
    session = console.sessions.begin(console.door.keys.client_of(f"Bearer {KEY}".encode()))
    for at in range(50):
        ended.publish(replace(session, nonce=f"over {at}", until_s=session.until_s - 1e6))
    ended.publish(session)
    assert set(ended._untold) == {session.nonce}


def test_a_session_lasts_no_longer_than_its_logout_is_kept() -> None:
    (longest,) = (one.le for one in ConsoleSettings.model_fields["session_s"].metadata if isinstance(one, Le))
    values = yaml.safe_load((Path(__file__).parents[3] / "charts/kafka/values.yaml").read_text())
    assert longest * 1_000 <= values["topics"][SESSIONS]["config"]["retention.ms"]
