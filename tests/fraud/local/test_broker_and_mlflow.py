"""The real broker and the real MLflow under the supervisor."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import httpx
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from fraud.contracts import LISTS, TOPICS, TRANSACTIONS
from fraud.contracts.topics import AUDIT
from fraud.local import platform
from fraud.local.mlflow_db import give_up_half_made
from fraud.local.platform import State
from fraud.local.settings import LocalSettings
from fraud.runtime.waiting import wait_until

pytestmark = pytest.mark.flow


@pytest.fixture
def settings(tmp_path):
    made = LocalSettings(
        home=tmp_path / "a home ö",
        kafka_port=0,
        kafka_controller_port=0,
        mlflow_port=0,
        predictor_port=0,
        stream_metrics_port=0,
        scoring_port=0,
        console_port=0,
        kafka_heap_mb=384,
    )
    yield made
    platform.down(made)


def _state(settings, name):
    return next(part for part in platform.status(settings) if part.name == name)


def _produce(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    errors = []
    producer.produce(TRANSACTIONS, value, on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(30) == 0
    assert errors == [None]


def _consume(bootstrap: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"reader-{count}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([TRANSACTIONS])
    found: list[bytes] = []

    def has_all() -> bool:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            found.append(message.value())
        return len(found) >= count

    try:
        assert wait_until(has_all, 60)
    finally:
        consumer.close()
    return sorted(found)


def test_the_broker_keeps_its_records_through_a_crash(settings):
    platform.up(settings, ["broker"])
    first = _state(settings, "broker")
    _produce(first.url, b"one")
    assert _consume(first.url, 1) == [b"one"]
    platform.up(settings, ["broker"])
    assert _state(settings, "broker") == first

    os.kill(first.pid, signal.SIGKILL)
    assert wait_until(lambda: _state(settings, "broker").state is State.CRASHED, 10)
    assert "Kafka Server started" in _state(settings, "broker").detail

    platform.up(settings, ["broker"])
    second = _state(settings, "broker")
    assert second.state is State.READY
    assert second.url == first.url
    _produce(second.url, b"two")
    assert _consume(second.url, 2) == [b"one", b"two"]

    platform.down(settings)
    assert _state(settings, "broker").state is State.STOPPED


def test_every_topic_of_the_contract_has_its_partitions_and_the_broker_s_clock(settings):
    platform.up(settings, ["broker"])
    bootstrap = _state(settings, "broker").url
    admin = AdminClient({"bootstrap.servers": bootstrap})
    found = admin.list_topics(timeout=10).topics
    expected = {**dict.fromkeys(TOPICS, 4), LISTS: 1, AUDIT: 1}
    assert {name: len(found[name].partitions) for name in TOPICS} == expected
    from confluent_kafka.admin import ConfigResource  # noqa: PLC0415

    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in TOPICS]
    for future in admin.describe_configs(resources).values():
        config = future.result(10)
        assert config["message.timestamp.type"].value == "LogAppendTime"
        assert config["retention.ms"].value == "-1"
    producer = Producer({"bootstrap.servers": bootstrap, "message.timeout.ms": 3000})
    errors = []
    producer.produce("no-such-topic", b"x", on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(60) == 0
    assert errors[0] is not None, "topics must not be made by writing to them"


def test_mlflow_keeps_models_and_answers_only_local_callers(settings):
    platform.up(settings, ["mlflow"])
    url = _state(settings, "mlflow").url
    api = f"{url}/api/2.0/mlflow"
    made = httpx.post(f"{api}/registered-models/create", json={"name": "fraud"})
    assert made.is_success, made.text
    artifact = f"{url}/api/2.0/mlflow-artifacts/artifacts/folder/a file.txt"
    assert httpx.put(artifact, content=b"kept").is_success
    assert (settings.home / "mlflow" / "artifacts" / "folder" / "a file.txt").read_bytes() == b"kept"
    assert (
        httpx.get(f"{api}/registered-models/get?name=fraud", headers={"Host": "evil.example"}).status_code
        == 403
    )

    platform.down(settings)
    told = []
    platform.up(settings, ["predictor"], told.append)  # starts MLflow, and says that a model is missing
    assert platform.NO_CHAMPION in told
    url = _state(settings, "mlflow").url
    again = httpx.get(f"{url}/api/2.0/mlflow/registered-models/get", params={"name": "fraud"})
    assert again.is_success
    assert _state(settings, "predictor").state is State.STOPPED


@pytest.mark.parametrize("room_kb", [64, 256])
def test_a_first_start_of_mlflow_that_found_no_room_is_made_good_by_the_next(settings, room_kb):
    """Its database cannot grow beyond a size, as on a full disk."""
    folder = settings.home / "mlflow"
    folder.mkdir(parents=True)
    (settings.home / platform.OURS).touch()
    limit = (resource.RLIMIT_FSIZE, (room_kb * 1024, room_kb * 1024))
    code = "import mlflow.store.tracking.sqlalchemy_store as s; s.SqlAlchemyStore('sqlite:///mlflow.db', '.')"
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        preexec_fn=lambda: resource.setrlimit(*limit),
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode != 0
    assert "disk" in made.stderr
    platform.up(settings, ["mlflow"])
    assert _state(settings, "mlflow").state is State.READY


def test_a_database_that_was_used_or_cannot_be_read_is_left_alone(tmp_path):
    used, locked, broken = (tmp_path / f"{name} #1.db" for name in ("used", "locked", "broken"))
    for file in (used, locked):
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE experiments (name TEXT)")
            database.execute("INSERT INTO experiments VALUES ('Default')" if file is used else "SELECT 1")
            database.commit()
    broken.write_bytes(b"no database" * 1_000)
    holder = sqlite3.connect(locked)
    holder.execute("BEGIN EXCLUSIVE")
    for file in (used, locked, broken):
        give_up_half_made(file, pytest.fail)
    holder.close()
    told = []
    give_up_half_made(locked, told.append)
    assert len(told) == 1
    assert not locked.exists()
