"""The replay over Kafka's protocol: every record arrives once, in order, and failures are told."""

import time
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from fraud.contracts import LABELS, TRANSACTIONS, parse_record
from fraud.errors import BadInput, Unavailable
from fraud.kafka.producer import ProducerSettings
from fraud.synthetic.pace import Accelerated, Constant
from services.simulator.stream import inject, play, select
from tests.wire import Label, Transaction


@pytest.fixture(scope="module")
def parts(data_set) -> tuple[pa.Table, pa.Table]:
    """Some days of transactions, and every label of that time."""
    until = datetime(2026, 1, 25, tzinfo=UTC)
    labels = select(data_set.labels, "label_time", None, until)
    return select(data_set.transactions, "event_time", None, until), labels


def test_every_record_arrives_once_with_its_key(broker, parts):
    transactions, labels = parts
    counts = play(transactions, labels, ProducerSettings(bootstrap=broker.address))
    assert (counts.transactions, counts.labels) == (transactions.num_rows, labels.num_rows)
    assert labels.num_rows > 100
    for topic, kind, table in ((TRANSACTIONS, Transaction, transactions), (LABELS, Label, labels)):
        messages = broker.read(topic, table.num_rows)
        records = [parse_record(kind, message.value()) for message in messages]
        assert sorted(record.transaction_id for record in records) == sorted(
            table["transaction_id"].to_pylist()
        )
        assert [message.key() for message in messages] == [record.user_id.encode() for record in records]


def test_each_partition_is_in_the_order_of_time(broker, parts):
    transactions, labels = parts
    play(transactions.slice(0, 3_000)[::-1], labels, ProducerSettings(bootstrap=broker.address))
    latest: dict[int, datetime] = {}
    for message in broker.read(TRANSACTIONS, 3_000):
        record = parse_record(Transaction, message.value())
        assert record.event_time >= latest.get(message.partition(), record.event_time)
        latest[message.partition()] = record.event_time
    assert len(latest) > 1


def test_without_labels_none_are_sent(broker, parts):
    counts = play(parts[0].slice(0, 50), None, ProducerSettings(bootstrap=broker.address))
    assert (counts.transactions, counts.labels) == (50, 0)


def test_an_empty_table_is_played_at_once(broker, parts):
    counts = play(parts[0].slice(0, 0), parts[1].slice(0, 0), ProducerSettings(bootstrap=broker.address))
    assert (counts.transactions, counts.labels) == (0, 0)


@pytest.mark.parametrize("pace", [Constant(400.0), Accelerated(100_000.0)])
def test_a_pace_takes_its_time(broker, parts, pace):
    transactions = parts[0].slice(0, 201)
    times = transactions["event_time"].cast(pa.int64()).to_numpy()
    wanted_s = 0.5 if isinstance(pace, Constant) else (times[-1] - times[0]) / 1e6 / pace.speedup
    counts = play(transactions, None, ProducerSettings(bootstrap=broker.address), pace)
    assert counts.transactions == 201
    assert wanted_s > 0.1
    assert counts.elapsed_s >= wanted_s


def test_a_paced_replay_waits_between_its_records(broker, parts):
    looks = 0

    def is_stopped() -> bool:
        nonlocal looks
        looks += 1
        return False

    play(
        parts[0].slice(0, 300),
        None,
        ProducerSettings(bootstrap=broker.address),
        Constant(600.0),
        is_stopped=is_stopped,
    )
    assert looks < 3_000, "between two records that are due a replay asks the clock a few times"


def test_progress_grows_to_the_totals(broker, parts):
    seen = []
    play(
        *parts,
        ProducerSettings(bootstrap=broker.address),
        on_progress=seen.append,
        progress_every_s=0.0,
    )
    assert len(seen) > 2
    assert [now.transactions for now in seen] == sorted(now.transactions for now in seen)
    assert (seen[-1].transactions, seen[-1].labels) == (seen[-1].total_transactions, seen[-1].total_labels)
    assert seen[-1].simulated_time >= max(parts[0]["event_time"].to_pylist())


def test_a_stop_ends_the_replay_and_counts_what_was_sent(broker, parts):
    seen = []
    started = time.monotonic()
    counts = play(
        *parts,
        ProducerSettings(bootstrap=broker.address),
        Constant(500.0),
        on_progress=seen.append,
        progress_every_s=0.0,
        is_stopped=lambda: bool(seen) and seen[-1].transactions > 20,
    )
    assert 20 < counts.transactions < parts[0].num_rows
    assert time.monotonic() - started < parts[0].num_rows / 500.0
    broker.read(TRANSACTIONS, counts.transactions)


def test_raw_values_are_injected_as_they_are(broker):
    values = [b"{", b"", b"\xff\x00", b'{"amount": -1}']
    assert inject(values, ProducerSettings(bootstrap=broker.address)) == 4
    assert sorted(message.value() or b"" for message in broker.read(TRANSACTIONS, 4)) == sorted(values)


def test_a_record_larger_than_kafka_takes_is_named(broker):
    with pytest.raises(BadInput, match="key b'u7' has 2,000,000 bytes"):
        inject([b"x" * 2_000_000], ProducerSettings(bootstrap=broker.address), b"u7")


def test_no_broker_is_told_with_its_address(parts):
    with pytest.raises(Unavailable, match="localhost:1 "):
        play(*parts, ProducerSettings(bootstrap="localhost:1", connect_timeout_s=0.5))


def test_a_full_queue_makes_the_sender_wait_and_loses_nothing(broker, parts):
    settings = ProducerSettings(bootstrap=broker.address, queue_records=10)
    counts = play(parts[0].slice(0, 500), None, settings)
    assert counts.transactions == 500


def test_a_table_without_times_is_refused_before_anything_is_sent(parts):
    with pytest.raises(BadInput, match="event_time"):
        play(parts[0].drop_columns(["event_time"]), None, ProducerSettings(bootstrap="localhost:1"))


def test_a_window_keeps_its_start_and_leaves_its_end(data_set):
    times = data_set.transactions["event_time"].to_pylist()
    kept = select(data_set.transactions, "event_time", times[10], times[20])
    assert kept["event_time"].to_pylist() == times[10:20]
    assert select(data_set.transactions, "event_time", None, times[20]).num_rows == 20
