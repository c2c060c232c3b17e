"""The endpoints: contract, errors in words, limits, degradation; and no input makes them fail."""

import asyncio
import hashlib
import json
import math
import threading
import time
import uuid
from collections.abc import Coroutine, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from weakref import finalize

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import LISTS, SCORED, TRANSACTIONS, Outcome, contracts_of, parse_record
from fraud.contracts.seal import Seal, seal_of
from fraud.decide.list_changes import ListChange
from fraud.decide.lists import ListRecord, ListStore
from fraud.decide.policy import decide
from fraud.decide.rules import RuleFile
from fraud.errors import BadConfig, Unavailable
from fraud.kafka.producer import Delivery, Record
from fraud.runtime.traces import NO_TRACES, Traces
from services.scoring.api import examples
from services.scoring.api.app import App
from services.scoring.decide import Decider
from services.scoring.feedback.pending import PendingLabels
from services.scoring.models import Prediction, prediction_of
from services.scoring.outbox import messages_of
from services.scoring.records import AnswerWriter
from services.scoring.service import AWAY_S, Service
from services.scoring.settings import ScoringSettings
from tests.deployed import ENTITIES, FEATURE_NAMES, SCHEMA
from tests.services.predictor.conftest import make_model, wait_until
from tests.services.scoring import samples
from tests.wire import Decision, ScoredTransaction

SCORING = make_model(3)
T = TypeVar("T")


class Always:
    """The registered model's rows, without a registry; may be away."""

    is_local = True

    def __init__(self) -> None:
        self.is_away = False

    def judge(self, vector: np.ndarray) -> Prediction:
        if self.is_away:
            raise Unavailable("away")
        return prediction_of(SCORING, "7", vector)

    def is_ready(self) -> bool:
        return not self.is_away

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Taking:
    """Brokers that take everything."""

    def __init__(self, sent: list[Record]) -> None:
        self.sent = sent

    def deliver(self, records: Iterable[Record]) -> Delivery:
        before = len(self.sent)
        self.sent += records
        return Delivery([True] * (len(self.sent) - before))


class Looped:
    """The topic of lists, by what was sent to it."""

    def __init__(self, store: ListStore, sent: list[Record]) -> None:
        self._store, self._sent, self.trouble, self.bad_records = store, sent, "", 0

    def load(self, patience_s: float) -> None:  # noqa: ARG002
        self.look()

    def look(self, oldest: int = 0, wait_s: float = 0.0) -> None:  # noqa: ARG002
        changes = [record.value for record in self._sent if record.topic == LISTS]
        at = self._store.position
        self.bad_records += self._store.apply(
            ListRecord(offset, value, time.time()) for offset, value in enumerate(changes[at:], at)
        )

    def close(self) -> None: ...


class Api:
    """The application, called without a network."""

    def __init__(
        self,
        folder: Path,
        kafka: Any = None,
        rules: Any = None,
        challenger: Any = None,
        *,
        store: Any = None,
        rates: Any = None,
        schema: Any = None,
        traces: Traces = NO_TRACES,
        clock: Any = time.monotonic,
        **given: Any,
    ) -> None:
        at_hand = {"store_url": f"lmdb://{folder / 'store'}", "kafka_bootstrap": "127.0.0.1:9"}
        self.settings = ScoringSettings(**{**at_hand, "kafka_timeout_s": 0.2, **given})
        self.model = Always()
        follow = (lambda store: Looped(store, kafka.sent)) if isinstance(kafka, Taking) else None
        parts = {"kafka": kafka, "rules": rules, "store": store, "rates": rates, "follow": follow}
        parts |= {"traces": traces, "schema": schema, "clock": clock}
        self.service = Service(self.settings, self.model, challenger, **parts)
        self.app = App(self.service)
        self._loop = asyncio.Runner()
        finalize(self, self._loop.close)

    def run(self, asking: Coroutine[Any, Any, T]) -> T:
        """Run in the application's event loop."""
        return self._loop.run(asking)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
                return await http.request(method, path, **options)

        return self.run(ask())

    def score(self, **fields: Any) -> httpx.Response:
        return self.call("POST", "/v1/score", json={**samples.TRANSACTION, **fields})


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    yield made
    made.service.store.close()


def new() -> str:
    return uuid.uuid4().hex


def test_a_transaction_is_decided_and_the_decision_is_kept_with_its_features(api: Api) -> None:
    answer = api.score(transaction_id="a/b ü").json()
    assert set(samples.ANSWER) == set(answer)
    kept = api.call("GET", "/v1/decisions/a%2Fb%20%C3%BC").json()
    assert {kept[name] for name in ("outcome", "score", "model_version")} == {
        answer[name] for name in ("outcome", "score", "model_version")
    }
    vector = np.array(
        [[math.nan if kept["features"][name] is None else kept["features"][name] for name in FEATURE_NAMES]]
    )
    assert abs(SCORING.predict(vector)[0] - answer["score"]) <= 1e-6
    assert str(decide(SCORING.predict(vector), SCORING.card.thresholds)[0]) == answer["outcome"]
    assert (kept["user_sequence"], kept["merchant_sequence"]) == (1, 1)


def test_the_same_request_has_the_same_answer_and_counts_once(api: Api) -> None:
    first, again = api.score(), api.score(event_time="2026-03-01T13:00:00+01:00")
    assert first.content == again.content
    assert api.score(transaction_id="next").json() != first.json()
    assert api.call("GET", "/v1/decisions/next").json()["user_sequence"] == 2
    assert api.score(amount=1.0).status_code == 409


def test_what_goes_to_the_log_is_what_the_contracts_say(api: Api) -> None:
    api.score()
    ((_, record),) = api.service.store.answers().waiting(9)
    scored = parse_record(ScoredTransaction, record)
    assert scored.store == api.service.store.identity()
    key = api.service.store.seal_key()
    topics = {message.topic: message.value for message in messages_of(record, key, AnswerWriter(SCHEMA))}
    assert seal_of(topics[SCORED], key, time.time()) is Seal.OURS
    assert parse_record(ScoredTransaction, topics[SCORED]) == scored
    assert parse_record(Decision, topics["decisions"]).transaction_id == scored.transaction_id


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": -1}, "amount"),
        ({"amount": None}, "amount"),
        ({"event_time": "yesterday"}, "event_time"),
        ({"amuont": 1}, "amuont"),
        ({"latitude": None}, "body"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 65}, "user_id"),
    ],
)
def test_a_wrong_field_is_named(api: Api, fields: dict[str, Any], field: str) -> None:
    answer = api.score(**fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_requests_that_are_none_are_refused_in_words(api: Api) -> None:
    assert api.call("POST", "/v1/score", content=b"{").status_code == 400
    assert api.call("GET", "/v1/score").status_code == 405
    assert api.call("GET", "/v2/nothing").status_code == 404
    assert api.call("GET", "/v1/decisions/unheard-of").status_code == 404
    large = api.call("POST", "/v1/score", content=b" " * (api.settings.max_body_bytes + 1))
    assert large.status_code == 413
    assert api.call("POST", "/v1/labels", json=samples.LABEL).status_code == 404


def test_a_batch_has_an_answer_or_a_problem_each(api: Api) -> None:
    good, bad = {**samples.TRANSACTION, "transaction_id": new()}, {"amount": 3}
    answers = api.call("POST", "/v1/score/batch", json={"transactions": [good, bad, good]}).json()["answers"]
    assert answers[0] == answers[2]
    assert answers[1]["status"] == 422
    assert api.call("POST", "/v1/score/batch", json={"transactions": []}).status_code == 422


def test_without_the_model_the_fallback_decides_and_says_so_and_the_model_comes_back(api: Api) -> None:
    api.model.is_away = True
    answer = api.score(transaction_id=new(), amount=900.0).json()
    assert (answer["outcome"], answer["is_fallback"], answer["degraded"]) == ("review", True, ["model"])
    assert api.call("GET", "/v2/models/fraud/ready").status_code == 503
    assert api.call("GET", "/ready").status_code == 200, "it still decides"
    api.model.is_away = False
    assert api.call("GET", "/v2/models/fraud/ready").status_code == 200
    assert api.score(transaction_id=new()).json()["is_fallback"] is False


def test_without_the_store_the_transaction_alone_decides_and_the_stream_counts_it(tmp_path: Path) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent))
    name = api.service.store.renew(is_whole=False)
    assert name == ""
    answer = api.score(transaction_id="away").json()
    assert (answer["score"], answer["is_fallback"], answer["degraded"]) == (None, True, ["store"])
    (record,) = sent
    assert record.topic == TRANSACTIONS
    assert orjson.loads(record.value)["transaction_id"] == "away"
    api.service.store.renew(is_whole=True)
    assert api.score(transaction_id=new()).json()["degraded"] == []


def test_while_one_waits_for_kafka_the_others_are_answered(tmp_path: Path) -> None:
    asked, answered, in_time = threading.Event(), threading.Event(), []

    class Waiting:
        def deliver(self, records: list[Record]) -> Delivery:
            asked.set()
            in_time.append(answered.wait(20.0))
            return Delivery([True] * len(records))

    api = Api(tmp_path, Waiting())
    api.service.store.renew(is_whole=False)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            waits = asyncio.create_task(http.post("/v1/score", json=samples.TRANSACTION))
            assert await asyncio.to_thread(asked.wait, 20.0)
            assert (await http.get("/health")).status_code == 200
            answered.set()
            return await waits

    assert api.run(ask()).json()["degraded"] == ["store"]
    assert in_time == [True]


def test_without_store_and_kafka_it_is_refused_so_that_nothing_is_lost(api: Api) -> None:
    api.service.store.renew(is_whole=False)
    answer = api.score(transaction_id=new())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_whoever_can_count_nowhere_is_not_ready_until_it_may_try_again(tmp_path: Path) -> None:
    now = [100.0]
    api = Api(tmp_path, clock=lambda: now[0])
    api.service.store.renew(is_whole=False)
    paths = ("/ready", "/v2/health/ready")
    assert [api.call("GET", path).status_code for path in paths] == [200, 200]
    assert api.score(transaction_id=new()).status_code == 503
    assert api.call("GET", "/v2/models/fraud/ready").status_code == 503
    for path in paths:
        answer = api.call("GET", path)
        assert answer.status_code == 503
        assert "neither the feature store nor Kafka has taken the last request" in answer.json()["detail"]
    now[0] += AWAY_S
    assert [api.call("GET", path).status_code for path in paths] == [200, 200]


def test_answers_are_not_in_full_until_the_store_has_taken_a_request_again(tmp_path: Path) -> None:
    api = Api(tmp_path, Taking([]))
    path, identity = "/v2/models/fraud/ready", api.service.store.identity()
    api.service.store.renew(is_whole=False)
    assert api.score(transaction_id=new()).json()["degraded"] == ["store"]
    api.service.store.renew(is_whole=True)
    assert api.service.store.identity() != identity
    assert (api.call("GET", "/ready").status_code, api.call("GET", path).status_code) == (200, 503)
    assert api.score(transaction_id=new()).json()["degraded"] == []
    assert api.call("GET", path).status_code == 200


def test_without_kafka_it_waits_in_the_store_and_the_answer_says_so(api: Api) -> None:
    api.score(transaction_id=new())
    assert api.service.outbox.watch.look() > 0.0
    assert api.score(transaction_id=new()).json()["degraded"] == ["log"]
    assert api.service.store.answers().backlog() == 2


def test_what_waits_for_kafka_is_bounded(tmp_path: Path) -> None:
    api = Api(tmp_path, outbox_limit=1)
    api.score(transaction_id=new())
    api.service.outbox.watch.look()
    assert api.score(transaction_id=new()).status_code == 503
    assert api.call("GET", "/ready").status_code == 503


def test_more_than_may_wait_are_refused_at_once_and_the_others_answered(tmp_path: Path) -> None:
    api = Api(tmp_path, max_waiting=2)

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            bodies = [{**samples.TRANSACTION, "transaction_id": new()} for _ in range(12)]
            answers = await asyncio.gather(*(http.post("/v1/score", json=body) for body in bodies))
        return [answer.status_code for answer in answers]

    statuses = api.run(ask())
    assert set(statuses) == {200, 429}


def test_keys_and_rates_are_kept(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"gateway: {{sha256: {hashlib.sha256(b'secret').hexdigest()}, scopes: [read]}}\n")
    api = Api(tmp_path, keys_file=keys, host="0.0.0.0", rate_per_s=0.001, rate_burst=2)  # noqa: S104
    assert api.score().status_code == 401
    right = {"authorization": "Bearer secret"}
    statuses = [api.call("GET", "/v1/decisions/x", headers=right).status_code for _ in range(3)]
    assert statuses == [404, 404, 429]
    assert api.call("GET", "/health").status_code == 200
    assert api.call("GET", "/v2/models/fraud/ready").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/score", "score"),
        ("POST", "/v1/score/batch", "score"),
        ("POST", "/v1/models/fraud:predict", "score"),
        ("POST", "/v2/models/fraud/infer", "score"),
        ("POST", "/v1/labels", "label"),
        ("GET", "/v1/decisions/x", "read"),
        ("POST", "/v1/lists", "rules"),
    ],
)
def test_a_key_opens_what_its_scopes_say_and_nothing_else(
    tmp_path: Path, method: str, path: str, scope: str
) -> None:
    keys = tmp_path / "keys.yaml"
    scopes = ["score", "label", "read", "rules", "admin"]
    digest = {one: hashlib.sha256(one.encode()).hexdigest() for one in scopes}
    keys.write_text("".join(f"c-{one}: {{sha256: {digest[one]}, scopes: [{one}]}}\n" for one in scopes))
    api = Api(tmp_path, keys_file=keys, host="0.0.0.0")  # noqa: S104
    headers = {one: {"authorization": f"Bearer {one}"} for one in scopes}
    answers = {one: api.call(method, path, headers=headers[one], content=b"{}") for one in scopes}
    opened = {one for one, answer in answers.items() if answer.status_code != 403}
    assert opened == {scope, "admin"}
    refused = next(answers[one] for one in scopes if one not in opened)
    assert refused.headers["content-type"] == "application/problem+json"
    assert f"`{scope}`" in refused.json()["detail"]


def test_beyond_loopback_there_must_be_keys(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="FRAUD_SCORING_KEYS_FILE"):
        Api(tmp_path, host="0.0.0.0")  # noqa: S104


def test_rules_have_the_last_word(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "version: a\nlists: {bad: [d-9]}\nrules:\n"
        "- {name: bad_device, when: \"in_list(device_id, 'bad')\", then: decline, reason: reported}\n"
    )
    api = Api(tmp_path, rules_file=rules)
    answer = api.score().json()
    assert answer["outcome"] == "decline"
    assert answer["reasons"][0] == {"code": "rule_bad_device", "text": "reported"}
    assert answer["policy_version"].startswith("a+")


def test_a_list_is_changed_by_words_that_say_what_is_wrong(tmp_path: Path) -> None:
    api = Api(tmp_path, Taking([]))

    def ask(**body: Any) -> tuple[int, str]:
        answer = api.call("POST", "/v1/lists", json={"list": "nets", **body})
        return answer.status_code, answer.json().get("detail", "")

    assert ask(action="add", value="10.0.0.1") == (422, "there is no list nets; create it first")
    assert ask(action="create") == (422, "to create a list, give its kind, and neither value nor until")
    assert ask(action="create", kind="ip")[0] == 200
    assert ask(action="create", kind="ip") == (422, "there is a list nets already")
    assert ask(action="add", value="10.0.0.300")[1].startswith("'10.0.0.300' is neither an address")
    assert ask(action="add")[0] == ask(action="add", value="10.0.0.1", kind="ip")[0] == 422
    assert ask(action="add", value="10.0.0.0/8", why="bots", until="2099-01-01T00:00:00Z")[0] == 200
    api.service.lists.look()
    (entry,) = api.service.lists.store.entries("nets")
    assert (entry["value"], entry["by"], entry["why"]) == ("10.0.0.0/8", "anonymous", "bots")
    away = Api(tmp_path / "away", kafka_bootstrap="127.0.0.1:9")
    assert away.call("POST", "/v1/lists", json=examples.LIST_CHANGE).status_code == 503


def test_a_decision_sees_the_lists_of_the_version_that_it_names(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rule = {"name": "stolen", "when": "in_list(device_id, 'stolen')", "then": "decline", "reason": "r"}
    rules.write_text(json.dumps({"version": "1", "lists": {"stolen": "live"}, "rules": [rule]}))
    service = Api(tmp_path, Taking([]), rules_file=rules).service
    service.lists.change(ListChange(list="stolen", action="create", kind="text"), "ana")
    service.lists.look()

    class Changing:
        """Lists that change while a decision is made."""

        def version(self, rules: Any) -> int:
            found = service.lists.version(rules)
            service.lists.change(ListChange(list="stolen", action="add", value="d-1"), "ana")
            service.lists.look()
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(service.lists, name)

    decider = Decider(service.model, service.rules, with_reasons=False, lists=Changing())  # type: ignore[arg-type]
    fields = {**samples.TRANSACTION, "transaction_id": new(), "device_id": "d-1"}
    record = contracts_of(SCHEMA).request.model_validate_json(json.dumps(fields))
    vector = np.full((1, len(FEATURE_NAMES)), np.nan)
    found = [decider.decide(record, vector) for _ in range(2)]
    assert [(one.policy_version.split("@")[1], one.outcome is Outcome.DECLINE) for one in found] == [
        ("1", False),
        ("2", True),
    ]


def test_each_wrong_file_of_rules_is_told_once_with_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("version: a\nrules: []\n")
    service = Api(tmp_path, rules_file=rules).service
    for wrong in ("rules: [", "version: a\nrules: 3\n"):
        rules.write_text(wrong)
        service._look_at_rules()
        service._look_at_rules()
    told = [record.message for record in caplog.records if "stay as they were" in record.message]
    assert len(told) == 2
    assert "not YAML" in told[0]
    assert "rules" in told[1]
    assert service.rules.rules.version.startswith("a+")


def test_kserve_s_protocols_answer_for_raw_transactions(api: Api) -> None:
    one = {**samples.TRANSACTION, "transaction_id": new()}
    v1 = api.call("POST", "/v1/models/fraud:predict", json={"instances": [one]}).json()["predictions"]
    tensor = {"name": "transactions", "datatype": "BYTES", "shape": [1], "data": [json.dumps(one)]}
    v2 = api.call("POST", "/v2/models/fraud/infer", json={"id": "x", "inputs": [tensor]}).json()
    outputs = {output["name"]: output["data"] for output in v2["outputs"]}
    assert v2["id"] == "x"
    assert [json.loads(found) for found in outputs["decision"]] == v1
    assert outputs["probability"] == [v1[0]["score"]]
    assert api.call("GET", "/v2/models/fraud/ready").status_code == 200
    assert api.call("POST", "/v2/models/fraud/infer", json={"inputs": [1]}).status_code == 422


def test_a_label_finds_its_transaction_by_id(tmp_path: Path) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent))
    api.score()
    assert api.call("POST", "/v1/labels", json=samples.LABEL).json()["status"] == "accepted"
    label = orjson.loads(sent[0][2])
    assert (sent[0][0], label["user_id"], label["merchant_id"]) == ("labels", "u-17", "m-4")


KEYS = {"user_id": "u-1", "merchant_id": "m-1", "event_time": "2026-03-01T12:00:00Z"}


@pytest.mark.parametrize("names", [["user_id"], list(KEYS)], ids=["primary", "all"])
def test_a_label_with_the_primary_key_needs_no_answer_that_is_kept(tmp_path: Path, names: list[str]) -> None:
    keys = {name: KEYS[name] for name in names}
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent))
    label = {**samples.LABEL, "transaction_id": "of-the-stream"}
    without = api.call("POST", "/v1/labels", json=label)
    assert (without.status_code, "user_id" in without.json()["detail"]) == (404, True)
    assert api.call("POST", "/v1/labels", json={**label, **keys}).json()["status"] == "accepted"
    found = orjson.loads(sent[0][2])
    assert {name: found[name] for name in KEYS} == {name: keys.get(name) for name in KEYS}


def test_other_keys_of_a_label_do_not_come_without_the_primary_one(api: Api) -> None:
    some = {name: value for name, value in KEYS.items() if name != "user_id"}
    refused = api.call("POST", "/v1/labels", json={**samples.LABEL, **some})
    assert (refused.status_code, "or none of its keys" in refused.json()["detail"]) == (422, True)


def test_the_keys_of_a_label_must_be_those_of_what_was_scored(tmp_path: Path) -> None:
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent))
    api.score()
    right = {name: samples.TRANSACTION[name] for name in KEYS}
    refused = api.call("POST", "/v1/labels", json={**samples.LABEL, **right, "merchant_id": "other"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "merchant_id")
    assert api.call("POST", "/v1/labels", json={**samples.LABEL, **right}).json()["status"] == "accepted"
    assert len(sent) == 1


@pytest.mark.parametrize("said", [None, "chargeback", "analyst:ana", "api:bank"])
def test_a_label_s_source_begins_with_the_client_whatever_it_says(tmp_path: Path, said: str | None) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"gateway: {{sha256: {hashlib.sha256(b'secret').hexdigest()}, scopes: [label]}}\n")
    sent: list[Record] = []
    api = Api(tmp_path, Taking(sent), keys_file=keys, host="0.0.0.0")  # noqa: S104
    label = {**samples.LABEL, **KEYS, "source": said}
    api.call("POST", "/v1/labels", json=label, headers={"authorization": "Bearer secret"})
    assert orjson.loads(sent[0][2])["source"] == "api:gateway" + (f":{said}" if said else "")


def test_the_watcher_outlives_a_look_that_fails(tmp_path: Path) -> None:
    looks: list[int] = []

    class Failing(RuleFile):
        def look(self) -> bool:
            looks.append(1)
            raise ZeroDivisionError

    api = Api(tmp_path, rules=Failing(None), rules_look_s=0.01)
    api.service.start()
    wait_until(lambda: len(looks) > 2, "it looks again")
    api.service.stop()


@pytest.mark.parametrize("name", ["t%41", "100%25", "a/b"])
def test_an_id_is_looked_up_as_it_was_given(api: Api, name: str) -> None:
    api.score(transaction_id=name)
    assert api.call("GET", f"/v1/decisions/{quote(name, safe='')}").json()["transaction_id"] == name


def test_the_document_names_every_problem_and_resolves(api: Api) -> None:
    found = api.call("GET", "/openapi.json").json()
    refs = set(json.dumps(found).split('"$ref": "#/components/schemas/')[1:])
    assert {ref.split('"')[0] for ref in refs} <= set(found["components"]["schemas"])


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from([*samples.TRANSACTION, "schema_version", "home_latitude", "home_longitude", "else"])
ALMOST = st.dictionaries(FIELDS, JSON, max_size=4).map(
    lambda changed: {**samples.TRANSACTION, "transaction_id": new(), **changed}
)
PATHS = ["/v1/score", "/v1/score/batch", "/v1/labels", "/v1/models/fraud:predict", "/v2/models/fraud/infer"]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(tmp_path_factory.mktemp("fuzzed"))
    yield made
    made.service.store.close()


@settings(max_examples=150)
@given(data=st.data())
def test_no_input_makes_the_service_fail(fuzzed: Api, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(PATHS))
    one = data.draw(ALMOST | JSON)
    wrapped = data.draw(
        st.sampled_from(
            [
                one,
                {"transactions": [one]},
                {"instances": [one]},
                {"inputs": [{"name": "transactions", "datatype": "BYTES", "shape": [1], "data": [str(one)]}]},
                {"transaction_id": one, "is_fraud": one},
            ]
        )
    )
    body = data.draw(st.just(json.dumps(wrapped).encode()) | st.binary(max_size=40))
    answer = fuzzed.call("POST", path, content=body)
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert answer.json()["title"]


@settings(max_examples=100)
@given(name=st.text(max_size=80) | st.text(min_size=600, max_size=601))
def test_no_path_makes_the_service_fail(fuzzed: Api, name: str) -> None:
    from urllib.parse import quote  # noqa: PLC0415

    assert fuzzed.call("GET", f"/v1/decisions/{quote(name, safe='')}").status_code < 500


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def counted_by(api: Api) -> dict[str, dict[float, bytes]]:
    return {kind: dict(api.service.store.scan(kind)) for kind in ENTITIES}


def test_every_path_refuses_a_transaction_from_the_future_and_counts_nothing(api: Api) -> None:
    assert api.score(transaction_id="now", event_time=at(0.0)).status_code == 200
    before = counted_by(api)
    far = {**samples.TRANSACTION, "event_time": "2099-06-01T00:00:00Z"}
    near = {**samples.TRANSACTION, "event_time": at(400.0)}
    good = {**samples.TRANSACTION, "transaction_id": "good"}
    text = json.dumps
    tensor = {"name": "transactions", "datatype": "BYTES", "shape": [2], "data": [text(good), text(near)]}
    answers = [
        api.call("POST", "/v1/score", json=far),
        api.call("POST", "/v1/score", json=near),
        api.call("POST", "/v1/models/fraud:predict", json={"instances": [good, far]}),
        api.call("POST", "/v2/models/fraud/infer", json={"inputs": [tensor]}),
    ]
    assert [answer.status_code for answer in answers] == [422] * 4
    assert [answer.json()["errors"][0]["field"] for answer in answers] == [
        "event_time",
        "event_time",
        "1.event_time",
        "1.event_time",
    ]
    assert all("future_event_time" in answer.json()["detail"] for answer in answers)
    assert counted_by(api) == before
    batch = api.call("POST", "/v1/score/batch", json={"transactions": [far, good]}).json()["answers"]
    assert (batch[0]["status"], batch[1]["transaction_id"]) == (422, "good")
    assert api.score(transaction_id="soon", event_time=at(290.0)).status_code == 200


def test_how_far_ahead_is_a_setting(tmp_path: Path) -> None:
    wide = Api(tmp_path, most_ahead_s=3600.0)
    assert wide.score(event_time=at(3000.0)).status_code == 200
    assert wide.score(transaction_id="late", event_time=at(4000.0)).status_code == 422
    wide.service.store.close()


def test_a_label_from_the_future_is_refused_also_where_it_would_be_kept(tmp_path: Path) -> None:
    kept = Api(tmp_path, labels_pending=True, pending_file=tmp_path / "pending.sqlite")
    label = {**samples.LABEL, "label_time": "2099-06-01T00:00:00Z"}
    answer = kept.call("POST", "/v1/labels", json=label)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "label_time")
    assert "future_label_time" in answer.json()["detail"]
    keys = {"user_id": "u", "merchant_id": "m", "event_time": "2099-06-01T00:00:00Z"}
    named = kept.call("POST", "/v1/labels", json={**samples.LABEL, **keys})
    assert (named.status_code, named.json()["errors"][0]["field"]) == (422, "event_time")
    assert kept.service.labels.resolve(time.time() + 100.0) == 0
    assert len(PendingLabels(tmp_path / "pending.sqlite", 9, 0.0, "user_id")) == 0
    assert kept.call("POST", "/v1/labels", json={**label, "label_time": at(200.0)}).status_code == 200
    kept.service.store.close()
