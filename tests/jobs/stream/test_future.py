"""Records from the future change nothing: stream, batch, rebuild and parity agree, to the byte."""

import json
import os
import random
import shutil
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from fraud.contracts import LABELS, SCORED, TRANSACTIONS, AheadBounds, without_future
from fraud.features.batch import compute_features
from fraud.features.hashing import hash_text
from fraud.features.snapshot import read_snapshot
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.log.rebuild import rebuild
from fraud.store import Answer, Change, Epoch
from fraud.store.commands import app as store_app
from fraud.store.value import version_of
from jobs.parity.compare import compare
from jobs.replay.dead_letters import Choice, resend
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks import validate_pass
from jobs.stream.tasks.context import TaskContext, store_of
from services.scoring.api.examples import examples_of
from tests.deployed import ENTITIES, FEATURE_NAMES, PASSES, SCHEMA
from tests.load.parity import KAFKA, PARTITIONS, run_batch, spool
from tests.wire import ScoredTransaction

START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=7)
TIME = pa.timestamp("us", tz="UTC")
AHEAD = [timedelta(seconds=301), timedelta(hours=2), timedelta(days=33), timedelta(days=20_000)]
WITHIN = [timedelta(), timedelta(seconds=299), timedelta(seconds=-1), timedelta(hours=-3)]
PLAIN: dict[str, Any] = {"user": 0, "merchant": 0, "ahead": timedelta(), "is_label": False, "again": False}
Sent = tuple[str, dict[str, Any], datetime]


def drawn(seed: int, count: int = 120) -> list[dict[str, Any]]:
    """Draw steps of a stream: a fifth is from the future, some are labels, some repeat what came before."""
    dice = random.Random(seed)
    return [
        {
            "user": dice.randrange(2),
            "merchant": dice.randrange(2),
            "ahead": dice.choice([*WITHIN * 4, *AHEAD]) if number else timedelta(),
            "is_label": dice.random() < 0.25,
            "label_ahead": dice.choice([*WITHIN * 2, *AHEAD]),
            "again": dice.random() < 0.15,
        }
        for number in range(count)
    ]


def sent_of(steps: list[dict[str, Any]]) -> list[Sent]:
    """Turn drawn steps into what arrives: topic, record, append time."""
    made: list[dict[str, Any]] = []
    found: list[Sent] = []
    for number, step in enumerate(steps):
        arrival = START + number * STEP
        if step["again"] and made:
            found.append((TRANSACTIONS, made[-1], arrival))
        elif step["is_label"] and made:
            names = ("transaction_id", "user_id", "merchant_id", "event_time")
            about = {name: made[-1][name] for name in names}
            time = (arrival + step["label_ahead"]).isoformat()
            found.append((LABELS, {**about, "label_time": time, "is_fraud": True}, arrival))
        else:
            made.append(
                {
                    "transaction_id": f"t{number}",
                    "event_time": (arrival + step["ahead"]).isoformat(),
                    "user_id": f"u{step['user']}",
                    "merchant_id": f"m{step['merchant']}",
                    "amount": 10.0 + number,
                }
            )
            found.append((TRANSACTIONS, made[-1], arrival))
    return found


def is_future(record: dict[str, Any], arrival: datetime, bound_s: float = 300.0) -> bool:
    """The rule in other words."""
    times = [datetime.fromisoformat(record[name]) for name in ("event_time", "label_time") if name in record]
    return any((time - arrival).total_seconds() > bound_s for time in times)


def stream(home: Path, sent: list[Sent], batches: int = 3, **given: Any) -> tuple[StreamSettings, pa.Table]:
    """Stream records in some micro-batches through store, spool and archive; each runs twice."""
    of = StreamSettings(home=home)
    commits = of.checkpoint_path / "commits"
    commits.mkdir(parents=True)
    (of.checkpoint_path / "query-id").write_text(query := uuid.uuid4().hex)
    store = store_of(of.store, ENTITIES)
    generation = store.generation_of(query)
    context = TaskContext(
        Epoch(generation, 0), store.acquire("test"), of.store, of.spool_path, (), "", 0.1, **given
    )
    archive = Archive(of.spool_path, of.checkpoint_path, of.delta_path, {})
    dice, offsets, done = np.random.default_rng(1), dict[tuple[str, int], int](), []
    for number, part in enumerate(np.array_split(np.arange(len(sent)), batches)):
        columns: list[list[Any]] = [[] for _ in KAFKA]
        for topic, record, arrival in (sent[i] for i in part.tolist()):
            partition = int(hash_text(record["user_id"])) % PARTITIONS
            offset = offsets[topic, partition] = offsets.get((topic, partition), -1) + 1
            cells = (b"k", json.dumps(record).encode(), topic, partition, offset, arrival)
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)
        at = replace(context, epoch=Epoch(generation, number))
        if len(part):
            run_batch(at, table, dice)
            found = run_batch(at, table, dice)
            spool(at, found)
            done.append(found)
        (commits / str(number)).touch()
    archive.run(generation)
    return of, pa.concat_tables(done)


def states_of(url: str) -> dict[str, dict[float, bytes]]:
    return {kind: dict(store_of(url, ENTITIES).scan(kind)) for kind in ENTITIES}


def read(of: StreamSettings, table: str) -> pa.Table:
    return DeltaTable(f"{of.delta_path}/{table}").to_pyarrow_table()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_stream_batch_rebuild_and_parity_agree_as_if_what_is_from_the_future_had_not_come(
    seed: int, tmp_path: Path
) -> None:
    sent = sent_of(drawn(seed))
    allowed = [one for one in sent if not is_future(one[1], one[2])]
    assert len(sent) - len(allowed) > 10
    of, done = stream(tmp_path / "all", sent)
    other, _ = stream(tmp_path / "allowed", allowed, batches=1)
    assert states_of(of.store) == states_of(other.store), "a refused record has changed a state"
    reasons = Counter(done.column("reason").to_pylist())
    assert reasons["future_event_time"] + reasons["future_label_time"] == len(sent) - len(allowed)
    assert min(reasons["future_event_time"], reasons["future_label_time"], reasons["duplicate"]) > 0
    assert done.num_rows == len(sent), "every record ends in one place"
    rebuild(of, f"lmdb://{tmp_path / 'rebuilt'}")
    assert states_of(f"lmdb://{tmp_path / 'rebuilt'}") == states_of(of.store)
    parity = compare(of.delta_path)
    assert (parity.errors(), parity.waiting, parity.greatest) == ([], 0, 0.0)
    assert_batch_equals(sent, read(of, "features"))


def table_of(sent: list[Sent], topic: str) -> pa.Table:
    """Lay down all that was sent to a topic, with its arrival."""
    mine = [(record, arrival) for of, record, arrival in sent if of == topic]
    columns = {name: pa.array([record[name] for record, _ in mine]) for name in mine[0][0]}
    for name in [name for name in columns if name.endswith("_time")]:
        columns[name] = pa.array([datetime.fromisoformat(record[name]) for record, _ in mine], TIME)
    return pa.table({**columns, "arrival_time": pa.array([arrival for _, arrival in mine], TIME)})


def assert_batch_equals(sent: list[Sent], features: pa.Table) -> None:
    """Tables with all that was sent, by their arrival column, give the served vectors."""
    kept, _ = without_future(table_of(sent, TRANSACTIONS), AheadBounds())
    labels, _ = without_future(table_of(sent, LABELS), AheadBounds())
    labels = labels.drop_columns(["label_time"]).rename_columns({"arrival_time": "label_time"})
    found = compute_features(kept, labels)
    ids = np.array(kept["transaction_id"].to_pylist())[~found.is_duplicate]
    vectors = dict(zip(ids.tolist(), found.vectors[~found.is_duplicate], strict=True))
    served = np.column_stack([features[name].to_numpy() for name in FEATURE_NAMES])
    for name, vector in zip(features["transaction_id"].to_pylist(), served, strict=True):
        assert vector.tobytes() == vectors.pop(name).tobytes()
    assert vectors == {}


def test_after_an_event_of_2099_windows_are_full_and_duplicates_are_still_recognised(tmp_path: Path) -> None:
    """The case that was found: all windows of its user and its merchant were empty, for everybody."""
    steps = [PLAIN] * 4
    sent = sent_of(steps)
    far = {**sent[2][1], "transaction_id": "far", "event_time": "2099-06-01T00:00:00+00:00"}
    last = sent[3][2]
    of, done = stream(
        tmp_path, [*sent[:3], (TRANSACTIONS, far, last), sent[3], (TRANSACTIONS, sent[0][1], last)]
    )
    letters = read(of, "dead_letters").select(["reason", "raw"]).to_pylist()
    assert sorted(one["reason"] for one in letters) == ["duplicate", "future_event_time"]
    assert json.loads(next(one["raw"] for one in letters if one["reason"] != "duplicate")) == far
    features = read(of, "features")
    newest = features.filter(pc.equal(features["transaction_id"], "t3"))
    assert newest["count_1h_by_user"].to_pylist() == [3.0]
    assert done.num_rows == 6


def windows_of(store_url: str) -> dict[str, dict[str, float]]:
    """Read the windows of the one user and the one merchant of a store."""
    found = {}
    for one in PASSES:
        ((_, state),) = store_of(store_url, ENTITIES).scan(one.name)
        found[one.name] = read_snapshot(one.plan, state).windows
    return found


def test_states_that_an_event_of_the_future_has_damaged_are_found_and_mended(tmp_path: Path) -> None:
    """An older build counted it, so the log has it too: the rebuild leaves it out, and keeps its number."""
    sent = sent_of([PLAIN] * 5)
    far = {**sent[2][1], "transaction_id": "far", "event_time": "2099-06-01T00:00:00+00:00"}
    before = [*sent[:3], (TRANSACTIONS, far, sent[3][2]), sent[3]]
    of, _ = stream(tmp_path / "old", before, most_ahead_s=4e9)
    good, _ = stream(tmp_path / "good", sent[:4])
    shutil.copytree(of.store.removeprefix("lmdb://"), tmp_path / "copy")
    urls = {name: f"lmdb://{tmp_path / name}" for name in ("copy", "as before", "mended")}
    assert rebuild(of, urls["as before"]).left_out == 0
    found = rebuild(of, urls["mended"], most_ahead_us=AheadBounds().greatest_us)
    assert (found.transactions, found.left_out) == (5, 1)
    checked = {name: CliRunner().invoke(store_app, ["check", "--store", url]) for name, url in urls.items()}
    assert {name: one.exit_code for name, one in checked.items()} == {"copy": 1, "as before": 1, "mended": 0}
    assert "its newest event is of 2099-06-01" in checked["copy"].output
    assert "add --without-future" in checked["copy"].output
    assert windows_of(urls["mended"]) == windows_of(good.store)
    # The stream goes on: the next one sees full windows, the far one is known, and parity holds from here on.
    arrival = sent[4][2]
    rows_ = [
        (b"k", json.dumps(record).encode(), TRANSACTIONS, 0, 900 + at, arrival)
        for at, record in enumerate([far, sent[4][1]])
    ]
    table = pa.Table.from_pylist([dict(zip(KAFKA.names, row, strict=True)) for row in rows_], schema=KAFKA)
    url, store = urls["mended"], store_of(urls["mended"], ENTITIES)
    at = Epoch(found.generation, found.next_epoch)
    context = TaskContext(at, store.acquire("test"), url, of.spool_path, (), "", 0.1, most_ahead_s=4e9)
    spool(context, run_batch(context, table, np.random.default_rng(1)))
    (of.checkpoint_path / "commits" / str(found.next_epoch)).touch()
    Archive(of.spool_path, of.checkpoint_path, of.delta_path, {}).run(found.generation)
    newest = read(of, "features").filter(pc.field("transaction_id") == "t4")
    assert newest["count_1h_by_user"].to_pylist() == [4.0]
    letters = read(of, "dead_letters").filter(pc.field("reason") == "duplicate")
    assert letters.num_rows == 1
    mended = {"most_ahead_us": AheadBounds().greatest_us, "since": arrival}
    parity = compare(of.delta_path, **mended)
    assert (parity.errors(), parity.greatest) == ([], 0.0)
    assert compare(of.delta_path, since=arrival).errors() != [], "by the whole log it saw another history"


def test_the_bound_is_a_setting(tmp_path: Path) -> None:
    steps = [{**PLAIN, "ahead": timedelta(days=2)}] * 3
    of, _ = stream(tmp_path / "wide", sent_of(steps), most_ahead_s=3 * 86_400.0)
    assert read(of, "transactions").num_rows == 3
    assert compare(of.delta_path).errors() == []
    of, done = stream(tmp_path / "default", sent_of([{**steps[0], "ahead": timedelta()}, *steps]))
    assert done.column("reason").to_pylist().count("future_event_time") == 3


def test_a_dead_letter_from_the_future_is_sent_again_once_its_time_has_come(tmp_path: Path) -> None:
    """Sent again it arrives again: what is still ahead of the present stays where it is."""
    soon = datetime.now(UTC) + timedelta(days=1)
    steps = sent_of([PLAIN, PLAIN, PLAIN])
    past, ahead = steps[1][1], {**steps[2][1], "event_time": soon.isoformat()}
    past = {**past, "event_time": (START + timedelta(days=1)).isoformat()}
    of, _ = stream(tmp_path, [steps[0], (TRANSACTIONS, past, START), (TRANSACTIONS, ahead, START)])
    found = resend(of.delta_path, {}, Choice(), is_dry_run=True)
    assert (found.sent, found.still_bad) == ({"future_event_time": 1}, {"future_event_time": 1})
    wide = resend(of.delta_path, {}, Choice(most_ahead_s=2 * 86_400.0), is_dry_run=True)
    assert (wide.sent, wide.still_bad) == ({"future_event_time": 2}, {})


def test_a_transaction_that_was_decided_twice_breaks_parity_and_is_named(tmp_path: Path) -> None:
    """Also where vectors are equal: here its user's state has forgotten it after 33 days."""
    one, other, last = sent_of([PLAIN] * 3)
    later = {**other[1], "event_time": (START + timedelta(days=33)).isoformat()}
    again = START + timedelta(days=33, seconds=1)
    of, _ = stream(tmp_path, [one, (TRANSACTIONS, later, again), (TRANSACTIONS, one[1], again)])
    assert read(of, "transactions").num_rows == 3
    found = compare(of.delta_path)
    assert found.greatest == 0.0
    assert (found.repeated_ids, found.repeated_examples) == (1, ["t0"])
    assert found.errors() == ["1 transactions were decided twice, e.g. t0"]
    assert compare(of.delta_path, until=last[2]).errors() == [], "the second one lies behind the window"
    assert compare(of.delta_path, since=last[2]).repeated_ids == 1, "the first one may lie before it"
    ended = subprocess.run(
        [sys.executable, "-m", "fraud", "parity"],
        env={**os.environ, "FRAUD_STREAM_HOME": str(of.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 1
    assert "decided twice, e.g. t0" in ended.stderr


def test_without_the_brokers_append_time_a_record_is_a_dead_letter() -> None:
    """A topic with ``CreateTime`` lets its producer date a record as it likes."""
    (topic, record, _), *_ = sent_of([PLAIN])
    cells = ([b"k"] * 2, [json.dumps(record).encode()] * 2, [topic] * 2, [0] * 2, [0, 1], [START, None])
    table = pa.table([pa.array(c, f.type) for c, f in zip(cells, KAFKA, strict=True)], schema=KAFKA)
    found = validate_pass.validate(table)
    assert found["row_kind"].to_pylist() == [rows.TRANSACTION, rows.DEAD_LETTER]
    assert found["reason"].to_pylist() == [None, "no_append_time"]
    assert found["received_at"].to_pylist() == [START, START]
    assert "LogAppendTime" in found["detail"].to_pylist()[1]


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_the_scoring_service_has_counted_is_archived_whatever_the_clocks_say(
    tmp_path: Path, *, is_ours: bool
) -> None:
    """Counted in this store: archived. Counted in one that was lost: the guard holds as for any record."""
    of = StreamSettings(home=tmp_path)
    store = store_of(of.store, ENTITIES)
    record = {
        **examples_of(SCHEMA).decision,
        "event_time": (START + timedelta(days=40)).isoformat(),
        "store": store.identity() if is_ours else "lost",
    }
    raw = json.dumps(record).encode()
    assert ScoredTransaction.model_validate_json(raw)
    if is_ours:
        count(store, record, raw)
    context = TaskContext(
        Epoch(store.generation_of("q"), 0), store.acquire("test"), of.store, of.spool_path, (), "", 0.1
    )
    cells = ([b"k"], [raw], [SCORED], [0], [0], [START])
    table = pa.table([pa.array(c, f.type) for c, f in zip(cells, KAFKA, strict=True)], schema=KAFKA)
    found = run_batch(context, table, np.random.default_rng(1))
    expected = (rows.SCORED, None) if is_ours else (rows.DEAD_LETTER, "future_event_time")
    assert (found["row_kind"][0].as_py(), found["reason"][0].as_py()) == expected


def count(store: Any, record: dict[str, Any], raw: bytes) -> None:
    """Count a transaction as the scoring service does."""
    keys = [("user", hash_text(record["user_id"])), ("merchant", hash_text(record["merchant_id"]))]
    found = store.answers().look(record["transaction_id"], keys)
    changes = [Change(*key, b"\0" * 8, version_of(stored)) for key, stored in found.stored.items()]
    answer = Answer(b"f" * 16, b"{}", raw)
    assert store.answers().commit(record["transaction_id"], answer, changes, store.identity())
