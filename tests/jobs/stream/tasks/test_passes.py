"""Laws of the passes over a real store and a real spool; neither broker nor model is needed here."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import LABELS, TRANSACTIONS, Outcome
from fraud.features.batch import compute_features
from fraud.features.hashing import hash_text
from fraud.log import rows
from fraud.store import Epoch, open_store
from jobs.stream.offsets import records_of
from jobs.stream.tasks import arrow_rows, decide_pass, entity_pass, validate_pass
from jobs.stream.tasks.arrow_rows import receive
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.score import Decisions
from jobs.stream.tasks.scored import Decided
from jobs.stream.tasks.stopwatch import Stopwatch
from tests.deployed import PASSES, ROWS

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def context(tmp_path: Path) -> TaskContext:
    url = f"lmdb://{tmp_path / 'store'}"
    with open_store(url) as store:
        token, generation = store.acquire("test"), store.generation_of("test")
    return TaskContext(Epoch(generation, 0), token, url, tmp_path / "spool", (), "http://127.0.0.1:9", 0.1)


def at(context: TaskContext, batch: int) -> TaskContext:
    return TaskContext(
        Epoch(context.epoch.generation, batch), context.token, context.store_url, context.spool, (), "", 0.1
    )


def transaction(i: int, user: int = 0, merchant: int = 0, minutes: float = 0.0) -> dict[str, Any]:
    time = START + timedelta(minutes=minutes)
    return {
        "schema_version": 1,
        "transaction_id": f"t{i}",
        "event_time": time.isoformat(),
        "user_id": f"u{user}",
        "merchant_id": f"m{merchant}",
        "amount": 10.0 + i,
    }


def kafka(records: list[tuple[str, int, bytes | None]], first_offset: int = 0) -> pa.Table:
    """Rows of the Kafka source: (topic, partition, value), arriving a millisecond apart."""
    n = len(records)
    times = [START + timedelta(days=40, milliseconds=i) for i in range(n)]
    return pa.table(
        {
            "key": pa.array([b"k"] * n),
            "value": pa.array([value for _, _, value in records], pa.binary()),
            "topic": pa.array([topic for topic, _, _ in records]),
            "partition": pa.array([partition for _, partition, _ in records], pa.int32()),
            "offset": pa.array(range(first_offset, first_offset + n), pa.int64()),
            "timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
        }
    )


def values(records: list[dict[str, Any]]) -> list[tuple[str, int, bytes | None]]:
    return [(TRANSACTIONS, 0, json.dumps(record).encode()) for record in records]


def run(context: TaskContext, table: pa.Table) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    watch = Stopwatch()
    passed = entity_pass.pass_primary(context, validate_pass.validate(table), watch)
    passed = entity_pass.pass_further(context, 1, passed, watch)
    return passed, rows.matrix_of(passed.column("vector"))


def test_every_record_ends_in_exactly_one_kind(context: TaskContext) -> None:
    good = values([transaction(1), transaction(2), transaction(1)])
    bad: list[tuple[str, int, bytes | None]] = [
        (TRANSACTIONS, 0, b"{"),
        (TRANSACTIONS, 1, None),
        (LABELS, 0, b"{}"),
    ]
    passed, _ = run(context, kafka([*good, *bad]))
    assert passed.num_rows == 6
    assert passed.column("row_kind").to_pylist().count(rows.TRANSACTION) == 2
    letters = passed.filter(pa.array(passed.column("row_kind").to_numpy() == rows.DEAD_LETTER))
    assert sorted(letters.column("reason").to_pylist()) == [
        "duplicate",
        "empty",
        "invalid_json",
        "missing_field",
    ]
    raw = dict(
        zip(letters.column("source_offset").to_pylist(), letters.column("raw").to_pylist(), strict=True)
    )
    assert raw == {2: good[2][2], 3: b"{", 4: b"", 5: b"{}"}


def test_a_duplicate_in_a_later_batch_is_refused_but_not_in_the_same_batch_run_again(
    context: TaskContext,
) -> None:
    table = kafka(values([transaction(1)]))
    first, vectors = run(context, table)
    again, repeated = run(context, table)
    assert first.column("row_kind").to_pylist() == again.column("row_kind").to_pylist() == [rows.TRANSACTION]
    np.testing.assert_array_equal(vectors, repeated)
    later, _ = run(at(context, 1), table)
    assert later.column("reason").to_pylist() == ["duplicate"]


def test_the_summary_tells_event_time_and_the_ages_of_what_was_known(context: TaskContext) -> None:
    records = values([transaction(1), transaction(2, merchant=1, minutes=2.0), transaction(3, minutes=-1.0)])
    passed, vectors = run(context, kafka([*records, (LABELS, 0, b"{}"), records[0]]))
    decided = [Outcome.APPROVE] * 3
    decisions = Decisions(decided, [[], [], []], [None] * 3, [None] * 3)
    decided = Decided(passed, context.passes, context.contracts)
    spooled = decide_pass.spool_table(context, passed, vectors=vectors, decisions=decisions, decided=decided)
    summary = json.loads(json.dumps(decide_pass._summary(spooled, decisions, [], PASSES)))
    assert summary["newest_event_us"] == (START + timedelta(minutes=2)).timestamp() * 1e6
    user, merchant = summary["ages"]["user"], summary["ages"]["merchant"]
    assert (sum(user["counts"]), user["sum_s"]) == (1, 120.0)  # the third is older than all that is known
    assert (sum(merchant["counts"]), merchant["sum_s"]) == (0, 0.0)


def test_offset_order_wins_over_times_that_fall_behind() -> None:
    table = kafka(values([transaction(i) for i in range(4)]))
    column = table.column("timestamp").to_pylist()
    column[2] = START  # a producer's clock that went back
    table = table.set_column(5, "timestamp", pa.array(column, pa.timestamp("us", tz="UTC")))
    ordered = validate_pass.validate(table)
    assert ordered.column("source_offset").to_pylist() == [0, 1, 2, 3]
    assert ordered.column("received_at").to_pylist()[2] == column[1]


@settings(max_examples=20)
@given(
    draws=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-3000, 3000)), min_size=1, max_size=30
    ),
    cuts=st.sets(st.integers(1, 29), max_size=4),
)
def test_served_vectors_equal_those_of_the_batch_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, draws: list[tuple[int, int, int]], cuts: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    url = f"lmdb://{folder / 'store'}"
    with open_store(url) as store:
        token = store.acquire("test")
    context = TaskContext(Epoch(1, 0), token, url, folder / "spool", (), "", 0.1)
    records = [transaction(i, user, merchant, minutes) for i, (user, merchant, minutes) in enumerate(draws)]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    served = {}
    for batch, (first, last) in enumerate(pairwise(bounds)):
        passed, vectors = run(at(context, batch), kafka(values(records[first:last]), first))
        served.update(zip(passed.column("transaction_id").to_pylist(), vectors, strict=True))
    table = pa.Table.from_pylist(
        [
            {
                **record,
                "event_time": datetime.fromisoformat(record["event_time"]),
                "arrival_time": START + timedelta(seconds=i),
            }
            for i, record in enumerate(records)
        ]
    )
    expected = compute_features(table).vectors
    for i in range(len(records)):
        np.testing.assert_array_equal(served[f"t{i}"], expected[i])


def test_a_record_goes_to_the_task_of_the_user_that_was_read(context: TaskContext) -> None:
    """JSON may give a name twice, or NaN; whose state is folded must not depend on a second parser."""
    good = json.dumps({k: v for k, v in transaction(1).items() if k != "user_id"}).encode()
    twice = (TRANSACTIONS, 0, good[:-1] + b',"user_id":"u7","note":NaN,"user_id":"u1"}')
    table = kafka([twice, *values([transaction(2, user=1), transaction(3, user=7)]), (LABELS, 0, b"{")])
    at_four = replace(context, tasks=4)
    batches = list(validate_pass.run_validate_pass(at_four, iter(table.to_batches())))
    sent = {batch.column("to")[0].as_py(): receive(iter([batch]), ROWS.validated)[0] for batch in batches}
    assert sum(part.num_rows for part in sent.values()) == 4
    for task, part in sent.items():
        users = [user for user in part.column("user_id").to_pylist() if user]
        assert {int(hash_text(user)) % 4 for user in users} <= {task}
    together = pa.concat_tables(sent.values())
    assert sorted(filter(None, together.column("user_id").to_pylist())) == ["u1", "u1", "u7"]


@settings(max_examples=30)
@given(
    to=st.lists(st.integers(0, 5), max_size=40),
    first=st.integers(1, 7),
)
def test_parcels_bring_every_row_once_and_in_arrival_order(to: list[int], first: int) -> None:
    """However a table is cut up, and whatever order the batches come in."""
    table = validate_pass.validate(kafka(values([transaction(i) for i in range(len(to))])))
    batches = list(arrow_rows.send(table, np.array(to, np.int64), [{"validate": 0.5}], most=first))
    found = []
    for task in set(to):
        theirs = [batch for batch in reversed(batches) if batch.column("to")[0].as_py() == task]
        part, _ = receive(iter(theirs), ROWS.validated)
        offsets = part.column("source_offset").to_pylist()
        assert offsets == sorted(offsets)
        found += offsets
    assert sorted(found) == list(range(len(to)))
    stages = receive(iter(batches), ROWS.validated)[1]
    assert stages == ([{"validate": 0.5}] if to else [])


def offsets(folder: Path, batch: int, topics: dict[str, dict[str, int]]) -> None:
    """Write what Spark writes before a micro-batch runs."""
    (folder / "offsets").mkdir(exist_ok=True)
    (folder / "offsets" / str(batch)).write_text("v1\n{}\n" + json.dumps(topics))


def test_the_offset_log_tells_how_much_a_micro_batch_holds(tmp_path: Path) -> None:
    offsets(tmp_path, 0, {TRANSACTIONS: {"0": 10, "1": 5}, LABELS: {"0": 0}})
    offsets(tmp_path, 1, {TRANSACTIONS: {"0": 10, "1": 9}, LABELS: {"0": 3}})
    offsets(tmp_path, 2, {TRANSACTIONS: {"0": 10, "1": 9, "2": 4}, LABELS: {"0": 3}})
    assert records_of(tmp_path, 1) == 7
    assert records_of(tmp_path, 0) is None
    assert records_of(tmp_path, 2) is None, "where a new partition starts is not told"
