"""The one Kafka producer: it sends records in order, waits while its queue is full, and counts. Any topic."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client
from pydantic import BaseModel, ConfigDict, Field

from fraud.errors import BadConfig, BadInput, Unavailable

Noted = Callable[[Any, Any], None]
Headers = Sequence[tuple[str, str | bytes | None]]


class ProducerSettings(BaseModel):
    """How to reach the brokers and how long to wait for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """Brokers, ``host:port`` separated by commas."""
    connect_timeout_s: Annotated[float, Field(gt=0.0)] = 10.0
    """How long the first answer of a broker may take, seconds."""
    delivery_timeout_s: Annotated[float, Field(gt=0.0)] = 60.0
    """How long the broker may take to acknowledge a record, retries included, seconds."""
    linger_ms: Annotated[float, Field(ge=0.0, le=1_000.0)] = 2.0
    """How long a record may wait for others to share its batch, milliseconds."""
    queue_records: Annotated[int, Field(ge=1)] = 100_000
    """Records that may wait for the broker before the sender waits too."""
    options: dict[str, str] = {}
    """Further client options under Kafka's names, e.g. ``{"security.protocol": "SSL"}``; they win."""


class Record(NamedTuple):
    """What is sent."""

    topic: str
    key: str | bytes | None
    value: bytes
    headers: Headers = ()


@dataclass(slots=True)
class Delivery:
    """What became of records that were sent together."""

    taken: list[bool] = field(default_factory=list)
    """Of each record, in their order: whether the brokers have it."""
    reason: str = ""
    """Why the brokers do not have one of them; empty: they have all."""

    @property
    def is_complete(self) -> bool:
        """Whether the brokers have all of them."""
        return all(self.taken)

    @property
    def missing(self) -> int:
        """How many the brokers do not have."""
        return self.taken.count(False)

    def note(self, at: int, error: Any, _message: Any = None) -> None:
        """Take down what the client says of one record."""
        self.taken[at] = error is None
        if error is not None:
            self.reason = str(error)


class Sender(Protocol):
    """Takes records and says which ones are safe: a :class:`Producer`."""

    def deliver(self, records: Iterable[Record]) -> Delivery:
        """Send the records and wait until the brokers have them or time is over."""


class Producer:
    """Sends records in order, each once per partition (idempotent); threads may share it.

    Raises
    ------
    BadConfig
        When Kafka's client refuses an option.
    """

    def __init__(self, settings: ProducerSettings) -> None:
        self.delivered: Counter[str] = Counter()
        """Acknowledged records of :meth:`send`, by topic."""
        self.failed: Counter[str] = Counter()
        """Records of :meth:`send` that were given up, by topic."""
        self._settings = settings
        self._reason = ""
        self._counters: dict[str, Noted] = {}
        options: dict[str, Any] = {
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": settings.linger_ms,
            "queue.buffering.max.messages": settings.queue_records,
            "message.timeout.ms": round(settings.delivery_timeout_s * 1_000),
            "log_level": 0,  # errors arrive by error_cb
            **settings.options,
            "bootstrap.servers": settings.bootstrap,
            "error_cb": self._note_error,
        }
        try:
            self._client = Client(options)
        except KafkaException as error:
            raise BadConfig(f"the producer's options are wrong: {error.args[0].str()}") from error

    def check(self) -> None:
        """See that a broker answers.

        Raises
        ------
        Unavailable
            When none does; start one, or correct the address.
        """
        settings = self._settings
        try:
            self._client.list_topics(timeout=settings.connect_timeout_s)
        except KafkaException as error:
            self._client.poll(0)  # for the brokers' own words
            reason = self._reason or error.args[0].str()
            where = f"{settings.bootstrap} within {settings.connect_timeout_s:g} s"
            raise Unavailable(f"no Kafka broker answers at {where}: {reason}") from error

    def deliver(self, records: Iterable[Record]) -> Delivery:
        """Send the records and wait until the brokers have them or time is over.

        Returns
        -------
        Delivery
            Which ones they have. One that they do not have is not on its way any more.
        """
        found = Delivery()
        for at, record in enumerate(records):
            found.taken.append(False)
            try:
                self._queue(*record[:3], partial(found.note, at), self._client.poll, headers=record.headers)
            except KafkaException as error:  # this record alone, e.g. it is too large
                found.note(at, error.args[0].str())
        if self._client.flush(self._settings.delivery_timeout_s + 1.0) and not found.reason:
            found.reason = self._reason or "time is over"
        return found

    def deliver_all(self, records: Iterable[tuple[str, str | bytes | None, bytes] | Record]) -> None:
        """Send many records, or (topic, key, value), and wait until the brokers have all of them.

        One callback serves all: half the time of :meth:`deliver`, which answers for each record.

        Raises
        ------
        BadInput
            When a record is larger than Kafka takes; the message names it.
        Unavailable
            When the brokers do not have all of them in time.
        KafkaException
            When the client has given up for good: end this process, and start again.
        """
        lost: list[str] = []

        def note(error: Any, _message: Any) -> None:
            if error is not None:
                lost.append(str(error))

        produce = self._client.produce  # looked up once: this is the stream's way
        for topic, key, value, *rest in records:
            headers = list(rest[0]) if rest else None
            try:
                produce(topic, value, key, on_delivery=note, headers=headers)
            except BufferError:
                self._queue(topic, key, value, note, self._client.poll, headers=headers or ())
            except KafkaException as error:
                _refuse_large(error, topic, key, value)
                raise
        left = self._client.flush(self._settings.delivery_timeout_s + 1.0)
        if left or lost:
            reason = lost[0] if lost else self._reason or "time is over"
            raise Unavailable(f"Kafka did not accept {left + len(lost)} records: {reason}")

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Queue a record and count what becomes of it.

        Raises
        ------
        BadInput
            When the record is larger than Kafka takes; the message names it.
        Unavailable
            When a record was not delivered; :meth:`serve` and :meth:`flush` say so too. Retry with a new
            producer.
        """
        on_delivery = self._counters.get(topic) or self._counter(topic)
        try:
            self._queue(topic, key, value, on_delivery, self.serve)
        except KafkaException as error:
            _refuse_large(error, topic, key, value)
            raise Unavailable(f"the Kafka producer failed and was closed: {error.args[0].str()}") from error

    def serve(self, wait_s: float = 0.0) -> None:
        """Take acknowledgements for up to so long."""
        self._client.poll(wait_s)
        self._check_failed()

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        waiting = self._client.flush(self._settings.delivery_timeout_s + 5.0)
        self._check_failed()
        if waiting:
            raise Unavailable(
                f"{waiting} records were not acknowledged by {self._settings.bootstrap}: {self._reason}"
            )

    def _queue(
        self,
        topic: str,
        key: str | bytes | None,
        value: bytes,
        on_delivery: Noted,
        wait: Callable[[float], object],
        *,
        headers: Headers = (),
    ) -> None:
        """Queue a record; while the queue is full, wait by polling, which alone empties it."""
        while True:
            try:
                self._client.produce(
                    topic, value, key, on_delivery=on_delivery, headers=list(headers) or None
                )
            except BufferError:
                wait(0.1)
            else:
                return

    def _check_failed(self) -> None:
        if self.failed:
            count = ", ".join(f"{number} to {topic}" for topic, number in self.failed.items())
            raise Unavailable(f"records not delivered ({count}): {self._reason}")

    def _counter(self, topic: str) -> Noted:
        def count(error: Any, _message: Any) -> None:
            if error is None:
                self.delivered[topic] += 1
            else:
                self.failed[topic] += 1
                self._reason = error.str()

        self._counters[topic] = count
        return count

    def _note_error(self, error: Any) -> None:
        self._reason = error.str()


def _refuse_large(error: KafkaException, topic: str, key: str | bytes | None, value: bytes) -> None:
    """Name the record, where that is why the client refuses it."""
    if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
        raise BadInput(
            f"the record of {topic} with key {(key or b'')[:64]!r} has {len(value):,} bytes, "
            "more than Kafka takes; shorten its longest field"
        ) from error


def open_producer(settings: ProducerSettings) -> Producer:
    """Make a producer whose brokers answer; for its errors see the class and :meth:`Producer.check`."""
    producer = Producer(settings)
    producer.check()
    return producer
