"""The spool: results of micro-batches on their way to the Delta tables, in a folder or in an object store.

A micro-batch counts once its results are complete. In a folder, the query's commit alone says so: before a
micro-batch runs again, what an earlier run left is removed. In an object store nothing is removed or changed
for that: each run writes under a name of its own, and the driver then creates the manifest, one object, which
says which run counts. The first manifest stays. What a driver or a task of an earlier run writes late is
named by none (DECISIONS.md, 87).
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from fraud.errors import BadState, Unavailable
from fraud.runtime.files import write_durably
from fraud.runtime.objects import Found, Objects

Place = Path | str
"""Of a spool: a folder, or the URI of an object store."""
PLAN: Final = "plan.json"
MANIFEST: Final = "manifest.json"
_BATCHES: Final = "[0-9]*-[0-9]*"
_FIRST: Final = "000001"
"""What sorts before it is history, from before any micro-batch."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file of results while it is written."""

    path: Path
    """Where to write it."""
    finish: Callable[[], object]
    """Lets it count, all of it; until then nothing of it does."""


class Spool(Protocol):
    """Where results wait, by the names of their micro-batches, which sort as these follow each other."""

    def begin(self, name: str) -> None:
        """Make sure that nothing of an earlier run of a micro-batch counts together with the next one."""

    def file(self, name: str, run: str, part: str, attempt: str = "") -> ResultFile:
        """Open a file of one run; a task that is tried again has the same part and another attempt."""

    def complete(self, name: str, run: str) -> None:
        """Say that all tasks of a run are done, and the store has what they folded."""

    def waiting(self, archived: str) -> list[str]:
        """List the micro-batches that wait; leftovers of those up to ``archived`` are removed."""

    def files(self, name: str) -> list[str]:
        """List the files of a complete micro-batch."""

    def local(self, files: Sequence[str]) -> AbstractContextManager[list[str]]:
        """Have files on this machine inside a block."""

    def remove(self, name: str) -> None:
        """Remove a micro-batch; one that is gone is no error."""

    def sizes(self) -> Iterator[tuple[int, float]]:
        """Give bytes and time (Unix) of each file that waits."""

    def left_by_earlier_releases(self) -> list[Path]:
        """List the files that an earlier release may have left."""

    def read_plan(self) -> bytes | None:
        """Read what :meth:`write_plan` wrote last; None at first."""

    def write_plan(self, content: bytes) -> None:
        """Write down what the archive does; durable when this returns.

        Raises
        ------
        Fenced
            When another driver's archive has written it since.
        """

    def place_of_plan(self) -> str:
        """Name where that is."""


def spool_at(place: Place) -> Spool:
    """Open the spool of a place."""
    return ObjectSpool(place) if isinstance(place, str) else FolderSpool(place)


class FolderSpool:
    """A folder, on a volume that all who write to it share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, name: str) -> None:
        """See :class:`Spool`: the tasks of a run that was cut off may have been more."""
        self.remove(name)

    def file(self, name: str, run: str, part: str, attempt: str = "") -> ResultFile:  # noqa: ARG002
        """See :class:`Spool`."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{part}.parquet"
        partial_file = target.with_suffix(f".{attempt}.partial" if attempt else ".partial")
        return ResultFile(partial_file, partial(partial_file.replace, target))

    def complete(self, name: str, run: str) -> None:
        """See :class:`Spool`: the files are there under their names."""

    def waiting(self, archived: str) -> list[str]:  # noqa: ARG002
        """See :class:`Spool`."""
        return sorted(folder.name for folder in self._folder.glob(_BATCHES))

    def files(self, name: str) -> list[str]:
        """See :class:`Spool`."""
        return [str(file) for file in sorted((self._folder / name).glob("*.parquet"))]

    @contextmanager
    def local(self, files: Sequence[str]) -> Iterator[list[str]]:
        """See :class:`Spool`."""
        yield list(files)

    def remove(self, name: str) -> None:
        """See :class:`Spool`."""
        if (self._folder / name).exists():
            shutil.rmtree(self._folder / name)

    def sizes(self) -> Iterator[tuple[int, float]]:
        """See :class:`Spool`."""
        for folder in self._folder.glob(_BATCHES):
            try:
                found = [file.stat() for file in folder.iterdir()]
            except FileNotFoundError:  # a task renames or removes files meanwhile
                continue
            yield from ((one.st_size, one.st_mtime) for one in found)

    def left_by_earlier_releases(self) -> list[Path]:
        """See :class:`Spool`."""
        return sorted(self._folder.glob(f"{_BATCHES}/*.parquet"))

    def read_plan(self) -> bytes | None:
        """See :class:`Spool`."""
        file = self._folder / PLAN
        return file.read_bytes() if file.exists() else None

    def write_plan(self, content: bytes) -> None:
        """See :class:`Spool`."""
        write_durably(self._folder / PLAN, content)

    def place_of_plan(self) -> str:
        """See :class:`Spool`."""
        return str(self._folder / PLAN)


class ObjectSpool:
    """An object store; each machine reaches it, so no volume is shared."""

    def __init__(self, uri: str) -> None:
        self._objects = Objects(uri)
        self._tag: str | None = None
        """Of the plan that was read or written last."""

    def begin(self, name: str) -> None:
        """See :class:`Spool`: an earlier run lies under another name; only history may come too late."""
        if name >= _FIRST:
            return
        if self.read_plan() is not None:
            raise BadState(
                f"{self.place_of_plan()} says that micro-batches were archived from here; a backfill comes "
                "before them: begin with an empty FRAUD_STREAM_HOME_URI"
            )
        self.remove(name)  # no other program writes history

    def file(self, name: str, run: str, part: str, attempt: str = "") -> ResultFile:  # noqa: ARG002
        """See :class:`Spool`: the first attempt that finishes counts; others have the same rows."""
        with tempfile.NamedTemporaryFile(prefix="results-", suffix=".parquet", delete=False) as made:
            local = Path(made.name)

        def finish() -> None:
            try:
                self._objects.create(f"{name}/{run}/{part}.parquet", local)
            finally:
                local.unlink()

        return ResultFile(local, finish)

    def complete(self, name: str, run: str) -> None:
        """See :class:`Spool`."""
        files = [one.name for one in self._objects.listed(f"{name}/{run}/")]
        self._objects.create(f"{name}/{MANIFEST}", json.dumps({"run": run, "files": files}).encode())

    def waiting(self, archived: str) -> list[str]:
        """See :class:`Spool`."""
        names = sorted({one.name.partition("/")[0] for one in self._results()})
        for name in names:
            if name <= archived:
                self.remove(name)
        return [name for name in names if name > archived]

    def files(self, name: str) -> list[str]:
        """See :class:`Spool`; none without a manifest."""
        found = self._objects.read(f"{name}/{MANIFEST}")
        return list(json.loads(found[0])["files"]) if found else []

    @contextmanager
    def local(self, files: Sequence[str]) -> Iterator[list[str]]:
        """See :class:`Spool`."""
        with tempfile.TemporaryDirectory(prefix="spool-") as folder:
            targets = [Path(folder) / f"{at:06d}.parquet" for at in range(len(files))]
            found = self._objects.fetch_all(dict(zip(files, targets, strict=True)))
            if missing := [file for file in files if file not in found]:
                raise Unavailable(
                    f"the object store {self._objects.uri} lacks {missing[0]}, "
                    "a result that is not in Delta yet"
                )
            yield [str(target) for target in targets]

    def remove(self, name: str) -> None:
        """See :class:`Spool`: the manifest goes first, as without it the rest counts no more."""
        self._objects.delete([f"{name}/{MANIFEST}"])
        self._objects.delete([one.name for one in self._objects.listed(f"{name}/")])

    def sizes(self) -> Iterator[tuple[int, float]]:
        """See :class:`Spool`."""
        return ((one.size, one.changed_s) for one in self._results())

    def left_by_earlier_releases(self) -> list[Path]:
        """See :class:`Spool`: no earlier release wrote to an object store."""
        return []

    def read_plan(self) -> bytes | None:
        """See :class:`Spool`."""
        found = self._objects.read(PLAN)
        self._tag = found[1] if found else None
        return found[0] if found else None

    def write_plan(self, content: bytes) -> None:
        """See :class:`Spool`."""
        self._tag = self._objects.replace(PLAN, content, self._tag)

    def place_of_plan(self) -> str:
        """See :class:`Spool`."""
        return f"{self._objects.uri}/{PLAN}"

    def _results(self) -> list[Found]:
        return [one for one in self._objects.listed() if "/" in one.name]
