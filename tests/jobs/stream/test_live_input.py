"""Hostile records through a real broker and a real query: it continues, and loses nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import Producer
from deltalake import DeltaTable

from fraud.contracts import DEAD_LETTERS, DECISIONS, LABELS, MOST_RECORD, SCORED, TRANSACTIONS, DeadLetter
from fraud.kafka.reader import Reader
from jobs.stream.offsets import Range
from jobs.stream.tasks.bounded_read import read as read_bounded
from jobs.stream.tasks.large_records import UNKNOWN_SIZE
from tests.flow.conftest import Job, wait_until
from tests.fraud.kafka.broker import read_all
from tests.jobs.stream.tasks.test_passes import transaction
from tests.otlp import Received, receiver

pytestmark = pytest.mark.flow

BY_ENGINE = pytest.mark.parametrize("engine", ["spark", "direct"])
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Sent = tuple[str, bytes | None, bytes | None]


def send(
    kafka: str, records: Sequence[Sent], headers: list[tuple[str, bytes | None]] | None = None, **options: Any
) -> None:
    failed: list[str] = []
    producer = Producer({"bootstrap.servers": kafka, "compression.type": "zstd", **options})
    for topic, key, value in records:
        note = lambda error, _: error and failed.append(str(error))  # noqa: E731
        producer.produce(topic, value, key, on_delivery=note, headers=headers)
        producer.poll(0)
    assert producer.flush(60.0) == 0
    assert not failed


def good(number: int) -> Sent:
    return TRANSACTIONS, b"u0", json.dumps(transaction(number)).encode()


def read(kafka: str, topic: str) -> list[bytes]:
    """Read a topic as it is now."""
    return [message.value() or b"" for message in read_all(kafka, topic)]


def ends_of(kafka: str, topic: str) -> dict[int, int]:
    """Where each partition ends."""
    with Reader(kafka) as reader:
        return {at.partition: bounds.end for at, bounds in reader.bounds(topic).items()}


def rows_of(job: Job, table: str) -> list[Mapping[str, Any]]:
    uri = f"{job.settings.delta_path}/{table}"
    if not DeltaTable.is_deltatable(uri):
        return []
    columns = ["source_offset", "topic", "reason"] if table == "dead_letters" else ["transaction_id"]
    return DeltaTable(uri).to_pyarrow_table(columns=columns).to_pylist()


def decided(job: Job) -> set[str]:
    return {row["transaction_id"] for row in rows_of(job, "decisions")}


@BY_ENGINE
def test_hostile_records_become_letters_and_the_query_goes_on(
    kafka: str, make_job: Callable[..., Job], engine: str
) -> None:
    hostile: list[Sent] = [
        (TRANSACTIONS, b"\xff" * 400_000, b"junk"),
        (TRANSACTIONS, b"\x00" * 900_000, None),
        (TRANSACTIONS, b"k", b"\xff" * 900_000),
        (LABELS, b'"' * 500_000, b'"' * 400_000),
        (SCORED, None, b"[" * 900_000),
        (TRANSACTIONS, b"k", b"[" * 30_000),
        (TRANSACTIONS, None, b""),
    ]
    with receiver() as received:
        send(kafka, [good(1), *hostile])
        for number, header in ((3, b"junk"), (4, b"\xff" * 400_000), (5, TRACE.encode())):
            send(kafka, [good(number)], headers=[("traceparent", header), ("other", None)])
        traced = {"FRAUD_TRACES_MODE": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": received.url}
        traced["FRAUD_STREAM_ENGINE"] = engine
        job = make_job(**traced, OTEL_BSP_SCHEDULE_DELAY="100", FRAUD_STREAM_PREDICTOR_URL=received.url)
        job.start()
        wait_until(lambda: len(rows_of(job, "dead_letters")) == len(hostile), job.check)
        send(kafka, [good(2)])
        wait_until(lambda: decided(job) == {f"t{number}" for number in range(1, 6)}, job.check)
        letters = [DeadLetter.model_validate_json(value) for value in read(kafka, DEAD_LETTERS)]
        assert len(letters) == len(hostile)
        job.stop()
    see_traces(kafka, received)


def see_traces(kafka: str, received: Received) -> None:
    """A header reaches the decision and is linked with its micro-batch; one that is wrong is none."""
    found = {
        json.loads(one.value() or b"")["transaction_id"]: one.headers() for one in read_all(kafka, DECISIONS)
    }
    assert found == {f"t{number}": None for number in range(1, 5)} | {"t5": [("traceparent", TRACE.encode())]}
    _, trace, parent, _ = TRACE.split("-")
    (decide,) = received.named("decide")
    assert (decide.trace_id.hex(), decide.parent_span_id.hex()) == (trace, parent)
    (batch,) = (one for one in received.named("micro-batch") if one.links)
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in batch.links] == [(trace, parent)]
    assert decide.links[0].span_id == batch.span_id
    assert received.services == {"fraud-stream"}
    asked = {(header or "").split("-")[1] for header in received.asked}
    assert batch.trace_id.hex() in asked, "the model server is told the micro-batch's own trace"


@BY_ENGINE
def test_what_a_producer_takes_back_is_not_decided(
    kafka: str, make_job: Callable[..., Job], engine: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": "bank"})
    producer.init_transactions(30.0)
    for numbers, end in ((range(5), "abort_transaction"), (range(5, 8), "commit_transaction")):
        producer.begin_transaction()
        for number in numbers:
            topic, key, value = good(number)
            producer.produce(topic, value, key)
        getattr(producer, end)(30.0)
    job = make_job(FRAUD_STREAM_ENGINE=engine)
    job.start()
    wait_until(lambda: len(decided(job)) >= 3, job.check)
    send(kafka, [good(9)])
    wait_until(lambda: "t9" in decided(job), job.check)
    assert decided(job) == {"t5", "t6", "t7", "t9"}
    assert {json.loads(value)["transaction_id"] for value in read(kafka, DECISIONS)} == decided(job)
    job.stop()


ONE_BATCH = {"batch.size": 2_000_000_000, "linger.ms": 500}


@pytest.mark.parametrize(("options", "engine"), [({}, "spark"), (ONE_BATCH, "spark"), (ONE_BATCH, "direct")])
def test_large_records_that_kafka_holds_compressed_do_not_fill_the_memory(
    kafka: str, make_job: Callable[..., Job], options: dict[str, Any], engine: str
) -> None:
    large = 1_500
    send(
        kafka,
        [(TRANSACTIONS, b"k", b"a" * 900_000)] * large,
        **{"message.max.bytes": 1_000_000_000, "queue.buffering.max.kbytes": 2_000_000, **options},
    )
    send(kafka, [good(1)])
    job = make_job(FRAUD_STREAM_ONE_TASK_RECORDS="0", FRAUD_STREAM_ENGINE=engine)
    job.start()
    wait_until(lambda: decided(job) == {"t1"}, job.check)
    wait_until(lambda: len(rows_of(job, "dead_letters")) == large, job.check)
    assert {row["reason"] for row in rows_of(job, "dead_letters")} == {"too_large"}
    job.stop()


@pytest.mark.parametrize("codec", ["zstd", "gzip", "lz4"])
def test_what_unpacks_to_too_much_is_told_from_what_lies_beside_it(kafka: str, codec: str) -> None:
    options = {"message.max.bytes": 1_000_000_000, "queue.buffering.max.kbytes": 2_000_000}
    before = [(TRANSACTIONS, b"u0", b"before")] * 3
    send(kafka, before)
    one_batch = {"batch.size": 2_000_000_000, "linger.ms": 1_000, "compression.type": codec}
    many = [(TRANSACTIONS, b"u0", b"a" * 900_000)] * 150
    send(kafka, many, **options, **one_batch)
    send(kafka, [good(1)])
    giant = [(TRANSACTIONS, b"u0", b"\0" * 150_000_000)]
    send(kafka, giant, **options, **one_batch)
    send(kafka, [good(2)])
    partition, end = next((at, end) for at, end in ends_of(kafka, TRANSACTIONS).items() if end)
    found = [
        row
        for batch in read_bounded((("bootstrap.servers", kafka),), [Range(TRANSACTIONS, partition, 0, end)])
        for row in batch.to_pylist()
    ]
    assert [row["offset"] for row in found] == list(range(end))
    is_large = [row["size"] > MOST_RECORD for row in found]
    assert is_large == [False] * 3 + [True] * 150 + [False, True, False]
    small = [row["value"] for row in found if row["size"] <= MOST_RECORD]
    assert small == [b"before"] * 3 + [good(1)[2], good(2)[2]]
    if codec == "zstd":  # the others have no limit, and shrink less
        named = [row for row in found if row["value"] is None]
        assert len(named) == 151
        assert {row["size"] for row in named} == {UNKNOWN_SIZE}


@BY_ENGINE
def test_a_giant_record_is_a_letter_and_ends_no_job(
    kafka: str, make_job: Callable[..., Job], engine: str
) -> None:
    options = {"message.max.bytes": 1_000_000_000, "queue.buffering.max.kbytes": 2_000_000}
    send(kafka, [good(1)])
    send(kafka, [(TRANSACTIONS, b"u0", b"\0" * 500_000_000)], **options)
    send(kafka, [good(2)])
    job = make_job(FRAUD_STREAM_ENGINE=engine)
    job.start()
    wait_until(lambda: decided(job) == {"t1", "t2"} and len(rows_of(job, "dead_letters")) == 1, job.check)
    (letter,) = (DeadLetter.model_validate_json(value) for value in read(kafka, DEAD_LETTERS))
    assert (letter.reason, letter.raw) == ("too_large", b"")
    assert "lies in Kafka alone" in letter.detail
    job.stop()
