"""The parts of the service: the single fold, the prediction, the outbox, the keys."""

from pathlib import Path

import httpx
import mlflow
import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import ALERTS, DECISIONS, SCORED
from fraud.errors import BadState, Unavailable
from fraud.features import kernel
from fraud.features.codec import transaction_count
from fraud.features.engine import fold_events
from fraud.kafka.producer import Delivery, Record
from fraud.schema.default import MERCHANT, USER
from fraud.schema.entities import Entity
from services.scoring.fold import SingleFold
from services.scoring.main import given as given_by
from services.scoring.models import PredictorModel, RegisteredModel, prediction_of
from services.scoring.outbox import Outbox
from services.scoring.settings import ScoringSettings
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION
from tests.fraud.store.conftest import run_redis
from tests.services.predictor.conftest import make_model, make_vectors, wait_until
from tests.services.scoring.api.test_api import Api, new

FOLDS = {entity.name: SingleFold(entity) for entity in (USER, MERCHANT)}


@settings(max_examples=40)
@given(
    entity=st.sampled_from([USER, MERCHANT]),
    draws=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 9)), max_size=40),
)
def test_one_event_at_a_time_gives_the_bits_of_all_at_once(
    entity: Entity, draws: list[tuple[int, int, int]]
) -> None:
    events = np.full((len(draws), kernel.EVENT_COLUMNS), np.nan)
    for row, (seconds, cents, other) in zip(events, draws, strict=True):
        row[kernel.E_USER :] = other
        row[[kernel.E_KIND, kernel.E_USER, kernel.E_MERCHANT]] = kernel.KIND_TRANSACTION, 5.0, 5.0
        row[[kernel.E_TIME, kernel.E_CENTS, kernel.E_ID]] = 1.7e15 + 1e6 * seconds, cents, seconds + 1.0
    whole = fold_events(entity, events, {})
    state = None
    for i in range(len(events)):
        vector = np.full((1, whole.vectors.shape[1]), np.nan)
        is_new, after = FOLDS[entity.name].fold(events[i : i + 1], state, vector, 0)
        assert is_new == (whole.outcomes[i] == kernel.NEW)
        np.testing.assert_array_equal(vector[0], whole.vectors[i])
        state = after
        assert transaction_count(state) == whole.sequences[i]
    if state is not None:
        assert state == whole.states[5.0]


@pytest.mark.parametrize("bad", [b"x" * 7, b"x" * 96, bytes(96)])
def test_a_state_that_would_be_misread_is_refused(bad: bytes) -> None:
    event, vector = np.ones((1, kernel.EVENT_COLUMNS)), np.empty((1, 80))
    with pytest.raises(BadState, match="rebuild-store"):
        FOLDS["user"].fold(event, bad, vector, 0)


def test_a_prediction_is_what_the_model_server_would_say() -> None:
    model, rows = make_model(1), make_vectors(30)
    judged = [prediction_of(model, "1", row[None]) for row in rows]
    assert [one.probability for one in judged] == model.predict(rows).tolist()
    index, _ = model.reasons(rows, np.full(len(rows), True))
    assert [one.reasons() for one in judged] == [[i for i in of if i >= 0] for of in index.tolist()]


class Brokers:
    def __init__(self) -> None:
        self.has: list[str] = []
        self.refuses: set[str] = set()

    def deliver(self, records: list[Record]) -> Delivery:
        taken = [record.topic not in self.refuses for record in records]
        self.has += [record.topic for record, is_taken in zip(records, taken, strict=True) if is_taken]
        return Delivery(taken)


def test_the_outbox_keeps_what_kafka_has_not_taken_whole(tmp_path: Path) -> None:
    api, kafka = Api(tmp_path), Brokers()
    outbox = Outbox(api.settings, api.service.store, kafka)
    api.score(transaction_id=new(), amount=900.0)
    kafka.refuses = {DECISIONS}
    with pytest.raises(Unavailable, match="1 of 1"):
        outbox.drain()
    assert api.service.store.answers().backlog() == 1
    kafka.refuses = set()
    assert outbox.drain() == 1
    assert (outbox.drain(), api.service.store.answers().backlog()) == (0, 0)
    assert set(kafka.has) - {ALERTS} == {SCORED, DECISIONS}
    other = Outbox(api.settings, api.service.store, Brokers())
    api.score(transaction_id=new())
    assert other.drain() == 0, "the first holds the lease"
    assert not other.is_unavailable
    wait_until(
        lambda: other.drain() == 0 and other.is_unavailable, "it sees that the first carries nothing over"
    )
    outbox.drain()
    other.drain()
    assert not other.is_unavailable


def test_a_store_that_refuses_the_login_for_a_while_is_away_and_comes_back(tmp_path: Path) -> None:
    with run_redis("--appendonly", "no") as server:
        redis.Redis(unix_socket_path=str(server.socket)).config_set("requirepass", "one")
        api = Api(tmp_path, store_url=f"unix://{server.socket}?prefix=x&password=one")
        api.service.start()
        assert api.score(transaction_id=new()).status_code == 200
        admin = redis.Redis.from_url(f"unix://{server.socket}?password=one")
        admin.config_set("requirepass", "two")
        admin.client_kill_filter(_type="normal", skipme=True)
        assert api.score(transaction_id=new()).status_code == 503, "nor is there a Kafka to take it"
        admin.config_set("requirepass", "one")
        wait_until(lambda: api.score(transaction_id=new()).status_code == 200, "it counts again")
        wait_until(
            lambda: "Kafka did not" in api.service.outbox.watch.trouble, "the outbox is past the store"
        )
        api.service.stop()


def test_a_model_server_of_another_build_leaves_a_decision_without_reasons() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        version = "another" if b"reasons_from" in request.content else FEATURES_VERSION
        outputs = [{"name": "probability", "datatype": "FP64", "shape": [1], "data": [0.9]}]
        thresholds = {"review_threshold": 0.3, "decline_threshold": 0.7}
        parameters = {"model_version": "7", "features_version": version, **thresholds}
        return httpx.Response(200, json={"outputs": outputs, "parameters": parameters})

    model = PredictorModel(ScoringSettings(model_from="predictor"), transport=httpx.MockTransport(answer))
    prediction = model.judge(np.zeros((1, len(FEATURE_NAMES))))
    assert prediction.probability == 0.9
    with pytest.raises(Unavailable, match="another"):
        prediction.reasons()


def test_kserve_s_arguments_for_a_transformer_precede_the_environment() -> None:
    found = given_by(
        ["--model_name", "f", "--predictor_host", "f-predictor.ns", "--http_port", "8080", "--workers", "1"]
    )
    assert found == {
        "name": "f",
        "port": 8080,
        "model_from": "predictor",
        "predictor_url": "http://f-predictor.ns",
    }
    over_tls = given_by(["--predictor_host", "f-predictor.ns", "--predictor_use_ssl", "True"])
    assert over_tls["predictor_url"] == "https://f-predictor.ns"
    assert given_by([]) == {}


def test_the_registry_may_be_another_server_than_that_of_tracking() -> None:
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    asked = "http://127.0.0.1:1", "http://127.0.0.1:2"
    try:
        RegisteredModel(ScoringSettings(mlflow_uri=asked[0], registry_uri=asked[1]))
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == asked
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
