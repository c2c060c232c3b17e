"""What the Kafka brokers say of their cluster: its id, its topics and their partitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fraud.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Cluster:
    """As the brokers describe it."""

    id: str
    topics: dict[str, list[int]]
    """Topic: its partitions."""


def describe(bootstrap: str, options: Mapping[str, str], timeout_s: float) -> Cluster:
    """Ask the brokers.

    Parameters
    ----------
    bootstrap
        Brokers, ``host:port`` separated by commas.
    options
        Further client options under Kafka's names.
    timeout_s
        How long they may take, seconds.

    Raises
    ------
    Unavailable
        When they do not answer in time.
    """
    chosen: dict[str, Any] = {"log_level": 0, **options, "bootstrap.servers": bootstrap}
    try:
        found = AdminClient(chosen).list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise Unavailable(f"the Kafka brokers at {bootstrap} do not answer: {error.args[0].str()}") from error
    return Cluster(str(found.cluster_id), {name: list(one.partitions) for name, one in found.topics.items()})
