"""The files of a table as streams of bytes: plain, packed by gzip, or inside a zip archive."""

import csv
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from fraud.errors import BadInput

SUFFIXES: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
"""How a file's name ends, and what it is."""
BROKEN: Final = (
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    csv.Error,
    RuntimeError,
    NotImplementedError,
)
"""What a damaged, cut or encrypted archive raises, or a file that is no CSV."""
_GUESSED_RATIO: Final = 6
"""How much gzip usually packs a table."""


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One file of a table."""

    path: Path
    member: str = ""
    """Name inside the zip archive at ``path``; empty: the file itself."""

    def __str__(self) -> str:
        """Name it so that a person finds it."""
        return f"{self.path} ({self.member})" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Of the file, without its folder."""
        return self.member.rpartition("/")[2] or self.path.name

    @property
    def is_plain(self) -> bool:
        """Whether it lies on disk as it is read."""
        return not self.member and self.path.suffix.lower() != ".gz"

    @property
    def kind(self) -> str:
        """What its name says that it is: csv, json or parquet; empty: nothing that is known."""
        name = self.name.lower().removesuffix(".gz")
        return SUFFIXES.get(Path(name).suffix, "")

    @property
    def size(self) -> int:
        """Bytes of its content; of a gzip file about."""
        if self.member:
            with zipfile.ZipFile(self.path) as archive:
                return archive.getinfo(self.member).file_size
        return self.path.stat().st_size * (1 if self.is_plain else _GUESSED_RATIO)

    def open(self) -> BinaryIO:
        """Open its content for reading."""
        if self.member:
            archive = zipfile.ZipFile(self.path)
            stream = cast("BinaryIO", archive.open(self.member))
            archive.close()  # the stream keeps the file open
        else:
            stream = self.path.open("rb")
        if self.name.lower().endswith(".gz"):
            return cast("BinaryIO", gzip.GzipFile(fileobj=stream))
        return stream


def parts_of(path: str) -> list[Part]:
    """List a table's files in the order of the table: of a file, a folder, a zip archive or a pattern."""
    root = Path(path)
    if "://" in path or root.is_file():
        return list(_expanded(root))
    if root.is_dir():
        inside = (file for file in root.rglob("*") if file.is_file())
        files = [file for file in inside if not _is_hidden(file.relative_to(root).parts)]
    else:
        files = [file for file in root.parent.glob(root.name) if file.is_file()]
    return [part for file in sorted(files) for part in _expanded(file)]


def _expanded(file: Path) -> Iterator[Part]:
    if file.suffix.lower() != ".zip":
        yield Part(file)
        return
    try:
        with zipfile.ZipFile(file) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except BROKEN as error:
        raise BadInput(f"{file} cannot be read as a zip archive: {error}") from error
    yield from (Part(file, name) for name in names if not _is_hidden(Path(name).parts))


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part[0] in "._" for part in parts)
