"""What a micro-batch takes without Spark: everything once, each partition's share, within bounds."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from fraud.contracts import LABELS, TRANSACTIONS
from fraud.errors import BadState
from jobs.stream.offsets import Partition, Range
from jobs.stream.poller import CHUNK, Poller, batches_of
from jobs.stream.tasks.bounded_read import read
from jobs.stream.tasks.large_records import SIZE
from tests.fraud.kafka.broker import Broker

FIRST, SECOND, OTHER = (TRANSACTIONS, 0), (TRANSACTIONS, 1), (LABELS, 0)
BEGIN = -2


@pytest.fixture
def broker() -> Iterator[Broker]:
    found = Broker()
    yield found
    found.stop()


def poller(broker: Broker, *partitions: Partition, most: int = 100) -> Poller:
    return Poller({"bootstrap.servers": broker.address}, dict.fromkeys(partitions, BEGIN), most)


def taken(one: Poller, wait_s: float = 5.0) -> list[tuple[str | None, int | None, int | None]]:
    """Topic, partition and offset of the records of a micro-batch."""
    found = one.take(wait_s)
    return [] if found is None else [(m.topic(), m.partition(), m.offset()) for m in found.messages]


def send(broker: Broker, at: Partition, count: int, value: bytes = b"x") -> None:
    broker.send(at[0], *[value] * count, partition=at[1])


def test_each_partition_gives_its_share_of_a_backlog(broker: Broker) -> None:
    for at, count in ((FIRST, 300), (SECOND, 100), (OTHER, 1)):
        send(broker, at, count)
    with poller(broker, FIRST, SECOND, OTHER) as one:
        found = taken(one)
        assert found == [
            (*OTHER, 0),
            *((*FIRST, offset) for offset in range(74)),
            *((*SECOND, offset) for offset in range(24)),
        ]
        assert one.ends == {FIRST: 74, SECOND: 24, OTHER: 1}
        rest = [taken(one) for _ in range(5)]
    whole = sorted([*found, *(record for part in rest for record in part)])
    assert whole == sorted(
        (*at, offset) for at, count in ((FIRST, 300), (SECOND, 100), (OTHER, 1)) for offset in range(count)
    )
    assert max(map(len, [found, *rest])) <= 100


def test_what_comes_later_is_taken_and_nothing_is_taken_twice(broker: Broker) -> None:
    send(broker, FIRST, 2)
    with poller(broker, FIRST) as one:
        assert len(taken(one)) == 2
        assert taken(one, 0.05) == []
        send(broker, FIRST, 3)
        assert taken(one) == [(*FIRST, offset) for offset in range(2, 5)]
        assert one.lag() == 0
        send(broker, SECOND, 1)
        one.read_also({SECOND: BEGIN})
        assert taken(one) == [(*SECOND, 0)]
        assert one.ends == {FIRST: 5, SECOND: 1}


def test_a_micro_batch_of_large_records_is_cut_by_its_bytes(broker: Broker) -> None:
    large, count = 10_000, 350
    send(broker, FIRST, count, b"a" * large)
    options = {"bootstrap.servers": broker.address}
    with Poller(options, {FIRST: BEGIN}, 1_000, most_bytes=100 * large) as one:
        sizes = [len(taken(one)) for _ in range(2)]
        while sizes[-1] and sum(sizes) < count:
            sizes.append(len(taken(one)))
    assert sum(sizes) == count
    assert max(sizes) <= 100 + CHUNK


@pytest.mark.parametrize("position", [4, 1_000])
def test_what_kafka_does_not_have_is_named_with_what_to_do(broker: Broker, position: int) -> None:
    send(broker, FIRST, 3)
    with pytest.raises(
        BadState, match=rf"transactions, partition 0, offset {position} .*move the checkpoint"
    ):
        Poller({"bootstrap.servers": broker.address}, {FIRST: position}, 100)


def test_the_records_are_those_of_the_bounded_read(broker: Broker) -> None:
    broker.send(TRANSACTIONS, b"one", b"", key=b"k", partition=0)
    broker.send(TRANSACTIONS, b"two", partition=0)
    with poller(broker, FIRST) as one:
        found = one.take(5.0)
        while found is not None and one.ends[FIRST] < 3:
            more = one.take(5.0)
            assert more is not None
            found = type(found)([*found.messages, *more.messages])
    assert found is not None
    (batch,) = batches_of(found.messages, is_traced=False)
    bounded = read((("bootstrap.servers", broker.address),), [Range(*FIRST, 0, 3)])
    expected = pa.Table.from_batches(bounded).drop_columns([SIZE.name])
    assert pa.Table.from_batches([batch]).equals(expected)
