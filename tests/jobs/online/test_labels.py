"""Labels from the topic are taken once each, whoever is killed in between; what is no label is left."""

from datetime import UTC, datetime

import pytest

from fraud.contracts import LABELS
from fraud.errors import Unavailable
from jobs.online.labels import LABELS_FILE, take_labels
from jobs.online.settings import OnlineSettings
from tests.fraud.kafka.broker import Broker
from tests.wire import Label

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def broker():
    found = Broker()
    yield found
    found.stop()


@pytest.fixture
def settings(broker, tmp_path):
    return OnlineSettings(kafka_bootstrap=broker.address, work=tmp_path / "work")


def send(broker, *values):
    for value in values:
        broker.send(LABELS, value, key=value[:8])


def label(number):
    one = Label(
        transaction_id=f"t{number}",
        user_id="u",
        merchant_id="m",
        event_time=MOMENT,
        label_time=MOMENT,
        is_fraud=number % 2 == 0,
    )
    return one.model_dump_json().encode()


def test_each_label_is_taken_once_and_a_killed_run_takes_the_same_again(broker, settings):
    send(broker, *(label(number) for number in range(20)), b"{no label")
    first, new = take_labels(settings)
    assert new == 20
    assert sorted(first["transaction_id"].to_pylist()) == sorted(f"t{number}" for number in range(20))
    before = (settings.work / LABELS_FILE).read_bytes()
    assert take_labels(settings)[1] == 0
    send(broker, label(20))
    assert take_labels(settings)[1] == 1
    (settings.work / LABELS_FILE).write_bytes(before)  # killed before it could write
    again, new = take_labels(settings)
    assert (again.num_rows, new) == (21, 1)


def test_brokers_that_do_not_answer_are_named(tmp_path):
    away = OnlineSettings(kafka_bootstrap="127.0.0.1:1", work=tmp_path, patience_s=0.5)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        take_labels(away)
