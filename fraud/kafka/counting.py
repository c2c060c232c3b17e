"""A Kafka producer that counts: what was acknowledged, what failed, and why. Writes any topic."""

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

from confluent_kafka import KafkaError, KafkaException, Producer
from pydantic import BaseModel, ConfigDict, Field

from fraud.errors import BadConfig, BadInput, Unavailable

__all__ = ["Outbox", "ProducerSettings"]


class ProducerSettings(BaseModel):
    """How to reach the brokers and how long to wait for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """Brokers, ``host:port`` separated by commas."""
    connect_timeout_s: Annotated[float, Field(gt=0.0)] = 10.0
    """How long the first answer of a broker may take, seconds."""
    delivery_timeout_s: Annotated[float, Field(gt=0.0)] = 60.0
    """How long the broker may take to acknowledge a record, retries included, seconds."""
    linger_ms: Annotated[float, Field(ge=0.0, le=1_000.0)] = 10.0
    """How long a record may wait for others to share its batch, milliseconds."""
    queue_records: Annotated[int, Field(ge=1)] = 50_000
    """Records that may wait for the broker before the sender waits too."""
    options: dict[str, str] = {}
    """Further client options under Kafka's names, e.g. ``{"security.protocol": "SSL"}``."""


class Outbox:
    """Sends records in order, each once per partition (idempotent producer).

    Raises
    ------
    BadConfig
        When Kafka's client refuses an option.
    Unavailable
        When no broker answers; later by :meth:`send`, :meth:`serve` and :meth:`flush` when a record was
        not delivered. Retry with a new outbox.
    """

    def __init__(self, settings: ProducerSettings) -> None:
        self.delivered: Counter[str] = Counter()
        """Acknowledged records by topic."""
        self.failed: Counter[str] = Counter()
        """Records given up, by topic."""
        self._settings = settings
        self._reason = ""
        self._on_delivery: dict[str, Callable[[Any, Any], None]] = {}
        options: dict[str, Any] = {
            "linger.ms": settings.linger_ms,
            "compression.type": "lz4",
            "queue.buffering.max.messages": settings.queue_records,
            "log_level": 0,  # errors arrive by error_cb
            **settings.options,
            "bootstrap.servers": settings.bootstrap,
            "enable.idempotence": True,
            "message.timeout.ms": round(settings.delivery_timeout_s * 1_000),
            "error_cb": self._note_error,
        }
        try:
            self._producer = Producer(options)
        except KafkaException as error:
            raise BadConfig(f"the producer's options are wrong: {error.args[0].str()}") from error
        try:
            self._producer.list_topics(timeout=settings.connect_timeout_s)
        except KafkaException as error:
            self._producer.poll(0)  # for the brokers' own words
            reason = self._reason or error.args[0].str()
            where = f"{settings.bootstrap} within {settings.connect_timeout_s:g} s"
            raise Unavailable(f"no Kafka broker answers at {where}: {reason}") from error

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Queue a record; waits while the queue is full, by polling, which alone empties it.

        Raises
        ------
        BadInput
            When the record is larger than Kafka takes; the message names it.
        """
        on_delivery = self._on_delivery.get(topic) or self._counter(topic)
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=on_delivery)
            except BufferError:
                self.serve(0.1)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise BadInput(
                        f"the record of {topic} with key {(key or b'')[:64]!r} has {len(value):,} bytes, "
                        "more than Kafka takes; shorten its longest field"
                    ) from error
                raise Unavailable(f"the producer gave up: {error.args[0].str()}") from error
            else:
                return

    def serve(self, wait_s: float = 0.0) -> None:
        """Take acknowledgements for up to so long."""
        self._producer.poll(wait_s)
        self._check()

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        waiting = self._producer.flush(self._settings.delivery_timeout_s + 5.0)
        self._check()
        if waiting:
            raise Unavailable(
                f"{waiting} records were not acknowledged by {self._settings.bootstrap}: {self._reason}"
            )

    def _check(self) -> None:
        if self.failed:
            count = ", ".join(f"{number} to {topic}" for topic, number in self.failed.items())
            raise Unavailable(f"records not delivered ({count}): {self._reason}")

    def _counter(self, topic: str) -> Callable[[Any, Any], None]:
        def count(error: Any, _message: Any) -> None:
            if error is None:
                self.delivered[topic] += 1
            else:
                self.failed[topic] += 1
                self._reason = error.str()

        self._on_delivery[topic] = count
        return count

    def _note_error(self, error: Any) -> None:
        self._reason = error.str()
