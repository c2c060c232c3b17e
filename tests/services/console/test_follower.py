"""The console follows Kafka whatever happens to it; the broker is the client library's own."""

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from fraud.contracts import DECISIONS, LABELS
from services.console.live import Follower, Live
from tests.deployed import SCHEMA
from tests.fraud.kafka.broker import Broker
from tests.services.console.conftest import World, label_of, settings_of
from tests.services.predictor.conftest import wait_until
from tests.wire import Decision


@pytest.fixture
def broker() -> Iterator[Broker]:
    found = Broker()
    for topic in (DECISIONS, LABELS):
        found.send(topic, b"")  # the topic comes with its first record
    yield found
    found.stop()


class Failing(Live):
    """Fails once with what nobody expects."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(1_000)
        self.errors = [error]

    def take_decision(self, decision: Decision) -> None:
        if self.errors:
            raise self.errors.pop()
        super().take_decision(decision)


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyError("decisions"), SystemExit(1)])
def test_the_follower_outlives_every_error_and_goes_on_behind_the_record(
    broker: Broker, world: World, error: BaseException
) -> None:
    live = Failing(error)
    follower = Follower(settings_of(world, kafka_bootstrap=broker.address), live, SCHEMA)
    for decision in world.decisions[:20]:
        broker.send(DECISIONS, decision.model_dump_json().encode())
    failed = _failures()
    follower.start()
    try:
        wait_until(lambda: len(live.recent(99)) == 19, "all but the one that failed are there")
        wait_until(lambda: live.trouble == "", "it says that it follows")
        broker.send(LABELS, label_of(world.decisions[1], is_fraud=True).model_dump_json().encode())
        wait_until(lambda: live.label(world.decisions[1].transaction_id) is not None, "labels follow")
        assert _failures() == failed + 1.0
    finally:
        follower.stop()


def test_what_is_no_record_is_passed_over(broker: Broker, world: World) -> None:
    live = Live(1_000)
    follower = Follower(settings_of(world, kafka_bootstrap=broker.address), live, SCHEMA)
    for value in (b"\xff" * 100, b"{" * 5_000, b"[1]", b'{"score": NaN}'):
        broker.send(DECISIONS, value)
    broker.send(DECISIONS, world.decisions[0].model_dump_json().encode())
    follower.start()
    try:
        wait_until(lambda: live.find(world.decisions[0].transaction_id) is not None, "it goes on")
        assert live.trouble == ""
    finally:
        follower.stop()


def _failures() -> float:
    return REGISTRY.get_sample_value("fraud_thread_failures_total", {"thread": "follower"}) or 0.0
