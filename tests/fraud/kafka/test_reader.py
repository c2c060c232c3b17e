"""The reader: from where it is told to, each record once, to the end, and errors in words."""

import pytest

from fraud.errors import BadConfig, Unavailable
from fraud.kafka.reader import Bounds, Position, Reader
from tests.fraud.kafka.broker import Broker

TOPIC = "labels"


@pytest.fixture(scope="module")
def shared():
    found = Broker()
    yield found
    found.stop()


@pytest.fixture
def topic(request):
    return request.node.name


def values(messages):
    return sorted(message.value() for message in messages)


def numbered(first, last):
    return [f"{at:05}".encode() for at in range(first, last)]


def ends_of(reader, topic):
    return {at: bounds.end for at, bounds in reader.bounds(topic).items()}


def test_every_record_comes_once_and_what_comes_later_comes_after(shared, topic):
    shared.send(topic, *numbered(0, 2_500))
    with Reader(shared.address) as reader:
        reader.begin(dict.fromkeys(reader.bounds(topic), 0))
        assert values(reader.read_to(ends_of(reader, topic), 10.0)) == numbered(0, 2_500)
        assert reader.next == ends_of(reader, topic)
        assert list(reader.read_to(ends_of(reader, topic), 10.0)) == []
        shared.send(topic, *numbered(2_500, 2_600))
        assert values(reader.read_to(ends_of(reader, topic), 10.0)) == numbered(2_500, 2_600)


def test_an_end_that_was_reached_before_ends_no_later_reading(shared, topic):
    """Who reads again meets the notices of the ends that it came to the last time."""
    with Reader(shared.address) as reader:
        for first in range(0, 12_000, 3_000):
            shared.send(topic, *numbered(first, first + 3_000))
            if not first:
                reader.begin(dict.fromkeys(reader.bounds(topic), 0))
            found = list(reader.read_to(ends_of(reader, topic), 30.0))
            assert values(found) == numbered(first, first + 3_000)
            assert reader.next == ends_of(reader, topic)


def test_at_the_end_nothing_old_comes(shared, topic):
    shared.send(topic, *numbered(0, 50))
    with Reader(shared.address) as reader:
        reader.begin_at_end(topic)
        shared.send(topic, *numbered(50, 60))
        seen = []
        seen.extend(message.value() for message in reader.follow(lambda: len(seen) >= 10))
        assert sorted(seen) == numbered(50, 60)


def test_a_reader_goes_on_behind_the_record_that_was_taken_last(shared, topic):
    shared.send(topic, *numbered(0, 30), key=b"one partition")
    with Reader(shared.address) as reader:
        reader.begin(dict.fromkeys(reader.bounds(topic), 0))
        for message in reader.read_to(ends_of(reader, topic), 10.0):
            if message.value() == b"00009":
                break
    with Reader(shared.address) as again:
        again.begin(reader.next)
        assert values(again.read_to(ends_of(again, topic), 10.0)) == numbered(10, 30)


def test_a_time_is_looked_up_and_after_the_last_record_it_is_the_end(shared, topic):
    shared.send(topic, *numbered(0, 20))
    with Reader(shared.address) as reader:
        bounds = reader.bounds(topic)
        assert {type(one) for one in bounds.values()} == {Bounds}
        assert sum(one.end - one.first for one in bounds.values()) == 20
        far_ms = 4_102_444_800_000
        assert reader.since(bounds, far_ms) == ends_of(reader, topic)


def test_what_is_not_there_by_the_deadline_is_told(shared, topic):
    shared.send(topic, b"one", key=b"k")
    with Reader(shared.address) as reader:
        (at,) = [at for at, bounds in reader.bounds(topic).items() if bounds.end]
        reader.begin({at: 0})
        with pytest.raises(Unavailable, match="could not be read to its end within 0 s"):
            list(reader.read_to({at: 1}, 0.0))


def test_without_a_broker_the_address_is_told_at_once_and_again():
    with Reader("127.0.0.1:9", patience_s=0.5) as reader:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 do not answer"):
            reader.bounds(TOPIC)
        reader.begin({Position(TOPIC, 0): 0})
        list(reader.take(0.5))
        with pytest.raises(Unavailable, match=r"no Kafka broker answers at 127\.0\.0\.1:9"):
            reader.check()


def test_an_unknown_option_is_refused():
    with pytest.raises(BadConfig, match=r"no\.such\.option"):
        Reader("127.0.0.1:9", {"no.such.option": "1"})
