"""The job's disk full, its Delta tables away, its store deleted, under a real query."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from fraud.local import platform
from fraud.local.settings import LocalSettings
from tests.flow.conftest import Job, wait_until
from tests.jobs.stream.test_live_input import decided, good, send

pytestmark = pytest.mark.flow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 MB."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(where)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system can only be mounted by root")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def fill(disk: Path) -> Path:
    """Take all room that is left."""
    file = disk / "ballast"
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 4096)
        except OSError:
            return file


def metric(job: Job, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{job.port}/metrics", timeout=5).text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))


def is_decided_or_full(job: Job, sent: int) -> bool:
    is_decided = metric(job, "fraud_stream_transactions_total") == sent
    return is_decided or metric(job, "fraud_stream_spool_full") == 1


@pytest.mark.parametrize("engine", ["spark", "direct"])
def test_a_full_disk_is_not_ready_and_the_job_goes_on_once_there_is_room(
    kafka: str, make_job: Callable[..., Job], small_disk: Path, tmp_path: Path, engine: str
) -> None:
    job = make_job(small_disk / "stream", FRAUD_STREAM_ENGINE=engine)
    job.start()
    send(kafka, [good(1)])
    wait_until(lambda: decided(job) == {"t1"} and job.is_ready(), job.check)
    ballast = fill(small_disk)
    send(kafka, [good(number) for number in range(2, 200)])
    wait_until(lambda: not job.is_ready(), job.check)
    wait_until(lambda: metric(job, "fraud_stream_query_failures_total") >= 2, job.check)
    ballast.unlink()
    wait_until(lambda: len(decided(job)) == 199 and job.is_ready(), job.check)
    parts = platform.status(LocalSettings(home=tmp_path / "platform"))
    broker = next(psutil.Process(part.pid) for part in parts if part.name == "broker")
    broker.suspend()
    wait_until(lambda: not job.is_ready(), job.check)  # the query itself fails only after minutes
    broker.resume()
    wait_until(job.is_ready, job.check)
    job.stop()


def test_delta_tables_that_are_away_do_not_end_decisions_and_a_full_spool_holds_them_back(
    kafka: str, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    job = make_job(FRAUD_STREAM_SPOOL_LIMIT_MB="1", FRAUD_STREAM_TRIGGER_S="1")
    job.start()
    send(kafka, [good(1)])
    wait_until(lambda: decided(job) == {"t1"}, job.check)
    delta = Path(job.settings.delta_path)
    shutil.move(delta, tmp_path / "away")
    delta.touch()  # a file where the folder should be
    send(kafka, [good(2)])
    wait_until(lambda: metric(job, "fraud_stream_transactions_total") == 2, job.check)
    assert job.is_ready()
    sent = 2
    while metric(job, "fraud_stream_spool_full") == 0:
        send(kafka, [good(number) for number in range(sent + 1, sent + 1_001)])
        sent += 1_000
        wait_until(partial(is_decided_or_full, job, sent), job.check)
    assert not job.is_ready()
    assert metric(job, "fraud_stream_archive_errors_total") > 0
    delta.unlink()
    shutil.move(tmp_path / "away", delta)
    wait_until(lambda: len(decided(job)) == sent and job.is_ready(), job.check)
    job.stop()


def test_a_table_that_is_read_only_or_deleted_holds_back_the_archive_alone(
    kafka: str, make_job: Callable[..., Job], small_disk: Path, tmp_path: Path
) -> None:
    job = make_job(FRAUD_STREAM_DELTA=str(small_disk / "delta"), FRAUD_STREAM_TRIGGER_S="1")
    job.start()
    send(kafka, [good(1)])
    tables = small_disk / "delta"
    wait_until(lambda: ids_in(tables) == ["t1"], job.check)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    goes_on_without_tables(job, kafka, 2)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    wait_until(lambda: ids_in(tables) == ["t1", "t2"], job.check)
    shutil.move(tables / "decisions", tmp_path / "backup")
    goes_on_without_tables(job, kafka, 3)
    assert "decisions is gone: restore it" in job.log.read_text()
    shutil.move(tmp_path / "backup", tables / "decisions")
    wait_until(lambda: ids_in(tables) == ["t1", "t2", "t3"], job.check)
    job.stop()


def goes_on_without_tables(job: Job, kafka: str, number: int) -> None:
    """Send the transaction of this number: it is decided, and the archive tells that it cannot write."""
    errors = metric(job, "fraud_stream_archive_errors_total")
    send(kafka, [good(number)])
    wait_until(lambda: metric(job, "fraud_stream_transactions_total") == number, job.check)
    wait_until(lambda: metric(job, "fraud_stream_archive_errors_total") > errors, job.check)
    assert job.is_ready()


def ids_in(tables: Path) -> list[str]:
    """Name the decided transactions of the table, in order; repeated ones stay."""
    if not DeltaTable.is_deltatable(str(tables / "decisions")):
        return []
    found = pa.table(DeltaTable(tables / "decisions").to_pyarrow_table(columns=["transaction_id"]))
    return sorted(found["transaction_id"].to_pylist())


def test_a_store_that_is_deleted_ends_the_job_whose_last_line_says_what_to_do(
    kafka: str, make_job: Callable[..., Job]
) -> None:
    job = make_job(FRAUD_STREAM_CATCH_UP="false")
    job.start()
    send(kafka, [good(1)])
    wait_until(lambda: decided(job) == {"t1"}, job.check)
    shutil.rmtree(job.settings.store.removeprefix("lmdb://"))
    assert job.process is not None
    assert job.process.wait(timeout=120) == 1
    last = job.tail().splitlines()[-1]
    assert last.startswith("error: the feature store in ")
    assert "`fraud replay rebuild-store --replace`" in last
