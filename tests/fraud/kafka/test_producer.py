"""The producer: every record is counted or named, a full queue makes the sender wait, options are checked."""

import pytest

from fraud.errors import BadConfig, BadInput, Unavailable
from fraud.kafka.producer import Producer, ProducerSettings, Record, open_producer
from tests.fraud.kafka.broker import Broker

TOPIC = "decisions"


@pytest.fixture
def broker():
    found = Broker()
    yield found
    found.stop()


def producer_of(broker, **given):
    return Producer(ProducerSettings(bootstrap=broker.address, **given))


def records(count, size=8):
    return [
        Record(TOPIC, f"k{at % 7}", f"{at:0{size}}".encode(), (("at", str(at).encode()),))
        for at in range(count)
    ]


def test_all_that_is_delivered_arrives_with_key_and_headers_in_order(broker):
    sent = records(500)
    delivery = producer_of(broker).deliver(iter(sent))
    assert (delivery.taken, delivery.reason, delivery.is_complete) == ([True] * 500, "", True)
    found = broker.read(TOPIC, 500)
    keys = {message.key() for message in found}
    for key in keys:
        values = [message.value() for message in found if message.key() == key]
        assert values == sorted(values)
    assert {(m.key().decode(), m.value(), tuple(m.headers())) for m in found} == {one[1:] for one in sent}


def test_a_full_queue_makes_the_sender_wait_and_loses_nothing(broker):
    short = producer_of(broker, queue_records=10)
    assert short.deliver(records(1_000)).is_complete
    short.deliver_all(record[:3] for record in records(1_000))
    for record in records(1_000):
        short.send(*record[:3])
    short.flush()
    broker.read(TOPIC, 3_000)


def test_of_many_the_missing_ones_are_counted_with_a_reason(broker):
    many = [record[:3] for record in records(100)]
    with pytest.raises(BadInput, match=r"key 'k9' has 2,000,000 bytes"):
        producer_of(broker).deliver_all([*many, (TOPIC, "k9", b"x" * 2_000_000)])
    away = Producer(ProducerSettings(bootstrap="127.0.0.1:9", delivery_timeout_s=0.3))
    with pytest.raises(Unavailable, match=r"did not accept 100 records: .*timed out"):
        away.deliver_all(many)
    away.deliver_all([])


def test_one_record_that_is_too_large_is_named_alone(broker):
    large = Record(TOPIC, "large", b"x" * 2_000_000)
    delivery = producer_of(broker).deliver([*records(2), large, *records(2)])
    assert (delivery.taken, delivery.missing) == ([True, True, False, True, True], 1)
    assert "too large" in delivery.reason
    with pytest.raises(BadInput, match=r"key b'large' has 2,000,000 bytes"):
        producer_of(broker).send(TOPIC, b"large", b"x" * 2_000_000)


def test_without_a_broker_each_record_is_missing_in_time_and_the_reason_is_said():
    away = Producer(ProducerSettings(bootstrap="127.0.0.1:9", delivery_timeout_s=0.3))
    delivery = away.deliver(records(3))
    assert (delivery.taken, delivery.missing) == ([False] * 3, 3)
    assert "timed out" in delivery.reason
    assert away.deliver([]).is_complete


def test_a_broker_that_goes_away_is_told_with_the_count(broker):
    producer = producer_of(broker, delivery_timeout_s=5.0)
    producer.send(TOPIC, b"u1", b"first")
    producer.flush()
    broker.stop()
    producer.send(TOPIC, b"u1", b"second")
    with pytest.raises(Unavailable, match=f"1 to {TOPIC}"):
        producer.flush()
    assert producer.delivered == {TOPIC: 1}


def test_no_broker_is_told_with_its_address():
    with pytest.raises(Unavailable, match=r"localhost:1 within 0\.5 s"):
        open_producer(ProducerSettings(bootstrap="localhost:1", connect_timeout_s=0.5))


def test_an_unknown_option_is_refused():
    with pytest.raises(BadConfig, match=r"no\.such\.option"):
        Producer(ProducerSettings(options={"no.such.option": "1"}))
