"""The driver's own files in an object store: checkpoint, rules, rates; a folder of this machine mirrors them.

Spark and the driver read and write the folder as usual. What is durable is the object store: the driver puts
there what has changed before a micro-batch's tasks begin, and finished micro-batches before the archive
takes them. An object is created where nobody has, or replaced as it was read: of two drivers over one URI one
finds out. At a start the folder is filled from the objects (DECISIONS.md, 87).
"""

import fcntl
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeVar

from fraud.errors import BadConfig, BadState
from fraud.runtime.objects import Objects
from fraud.settings.stream import HomeSettings

Home = TypeVar("Home", bound=HomeSettings)
MIRRORED: Final = ("checkpoint", "rules", "rates")
"""Folders."""
OFFSETS: Final = "checkpoint/offsets/"
COMMITS: Final = "checkpoint/commits/"
_PRUNED: Final = (OFFSETS, COMMITS, "rates/")
"""Folders whose old files Spark or the driver removes; their names follow each other."""
_LEFT_OUT: Final = re.compile(r"(^|/)(\.|lists/)|\.(partial|tmp|lock)$")
"""What belongs to this machine: Spark's checksums, unfinished files, and the lists, which come from Kafka."""


@dataclass(slots=True)
class _Known:
    """A file as it was last the same here and there."""

    stamp: tuple[int, int]
    """Its time and size here."""
    tag: str


class Mirror:
    """Keeps a folder in step with a URI; one process at a time.

    Parameters
    ----------
    folder
        Of this machine; what is in it is given up for what the URI has.
    uri
        Of the object store.

    Raises
    ------
    BadConfig
        When another process of this machine mirrors into the same folder.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder, self._objects = folder, Objects(uri)
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()
        self._held = _hold(folder)

    def close(self) -> None:
        """Let another process have the folder."""
        self._held.close()

    def restore(self) -> None:
        """Make the folder what the URI has.

        Raises
        ------
        Unavailable
            When the object store does not answer.
        """
        with self._lock:
            found = (one for of in MIRRORED for one in self._objects.listed(f"{of}/"))
            there = {one.name: one for one in found if _is_mirrored(one.name)}
            here = self._names()
            for name in list(self._known):
                if name not in here or name not in there or there[name].tag != self._known[name].tag:
                    del self._known[name]
            for name in here:
                file = self._folder / name
                if name not in self._known or self._known[name].stamp != _stamp(file):
                    file.unlink()
                    self._known.pop(name, None)
            for checksum in self._folder.glob("checkpoint/**/.*.crc"):
                checksum.unlink()
            wanted = {name: self._folder / name for name in there if name not in self._known}
            for file in wanted.values():
                file.parent.mkdir(parents=True, exist_ok=True)
            for name, tag in self._objects.fetch_all(wanted).items():  # a driver that runs removes old ones
                self._known[name] = _Known(_stamp(wanted[name]), tag)

    def push(self) -> None:
        """Put what has changed; durable when this returns.

        Commits go before offsets, so that no micro-batch is planned there whose predecessor is not finished,
        and offsets last: by then the rules and rates of their micro-batch are there.

        Raises
        ------
        BadState
            When files are missing that the stream never removes: the folder was emptied.
        Fenced
            When another driver has written one of them.
        Unavailable
            When the object store does not answer.
        """
        with self._lock:
            planned = self._names(OFFSETS)  # looked at first: Spark writes them after the commit before
            here = self._names() | planned
            gone = self._gone(here)
            for name in sorted(here, key=_order):
                if not name.startswith(OFFSETS) or name in planned:
                    self._put(name)
            self._objects.delete(gone)
            for name in gone:
                del self._known[name]

    def committed(self) -> int:
        """Tell the last finished micro-batch that is durable; -1: none."""
        with self._lock:
            return max((int(Path(name).name) for name in self._known if name.startswith(COMMITS)), default=-1)

    def _put(self, name: str) -> None:
        known, file = self._known.get(name), f"{self._folder}/{name}"
        try:
            stamp = _stamp(file)
            if known is not None and known.stamp == stamp:
                return
            content = Path(file).read_bytes()
        except FileNotFoundError:  # Spark removes what is old
            return
        tag = self._objects.replace(name, content, known.tag if known else None)
        self._known[name] = _Known(stamp, tag)

    def _gone(self, here: set[str]) -> list[str]:
        """Name what was removed here, which must not be more than the old files of pruned folders."""
        gone = [name for name in self._known if name not in here and not (self._folder / name).exists()]
        for name in gone:
            later = [other for of in _PRUNED if name.startswith(of) for other in here if other.startswith(of)]
            if not any(_number(other) > _number(name) for other in later):
                raise BadState(
                    f"{self._folder} lacks {name}, which the stream never removes. Start the stream again: "
                    f"it fills the folder from {self._objects.uri}"
                )
        return gone

    def _names(self, prefix: str = "") -> set[str]:
        """Name the files that are here; on the way of each micro-batch, so without an object for each."""
        begin = len(f"{self._folder}/")
        found = {
            f"{above[begin:].rstrip('/')}/{name}"
            for of in ((prefix,) if prefix else MIRRORED)
            for above, _, names in os.walk(f"{self._folder}/{of}")
            for name in names
        }
        return {name for name in found if _is_mirrored(name)}


@contextmanager
def mirrored(settings: Home) -> Iterator[tuple[Home, Mirror | None]]:
    """Have the driver's files in a folder of one's own inside a block, beside a driver that runs.

    Gives the settings that name this folder, and its mirror; None where the home is a folder already.

    Raises
    ------
    Unavailable
        When the object store does not answer.
    """
    if not settings.home_uri:
        yield settings, None
        return
    with tempfile.TemporaryDirectory(prefix="home-") as home:
        here = settings.model_copy(update={"home": Path(home)})
        mirror = Mirror(here.folder, here.home_uri)
        try:
            mirror.restore()
            yield here, mirror
        finally:
            mirror.close()


def _order(name: str) -> tuple[int, int, str]:
    """Sort offsets last and commits before them, by number."""
    for rank, prefix in ((2, OFFSETS), (1, COMMITS)):
        number = name.removeprefix(prefix)
        if number != name and number.isdecimal():
            return rank, int(number), ""
    return 0, 0, name


def _number(name: str) -> tuple[int, str]:
    """Sort names of one folder by their numbers."""
    return len(name), name


def _is_mirrored(name: str) -> bool:
    return _LEFT_OUT.search(name) is None


def _stamp(file: Path | str) -> tuple[int, int]:
    found = os.stat(file)  # noqa: PTH116  (a name that was never a Path)
    return found.st_mtime_ns, found.st_size


def _hold(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    held = (folder / "driver.lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise BadConfig(
            f"another process uses {folder}: give each one a FRAUD_STREAM_HOME of its own, which is this "
            "machine's part of FRAUD_STREAM_HOME_URI"
        ) from error
    return held
