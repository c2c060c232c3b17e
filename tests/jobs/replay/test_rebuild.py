"""A store rebuilt from the log equals the stream's to the byte, and the stream continues from it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from fraud.contracts import TRANSACTIONS
from fraud.errors import BadConfig, BadState, Fenced
from fraud.log.archive import MOST_FOLDERS, Archive
from fraud.log.checkpoint import Checkpoint
from fraud.log.rebuild import archive_rest, follow, rebuild
from fraud.schema.reading import DEFAULT, parse_schema
from fraud.store import Epoch, open_store
from fraud.synthetic.encoding import encode_transactions
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext, store_of
from tests.deployed import ENTITIES, SPOOLED
from tests.load.parity import KAFKA, Played, run_batch, spool

States = dict[str, dict[float, bytes]]


def states_of(url: str) -> States:
    store = store_of(url, ENTITIES)
    return {kind: dict(store.scan(kind)) for kind in ENTITIES}


def next_batch(settings: StreamSettings, first: int = 0) -> pa.Table:
    """A micro-batch of new transactions of known users, numbered from ``first``."""
    known = DeltaTable(f"{settings.delta_path}/transactions").to_pyarrow_table().slice(0, 200)
    ids = pa.array([f"next-{first + i}" for i in range(known.num_rows)])
    known = known.set_column(known.column_names.index("transaction_id"), "transaction_id", ids)
    users = known["user_id"].to_pylist()
    n = len(users)
    offsets = range(10_000_000 + first, 10_000_000 + first + n)
    values = [
        [user.encode() for user in users],
        encode_transactions(known),
        [TRANSACTIONS] * n,
        [0] * n,
        offsets,
        [2_000_000_000_000_000 + first] * n,
    ]
    return pa.table([pa.array(v, f.type) for v, f in zip(values, KAFKA, strict=True)], schema=KAFKA)


def run_next(settings: StreamSettings, url: str, epoch: Epoch, table: pa.Table) -> States:
    context = TaskContext(
        epoch, store_of(url, ENTITIES).acquire("test"), url, settings.spool_path, (), "", 0.1
    )
    run_batch(context, table, np.random.default_rng(1))
    return states_of(url)


@pytest.mark.parametrize("rows", [300, 100_000])
def test_a_store_rebuilt_from_the_log_equals_the_stream_s_to_the_byte(
    played: Played, tmp_path: Path, rows: int
) -> None:
    url = f"lmdb://{tmp_path / 'rebuilt'}"
    found = rebuild(played.settings, url, rows=rows)
    expected = states_of(played.settings.store)
    assert states_of(url) == expected
    assert found.states == {entity: len(expected[entity]) for entity in ENTITIES}
    assert (found.generation, found.next_epoch) == (1, played.batches)


def test_a_log_that_is_older_than_an_optional_field_is_folded(
    log_copy: StreamSettings, tmp_path: Path
) -> None:
    """Of labels every key but the primary's is optional: the primary entity knows the others."""
    labels = DeltaTable(f"{log_copy.delta_path}/labels").to_pyarrow_table().drop_columns(["merchant_id"])
    write_deltalake(f"{log_copy.delta_path}/labels", labels, mode="overwrite", schema_mode="overwrite")
    rebuild(log_copy, f"lmdb://{tmp_path / 'rebuilt'}")
    assert states_of(f"lmdb://{tmp_path / 'rebuilt'}") == states_of(log_copy.store)


def test_the_stream_goes_on_from_a_rebuilt_store_as_from_its_own(
    log_copy: StreamSettings, tmp_path: Path
) -> None:
    url = f"lmdb://{tmp_path / 'rebuilt'}"
    found = rebuild(log_copy, url)
    epoch, table = Epoch(found.generation, found.next_epoch), next_batch(log_copy)
    query = (log_copy.checkpoint_path / "query-id").read_text()
    assert store_of(url, ENTITIES).generation_of(query) == store_of(log_copy.store, ENTITIES).generation_of(
        query
    )
    own = run_next(log_copy, log_copy.store, epoch, table)
    assert run_next(log_copy, url, epoch, table) == own
    assert run_next(log_copy, url, epoch, table) == own, "run again, it must start from the state before"


def test_a_store_is_filled_while_the_stream_writes_on(log_copy: StreamSettings, tmp_path: Path) -> None:
    """Some micro-batches are archived while it follows, one when the stream has stopped."""
    own, url = states_of(log_copy.store), f"lmdb://{tmp_path / 'followed'}"
    looks: list[States] = []

    def has_stopped() -> bool:
        if looks:
            archive_next(log_copy, number=len(looks))
        looks.append(states_of(log_copy.store))
        return len(looks) == 4

    found = follow(
        log_copy,
        url,
        has_stopped,
        tail=lambda _ends: [],
        old=store_of(log_copy.store, ENTITIES),
        rows=300,
        poll_s=0.0,
    )
    expected = states_of(log_copy.store)
    assert expected != own
    assert states_of(url) == expected
    epoch, table = Epoch(found.generation, found.next_epoch), next_batch(log_copy)
    after = run_next(log_copy, log_copy.store, epoch, table)
    assert run_next(log_copy, url, epoch, table) == after
    assert run_next(log_copy, url, epoch, table) == after, "run again, it must start from the state before"


def test_a_store_that_holds_states_is_not_filled(log_copy: StreamSettings, tmp_path: Path) -> None:
    other = store_of(f"lmdb://{tmp_path / 'other'}", ENTITIES)
    with pytest.raises(BadConfig, match="holds states"):
        follow(log_copy, log_copy.store, lambda: True, old=other, tail=lambda _ends: [])


def archive_next(settings: StreamSettings, number: int) -> None:
    """Run a micro-batch of new transactions through the stream's passes, finish and archive it."""
    batch = max(int(file.name) for file in (settings.checkpoint_path / "commits").iterdir()) + 1
    store = store_of(settings.store, ENTITIES)
    query = (settings.checkpoint_path / "query-id").read_text()
    epoch = Epoch(store.generation_of(query), batch)
    context = TaskContext(epoch, store.acquire("test"), settings.store, settings.spool_path, (), "", 0.1)
    table = next_batch(settings, first=number * 1_000)
    spool(context, run_batch(context, table, np.random.default_rng(number)))
    (settings.checkpoint_path / "commits" / str(batch)).touch()
    Archive(settings.spool_path, settings.checkpoint_path, settings.delta_path, {}).run(epoch.generation)


def test_a_micro_batch_from_before_the_log_s_end_is_fenced_off_a_rebuilt_store(
    log_copy: StreamSettings, tmp_path: Path
) -> None:
    url = f"lmdb://{tmp_path / 'rebuilt'}"
    found = rebuild(log_copy, url)
    with pytest.raises(Fenced, match="rebuild-store"):
        run_next(log_copy, url, Epoch(found.generation, found.next_epoch - 3), next_batch(log_copy))


def test_a_store_with_states_is_given_up_only_when_asked(log_copy: StreamSettings) -> None:
    with open_store(log_copy.store) as store:
        token, epoch = store.acquire("test"), Epoch(1, 1_000)
        before = {kind: dict(store.scan(kind)) for kind in ENTITIES}
        store.write("user", {1.0: next(iter(before["user"].values()))}, epoch, token)
        store.expire("merchant", float("inf"), token)
    with pytest.raises(BadConfig, match="--replace"):
        rebuild(log_copy)
    rebuild(log_copy, replace=True)
    assert not log_copy.rebuild_mark.exists()
    with open_store(log_copy.store) as store:
        assert {kind: dict(store.scan(kind)) for kind in ENTITIES} == before
        with pytest.raises(Fenced):
            store.write("user", {}, Epoch(1, 2_000), token)


def test_a_log_that_lacks_what_the_checkpoint_committed_is_refused(log_copy: StreamSettings) -> None:
    newest = max(int(file.name) for file in (log_copy.checkpoint_path / "commits").iterdir())
    (log_copy.checkpoint_path / "commits" / str(newest + 1)).touch()
    with pytest.raises(BadState, match=f"{newest + 1}"):
        rebuild(log_copy, replace=True)


def test_a_checkpoint_that_was_set_back_is_refused(log_copy: StreamSettings) -> None:
    newest = max(int(file.name) for file in (log_copy.checkpoint_path / "commits").iterdir())
    (log_copy.checkpoint_path / "commits" / str(newest)).unlink()
    with pytest.raises(BadConfig, match="set back"):
        rebuild(log_copy, replace=True)


def test_a_new_checkpoint_over_a_rebuilt_store_gets_a_newer_generation(
    log_copy: StreamSettings, tmp_path: Path
) -> None:
    fresh = replace_home(log_copy, tmp_path / "fresh")
    url = f"lmdb://{tmp_path / 'rebuilt'}"
    found = rebuild(fresh, url)
    assert (found.generation, found.next_epoch) == (2, 0)
    assert store_of(url, ENTITIES).generation_of("the stream's first start") == 2


def replace_home(settings: StreamSettings, home: Path) -> StreamSettings:
    return settings.model_copy(update={"home": home, "delta": settings.delta_path})


def test_a_rebuild_that_did_not_finish_keeps_the_stream_from_starting(log_copy: StreamSettings) -> None:
    from jobs.stream.run import StreamJob  # noqa: PLC0415  loads Spark

    log_copy.rebuild_mark.touch()
    with pytest.raises(BadState, match="--replace"):
        StreamJob(log_copy)
    rebuild(log_copy, replace=True)
    assert not log_copy.rebuild_mark.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("events: 256", "events: 100", r"states of merchants .*another schema or release.*rebuild-store"),
        (
            "features:\n",
            "  device: {key: device_id}\nfeatures:\n",
            r"counted nothing for device.*rebuild-store",
        ),
    ],
)
def test_the_stream_does_not_start_over_states_of_another_schema(
    log_copy: StreamSettings, old: str, new: str, words: str
) -> None:
    """It says so before it is ready, not with its first micro-batch, or never."""
    from jobs.stream.run import StreamJob  # noqa: PLC0415  loads Spark

    with open_store(log_copy.store, ENTITIES) as store:
        store.mark_complete()
    schema = parse_schema(DEFAULT.read_text().replace(old, new, 1).encode(), "other.yaml")
    with pytest.raises(BadState, match=words):
        StreamJob(log_copy, schema)


def test_more_micro_batches_than_one_round_takes_are_all_archived(log_copy: StreamSettings) -> None:
    """A stream whose tables were unavailable for long leaves a long spool."""
    commits = log_copy.checkpoint_path / "commits"
    newest, waiting = max(int(file.name) for file in commits.iterdir()), MOST_FOLDERS + 5
    for batch in range(newest + 1, newest + 1 + waiting):
        folder = log_copy.spool_path / f"{1:06d}-{batch:012d}"
        folder.mkdir(parents=True)
        pq.write_table(SPOOLED.empty_table(), folder / "part-00000.parquet")
        (commits / str(batch)).touch()
    assert archive_rest(log_copy, Checkpoint.of(log_copy.checkpoint_path)) == waiting
    assert not list(log_copy.spool_path.glob("[0-9]*-[0-9]*"))
