"""Sending to Kafka with an answer: whether the brokers have each record."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaException, Producer


class Sender(Protocol):
    """Takes messages and says which ones are safe."""

    def send(self, messages: Sequence[tuple[str, str, bytes]]) -> list[bool]:
        """Send (topic, key, value); returns, for each, whether the brokers have it."""


class Kafka:
    """A producer that says within a time whether the brokers have what was sent.

    Parameters
    ----------
    bootstrap
        Host and port of the brokers, comma separated.
    options
        Further client options under Kafka's names.
    timeout_s
        How long they may take, seconds.
    """

    def __init__(self, bootstrap: str, options: Mapping[str, str], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._producer = Producer(
            {
                "acks": "all",
                "enable.idempotence": "true",
                "linger.ms": "2",
                "compression.type": "lz4",
                "message.timeout.ms": str(int(timeout_s * 1e3)),
                **options,
                "bootstrap.servers": bootstrap,
                "log_level": "2",
            }
        )

    def send(self, messages: Sequence[tuple[str, str, bytes]]) -> list[bool]:
        """Send (topic, key, value); returns, for each, whether the brokers have it."""
        taken = [False] * len(messages)

        def delivered(at: int) -> Any:
            def report(error: Any, _message: Any) -> None:
                taken[at] = error is None

            return report

        for at, (topic, key, value) in enumerate(messages):
            try:
                self._producer.produce(topic, value, key, on_delivery=delivered(at))
            except (BufferError, KafkaException):
                self._producer.poll(0.05)
        self._producer.flush(self._timeout_s + 1.0)
        return taken
