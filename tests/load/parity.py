"""Plays a disturbed stream through the real passes without a broker, then holds parity against its log.

    uv run python -m tests.load.parity --transactions 1000000
    FRAUD_SCHEMA_FILE=tests/load/six_entities.yaml uv run python -m tests.load.parity --transactions 1000000
    FRAUD_SCHEMA_FILE=docs/examples/card-testing.yaml uv run python -m tests.load.parity --transactions 100000

Real are the backfill, both passes, the store, the spool, the archive and its Delta tables;
Kafka's part (partitions, offsets, append times) and Spark's (which rows a task gets) are played here.
"""

import argparse
import json
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraud.contracts import LABELS, RESULTS, TRANSACTIONS, Outcome
from fraud.features.hashing import hash_text
from fraud.features.passes import EntityPass, entity_names, whole
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.log.rebuild import rebuild
from fraud.log.spool import spool_at
from fraud.schema.deployed import deployed_schema
from fraud.store import Epoch, open_store
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.encoding import encode_labels, encode_results, encode_transactions
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.backfill.run import backfill
from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks import decide_pass, entity_pass, validate_pass
from jobs.stream.tasks.arrow_rows import in_arrival_order
from jobs.stream.tasks.context import TaskContext, rates_of
from jobs.stream.tasks.score import Decisions
from jobs.stream.tasks.scored import Decided, as_archived
from jobs.stream.tasks.stopwatch import Stopwatch
from tests.deployed import PASSES

PARTITIONS = 4
TASKS = 2
HOUR_US = 3_600_000_000
LATE, DUPLICATE, DAY_LATE, MALFORMED = 0.05, 0.02, 0.01, 0.001
"""Shares of the streamed transactions."""
BARE = 0.3
"""Share of the streamed labels that leave the other keys and the time of their transaction out."""
EARLY = 0.1
"""Share of the streamed results that may overtake their transactions."""
_ENCODERS = {TRANSACTIONS: encode_transactions, LABELS: encode_labels, RESULTS: encode_results}
KAFKA = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Played:
    """What was played, and where it lies."""

    settings: StreamSettings
    records: int
    transactions: int
    """Counted ones, with the history."""
    dead_letters: int
    batches: int
    seconds: float


def play(
    home: Path, transactions: int, *, batch: int, seed: int = 7, history: float = 0.3, run_again: float = 0.15
) -> Played:
    """Fold a history, stream the rest in micro-batches of random sizes, and archive all of it.

    ``run_again`` is the share of micro-batches that run twice, as after a crash.
    """
    started = time.perf_counter()
    dice = np.random.default_rng(seed)
    data = generate(
        GeneratorSettings(
            transactions=transactions,
            users=max(20, transactions // 50),
            merchants=max(30, transactions // 250),
            days=60,
            seed=seed,
        ),
        deployed_schema(),
    )
    settings = StreamSettings(home=home)
    go_live = data.transactions["event_time"][int(transactions * history)].as_py()
    old, old_labels = (
        _before(data.transactions, "event_time", go_live),
        _before(data.labels, "label_time", go_live),
    )
    told = None if data.results is None else _before(data.results, "result_time", go_live)
    counted = backfill(old, old_labels, settings, results=told).transactions
    query = uuid.uuid4().hex
    commits = settings.checkpoint_path / "commits"
    commits.mkdir(parents=True)
    (settings.checkpoint_path / "query-id").write_text(query)
    with open_store(settings.store, entity_names(PASSES)) as store:
        epoch, token = Epoch(store.generation_of(query), 0), store.acquire("test")
    context = TaskContext(epoch, token, settings.store, settings.spool_path, (), "", 0.1)
    records = letters = batches = 0
    archive = Archive(settings.spool_path, settings.checkpoint_path, settings.delta_path, {})
    for table in micro_batches(data, go_live, batch, dice):
        at = replace(context, epoch=Epoch(epoch.generation, batches))
        if dice.random() < run_again:
            run_batch(at, table, dice)
        found = run_batch(at, table, dice)
        kinds = found.column("row_kind").to_numpy()
        records, counted = records + len(kinds), counted + int((kinds == rows.TRANSACTION).sum())
        letters += int((kinds == rows.DEAD_LETTER).sum())
        spool(at, found)
        (commits / str(batches)).touch()
        batches += 1
        if dice.random() < 0.3:
            archive.run(epoch.generation)
    archive.run(epoch.generation)
    return Played(settings, records, counted, letters, batches, time.perf_counter() - started)


def micro_batches(data: DataSet, go_live: Any, size: int, dice: np.random.Generator) -> Iterator[pa.Table]:
    """Disturb the stream and hand it out as rows of the Kafka source, in random sizes up to ``size``."""
    streamed = data.transactions.filter(pc.greater_equal(data.transactions["event_time"], pa.scalar(go_live)))
    labels = data.labels.filter(pc.greater_equal(data.labels["label_time"], pa.scalar(go_live)))
    labels = without_keys(labels, dice.random(labels.num_rows) < BARE)
    n = streamed.num_rows
    due = _micros(streamed, "event_time")
    due = due + np.where(dice.random(n) < LATE, dice.integers(0, 2 * HOUR_US, n), 0)
    due = due + np.where(dice.random(n) < DAY_LATE, 24 * HOUR_US, 0)
    again = np.flatnonzero(dice.random(n) < DUPLICATE)
    row = np.concatenate([np.arange(n), again, np.arange(labels.num_rows)])
    when = np.concatenate(
        [due, due[again] + dice.integers(0, 72 * HOUR_US, len(again)), _micros(labels, "label_time")]
    )
    topic_of = np.repeat([TRANSACTIONS, LABELS], [n + len(again), labels.num_rows])
    tables = {TRANSACTIONS: streamed, LABELS: labels}
    if data.results is not None:
        later = pc.greater_equal(data.results["result_time"], pa.scalar(go_live))
        results = tables[RESULTS] = data.results.filter(later)
        told = results.num_rows
        early = np.where(dice.random(told) < EARLY, dice.integers(0, 2 * HOUR_US, told), 0)
        row = np.concatenate([row, np.arange(told)])
        when = np.concatenate([when, _micros(results, "result_time") - early])
        topic_of = np.concatenate([topic_of, np.repeat([RESULTS], told)])
    order = np.argsort(when, kind="stable")
    offsets: dict[tuple[str, int], int] = {}
    clock, at = int(when.max()) + HOUR_US, 0  # none is from the future
    while at < len(order):
        chosen = order[at : at + int(dice.integers(1, size + 1))]
        at += len(chosen)
        found = [
            one
            for topic, table in tables.items()
            for one in _encoded(topic, table.take(pa.array(row[chosen[topic_of[chosen] == topic]])), dice)
        ]
        found = [found[i] for i in dice.permutation(len(found))] if dice.random() < 0.5 else found
        columns: list[list[Any]] = [[] for _ in KAFKA]
        for topic, user, value in found:
            partition = int(hash_text(user)) % PARTITIONS
            offset = offsets[topic, partition] = offsets.get((topic, partition), -1) + 1
            clock += int(dice.integers(0, 3)) * 1000
            behind = 5_000_000 if dice.random() < 0.01 else 0  # a broker's clock that was set back
            for column, cell in zip(
                columns, (user.encode(), value, topic, partition, offset, clock - behind), strict=True
            ):
                column.append(cell)
        yield pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)


def without_keys(labels: pa.Table, rows: np.ndarray) -> pa.Table:
    """Leave out of some labels what the primary entity knows: the other keys, and the transaction's time."""
    schema, is_bare = deployed_schema(), pa.array(rows)
    for name in (*schema.key_names, "event_time"):
        if name != schema.primary_key.name:
            column = pc.if_else(is_bare, pa.scalar(None, labels[name].type), labels[name])
            labels = labels.set_column(labels.column_names.index(name), name, column)
    return labels


def run_batch(context: TaskContext, table: pa.Table, dice: np.random.Generator) -> pa.Table:
    """Run the passes as tasks get them: by each entity's key, tasks' rows in no certain order."""
    valid = validate_pass.validate(
        table, context.most_ahead_s, schema=context.schema, rates=rates_of(context)
    )
    watch = Stopwatch()
    passed = pa.concat_tables(
        entity_pass.pass_primary(context, in_arrival_order(part), watch)
        for part in _tasks(valid, context.passes[0], dice)
    )
    for at, one in enumerate(context.passes[1:], 1):
        passed = pa.concat_tables(
            entity_pass.pass_further(context, at, in_arrival_order(part), watch)
            for part in _tasks(passed, one, dice)
        )
    return _decided(context, in_arrival_order(passed))


def spool(context: TaskContext, found: pa.Table) -> None:
    """Leave a micro-batch's result where the archive looks for it."""
    spool = spool_at(context.spool)
    spool.begin(context.epoch.name)
    results = context.result_file("part-00000")
    pq.write_table(as_archived(found), results.path)
    results.finish()
    spool.complete(context.epoch.name, context.run)


def _decided(context: TaskContext, table: pa.Table) -> pa.Table:
    vectors = whole(context.passes, rows.matrix_of(table.column("vector")))
    decided = Decided(table, context.passes, context.contracts)
    decided.fill_vectors(vectors)
    n = int((table.column("row_kind").to_numpy() == rows.TRANSACTION).sum())
    decisions = Decisions([Outcome.APPROVE] * n, [[] for _ in range(n)], [None] * n, [None] * n)
    return decide_pass.spool_table(context, table, vectors=vectors, decisions=decisions, decided=decided)


def _tasks(table: pa.Table, of: EntityPass, dice: np.random.Generator) -> list[pa.Table]:
    task = validate_pass.tasks_of(table, of, TASKS)
    taken = [dice.permutation(np.flatnonzero(task == number)) for number in range(TASKS)]
    return [table.take(pa.array(found)) for found in taken if len(found)]


def _encoded(topic: str, table: pa.Table, dice: np.random.Generator) -> list[tuple[str, str, bytes]]:
    values = _ENCODERS[topic](table)
    users = table[deployed_schema().primary_key.name].to_pylist()
    bad = np.flatnonzero(dice.random(len(values)) < MALFORMED)
    broken = [(topic, users[i], values[i][:-1]) for i in bad.tolist()]
    return [*((topic, user, value) for user, value in zip(users, values, strict=True)), *broken]


def _before(table: pa.Table, column: str, moment: Any) -> pa.Table:
    return table.filter(pc.less(table[column], pa.scalar(moment)))


def _micros(table: pa.Table, column: str) -> np.ndarray:
    return np.asarray(table[column].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy())


def main() -> None:
    """Play, compare, rebuild; print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=40_000, help="records of a micro-batch at most")
    parser.add_argument("--home", type=Path, help="a folder to keep; default: one that is gone afterwards")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        played = play(given.home or Path(temporary), given.transactions, batch=given.batch)
        mark = time.perf_counter()
        peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        parity = compare(played.settings.delta_path)
        compared = time.perf_counter()
        rebuilt = rebuild(played.settings, f"lmdb://{temporary}/rebuilt")
        done = time.perf_counter()
        found = {
            "transactions": played.transactions,
            "records": played.records,
            "dead_letters": played.dead_letters,
            "micro_batches": played.batches,
            "play_s": round(played.seconds, 1),
            "parity_s": round(compared - mark, 1),
            "rebuild_s": round(done - compared, 1),
            "compared": parity.transactions,
            "greatest_difference": parity.greatest,
            "errors": parity.errors(),
            "repeated_ids": parity.repeated_ids,
            "states": sum(rebuilt.states.values()),
            "peak_mib": [peak_before // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024],
        }
    print(json.dumps(found, indent=1))  # noqa: T201  the command's result
    sys.exit(bool(found["errors"]))


if __name__ == "__main__":
    main()
