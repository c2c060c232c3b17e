"""A broker inside this process: librdkafka's mock cluster, which speaks Kafka's protocol on a real port."""

from confluent_kafka import Message, Producer

from fraud.kafka.reader import Reader


class Broker:
    """Answers for as long as it lives; a topic comes with its first record."""

    def __init__(self) -> None:
        options = {"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0}
        self._cluster: Producer | None = Producer(options)
        brokers = self._cluster.list_topics(timeout=10.0).brokers.values()
        self.address = ",".join(f"{one.host}:{one.port}" for one in brokers)

    def stop(self) -> None:
        """End it."""
        self._cluster = None

    def send(self, topic: str, *values: bytes, key: bytes | None = None, partition: int = -1) -> None:
        """Write records, past the code under test."""
        producer = Producer({"bootstrap.servers": self.address, "log_level": 0})
        for value in values:
            producer.produce(topic, value, key, partition)
        assert producer.flush(10.0) == 0

    def read(self, topic: str, count: int) -> list[Message]:
        """Read a topic, which ``count`` records make."""
        found = read_all(self.address, topic)
        assert len(found) == count
        return found


def read_all(address: str, *topics: str) -> list[Message]:
    """Read topics from their beginning to their present end."""
    with Reader(address, name="test") as reader:
        bounds = {at: found for topic in topics for at, found in reader.bounds(topic).items()}
        reader.begin({at: found.first for at, found in bounds.items()})
        return list(reader.read_to({at: found.end for at, found in bounds.items()}, 60.0))
