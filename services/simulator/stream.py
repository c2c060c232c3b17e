"""Sends a data set to Kafka: transactions, labels, results and profiles, merged by one simulated clock.

Writes the topics ``transactions`` (at event_time), ``labels`` (at label_time), ``results`` (at result_time),
keyed by user_id, and ``profiles`` (at profile_time), keyed by the entity.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import LABELS, PROFILES, RESULTS, TRANSACTIONS
from fraud.errors import BadInput
from fraud.kafka.producer import ProducerSettings, open_producer
from fraud.schema.deployed import deployed_schema
from fraud.schema.profiles import ENTITY
from fraud.schema.schema import Schema
from fraud.synthetic.encoding import encode_labels, encode_profiles, encode_results, encode_transactions
from fraud.synthetic.pace import Pace, Unpaced, due_after_s, merge_by_time
from fraud.synthetic.population import Floats, Ints

__all__ = ["Counts", "Progress", "inject", "play", "select"]

BLOCK: Final = 8_192
"""Records encoded at a time."""
SLICE: Final = 1_000
"""Records sent between two looks at the clock."""
SHORTEST_WAIT_S: Final = 0.005
"""Between two looks at the clock, where nothing is due; librdkafka does not wait at all below 1 ms."""
LONGEST_WAIT_S: Final = 0.1
"""Between two looks at the stop signal."""
_ENCODERS: Final = {
    TRANSACTIONS: encode_transactions,
    LABELS: encode_labels,
    RESULTS: encode_results,
    PROFILES: encode_profiles,
}
TOLD: Final = {RESULTS: "result_time", PROFILES: "profile_time"}
"""Topics beside those of transactions and labels, by the column of their times."""
NONE_TOLD: Final[Mapping[str, pa.Table]] = {}


@dataclass(frozen=True, slots=True)
class Counts:
    """What the broker acknowledged, and in how long."""

    transactions: int
    labels: int
    elapsed_s: float
    results: int = 0
    profiles: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a replay stands."""

    transactions: int
    """Acknowledged so far."""
    labels: int
    total_transactions: int
    total_labels: int
    simulated_time: datetime
    """Time of the latest record sent, on the data's clock."""
    elapsed_s: float
    results: int = 0
    profiles: int = 0


@dataclass(frozen=True, slots=True)
class _Block:
    """Records ready to be sent: topic, key and value of each, and when it is due."""

    records: list[tuple[str, bytes, bytes]]
    due_s: Floats
    time_us: Ints


def play(
    transactions: pa.Table,
    labels: pa.Table | None,
    producer: ProducerSettings,
    pace: Pace | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    progress_every_s: float = 0.5,
    is_stopped: Callable[[], bool] = lambda: False,
    by: tuple[str, str] = ("event_time", "label_time"),
    further: Mapping[str, pa.Table] = NONE_TOLD,
    schema: Schema | None = None,
) -> Counts:
    """Send a data set in the order of its times and return when the broker has all of it.

    Parameters
    ----------
    transactions
        Fields of :class:`~fraud.contracts.Transaction` as columns.
    labels
        Fields of :class:`~fraud.contracts.Label`, or None to send none. With a constant rate, labels
        later than the last transaction follow it at once.
    producer
        How to reach the brokers.
    pace
        How fast; as fast as possible by default.
    on_progress
        Called about every ``progress_every_s`` seconds and once at the end.
    is_stopped
        Asked several times a second; once it says True, what was sent is flushed and counted.
    by
        Columns by whose times transactions and labels are sent.
    further
        Tables of results and profiles, by topic.
    schema
        Of the records; by default the deployment's.

    Raises
    ------
    BadInput
        When a required column is absent or has missing values.
    Unavailable
        When no broker answers, or a record was not delivered; the replay may be started again, as
        readers recognise duplicates by transaction_id.
    """
    found = (
        (TRANSACTIONS, transactions, by[0]),
        (LABELS, labels, by[1]),
        *((topic, table, TOLD[topic]) for topic, table in further.items()),
    )
    tables = [(topic, _by_time(table, column), column) for topic, table, column in found if table is not None]
    blocks = _blocks(tables, pace or Unpaced(), schema or deployed_schema())
    outbox = open_producer(producer)
    totals = transactions.num_rows, 0 if labels is None else labels.num_rows
    started_s = reported_s = time.monotonic()
    now_us = 0

    def report() -> None:
        if on_progress is not None:
            moment = datetime.fromtimestamp(now_us / 1e6, tz=UTC)
            sent = outbox.delivered[TRANSACTIONS], outbox.delivered[LABELS]
            elapsed_s = time.monotonic() - started_s
            told = (outbox.delivered[topic] for topic in TOLD)
            on_progress(Progress(*sent, *totals, moment, elapsed_s, *told))

    for block in blocks:
        at = 0
        while at < len(block.records) and not is_stopped():
            elapsed_s = time.monotonic() - started_s
            end = min(int(np.searchsorted(block.due_s, elapsed_s, side="right")), at + SLICE)
            if end <= at:
                outbox.serve(min(max(block.due_s[at] - elapsed_s, SHORTEST_WAIT_S), LONGEST_WAIT_S))
            else:
                for topic, key, value in block.records[at:end]:
                    outbox.send(topic, key, value)
                outbox.serve()
                at, now_us = end, int(block.time_us[end - 1])
            if time.monotonic() - reported_s >= progress_every_s:
                reported_s = time.monotonic()
                report()
        if is_stopped():
            break
    outbox.flush()
    report()
    elapsed_s, sent = time.monotonic() - started_s, outbox.delivered
    return Counts(sent[TRANSACTIONS], sent[LABELS], elapsed_s, sent[RESULTS], sent[PROFILES])


def select(table: pa.Table, column: str, start: datetime | None, end: datetime | None) -> pa.Table:
    """Keep the rows whose time lies in [start, end); None leaves that side open."""
    if start is not None:
        table = table.filter(pc.greater_equal(table[column], pa.scalar(start, table[column].type)))
    if end is not None:
        table = table.filter(pc.less(table[column], pa.scalar(end, table[column].type)))
    return table


def select_told(
    read: Callable[[str], pa.Table | None], start: datetime | None, end: datetime | None, schema: Schema
) -> dict[str, pa.Table]:
    """Keep of results and profiles what the schema takes and lies in [start, end), by topic.

    Parameters
    ----------
    read
        Gives the table of a topic, or None.
    """
    found = {}
    for topic, column in TOLD.items():
        table = read(topic) if getattr(schema, topic) else None
        if table is not None:
            found[topic] = select(table, column, start, end)
    return found


def inject(values: Sequence[bytes], producer: ProducerSettings, key: bytes | None = None) -> int:
    """Send raw values, malformed or not, to the topic ``transactions``; return how many arrived.

    Raises
    ------
    Unavailable
        When no broker answers, or a value was not delivered.
    """
    outbox = open_producer(producer)
    for value in values:
        outbox.send(TRANSACTIONS, key, value)
    outbox.flush()
    return outbox.delivered[TRANSACTIONS]


def _blocks(tables: Sequence[tuple[str, pa.Table, str]], pace: Pace, schema: Schema) -> Iterator[_Block]:
    """Encode the merged records, a block at a time, as they are asked for.

    Parameters
    ----------
    tables
        Topic, records by time, and the column of their times; the transactions first.
    """
    time_us, which = merge_by_time(*(_microseconds(table, column) for _, table, column in tables))
    due_s = due_after_s(pace, time_us, which == 0)
    before = [0] * len(tables)
    for begin in range(0, len(time_us), BLOCK):
        block = which[begin : begin + BLOCK]
        parts = []
        for at, (topic, table, _) in enumerate(tables):
            count = int((block == at).sum())
            parts.append(_records(topic, table.slice(before[at], count), schema))
            before[at] += count
        records = [next(parts[at]) for at in block.tolist()]
        yield _Block(records, due_s[begin : begin + BLOCK], time_us[begin : begin + BLOCK])


def _records(topic: str, table: pa.Table, schema: Schema) -> Iterator[tuple[str, bytes, bytes]]:
    values = _ENCODERS[topic](table, schema)
    return zip([topic] * len(values), _keys_of(topic, table, schema), values, strict=True)


def _keys_of(topic: str, table: pa.Table, schema: Schema) -> list[bytes]:
    if topic != PROFILES:
        found: list[bytes] = table[schema.primary_key.name].cast(pa.binary()).to_pylist()
        return found
    names = [name for name in schema.key_names if name in table.column_names]
    rows = zip(*(table[name].to_pylist() for name in (ENTITY, *names)), strict=True)
    return [":".join(part for part in row if part is not None).encode() for row in rows]


def _by_time(table: pa.Table, column: str) -> pa.Table:
    """Return the rows by time, equal times in the table's order."""
    if column not in table.column_names:
        raise BadInput(f"the table has no column {column}")
    time_us = _microseconds(table, column)
    if np.all(time_us[:-1] <= time_us[1:]):
        return table
    return table.take(pa.array(np.argsort(time_us, kind="stable")))


def _microseconds(table: pa.Table, column: str) -> Ints:
    moments = table[column].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    if moments.null_count:
        raise BadInput(f"column {column} has {moments.null_count} missing values")
    return np.asarray(moments.to_numpy(), dtype=np.int64)
