"""A checkpoint's offsets mean nothing in another Kafka cluster."""

import pytest

from fraud.errors import BadState, Unavailable
from fraud.settings.stream import KafkaSettings
from jobs.stream.cluster import check_cluster, cluster_of


def test_a_checkpoint_is_the_first_clusters_that_it_meets(tmp_path):
    for _ in range(2):
        check_cluster(tmp_path / "checkpoint", "one", "kafka:9092")


def test_in_another_cluster_the_stream_says_what_to_do(tmp_path):
    check_cluster(tmp_path / "checkpoint", "one", "kafka:9092")
    with pytest.raises(BadState, match=r"cluster one, but kafka:9092 is cluster two.*FRAUD_STREAM_HOME"):
        check_cluster(tmp_path / "checkpoint", "two", "kafka:9092")
    check_cluster(tmp_path / "checkpoint", "one", "kafka:9092")


def test_brokers_that_do_not_answer_are_named():
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 do not answer"):
        cluster_of(KafkaSettings(kafka_bootstrap="127.0.0.1:1"), patience_s=0.2)
