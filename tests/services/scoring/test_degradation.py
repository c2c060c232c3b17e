"""Started as KServe starts a transformer; model server and store hang or die, and come back.

Real are the service, the model server and Redis, as processes. There is no Kafka: what the store has counted
waits in it, and without the store nothing can be taken on.
"""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.fraud.store.conftest import RedisServer, run_redis
from tests.services.predictor.conftest import Registry, Server, make_model, run_server, wait_until
from tests.services.scoring import samples


@dataclass
class Parts:
    url: str
    redis: RedisServer
    predictor: Server

    def score(self, name: str = "", **fields: object) -> httpx.Response:
        body = {**samples.TRANSACTION, "transaction_id": name or uuid.uuid4().hex, **fields}
        return httpx.post(f"{self.url}/v1/score", json=body, timeout=30.0)

    def is_away(self, part: str) -> bool:
        answer = self.score(amount=900.0)
        return answer.status_code == 200 and part in answer.json()["degraded"]

    def is_refused(self) -> bool:
        answer = self.score()
        return answer.status_code == 503 and int(answer.headers["retry-after"]) > 0

    def answers_in_full(self) -> bool:
        answer = self.score()
        return answer.status_code == 200 and not {"store", "model"} & set(answer.json()["degraded"])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("parts")
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}")
    registry.register(make_model(1))
    with ExitStack() as stack:
        redis = stack.enter_context(run_redis("--appendonly", "yes", "--appendfsync", "always"))
        predictor = stack.enter_context(run_server(registry.uri, folder))
        port, host = free_port(), predictor.url.removeprefix("http://")
        arguments = ["--model_name", "fraud", "--predictor_host", host, "--http_port", str(port)]
        environment = {
            **os.environ,
            "FRAUD_SCORING_STORE_URL": redis.url(prefix="parts"),
            "FRAUD_SCORING_STORE_TIMEOUT_S": "0.2",
            "FRAUD_SCORING_KAFKA_BOOTSTRAP": "127.0.0.1:9",
            "FRAUD_SCORING_KAFKA_TIMEOUT_S": "0.2",
            "FRAUD_SCORING_PREDICTOR_TIMEOUT_S": "0.5",
        }
        command = [sys.executable, "-m", "services.scoring.main", *arguments, "--predictor_protocol", "v2"]
        with (folder / "service.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        stack.callback(process.kill)
        url = f"http://127.0.0.1:{port}"

        def is_alive() -> bool:
            assert process.poll() is None, (folder / "service.log").read_text()
            try:
                return httpx.get(f"{url}/health", timeout=1.0).is_success
            except httpx.TransportError:
                return False

        wait_until(is_alive, "the service is there", 300.0)
        yield Parts(url, redis, predictor)


def test_the_transformer_answers_by_the_model_server_and_by_the_fallback_while_it_is_away(
    parts: Parts,
) -> None:
    assert httpx.get(f"{parts.url}/ready").status_code == 200, "it decides also before there is a model"
    wait_until(parts.answers_in_full, "the model server scores")
    answer = httpx.post(
        f"{parts.url}/v1/models/fraud:predict",
        json={"instances": [{**samples.TRANSACTION, "transaction_id": "v1"}]},
    ).json()["predictions"][0]
    assert answer["model_version"] == "1"
    assert 0.0 <= answer["score"] <= 1.0
    parts.predictor.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: parts.is_away("model"), "the fallback decides")
    assert parts.score(amount=900.0).json()["outcome"] == "review"
    assert httpx.get(f"{parts.url}/ready").status_code == 200
    parts.predictor.process.send_signal(signal.SIGCONT)
    wait_until(parts.answers_in_full, "the model server scores again")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_store_that_dies_or_hangs_is_an_answer_in_time_and_loses_nothing(
    parts: Parts, how: signal.Signals
) -> None:
    name, user = uuid.uuid4().hex, uuid.uuid4().hex
    wait_until(lambda: parts.score(name, user_id=user).status_code == 200, "it is counted")
    before = parts.score(name, user_id=user).content
    assert parts.redis.process is not None
    parts.redis.process.send_signal(how)
    wait_until(parts.is_refused, "without the store and Kafka it is refused")
    assert httpx.get(f"{parts.url}/health").status_code == 200
    assert httpx.get(f"{parts.url}/v2/models/fraud/ready", timeout=10.0).status_code == 503
    if how is signal.SIGSTOP:
        parts.redis.process.send_signal(signal.SIGCONT)
    else:
        parts.redis.process.wait(30)
        parts.redis.start()
    wait_until(parts.answers_in_full, "the store counts again")
    assert parts.score(name, user_id=user).content == before
    wait_until(lambda: parts.score("after" + name, user_id=user).status_code == 200, "it is counted")
    assert httpx.get(f"{parts.url}/v1/decisions/after{name}").json()["user_sequence"] == 2
