"""What a backup says about itself: its parts, and each file with size and SHA-256."""

from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

NAME: Final = "manifest.json"
"""Written last: a backup without it was not finished."""


class KeptFile(BaseModel):
    """One file."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """One backup."""

    model_config = ConfigDict(frozen=True)

    format: int = 1
    created_at: datetime
    parts: list[str]
    files: dict[str, KeptFile]
    """By path, whose first word is the part."""
    micro_batch: int
    """The newest one that the checkpoint had finished; -1: none."""
    offsets: str
    """Where that ended in Kafka, as Spark writes it."""
    schema_version: str

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files.values())


def digest_of(content: Any) -> str:
    """Hash what can be read."""
    return file_digest(content, "sha256").hexdigest()


def files_of(folder: Path) -> dict[str, KeptFile]:
    """Describe all files below a folder."""
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            name = file.relative_to(folder).as_posix()
            found[name] = KeptFile(bytes=file.stat().st_size, sha256=digest_of(content))
    return found
