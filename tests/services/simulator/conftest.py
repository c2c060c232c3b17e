"""A broker inside this process (librdkafka's mock cluster)."""

from collections.abc import Iterator

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from tests.fraud.synthetic.conftest import data_set, settings  # noqa: F401  fixtures


class Broker:
    """Speaks Kafka's protocol on a local port for as long as it lives."""

    def __init__(self) -> None:
        options = {"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0}
        self._cluster = Producer(options)
        brokers = self._cluster.list_topics(timeout=10).brokers.values()
        self.address = ",".join(f"{one.host}:{one.port}" for one in brokers)

    def stop(self) -> None:
        del self._cluster

    def read(self, topic: str, count: int) -> list[Message]:
        """Read a topic from its beginning until ``count`` records came."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "test", "log_level": 0})
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        found: list[Message] = []
        while len(found) < count:
            batch = consumer.consume(count - len(found), timeout=10)
            assert batch, f"{len(found)} of {count} records came"
            found += batch
        assert consumer.poll(0.2) is None, f"more than {count} records came"
        consumer.close()
        return found


@pytest.fixture
def broker() -> Iterator[Broker]:
    found = Broker()
    yield found
    if hasattr(found, "_cluster"):
        found.stop()
