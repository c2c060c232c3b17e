"""Laws of the passes over any entities: stream, batch, scoring service and log give the same bits."""

import json
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fraud.contracts import LABELS, SCORED, TRANSACTIONS, Outcome
from fraud.decide.overruling import Ruled
from fraud.features.batch import FoldedPasses, fold_passes
from fraud.features.layout import layout_of
from fraud.features.passes import Passes, entity_names, feature_names, passes_of, sequence_names
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.log.reader import Log
from fraud.log.rebuild import rebuild
from fraud.log.refold import Refolder
from fraud.schema.default import MERCHANT, USER
from fraud.schema.entities import Entity
from fraud.schema.reading import default_schema
from fraud.schema.schema import Schema
from fraud.store import Epoch, FeatureStore, open_store
from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks import decide_pass, entity_pass, one_pass, validate_pass
from jobs.stream.tasks.arrow_rows import in_arrival_order, receive
from jobs.stream.tasks.context import TaskContext, store_of
from jobs.stream.tasks.score import Decisions
from jobs.stream.tasks.scored import Decided as DecidedThere
from jobs.stream.tasks.scored import as_archived
from jobs.stream.tasks.stopwatch import Stopwatch
from services.scoring.records import Decided
from services.scoring.scorer import Conflict, Scorer
from tests.fraud.features.entities import REQUIRED, START, drawn_passes, drawn_records, features_of, label_of
from tests.fraud.features.streams import events_of
from tests.load.parity import KAFKA
from tests.wire import Label, Transaction

TASKS = 3
QUICK = [Phase.explicit, Phase.reuse, Phase.generate]  # shrinking takes minutes
ARRIVAL_US = int(START.timestamp() * 1e6) + 90 * 86_400_000_000  # no event is from the future
Record = Transaction | Label


def schema_of(passes: Passes) -> Schema:
    """Make the default schema's records with these entities; a label has the keys of the default ones."""
    by_word = {field.word: field for field in default_schema().fields}
    names = entity_names(passes)
    columns = [one.entity.key_names for one in passes[1:]]
    more = [name for name in REQUIRED if name not in names]
    return replace(
        default_schema(),
        entities=tuple(one.entity for one in passes),
        features=tuple(feature for one in passes for feature in one.features),
        keys=(
            tuple(by_word[name] for name in (names[0], *more)),
            *(tuple(by_word[name] for name in of) for of in columns),
        ),
    )


def laid_out(passes: Passes) -> Passes:
    """Lay passes out over the events of their own schema."""
    schema = schema_of(passes)
    return passes_of(schema.entities, schema.features, layout_of(schema))


class Approving:
    """Decides without a model."""

    def decide(self, *_: object) -> Decided:
        return Decided(
            Outcome.APPROVE, 0.1, [], Ruled(Outcome.APPROVE, Outcome.APPROVE), "1", "none", is_fallback=False
        )


class Stopped(Exception):
    """A crash between two tasks."""


def kafka(records: list[Record | bytes], first_offset: int) -> pa.Table:
    """Lay records out as the Kafka source does; bytes are of the topic ``scored``."""
    cells = []
    for i, record in enumerate(records):
        topic = SCORED if isinstance(record, bytes) else TRANSACTIONS
        topic = LABELS if isinstance(record, Label) else topic
        value = record if isinstance(record, bytes) else record.model_dump_json().encode()
        cells.append((b"k", value, topic, 0, first_offset + i, ARRIVAL_US + 1000 * (first_offset + i)))
    columns = zip(*cells, strict=True)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)


def run_passes(
    context: TaskContext, table: pa.Table, between: Callable[[], object] = lambda: None
) -> pa.Table:
    """Run the passes task by task, as Spark's tasks get their rows; ``between`` them others may act."""
    found = validate_pass.validate(table, schema=context.schema)
    for at, one in enumerate(context.passes):
        to = validate_pass.tasks_of(found, one, TASKS)
        parts = []
        for task in np.unique(to).tolist():
            part = in_arrival_order(found.take(pa.array(np.flatnonzero(to == task)[::-1])))
            watch = Stopwatch()
            parts.append(
                entity_pass.pass_further(context, at, part, watch)
                if at
                else entity_pass.pass_primary(context, part, watch)
            )
            between()
        found = pa.concat_tables(parts)
    return in_arrival_order(found)


def crash_after(tasks: int) -> Callable[[], None]:
    left = [tasks]

    def act() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stopped

    return act


def run_again_after_crash(context: TaskContext, table: pa.Table, tasks: int) -> pa.Table:
    with suppress(Stopped):
        run_passes(context, table, crash_after(tasks))
    return run_passes(context, table)


def states_of(store: FeatureStore) -> dict[str, dict[float, bytes]]:
    return {entity: dict(store.scan(entity)) for entity in store.entities}


def new_context(folder: Path, passes: Passes) -> TaskContext:
    url = f"lmdb://{folder / 'store'}"
    with open_store(url, entity_names(passes)) as store:
        token = store.acquire("test")
    of = {"passes": laid_out(passes), "schema": schema_of(passes)}
    return TaskContext(Epoch(1, 0), token, url, folder / "spool", (), "", 0.1, **of)


def assert_served(found: pa.Table, expected: FoldedPasses, first: int, passes: Passes) -> None:
    """Compare what the passes give for the records from ``first`` on with the batch, bit for bit."""
    offsets = found.column("source_offset").to_numpy()
    vectors = rows.matrix_of(found.column("vector"))
    is_letter = found.column("row_kind").to_numpy() == rows.DEAD_LETTER
    assert sorted(offsets.tolist()) == list(range(first, first + found.num_rows))
    np.testing.assert_array_equal(vectors.view(np.int64), expected.vectors[offsets].view(np.int64))
    for side in (side for one in passes for side in one.sides):
        sequences = found.column(side.sequence).to_numpy(zero_copy_only=False)
        wanted = expected.sequences[side.name][offsets]
        np.testing.assert_array_equal(sequences[~is_letter], wanted[~is_letter], err_msg=side.name)


@settings(max_examples=25, phases=QUICK)
@given(
    passes=drawn_passes(),
    records=drawn_records(),
    cuts=st.sets(st.integers(1, 24), max_size=3),
    crashes=st.lists(st.integers(0, 8), min_size=4, max_size=4),
)
def test_the_stream_serves_what_the_batch_gives(
    tmp_path_factory: pytest.TempPathFactory,
    passes: Passes,
    records: list[Record],
    cuts: set[int],
    crashes: list[int],
) -> None:
    """Also where each micro-batch dies after some of its tasks and runs again."""
    context = new_context(tmp_path_factory.mktemp("stream"), passes)
    expected = fold_passes(events_of(records), passes=passes)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    for batch, (first, last) in enumerate(pairwise(bounds)):
        at = replace(context, epoch=Epoch(1, batch))
        found = run_again_after_crash(at, kafka([*records[first:last]], first), crashes[batch])
        assert_served(found, expected, first, passes)
    assert states_of(store_of(context.store_url, entity_names(passes))) == expected.states


@settings(max_examples=25, phases=QUICK)
@given(passes=drawn_passes(), records=drawn_records())
def test_the_scoring_service_serves_what_the_batch_gives(
    tmp_path_factory: pytest.TempPathFactory, passes: Passes, records: list[Record]
) -> None:
    transactions = list({one.transaction_id: one for one in records if isinstance(one, Transaction)}.values())
    expected = fold_passes(events_of([*transactions]), passes=passes)
    with open_store(f"lmdb://{tmp_path_factory.mktemp('scoring')}", entity_names(passes)) as store:
        scorer = Scorer(store, Approving(), 5, passes)  # type: ignore[arg-type]
        for at, record in enumerate(transactions):
            assert not scorer.score(record).is_replay
            assert scorer.score(record).is_replay
            answer = scorer.find(record.transaction_id)
            assert answer is not None
            served = json.loads(answer.record)
            vector = [np.nan if value is None else value for value in served["features"].values()]
            np.testing.assert_array_equal(vector, expected.vectors[at])
            assert tuple(served["features"]) == feature_names(passes)
            for side in (side for one in passes for side in one.sides):
                wanted = expected.sequences[side.name][at]
                assert served.get(side.sequence) == (None if np.isnan(wanted) else wanted)
        assert states_of(store) == expected.states


def test_what_another_store_has_counted_is_counted_anew_in_its_order(tmp_path: Path) -> None:
    """Kafka may hand the records of one merchant's users out in another order than that of the counting."""
    passes = passes_of()
    with open_store(f"lmdb://{tmp_path / 'lost'}", entity_names(passes)) as lost:
        scorer = Scorer(lost, Approving(), 5, passes)  # type: ignore[arg-type]
        names = [f"t{i}" for i in range(9)]
        for i, name in enumerate(names):
            time = START + timedelta(minutes=i)
            of = {"user_id": f"u{i % 3}", "merchant_id": "m", "amount": 1.0 + i}
            scorer.score(Transaction(transaction_id=name, event_time=time, **of))
        records = [answer.record for name in names if (answer := scorer.find(name))]
    context = new_context(tmp_path, passes)
    # By user, as partitions are: the merchant's come as 1, 4, 7, 2, 5, 8, 3, 6, 9.
    order = [i for user in range(3) for i in range(user, 9, 3)]
    found = run_passes(context, kafka([records[i] for i in order], 0))
    served = np.array([[*json.loads(records[i])["features"].values()] for i in order], np.float64)
    np.testing.assert_array_equal(rows.matrix_of(found.column("vector")), served)
    sequences = found.column("merchant_sequence").to_pylist()
    assert sequences == [1 + i for i in order]


@dataclass
class Deployment:
    """Stream and scoring service over one store, and the log that they leave."""

    settings: StreamSettings
    passes: Passes
    batch: int = 0
    offset: int = 0
    decided: int = 0
    letters: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.schema, self.passes = schema_of(self.passes), laid_out(self.passes)
        query, checkpoint = uuid.uuid4().hex, self.settings.checkpoint_path
        (checkpoint / "commits").mkdir(parents=True)
        (checkpoint / "query-id").write_text(query)
        self.store = store_of(self.settings.store, entity_names(self.passes))
        self.generation, self.token = self.store.generation_of(query), self.store.acquire("test")
        self.scorer = Scorer(self.store, Approving(), 50, self.passes, self.schema)  # type: ignore[arg-type]

    def score(self, records: list[Transaction]) -> None:
        """Let the scoring service count the next of some records, unless it has been counted."""
        if records:
            with suppress(Conflict):
                self.decided += not self.scorer.score(records.pop()).is_replay

    def step(self, records: list[Record], there: list[Transaction], crash: int) -> None:
        """Run a micro-batch that dies once; the scoring service counts between any two of its tasks."""
        entries = self.store.answers().waiting(1_000)
        found = [*records, *(record for _, record in entries)]
        if not found:
            return
        context = TaskContext(
            Epoch(self.generation, self.batch),
            self.token,
            self.settings.store,
            self.settings.spool_path,
            (),
            "",
            0.1,
            passes=self.passes,
            schema=self.schema,
        )
        table, stop = kafka(found, self.offset), crash_after(crash)

        def and_then_crash() -> None:
            self.score(there)
            stop()

        with suppress(Stopped):
            run_passes(context, table, and_then_crash)
        self._finish(context, run_passes(context, table, lambda: self.score(there)))
        self.store.answers().sent([entry for entry, _ in entries])
        self.batch, self.offset = self.batch + 1, self.offset + len(found)

    def _finish(self, context: TaskContext, table: pa.Table) -> None:
        vectors = rows.matrix_of(table.column("vector"))
        n = int((table.column("row_kind").to_numpy() == rows.TRANSACTION).sum())
        decisions = Decisions([Outcome.APPROVE] * n, [[] for _ in range(n)], [None] * n, [None] * n)
        there = DecidedThere(table, self.passes, context.contracts)
        there.fill_vectors(vectors)
        spooled = decide_pass.spool_table(context, table, vectors=vectors, decisions=decisions, decided=there)
        self.decided += n
        self.letters += [reason for reason in spooled.column("reason").to_pylist() if reason]
        results = context.result_file("part-00000")
        pq.write_table(as_archived(spooled), results.path)
        results.finish()
        (self.settings.checkpoint_path / "commits" / str(self.batch)).touch()

    def archive(self) -> None:
        at = self.settings
        of = {"passes": self.passes, "schema": self.schema}
        Archive(at.spool_path, at.checkpoint_path, at.delta_path, {}, **of).run(self.generation)


@settings(max_examples=15, phases=QUICK)
@given(
    passes=drawn_passes(kept=(40,)),
    records=drawn_records(most=20, days=20),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_log_gives_what_stream_and_scoring_service_served_side_by_side(
    tmp_path_factory: pytest.TempPathFactory, passes: Passes, records: list[Record], seed: int
) -> None:
    """With missing keys, duplicates, labels, crashes, and a service that counts between any two tasks.

    An older copy of the store, onto which the log is folded, and a new store have the same states.
    """
    dice = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("both")
    of = Deployment(StreamSettings(home=folder / "stream"), passes)
    there = [one for one in records if isinstance(one, Transaction) and dice.random() < 0.5]
    own = [one for one in records if dice.random() < 0.7]
    copy, copied = f"lmdb://{folder / 'copy'}", False
    while own or there:
        if not copied and dice.random() < 0.3:
            shutil.copytree(folder / "stream" / "store", folder / "copy")
            copied = True
        size = int(dice.integers(0, 6))
        batch, own = own[:size], own[size:]
        of.score(there)
        of.step(batch, there, int(dice.integers(0, 8)))
    while of.store.answers().backlog():
        of.step([], there, int(dice.integers(0, 8)))
    of.archive()
    ids = {one.transaction_id for one in records if isinstance(one, Transaction)}
    assert of.decided <= len(ids)
    if not of.decided:
        return
    whose = {"passes": of.passes, "schema": of.schema}
    parity = compare(of.settings.delta_path, rows=7, **whose)
    assert parity.errors() == []
    assert (parity.transactions, parity.waiting, parity.repeated_ids) == (of.decided, 0, 0)
    assert set(of.letters) <= {"duplicate"}
    expected = states_of(of.store)
    again = rebuild(of.settings, f"lmdb://{folder / 'again'}", rows=7, scratch=folder, **whose)
    assert again.states == {entity: len(found) for entity, found in expected.items()}
    with open_store(f"lmdb://{folder / 'again'}", entity_names(passes)) as rebuilt:
        assert states_of(rebuilt) == expected
    with open_store(copy, entity_names(passes)) as older:
        log, refolder = Log(of.settings.delta_path, **whose), Refolder(of.passes, is_onto=True)
        token = older.acquire("test")
        for part in log.slices(7):
            refolder.take(log.read(part), older, token, part.epoch)
        assert states_of(older) == expected


DEVICE = Entity("device", events=8, distinct=("user",), known=())
EIGHT = tuple(Entity(name, 8, (), ()) for name in ("merchant", "device", "country", "category", "channel"))


@pytest.mark.parametrize("others", [(), (MERCHANT,), EIGHT], ids=["1", "2", "6"])
def test_a_small_micro_batch_goes_through_all_passes_in_one_task(
    tmp_path: Path, others: tuple[Entity, ...]
) -> None:
    entities = (USER, *others)
    passes = passes_of(entities, [feature for entity in entities for feature in features_of(entity)])
    context = new_context(tmp_path, passes)
    records = [
        Transaction(
            transaction_id=f"t{i}",
            event_time=START,
            user_id="u",
            merchant_id="m",
            amount=5.0,
            device_id="d" if i % 2 else None,
        )
        for i in range(6)
    ]
    table = kafka([*records, records[0], label_of(records[1], is_fraud=True)], 0)
    batches: Any = validate_pass.run_validate_pass(context, iter(table.to_batches()))
    for at in range(len(passes) - 1):
        batches = entity_pass.run_entity_pass(context, at, batches)
    arrow_rows = list(batches)
    of = context.rows
    schema = of.passed_schema(passes, len(passes) - 2) if others else of.validated
    last, stages = receive(iter(arrow_rows), schema)
    assert last.num_rows == 8
    assert {name for stage in stages for name in stage} >= {f"{one.name}_pass" for one in passes[:-1]}
    assert set(sequence_names(passes)[:-1]) <= set(last.column_names)
    assert one_pass.mapped(context).args == (context,)


def test_rows_without_a_key_are_spread_over_the_tasks(tmp_path: Path) -> None:
    entities = (USER, DEVICE)
    passes = passes_of(entities, [feature for entity in entities for feature in features_of(entity)])
    records: list[Record | bytes] = [
        Transaction(transaction_id=f"t{i}", event_time=START, user_id="u", merchant_id="m", amount=5.0)
        for i in range(30)
    ]
    context = new_context(tmp_path, passes)
    found = run_passes(replace(context, passes=context.passes[:1]), kafka(records, 0))
    counts = np.bincount(validate_pass.tasks_of(found, context.passes[1], TASKS))
    assert counts.tolist() == [10] * TASKS
