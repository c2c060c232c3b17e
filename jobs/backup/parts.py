"""The parts of a backup: how each is copied while it is used, and put back.

Reads and writes the feature store, the stream's checkpoint, rules and rates, MLflow's database and artifacts.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraud.errors import BadInput
from fraud.schema.deployed import FILE
from fraud.settings.stream import LogSettings
from fraud.store.copies import can_copy, copy_store, restore_store
from jobs.backup.settings import BackupSettings

DATABASE: Final = "mlflow.db"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything is."""

    stream: LogSettings
    backup: BackupSettings
    platform: Path
    """Folder that has the deployment's schema."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part."""

    is_there: Callable[[Sources], bool]
    copy: Callable[[Sources, Path], None]
    """Into a folder."""
    restore: Callable[[Sources, Path], None]
    """From a folder; what is there is moved aside or replaced."""
    is_asked_for: bool = False
    """Whether it is put back only when it is named."""


def _has_store(of: Sources) -> bool:
    url = of.stream.store
    if not url.startswith("lmdb://"):
        return can_copy(url)
    return (Path(url.removeprefix("lmdb://")) / "data.mdb").exists()


def _copy_checkpoint(of: Sources, folder: Path) -> None:
    """Copy what is finished first: each finished micro-batch then has its plan."""
    source = of.stream.checkpoint_path
    for name in ("commits", "offsets"):
        if (source / name).exists():
            shutil.copytree(source / name, folder / name)
    for file in source.iterdir():
        if file.is_file():
            shutil.copyfile(file, folder / file.name)


def _restore_checkpoint(of: Sources, folder: Path) -> None:
    if of.stream.checkpoint_path.exists():
        uri = of.stream.home_uri.rstrip("/")
        place = f"{uri}/checkpoint" if uri else of.stream.checkpoint_path
        raise BadInput(f"there is a checkpoint in {place}; move it away first")
    shutil.copytree(folder, of.stream.checkpoint_path)


def _copy_mlflow(of: Sources, folder: Path) -> None:
    """Copy the database first: every model that it names then has its artifacts."""
    with (
        closing(sqlite3.connect(f"file:{of.backup.mlflow_database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(folder / DATABASE)) as target,
    ):
        source.backup(target)
    if of.backup.mlflow_artifacts.exists():
        shutil.copytree(of.backup.mlflow_artifacts, folder / "artifacts")


def _restore_mlflow(of: Sources, folder: Path) -> None:
    database, artifacts = of.backup.mlflow_database, of.backup.mlflow_artifacts
    database.parent.mkdir(parents=True, exist_ok=True)
    partial = database.with_name(f"{database.name}.partial")
    shutil.copyfile(folder / DATABASE, partial)
    for log in (database.with_name(f"{database.name}-wal"), database.with_name(f"{database.name}-shm")):
        log.unlink(missing_ok=True)
    partial.replace(database)
    if (folder / "artifacts").exists():
        shutil.copytree(folder / "artifacts", artifacts, dirs_exist_ok=True)


def _decisive(of: Sources) -> dict[str, Path]:
    return {"rules": of.stream.rules_path, "rates": of.stream.rates_path, FILE: of.platform / FILE}


def _copy_decisive(of: Sources, folder: Path) -> None:
    for name, path in _decisive(of).items():
        if path.is_dir():
            shutil.copytree(path, folder / name)
        elif path.exists():
            shutil.copyfile(path, folder / name)


def _restore_decisive(of: Sources, folder: Path) -> None:
    for name, path in _decisive(of).items():
        if (folder / name).is_dir():
            shutil.copytree(folder / name, path, dirs_exist_ok=True)
        elif (folder / name).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, path)


PARTS: Final = {
    "store": Part(
        _has_store,
        lambda of, folder: copy_store(of.stream.store, folder),
        lambda of, folder: restore_store(of.stream.store, folder),
    ),
    "checkpoint": Part(
        lambda of: of.stream.checkpoint_path.exists(),
        _copy_checkpoint,
        _restore_checkpoint,
        is_asked_for=True,
    ),
    "mlflow": Part(lambda of: of.backup.mlflow_database.exists(), _copy_mlflow, _restore_mlflow),
    "decisive": Part(
        lambda of: any(path.exists() for path in _decisive(of).values()), _copy_decisive, _restore_decisive
    ),
}
"""``decisive``: versions of rules and lists that have decided, rates, the schema. The checkpoint is put back
only when it is named: one older than the log is refused, and a rebuilt store continues without it."""
