"""States that cannot be read are never a 500: one entity has a problem, a whole store is as if away."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from fraud.features.engine import fold_events
from fraud.features.events import event_of_transaction, stack_events
from fraud.features.hashing import hash_text
from fraud.store import LATEST, Epoch, Watermark
from tests.deployed import ENTITIES
from tests.fraud.features.streams import SMALL_MERCHANT, SMALL_USER
from tests.fraud.store.conftest import RedisServer, run_redis
from tests.services.scoring import samples
from tests.services.scoring.api.test_api import Api, Taking, new
from tests.wire import Transaction

MENDS = "`fraud replay rebuild-store --replace`"
USERS = [samples.TRANSACTION["user_id"], "u-other"]


@pytest.fixture(params=["lmdb", "redis"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    if request.param == "lmdb":
        made = Api(tmp_path)
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        made = Api(tmp_path, store_url=server.url(prefix=new()))
    for user in USERS:
        assert made.score(transaction_id=new(), user_id=user).status_code == 200
    yield made
    made.service.store.close()


def overwrite(api: Api, kind: str, states: dict[float, bytes]) -> None:
    store = api.service.store
    store.write(kind, states, Epoch(1, 1), store.acquire("test"))


def test_a_corrupt_state_is_a_problem_of_its_entity_alone_and_counted(api: Api) -> None:
    key = float(hash_text(USERS[0]))
    (state,) = api.service.store.read("user", [key], LATEST)
    assert state is not None
    overwrite(api, "user", {key: state[:-8]})
    name, before = new(), api.service.store.answers().backlog()
    refused = api.score(transaction_id=name, user_id=USERS[0])
    assert refused.status_code == 503
    assert "state of this user is corrupt" in refused.json()["detail"]
    assert MENDS in refused.json()["detail"]
    assert api.service.store.answers().backlog() == before, "nothing was counted"
    assert 'fraud_scoring_bad_states_total{entity="user"}' in api.call("GET", "/metrics").text
    assert api.score(transaction_id=new(), user_id=USERS[1]).status_code == 200
    assert api.call("GET", "/ready").json() == {"status": "ready"}
    overwrite(api, "user", {key: state})
    assert api.score(transaction_id=name, user_id=USERS[0]).status_code == 200


def of_another_release() -> dict[str, dict[float, bytes]]:
    records = [Transaction(**{**samples.TRANSACTION, "transaction_id": new(), "user_id": u}) for u in USERS]
    events = stack_events([event_of_transaction(record) for record in records])
    return {
        "user": fold_events(SMALL_USER, events, {}).states,
        "merchant": fold_events(SMALL_MERCHANT, events, {}).states,
    }


@pytest.mark.parametrize("is_running", [True, False])
def test_states_of_another_release_are_no_500_and_readiness_says_what_to_do(
    api: Api, tmp_path: Path, *, is_running: bool
) -> None:
    for kind, states in of_another_release().items():
        overwrite(api, kind, states)
    if not is_running:
        api.service.store.close()
    served = api if is_running else Api(tmp_path / "again", store_url=api.settings.store_url)
    answer = served.score(transaction_id=new())
    assert answer.status_code == 503, "nor is there a Kafka to take it: as with the store away"
    assert "nor Kafka" in answer.json()["detail"]
    for path in ("/ready", "/v2/models/fraud/ready"):
        found = served.call("GET", path)
        assert found.status_code == 503
        assert "another layout" in found.json()["detail"]
        assert MENDS in found.json()["detail"]
    assert "fraud_scoring_store_refused 1.0" in served.call("GET", "/metrics").text
    store = served.service.store
    for kind in ENTITIES:
        store.clear(kind, store.acquire("a rebuild"))
    store.renew(is_whole=True)
    served.service.states.look()
    assert served.score(transaction_id=new()).status_code == 200
    assert served.call("GET", "/v2/models/fraud/ready").status_code == 200
    store.close()


def test_a_store_folder_deleted_under_the_service_is_noticed(tmp_path: Path) -> None:
    api = Api(tmp_path)
    assert api.score(transaction_id=new()).status_code == 200
    shutil.rmtree(tmp_path / "store")
    api.service.states.look()
    assert "deleted or replaced" in api.call("GET", "/ready").json()["detail"]
    assert api.score(transaction_id=new()).status_code == 503


def test_a_redis_restored_from_an_older_dump_is_not_counted_in(tmp_path: Path) -> None:
    with run_redis() as server:
        api = Api(tmp_path, store_url=server.url(prefix="p"))
        store, first = api.service.store, Watermark("q", Epoch(1, 1))
        token = store.acquire("stream")
        store.advance(first, None, token)
        redis.Redis(unix_socket_path=str(server.socket)).save()
        store.advance(Watermark("q", Epoch(1, 2)), first, token)
        api.service.states.look()
        server.kill()
        server.start()  # reads the dump
        api.service.states.look()
        assert MENDS in api.call("GET", "/v2/models/fraud/ready").json()["detail"]
        assert api.score(transaction_id=new()).status_code == 503
        store.renew(is_whole=True)  # rebuilt
        api.service.states.look()
        assert api.score(transaction_id=new()).status_code == 200


def test_while_a_store_is_folded_forward_decisions_go_on_without_it_and_readiness_says_so(
    tmp_path: Path,
) -> None:
    api = Api(tmp_path, Taking([]))
    store = api.service.store
    assert api.score(transaction_id=new()).json()["degraded"] == []
    store.set_aside()
    api.service.states.look()
    answer = api.score(transaction_id=new())
    assert (answer.status_code, answer.json()["degraded"]) == (200, ["store"])
    ready = api.call("GET", "/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "being filled from the log" in ready.json()["detail"]
    assert api.call("GET", "/v2/models/fraud/ready").status_code == 503
    store.renew(is_whole=True)
    api.service.states.look()
    assert api.call("GET", "/ready").json() == {"status": "ready"}
    assert api.score(transaction_id=new()).json()["degraded"] == []
