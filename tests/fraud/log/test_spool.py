"""Laws of the spool, over a folder and over a real object store; and those of the mirror."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.errors import BadConfig, BadState, Fenced, Unavailable
from fraud.log.archive import Archive
from fraud.log.mark import RebuildMark
from fraud.log.mirror import Mirror, mirrored
from fraud.log.spool import Place, Spool, spool_at
from fraud.runtime.objects import Objects
from fraud.store import Epoch
from jobs.parity.compare import compare
from jobs.stream.archiving import Archiving
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext, store_of
from tests.deployed import ENTITIES
from tests.jobs.stream.tasks.test_passes import kafka, transaction, values
from tests.load.parity import run_batch, spool
from tests.object_store import ObjectStore, run_object_store

FIRST, SECOND = "000001-000000000000", "000001-000000000001"
QUERY = {"checkpoint/query-id": "q", "checkpoint/metadata": "{}"}


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with run_object_store() as running:
        yield running


@pytest.fixture
def uri(server: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of this test's own."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"{server.uri}/{tmp_path.name}"


@pytest.fixture(params=["folder", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return tmp_path / "spool"
    return str(request.getfixturevalue("uri")) + "/spool"


def write(of: Spool, name: str, run: str, part: str, value: int) -> None:
    file = of.file(name, run, part, str(value))
    pq.write_table(pa.table({"value": [value]}), file.path)
    file.finish()


def read(of: Spool, name: str) -> list[int]:
    with of.local(of.files(name)) as local:
        return sorted(value for file in local for value in pq.read_table(file)["value"].to_pylist())


def test_a_run_counts_whole(place: Place) -> None:
    of = spool_at(place)
    assert (of.waiting(""), list(of.sizes())) == ([], [])
    of.begin(FIRST)
    for part in range(3):
        write(of, FIRST, "a", f"part-{part:05d}", part)
    of.complete(FIRST, "a")
    assert read(spool_at(place), FIRST) == [0, 1, 2]
    assert (of.waiting(""), sum(size for size, _ in of.sizes()) > 0) == ([FIRST], True)
    of.remove(FIRST)
    of.remove(FIRST)
    assert (of.waiting(""), of.files(FIRST)) == ([], [])


def test_an_unfinished_file_is_none(place: Place) -> None:
    of = spool_at(place)
    file = of.file(FIRST, "a", "part-00000")
    pq.write_table(pa.table({"value": [1]}), file.path)
    of.complete(FIRST, "a")
    assert of.files(FIRST) == []


def test_a_run_that_was_cut_off_counts_in_no_part(place: Place) -> None:
    """The later run has fewer tasks."""
    of = spool_at(place)
    of.begin(FIRST)
    for part in range(3):
        write(of, FIRST, "a", f"part-{part:05d}", part)
    again = spool_at(place)
    again.begin(FIRST)
    write(again, FIRST, "b", "part-00000", 7)
    again.complete(FIRST, "b")
    assert read(again, FIRST) == [7]


def test_a_task_that_is_tried_again_leaves_one_file(place: Place) -> None:
    of = spool_at(place)
    for attempt in ("1", "2"):
        file = of.file(FIRST, "a", "part-00000", attempt)
        pq.write_table(pa.table({"value": [5]}), file.path)
        file.finish()
    of.complete(FIRST, "a")
    assert read(of, FIRST) == [5]


def test_the_plan_is_what_was_written_last(place: Place) -> None:
    of = spool_at(place)
    assert of.read_plan() is None
    for text in (b"one", b"two", b"one"):
        of.write_plan(text)
        assert spool_at(place).read_plan() == text
    assert of.waiting("") == []


def test_a_task_of_an_earlier_run_changes_nothing_that_is_complete(uri: str) -> None:
    """It is a driver's that was taken over, or of an executor that was given up and lives."""
    of = spool_at(uri)
    write(of, FIRST, "b", "part-00000", 1)
    of.complete(FIRST, "b")
    write(of, FIRST, "a", "part-00000", 2)
    write(of, FIRST, "a", "part-00001", 3)
    write(of, FIRST, "b", "part-00000", 4)
    of.complete(FIRST, "a")
    assert read(of, FIRST) == [1]


def test_a_result_that_is_gone_is_not_left_out(uri: str) -> None:
    of = spool_at(uri)
    write(of, FIRST, "a", "part-00000", 1)
    write(of, FIRST, "a", "part-00001", 2)
    of.complete(FIRST, "a")
    Objects(uri).delete([f"{FIRST}/a/part-00001.parquet"])
    with pytest.raises(Unavailable, match=r"lacks .*/part-00001\.parquet"):
        read(of, FIRST)


def test_what_comes_after_the_archive_is_removed_and_not_archived(uri: str) -> None:
    of = spool_at(uri)
    write(of, FIRST, "a", "part-00000", 1)
    of.complete(FIRST, "a")
    write(of, SECOND, "b", "part-00000", 2)
    assert of.waiting(FIRST) == [SECOND]
    assert of.files(FIRST) == []
    assert [one.name.partition("/")[0] for one in Objects(uri).listed()] == [SECOND]


def test_of_two_archives_the_later_one_finds_out(uri: str) -> None:
    older, newer = spool_at(uri), spool_at(uri)
    older.write_plan(b"1")
    newer.read_plan()
    newer.write_plan(b"2")
    with pytest.raises(Fenced, match=r"another driver has written .*plan\.json"):
        older.write_plan(b"3")
    assert spool_at(uri).read_plan() == b"2"


def test_history_does_not_come_after_what_was_archived(uri: str) -> None:
    of = spool_at(uri)
    history = "000000-000000000000"
    for value in (1, 2):  # a backfill that runs again
        of.begin(history)
        write(of, history, str(value), "part-0", value)
        of.complete(history, str(value))
    assert read(of, history) == [2]
    of.write_plan(b"{}")
    with pytest.raises(BadState, match="begin with an empty FRAUD_STREAM_HOME_URI"):
        of.begin(history)


def test_a_store_that_does_not_answer_is_unavailable(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"the object store s3://fraud/.* cannot be used"):
        spool_at(uri).waiting("")


# The archive over either place.


@pytest.fixture
def settings(place: Place, tmp_path: Path) -> StreamSettings:
    if isinstance(place, Path):
        return StreamSettings(home=tmp_path)
    return StreamSettings(home=tmp_path, home_uri=place.removesuffix("/spool"), store_url="unix:///none")


def play(settings: StreamSettings, batch: int, run: str = "a") -> None:
    """Run a micro-batch of 20 transactions to its end in the spool."""
    url = f"lmdb://{settings.home}/states"
    store = store_of(url, ENTITIES)  # the task's
    token, generation = store.acquire("test"), store.generation_of("test")
    context = TaskContext(Epoch(generation, batch), token, url, settings.spool, (), "", 0.1, run=run)
    records = values([transaction(i, i % 3, i % 2, i) for i in range(20 * batch, 20 * batch + 20)])
    spool(context, run_batch(context, kafka(records, 20 * batch), np.random.default_rng(batch)))


def archive_of(settings: StreamSettings, committed: int, **parts: Any) -> Archive:
    where = settings.spool, settings.checkpoint_path, settings.delta_path
    return Archive(*where, {}, committed=lambda: committed, **parts)


def counted(settings: StreamSettings) -> tuple[int, list[str]]:
    found = compare(settings.delta_path)
    return found.transactions, found.errors()


def test_finished_micro_batches_are_archived_once(settings: StreamSettings) -> None:
    for batch in range(3):
        play(settings, batch)
    assert archive_of(settings, 1).run(1) == 2
    assert archive_of(settings, 1).run(1) == 0
    assert counted(settings) == (40, [])
    assert archive_of(settings, 2).run(1) == 1
    assert counted(settings) == (60, [])


@pytest.mark.parametrize("at", ["removed in part", "not removed"])
def test_a_round_that_was_cut_off_is_finished_and_its_rows_come_once(
    settings: StreamSettings, at: str
) -> None:
    def stop(name: str) -> None:
        if at == "removed in part":
            spool_at(settings.spool).remove(name)
        raise Unavailable("cut off")

    play(settings, 0)
    play(settings, 1)
    assert archive_of(settings, 1, remove=stop).run(1) == 0
    play(settings, 2)
    assert [archive_of(settings, 2).run(1) for _ in range(3)] == [2, 1, 0]
    assert counted(settings) == (60, [])


def test_a_micro_batch_that_an_earlier_driver_completes_late_is_archived_once(
    settings: StreamSettings,
) -> None:
    play(settings, 0, run="b")
    archive_of(settings, 0).run(1)
    if isinstance(settings.spool, str):
        play(settings, 0, run="a")
    assert archive_of(settings, 0).run(1) == 0
    assert (counted(settings), spool_at(settings.spool).waiting("")) == ((20, []), [])


def test_the_spool_is_measured_while_the_tables_are_away(settings: StreamSettings) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    play(settings, 0)
    archiving = Archiving(archive_of(settings, 0, write=refuse), limit_bytes=1)
    archiving.run(1, is_last=True)
    assert archiving.is_full
    whole = Archiving(archive_of(settings, 0), limit_bytes=1)
    whole.run(1, is_last=True)
    assert (whole.trouble, whole.spool_bytes, counted(settings)) == ("", 0, (20, []))


# The mirror.


@pytest.fixture
def mirror(tmp_path: Path, uri: str) -> Iterator[Mirror]:
    made = Mirror(tmp_path / "one", uri)
    yield made
    made.close()


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def files_of(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "driver.lock"
    }


def test_another_machine_has_what_was_pushed(mirror: Mirror, tmp_path: Path, uri: str) -> None:
    files = {**QUERY, "checkpoint/offsets/0": "o0", "rules/history.jsonl": "{}\n", "rates/1.csv": "r"}
    own = {"checkpoint/offsets/.0.crc": "x", "rules/lists/data.mdb": "x", "rules/lists.json.partial": "x"}
    put(tmp_path / "one", {**files, **own})
    mirror.push()
    settings = StreamSettings(home=tmp_path / "one", home_uri=uri, store_url="unix:///none")
    with mirrored(settings) as (here, other):
        assert other is not None
        assert files_of(here.folder) == files
        assert other.committed() == -1


def test_a_start_begins_with_what_is_durable_and_with_nothing_else(mirror: Mirror, tmp_path: Path) -> None:
    durable = {**QUERY, "checkpoint/offsets/0": "o0"}
    put(tmp_path / "one", durable)
    mirror.push()
    put(tmp_path / "one", {"checkpoint/commits/0": "c0", "checkpoint/metadata": "other", "rates/1.csv": "r"})
    put(tmp_path / "one", {"checkpoint/offsets/.0.crc": "x"})
    mirror.restore()
    assert files_of(tmp_path / "one") == durable


def test_a_finished_micro_batch_is_one_once_it_is_durable(mirror: Mirror, tmp_path: Path) -> None:
    put(tmp_path / "one", {**QUERY, "checkpoint/offsets/0": "o0", "checkpoint/commits/0": "c0"})
    assert mirror.committed() == -1
    mirror.push()
    assert mirror.committed() == 0


def test_what_is_changed_or_removed_here_is_so_there(mirror: Mirror, tmp_path: Path, uri: str) -> None:
    put(tmp_path / "one", {"rules/history.jsonl": "1\n", "rates/1.csv": "r", "checkpoint/commits/0": "c"})
    mirror.push()
    put(tmp_path / "one", {"rules/history.jsonl": "1\n2\n", "rates/2.csv": "r"})
    (tmp_path / "one" / "rates/1.csv").unlink()
    mirror.push()
    names = ["checkpoint/commits/0", "rates/2.csv", "rules/history.jsonl"]
    assert [one.name for one in Objects(uri).listed()] == names
    assert Objects(uri).read("rules/history.jsonl") == (b"1\n2\n", Objects(uri).listed("rules/")[0].tag)


def test_of_two_drivers_that_plan_a_micro_batch_one_is_fenced(
    mirror: Mirror, tmp_path: Path, uri: str
) -> None:
    other = Mirror(tmp_path / "two", uri)
    for name, made in (("one", mirror), ("two", other)):
        put(tmp_path / name, QUERY)
        made.push()  # the same content: no conflict
    put(tmp_path / "one", {"checkpoint/offsets/0": "planned by one"})
    put(tmp_path / "two", {"checkpoint/offsets/0": "planned by two", "checkpoint/commits/0": "c"})
    mirror.push()
    with pytest.raises(Fenced, match="checkpoint/offsets/0, and has taken over"):
        other.push()
    assert Objects(uri).read("checkpoint/offsets/0")[0] == b"planned by one"  # type: ignore[index]
    other.close()


def test_commits_are_durable_before_the_offsets_that_follow(tmp_path: Path, uri: str) -> None:
    """However a push is cut off, no planned micro-batch follows an unfinished one."""
    numbers = (9, 10, 11)
    files = {f"checkpoint/{of}/{n}": f"{of}{n}" for n in numbers for of in ("offsets", "commits")}
    del files["checkpoint/commits/11"]
    put(tmp_path / "one", {**files, **QUERY})
    Objects(uri).create("checkpoint/commits/10", b"another's")  # the push ends there
    cut_off = Mirror(tmp_path / "one", uri)
    with pytest.raises(Fenced):
        cut_off.push()
    assert [one.name for one in Objects(uri).listed("checkpoint/offsets/")] == []
    assert {"checkpoint/commits/9", *QUERY} <= {one.name for one in Objects(uri).listed()}
    cut_off.close()


@pytest.mark.usefixtures("mirror")
def test_two_processes_do_not_share_a_folder(tmp_path: Path, uri: str) -> None:
    program = "import sys; from pathlib import Path; from fraud.log.mirror import Mirror\n"
    program += "Mirror(Path(sys.argv[1]), sys.argv[2])"
    command = [sys.executable, "-c", program, str(tmp_path / "one"), uri]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert other.returncode != 0
    assert "give each one a FRAUD_STREAM_HOME of its own" in other.stderr


def test_a_folder_that_somebody_empties_takes_nothing_from_the_object_store(
    mirror: Mirror, tmp_path: Path, uri: str
) -> None:
    files = {**QUERY, "rules/history.jsonl": "{}\n"}
    files |= {f"checkpoint/{of}/{n}": f"{of}{n}" for n in (9, 10) for of in ("offsets", "commits")}
    put(tmp_path / "one", files)
    mirror.push()
    for name in ("checkpoint/offsets/9", "checkpoint/commits/9"):  # as Spark does
        (tmp_path / "one" / name).unlink()
    mirror.push()
    there = [one.name for one in Objects(uri).listed()]
    assert there == sorted(files.keys() - {"checkpoint/offsets/9", "checkpoint/commits/9"})
    for lost in ("rules", "checkpoint/offsets", "checkpoint"):
        shutil.rmtree(tmp_path / "one" / lost)
        with pytest.raises(BadState, match="Start the stream again: it fills the folder from s3://"):
            mirror.push()
        assert [one.name for one in Objects(uri).listed()] == there
    mirror.restore()
    mirror.push()
    assert sorted(files_of(tmp_path / "one")) == there


def test_objects_that_a_driver_has_removed_meanwhile_are_not_there(uri: str, tmp_path: Path) -> None:
    Objects(uri).create("there", b"x")
    targets = {name: tmp_path / name for name in ("there", "removed")}
    assert Objects(uri).fetch_all(targets) == {"there": Objects(uri).listed()[0].tag}
    assert [path.exists() for path in targets.values()] == [True, False]


def test_rules_that_have_decided_are_read_beside_a_driver(mirror: Mirror, tmp_path: Path, uri: str) -> None:
    put(tmp_path / "one", {"rules/a.yaml": "rules: []", "rules/history.jsonl": "{}\n"})
    mirror.push()
    settings = StreamSettings(home=tmp_path / "one", home_uri=uri, store_url="unix:///none")
    with mirrored(settings) as (here, _):
        assert files_of(here.rules_path) == {"a.yaml": "rules: []", "history.jsonl": "{}\n"}
    with mirrored(StreamSettings(home=tmp_path / "one")) as (here, none):
        assert (here.rules_path, none) == (tmp_path / "one" / "rules", None)


@pytest.mark.parametrize("kind", ["folder", "objects"])
def test_the_mark_of_a_rebuild_is_there_until_it_is_cleared(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    place = tmp_path / "rebuilding"
    where = place if kind == "folder" else f"{request.getfixturevalue('uri')}/rebuilding"
    mark = RebuildMark(where)
    assert mark.read() is None
    for text in ("", "catch-up"):
        mark.set(text)
        assert RebuildMark(where).read() == text
    mark.clear()
    assert mark.read() is None


def test_a_home_in_an_object_store_needs_a_store_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="name a Redis or Valkey server by FRAUD_STREAM_STORE_URL"):
        StreamSettings(home=tmp_path, home_uri="s3://bucket/prefix")
    with pytest.raises(BadConfig, match="FRAUD_STREAM_HOME_URI"):
        StreamSettings(home=tmp_path, home_uri="http://bucket", store_url="redis://host:6379/0")
    found = StreamSettings(home=tmp_path, home_uri="s3://bucket/a/", store_url="redis://host:6379/0")
    assert (found.spool, found.delta_path) == ("s3://bucket/a/spool", "s3://bucket/a/delta")
    assert found.checkpoint_path == tmp_path / "mirror" / "checkpoint"
