"""What the brokers say of their cluster, or that they say nothing."""

import pytest

from fraud.errors import Unavailable
from fraud.kafka.cluster import describe
from tests.fraud.kafka.broker import Broker


def test_topics_and_their_partitions_are_named():
    broker = Broker()
    broker.send("labels", b"one")
    found = describe(broker.address, {}, 10.0)
    broker.stop()
    assert found.id
    assert found.topics["labels"] == list(range(len(found.topics["labels"])))


def test_brokers_that_do_not_answer_are_named():
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 do not answer"):
        describe("127.0.0.1:1", {}, 0.2)
