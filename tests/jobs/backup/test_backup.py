"""A backup is taken while all is used, says what it holds, and gives it back; the log adds the rest."""

import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadConfig, BadInput
from fraud.store import Epoch, Watermark, open_store
from fraud.store.copies import copy_store, restore_store
from jobs.backup.run import Backups
from jobs.backup.settings import BackupSettings
from jobs.stream.recovery import make_whole, remember
from jobs.stream.settings import StreamSettings
from tests.deployed import ENTITIES
from tests.fraud.store.conftest import run_redis
from tests.jobs.replay.test_rebuild import archive_next, states_of
from tests.jobs.stream.test_progress import set_watermark


@pytest.fixture
def backup(tmp_path: Path) -> BackupSettings:
    mlflow = tmp_path / "mlflow"
    (mlflow / "artifacts" / "1").mkdir(parents=True)
    (mlflow / "artifacts" / "1" / "model").write_text("trees")
    with sqlite3.connect(mlflow / "mlflow.db") as database:
        database.execute("create table models (name text)")
        database.execute("insert into models values ('fraud')")
    database.close()
    return BackupSettings(
        place=str(tmp_path / "backups"),
        keep=2,
        mlflow_database=mlflow / "mlflow.db",
        mlflow_artifacts=mlflow / "artifacts",
    )


def models_of(backup: BackupSettings) -> list[str]:
    database = sqlite3.connect(backup.mlflow_database)
    try:
        return [name for (name,) in database.execute("select name from models")]
    finally:
        database.close()


def test_a_lost_volume_comes_back_and_the_log_adds_what_came_after_the_backup(
    log_copy: StreamSettings, backup: BackupSettings, tmp_path: Path
) -> None:
    """Store and registry are deleted, some micro-batches after the backup: RPO 0."""
    (log_copy.rules_path).mkdir(exist_ok=True)
    (log_copy.rules_path / "1.yaml").write_text("rules: []")
    backups, began = Backups(backup, log_copy), time.monotonic()
    query = (log_copy.checkpoint_path / "query-id").read_text()
    newest = max(int(file.name) for file in (log_copy.checkpoint_path / "commits").iterdir())
    with open_store(log_copy.store) as store:
        set_watermark(store, Watermark(query, Epoch(store.generation_of(query), newest)))
    name = backups.create()
    created = time.monotonic() - began
    assert set(backups.finished()[name].parts) == {"store", "checkpoint", "mlflow", "decisive"}
    assert backups.finished()[name].micro_batch == newest
    running = log_copy.model_copy(update={"store_url": f"lmdb://{tmp_path / 'running'}"})
    shutil.copytree(log_copy.store.removeprefix("lmdb://"), tmp_path / "running")
    for number in (1, 2, 3):
        archive_next(running, number)
    lost = states_of(running.store)
    remember(log_copy)
    shutil.rmtree(log_copy.store.removeprefix("lmdb://"))
    shutil.rmtree(backup.mlflow_database.parent)
    shutil.rmtree(log_copy.rules_path)
    began = time.monotonic()
    backups.restore()
    restored = time.monotonic() - began
    make_whole(log_copy, read=lambda *_given: [])
    caught_up = time.monotonic() - began
    print(f"backup {created:.2f} s, restore {restored:.2f} s, RTO {caught_up:.2f} s")  # noqa: T201
    with open_store(log_copy.store) as store:
        assert {kind: dict(store.scan(kind)) for kind in ENTITIES} == lost
    assert models_of(backup) == ["fraud"]
    assert (backup.mlflow_artifacts / "1" / "model").read_text() == "trees"
    assert (log_copy.rules_path / "1.yaml").read_text() == "rules: []"


def test_a_file_that_changed_or_went_is_found_and_nothing_is_restored(
    log_copy: StreamSettings, backup: BackupSettings, tmp_path: Path
) -> None:
    backups = Backups(backup, log_copy)
    name = backups.create(["mlflow"])
    backups.verify()
    model = tmp_path / "backups" / name / "mlflow" / "artifacts" / "1" / "model"
    model.write_text("trees?")
    with pytest.raises(
        BadInput, match=r"artifacts/1/model of the backup .* was changed after it was written"
    ):
        backups.restore()
    model.unlink()
    with pytest.raises(BadInput, match=r"lacks the file mlflow/artifacts/1/model"):
        backups.verify(name)


def test_old_and_unfinished_backups_are_not_offered(log_copy: StreamSettings, backup: BackupSettings) -> None:
    backups = Backups(backup, log_copy)
    with pytest.raises(BadInput, match="no finished backup"):
        backups.verify()
    names = [backups.create(["mlflow"]) for _ in range(4)]
    assert list(backups.finished()) == names[-2:]
    (Path(backup.place) / names[-1] / "manifest.json").unlink()
    assert list(backups.finished()) == names[-2:-1]
    with pytest.raises(BadInput, match="there is no attic; write one of"):
        backups.create(["attic"])


def test_a_checkpoint_that_is_there_is_not_overwritten(
    log_copy: StreamSettings, backup: BackupSettings
) -> None:
    backups = Backups(backup, log_copy)
    backups.create(["checkpoint"])
    with pytest.raises(BadInput, match="move it away first"):
        backups.restore(names=["checkpoint"])
    shutil.move(log_copy.checkpoint_path, log_copy.home / "away")
    backups.restore(names=["checkpoint"])
    of_both = [log_copy.checkpoint_path, log_copy.home / "away"]
    assert len({frozenset(file.name for file in (one / "commits").iterdir()) for one in of_both}) == 1


def test_the_commands_say_what_they_did(
    log_copy: StreamSettings, backup: BackupSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUD_STREAM_HOME", str(log_copy.home))
    monkeypatch.setenv("FRAUD_BACKUP_MLFLOW_DATABASE", str(backup.mlflow_database))
    place = ["--place", backup.place]
    for words, said in (
        (["create", "--part", "mlflow"], "MB in"),
        (["list"], "mlflow"),
        (["verify"], "all as written"),
        (["restore"], "restored as of"),
    ):
        result = CliRunner().invoke(app, ["backup", *words, *place])
        assert result.exit_code == 0, result.output
        assert said in result.output


def test_a_copy_of_redis_is_of_one_instant_and_gives_all_back(tmp_path: Path) -> None:
    """Also answers, outbox and names come back; another prefix on the server is left alone."""
    with run_redis() as server, open_store(server.url(prefix="p")) as store:
        store.write(
            "user", {float(key): bytes(24) for key in range(1_200)}, Epoch(1, 0), store.acquire("test")
        )
        store.answers().keep({"a": b"record"})
        store.advance(Watermark("q", Epoch(1, 0)), None, 1)
        name, users = store.identity(), dict(store.scan("user"))
        copy_store(server.url(prefix="p"), tmp_path)
        store.write("user", {float(key): bytes(32) for key in range(9_999)}, Epoch(1, 1), 1)
        server.client().set("another:key", 1)
        restore_store(server.url(prefix="p"), tmp_path)
        assert dict(store.scan("user")) == users
        assert (store.identity(), store.watermark()) == (name, Watermark("q", Epoch(1, 0)))
        found = store.answers().find("a")
        assert found is not None
        assert found.record == b"record"
        assert server.client().get("another:key") == b"1"
    with pytest.raises(BadInput, match=r"holds no data\.mdb"):
        restore_store(f"lmdb://{tmp_path / 'new'}", tmp_path)


def test_a_machine_without_the_server_s_tools_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadConfig, match=r"install valkey-tools or redis-tools"):
        copy_store("redis://127.0.0.1:1/0", tmp_path)
