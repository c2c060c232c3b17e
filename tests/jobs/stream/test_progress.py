"""Store, checkpoint and log that do not belong together stop the start; what a crash leaves does not."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from deltalake import CommitProperties, write_deltalake
from pyarrow import table

from fraud.contracts.seal import SealKey, sealed
from fraud.errors import BadState, Fenced, Unavailable
from fraud.log import rows
from fraud.log.arrival import Reach
from fraud.log.rebuild import rebuild
from fraud.store import Epoch, FeatureStore, Watermark, open_store
from jobs.stream.progress import Progress
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.scored import FORGED, kinds_of
from tests.fraud.store.conftest import make_urls, run_redis
from tests.wire import ScoredTransaction

MENDS = re.escape("`fraud replay rebuild-store --replace`")


@dataclass
class Stream:
    """What the driver and Spark leave, micro-batch after micro-batch; nothing is folded."""

    settings: StreamSettings
    query: str = ""

    @property
    def checkpoint(self) -> Path:
        return self.settings.checkpoint_path

    def start(self, store: FeatureStore) -> Progress:
        progress = Progress(store, self.settings)
        self.query = progress.check().named()
        generation = store.generation_of(self.query)
        progress.begin(self.query, generation, store.acquire("test"))
        return progress

    def plan(self, batch: int) -> None:
        folder = self.checkpoint / "offsets"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(batch)).write_text(f"v1\n{{}}\n{json.dumps({'transactions': {'0': 10 * batch + 10}})}")

    def commit(self, batch: int) -> None:
        (self.checkpoint / "commits").mkdir(parents=True, exist_ok=True)
        (self.checkpoint / "commits" / str(batch)).touch()

    def run(self, progress: Progress, *batches: int) -> None:
        for batch in batches:
            self.plan(batch)
            progress.before()
            progress.after(batch)
            self.commit(batch)

    def archive(self, generation: int, batch: int) -> None:
        reach = Reach(generation=generation, epoch=batch).model_dump_json()
        write_deltalake(
            f"{self.settings.delta_path}/dead_letters",
            table({"reason": ["empty"]}),
            mode="append",
            commit_properties=CommitProperties(custom_metadata={"userMetadata": reach}),
        )


@pytest.fixture(params=["lmdb", "redis", "2 shards"])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    return make_urls(request, tmp_path_factory)


@pytest.fixture
def stream(tmp_path: Path, url: str) -> Stream:
    return Stream(StreamSettings(home=tmp_path / "home", store_url=url))


@pytest.fixture
def store(stream: Stream) -> Iterator[FeatureStore]:
    with open_store(stream.settings.store) as opened:
        yield opened


def set_watermark(store: FeatureStore, mark: Watermark) -> None:
    """Make the store the copy that was taken when this was its watermark."""
    store.advance(mark, store.watermark(), store.acquire("an older copy"))


def test_a_stream_starts_on_an_empty_store_and_goes_on_after_a_stop(
    stream: Stream, store: FeatureStore
) -> None:
    progress = stream.start(store)
    assert progress.starting_offsets() == "earliest"
    stream.run(progress, 0, 1)
    stream.archive(1, 1)
    stream.run(stream.start(store), 2)
    assert store.watermark() == Watermark(stream.query, Epoch(1, 2), '{"transactions": {"0": 30}}')


def test_a_store_older_than_the_checkpoint_is_refused_and_nobody_counts_in_it(
    stream: Stream, store: FeatureStore
) -> None:
    progress = stream.start(store)
    stream.run(progress, 0, 1)
    older = store.watermark()
    stream.run(progress, 2, 3)
    assert older is not None
    set_watermark(store, older)
    with pytest.raises(BadState, match=rf"up to 1, the checkpoint has finished 3; .*{MENDS}"):
        stream.start(store)
    assert store.identity() == "", "the scoring service decides without it"


def test_the_micro_batch_that_was_cut_off_after_the_store_had_it_runs_again(
    stream: Stream, store: FeatureStore
) -> None:
    progress = stream.start(store)
    stream.run(progress, 0)
    stream.plan(1)
    progress.before()
    progress.after(1)  # killed before the commit
    again = stream.start(store)
    stream.run(again, 1, 2)
    assert store.watermark() == Watermark(stream.query, Epoch(1, 2), '{"transactions": {"0": 30}}')


def test_the_first_micro_batch_runs_again_as_well(stream: Stream, store: FeatureStore) -> None:
    progress = stream.start(store)
    stream.plan(0)
    progress.before()
    progress.after(0)
    stream.run(stream.start(store), 0)


@pytest.mark.parametrize("kept", [0, 2])
def test_a_checkpoint_that_was_set_back_is_refused(stream: Stream, store: FeatureStore, kept: int) -> None:
    stream.run(stream.start(store), 0, 1, 2, 3)
    for batch in range(kept + 1, 4):
        (stream.checkpoint / "commits" / str(batch)).unlink()
        (stream.checkpoint / "offsets" / str(batch)).unlink()
    with pytest.raises(BadState, match=rf"set back: it ends at micro-batch {kept}, .*{MENDS}"):
        stream.start(store)
    assert store.identity(), "the store is right"


def test_a_store_that_ran_another_plan_of_the_next_micro_batch_is_refused(
    stream: Stream, store: FeatureStore
) -> None:
    progress = stream.start(store)
    stream.run(progress, 0, 1)
    (stream.checkpoint / "commits" / "1").unlink()
    (stream.checkpoint / "offsets" / "1").write_text('v1\n{}\n{"transactions": {"0": 15}}')
    with pytest.raises(BadState, match="set back"):
        stream.start(store)


def test_a_lost_checkpoint_beside_a_store_is_refused(stream: Stream, store: FeatureStore) -> None:
    stream.run(stream.start(store), 0, 1)
    shutil.rmtree(stream.checkpoint)
    with pytest.raises(BadState, match=rf"was lost: .* the feature store has micro-batch 1 .*{MENDS}"):
        stream.start(store)


def test_a_lost_checkpoint_beside_a_log_is_refused(stream: Stream, store: FeatureStore) -> None:
    stream.archive(3, 7)
    with pytest.raises(BadState, match=rf"was lost: .* the log has micro-batch 7 of generation 3.*{MENDS}"):
        stream.start(store)


def test_checkpoint_and_store_that_are_older_than_the_log_are_refused(
    stream: Stream, store: FeatureStore
) -> None:
    stream.run(stream.start(store), 0, 1)
    stream.archive(1, 5)
    with pytest.raises(BadState, match=rf"set back: .* the log has micro-batch 5 .*{MENDS}"):
        stream.start(store)


def test_two_deployments_with_each_other_s_store_are_refused_and_neither_is_harmed(
    stream: Stream, new_url: Callable[[], str], tmp_path: Path, store: FeatureStore
) -> None:
    other = Stream(StreamSettings(home=tmp_path / "other", store_url=new_url()))
    stream.run(stream.start(store), 0, 1)
    with open_store(other.settings.store) as others:
        running = other.start(others)
        other.run(running, 0, 1, 2)
        for one, wrong in ((stream, others), (other, store)):
            with pytest.raises(BadState, match="FRAUD_STREAM_STORE_URL"):
                one.start(wrong)
        other.run(running, 3)  # still holds its store: the refused one has not taken it over
    stream.run(stream.start(store), 2)


def test_a_deleted_store_is_refused(stream: Stream, new_url: Callable[[], str], store: FeatureStore) -> None:
    stream.run(stream.start(store), 0)
    with (
        open_store(new_url()) as empty,
        pytest.raises(BadState, match=rf"never seen this checkpoint.*{MENDS}"),
    ):
        stream.start(empty)


def test_a_store_that_is_emptied_while_the_stream_runs_stops_it(stream: Stream, store: FeatureStore) -> None:
    progress = stream.start(store)
    stream.run(progress, 0)
    stream.plan(1)
    progress.before()
    mark = store.watermark()
    assert mark is not None
    set_watermark(store, Watermark(mark.query_id, Epoch(1, -1)))
    with pytest.raises(Fenced):
        progress.after(1)
    with pytest.raises(Fenced):
        progress.before()


class Losing:
    """A store whose answer to the next watermark is lost on its way, after or before it was written."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self.loses: str = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def advance(self, mark: Watermark, before: Watermark | None, token: int) -> None:
        loses, self.loses = self.loses, ""
        if loses != "before":
            self._store.advance(mark, before, token)
        if loses:
            raise Unavailable("the feature store does not answer")


@pytest.mark.parametrize("loses", ["before", "after"])
def test_a_watermark_whose_answer_was_lost_lets_the_micro_batch_run_again(
    stream: Stream, store: FeatureStore, loses: str
) -> None:
    losing: Any = Losing(store)
    progress = stream.start(losing)
    stream.run(progress, 0)
    losing.loses = loses
    with pytest.raises(Unavailable):
        stream.run(progress, 1)
    stream.run(progress, 1, 2)
    mark = store.watermark()
    assert mark is not None
    assert mark.epoch == Epoch(1, 2)


def test_a_store_that_another_driver_took_is_not_marked(stream: Stream, store: FeatureStore) -> None:
    progress = stream.start(store)
    stream.plan(0)
    progress.before()
    store.acquire("newer")
    with pytest.raises(Fenced, match="newer"):
        progress.after(0)


def test_a_backfilled_store_is_taken_by_a_fresh_checkpoint(stream: Stream, store: FeatureStore) -> None:
    stream.archive(0, 0)
    stream.run(stream.start(store), 0)


def test_a_store_that_is_being_rebuilt_is_refused(stream: Stream, store: FeatureStore) -> None:
    store.renew(is_whole=False)
    with pytest.raises(BadState, match=rf"incomplete.*{MENDS}"):
        stream.start(store)


def test_a_store_of_an_earlier_release_is_taken_as_new_as_its_checkpoint(
    stream: Stream, store: FeatureStore
) -> None:
    stream.plan(4)
    stream.commit(4)
    (stream.checkpoint / "query-id").write_text("old")
    store.generation_of("old")
    stream.run(stream.start(store), 5)


def test_an_lmdb_folder_deleted_or_exchanged_under_the_stream_stops_it(tmp_path: Path) -> None:
    folder, away = tmp_path / "store", tmp_path / "away"
    stream = Stream(StreamSettings(home=tmp_path / "home", store_url=f"lmdb://{folder}"))
    with open_store(stream.settings.store) as store:
        progress = stream.start(store)
        stream.run(progress, 0)
        stream.plan(1)
        progress.before()
        folder.rename(away)
        with pytest.raises(BadState, match=rf"deleted or replaced.*{MENDS}"):
            progress.after(1)
        with open_store(stream.settings.store), pytest.raises(BadState, match="deleted or replaced"):
            progress.before()


def test_a_redis_restarted_within_a_micro_batch_makes_it_run_again(tmp_path: Path) -> None:
    with run_redis("--appendonly", "yes", "--appendfsync", "always") as server:
        stream = Stream(StreamSettings(home=tmp_path / "home", store_url=server.url(prefix="p")))
        with closing(open_store(stream.settings.store)) as store:
            progress = stream.start(store)
            stream.run(progress, 0)
            stream.plan(1)
            progress.before()
            server.kill()
            server.start()
            with pytest.raises(Unavailable, match="runs again"):
                progress.after(1)
            stream.run(stream.start(store), 1, 2)


def test_a_redis_restored_from_an_older_dump_stops_the_stream(tmp_path: Path) -> None:
    with run_redis() as server:
        client = redis.Redis(unix_socket_path=str(server.socket))
        stream = Stream(StreamSettings(home=tmp_path / "home", store_url=server.url(prefix="p")))
        with closing(open_store(stream.settings.store)) as store:
            progress = stream.start(store)
            stream.run(progress, 0)
            client.save()
            stream.run(progress, 1)
            server.kill()
            server.start()  # reads the dump
            with pytest.raises(
                BadState, match=rf"micro-batch 0 of generation 1, not micro-batch 1 .*{MENDS}"
            ):
                progress.before()
            with pytest.raises(BadState, match="older than the checkpoint"):
                stream.start(store)


@pytest.mark.parametrize("is_store_kept", [True, False])
def test_after_a_lost_checkpoint_the_stream_goes_on_where_the_log_ends(
    log_copy: StreamSettings, *, is_store_kept: bool
) -> None:
    """The rebuilt store is taken by a new checkpoint, and by no other after that."""
    newest = max(int(file.name) for file in (log_copy.checkpoint_path / "commits").iterdir())
    shutil.rmtree(log_copy.checkpoint_path)
    stream = Stream(log_copy)
    with open_store(log_copy.store) as store, pytest.raises(BadState, match=f"was lost.*{newest}"):
        stream.start(store)
    left = log_copy.spool_path / f"{1:06d}-{newest + 1:012d}"
    left.mkdir(parents=True)
    (left / "part-00000.parquet.partial").touch()
    if not is_store_kept:
        shutil.rmtree(Path(log_copy.store.removeprefix("lmdb://")))
    rebuild(log_copy, replace=True)
    assert not left.exists(), "the new checkpoint reads it from Kafka"
    with open_store(log_copy.store) as store:
        mark = store.watermark()
        assert mark is not None
        assert (mark.query_id, mark.epoch) == ("", Epoch(1, newest))
        stream.run(stream.start(store), 0, 1)
        assert store.watermark() == Watermark(stream.query, Epoch(2, 1), '{"transactions": {"0": 20}}')
        shutil.rmtree(log_copy.checkpoint_path)
        with pytest.raises(BadState, match="was lost"):
            stream.start(store)


def test_a_rebuilt_store_of_an_older_copy_is_taken_again(log_copy: StreamSettings) -> None:
    newest = max(int(file.name) for file in (log_copy.checkpoint_path / "commits").iterdir())
    query = (log_copy.checkpoint_path / "query-id").read_text()
    with open_store(log_copy.store) as store:
        set_watermark(store, Watermark(query, Epoch(1, newest - 1)))
        with pytest.raises(BadState, match="older than the checkpoint"):
            Stream(log_copy).start(store)
    rebuild(log_copy, replace=True)
    with open_store(log_copy.store) as store:
        assert store.identity()
        Stream(log_copy).run(Stream(log_copy).start(store), newest + 1)


def test_an_answer_that_the_log_has_and_the_store_has_lost_stops_the_stream(store: FeatureStore) -> None:
    raw, key = sealed(b'{"transaction_id":"lost"}', store.seal_key()), store.seal_key()
    lost = ScoredTransaction.model_construct(
        transaction_id="lost", store=store.identity(), scored_at=datetime.now(UTC)
    )
    old = lost.model_copy(update={"scored_at": datetime.now(UTC) - timedelta(days=8)})
    another = lost.model_copy(update={"store": "the one before the rebuild"})
    assert kinds_of(store, [old], [raw], Epoch(1, 0)) == [rows.DEAD_LETTER]
    assert kinds_of(store, [another], [raw], Epoch(1, 0)) == [rows.RECOUNTED]
    with pytest.raises(BadState, match=rf"'lost' any more.*{MENDS}"):
        kinds_of(store, [lost], [raw], Epoch(1, 0))
    assert store.identity() == ""
    assert store.seal_key() == key


def test_a_record_of_an_unknown_transaction_without_the_stores_seal_stops_nothing(
    store: FeatureStore, new_url: Callable[[], str]
) -> None:
    known, forged = (
        ScoredTransaction.model_construct(
            transaction_id=name, store=store.identity(), scored_at=datetime.now(UTC) + timedelta(hours=1)
        )
        for name in ("known", "forged")
    )
    plain, false = b'{"transaction_id":"forged"}', sealed(b'{"transaction_id":"forged"}', SealKey("f" * 64))
    store.answers().keep({"known": b"{}"})
    records = [forged, forged, known]
    assert kinds_of(store, records, [plain, false, false], Epoch(1, 0)) == [FORGED, FORGED, FORGED]
    assert kinds_of(store, [known], [b"{}"], Epoch(1, 0)) == [rows.SCORED], "of the release before"
    assert store.identity()
    with open_store(new_url()) as other:
        assert len(other.seal_key().secret) == len(store.seal_key().secret) == 64
        assert other.seal_key() != store.seal_key()


@pytest.mark.parametrize("is_sealed", [True, False])
def test_an_answer_from_before_the_key_of_seals_stops_the_stream_too(
    store: FeatureStore, is_sealed: bool
) -> None:
    """A copy from before the first key was put back, and got another key."""
    record = ScoredTransaction.model_construct(
        transaction_id="lost", store=store.identity(), scored_at=datetime.now(UTC)
    )
    raw = sealed(b'{"transaction_id":"lost"}', SealKey("f" * 64 if is_sealed else ""))
    with pytest.raises(BadState, match="'lost' any more"):
        kinds_of(store, [record], [raw], Epoch(1, 0))
