"""Takes, lists, verifies and restores backups: a folder each, whose manifest is written last.

Reads and writes the place of ``FRAUD_BACKUP_PLACE``: ``<time>/<part>/...`` and ``<time>/manifest.json``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, SubTreeFileSystem, copy_files
from pydantic import ValidationError

from fraud.errors import BadInput, Unavailable
from fraud.log.checkpoint import Checkpoint
from fraud.schema.deployed import deployed_schema
from fraud.settings.names import suggest
from fraud.settings.stream import LogSettings
from jobs.backup.manifest import NAME, Manifest, digest_of, files_of
from jobs.backup.parts import PARTS, Sources
from jobs.backup.settings import BackupSettings

Tell = Callable[[str], None]


class Backups:
    """The backups of one place.

    Parameters
    ----------
    backup, stream
        Where the place is, and what is backed up.
    tell
        Takes words of progress.
    platform
        The platform's folder; default: the one that has the stream's home.
    """

    def __init__(
        self,
        backup: BackupSettings,
        stream: LogSettings,
        tell: Tell = lambda _words: None,
        platform: Path | None = None,
    ) -> None:
        self._sources = Sources(stream, backup, platform or stream.home.absolute().parent)
        self._keep, self._tell = backup.keep, tell
        with _answering(backup.place):
            self._files = _open(backup.place)

    def create(self, names: Sequence[str] = ()) -> str:
        """Take a backup; returns its name.

        Parameters
        ----------
        names
            Parts; all that are there by default.

        Raises
        ------
        BadInput
            When a part is named that is not there.
        Unavailable
            When a part cannot be copied, or the place cannot be written; no half backup is listed.
        """
        chosen = self._chosen(names or [name for name, part in PARTS.items() if part.is_there(self._sources)])
        checkpoint = Checkpoint.of(self._sources.stream.checkpoint_path)
        now = datetime.now(UTC)
        name = now.strftime("%Y%m%dT%H%M%S.%fZ")
        with TemporaryDirectory(prefix="fraud-backup-") as temporary:
            folder = Path(temporary)
            for part in chosen:
                (folder / part).mkdir()
                PARTS[part].copy(self._sources, folder / part)
                self._tell(f"copied {part}")
            manifest = Manifest(
                created_at=now,
                parts=chosen,
                files=files_of(folder),
                micro_batch=checkpoint.committed,
                offsets=checkpoint.offsets(checkpoint.committed),
                schema_version=deployed_schema().version,
            )
            with _answering(name):
                copy_files(str(folder), name, LocalFileSystem(), self._files)
                with self._files.open_output_stream(f"{name}/{NAME}") as target:
                    target.write(manifest.model_dump_json(indent=1).encode())
        for old in list(self.finished())[: -self._keep]:
            self._files.delete_dir(old)
            self._tell(f"deleted {old}")
        return name

    def finished(self) -> dict[str, Manifest]:
        """Find the finished backups, the oldest first."""
        with _answering("the backups"):
            found = self._files.get_file_info(FileSelector("", allow_not_found=True))
        names = sorted(info.base_name for info in found if info.type is FileType.Directory)
        return {name: manifest for name in names if (manifest := self._manifest(name)) is not None}

    def verify(self, name: str = "") -> Manifest:
        """Read every file of a backup, the newest by default.

        Raises
        ------
        BadInput
            When there is none, or a file is missing or has changed.
        """
        name, manifest = self._named(name)
        for path, kept in manifest.files.items():
            try:
                with self._files.open_input_stream(f"{name}/{path}") as content:
                    found = digest_of(content)
            except FileNotFoundError as error:
                raise BadInput(f"the backup {name} lacks the file {path}: use another backup") from error
            if found != kept.sha256:
                raise BadInput(
                    f"the file {path} of the backup {name} was changed after it was written: "
                    "use another backup"
                )
        return manifest

    def restore(self, name: str = "", names: Sequence[str] = ()) -> Manifest:
        """Put parts back, of the newest backup by default; it is verified first.

        Parameters
        ----------
        name
            Of the backup.
        names
            Parts; by default all of it but the checkpoint.
        """
        manifest = self.verify(name)
        name, _ = self._named(name)
        default = [part for part in manifest.parts if not PARTS[part].is_asked_for]
        for part in self._chosen(names or default, manifest.parts):
            with TemporaryDirectory(prefix="fraud-restore-") as temporary:
                with _answering(name):
                    copy_files(f"{name}/{part}", temporary, self._files, LocalFileSystem())
                PARTS[part].restore(self._sources, Path(temporary))
            self._tell(f"restored {part}")
        return manifest

    def _chosen(self, names: Sequence[str], there: Sequence[str] = ()) -> list[str]:
        known = there or [name for name, part in PARTS.items() if part.is_there(self._sources)]
        missing = [name for name in names if name not in known]
        if missing:
            raise BadInput(f"there is no {', '.join(missing)}; {suggest(missing[0], known)}")
        return list(names)

    def _named(self, name: str) -> tuple[str, Manifest]:
        found = self.finished()
        if not found or (name and name not in found):
            place = self._sources.backup.place
            if not found:
                raise BadInput(f"there is no finished backup in {place}; `fraud backup create` makes one")
            raise BadInput(f"there is no backup {name} in {place}; {suggest(name, found)}")
        name = name or list(found)[-1]
        return name, found[name]

    def _manifest(self, name: str) -> Manifest | None:
        try:
            with self._files.open_input_stream(f"{name}/{NAME}") as content:
                return Manifest.model_validate_json(content.read())
        except (FileNotFoundError, ValidationError):
            return None  # not finished, or nothing of ours


def _open(place: str) -> Any:
    if "://" not in place:
        Path(place).mkdir(parents=True, exist_ok=True)
        return SubTreeFileSystem(str(Path(place).absolute()), LocalFileSystem())
    files, path = FileSystem.from_uri(place)
    return SubTreeFileSystem(path, files)


@contextmanager
def _answering(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise Unavailable(f"{what} cannot be read or written: {error}; see FRAUD_BACKUP_PLACE") from error
