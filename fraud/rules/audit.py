"""Who published which rules: a file of one JSON record a line, each with the hash of the one before.

Whoever changes, drops or inserts a record breaks the chain from there on; ``fraud audit verify`` says where.
Keep the last hash elsewhere (a ticket, a mail). It shows that the end was not cut off, and that the file was
not rewritten.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from fraud.errors import BadState

FIRST: Final = "0" * 64
"""In the place of a hash before the first record."""
Action = Literal["proposed", "approved", "rejected", "undone", "guarded", "recorded"]
"""``guarded``: a rule went back to shadow by itself, by the guard that its file states. ``recorded``: the
rules that were in force before the first publication, so that it can be undone too."""


class Entry(BaseModel):
    """One record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1)
    at: AwareDatetime
    by: str
    """Name of the person's key."""
    action: Action
    proposal: int
    """Number of the record that proposed; of its own where it is one, and of that which is undone."""
    version: str
    """Of the rules: proposed, or in force from now on."""
    base: str = ""
    """Hash of the file that was in force when it was proposed."""
    content: str = ""
    """The rules, where they are proposed or put in force again."""
    note: str = ""
    tried: str = ""
    """What the proposed rules would have done on history, in words."""
    starts: AwareDatetime | None = None
    """Of an approval: from when on the rules are in force; None: at once."""
    previous: str
    hash: str = ""

    def hashed(self) -> str:
        """Hash all but the hash itself."""
        content = self.model_dump(mode="json", exclude={"hash"})
        if not self.tried:  # records of earlier releases have no such field
            del content["tried"]
        if self.starts is None:
            del content["starts"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> str:
        """Write the record; programs of earlier releases read one without a start."""
        return self.model_dump_json(exclude={"starts"} if self.starts is None else None)


class Audit:
    """The records of one file.

    Parameters
    ----------
    file
        Made with the first record.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def entries(self) -> list[Entry]:
        """Read all records.

        Raises
        ------
        BadState
            With the line where the chain breaks.
        """
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found: list[Entry] = []
        for number, line in enumerate(lines, 1):
            found.append(self._checked(number, line, found[-1].hash if found else FIRST))
        return found

    def _checked(self, number: int, line: str, previous: str) -> Entry:
        where = f"{self.file}:{number}"
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError as error:
            raise BadState(f"{where}: the audit cannot be read: {error.errors()[0]['msg']}") from error
        if entry.number != number or entry.previous != previous:
            raise BadState(
                f"{where}: the audit is broken: a record before this one is missing or was changed"
            )
        if entry.hash != entry.hashed():
            raise BadState(f"{where}: the audit is broken: this record was changed after it was written")
        return entry

    @contextmanager
    def writing(self) -> Iterator["Writer"]:
        """Hold the file for one change; others wait."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as target:
            fcntl.flock(target, fcntl.LOCK_EX)
            yield Writer(target, self.entries())


class Writer:
    """Appends to the file that it holds."""

    def __init__(self, target: IO[str], entries: list[Entry]) -> None:
        self._target = target
        self.entries = entries

    def append(self, by: str, action: Action, version: str, **more: Any) -> Entry:
        """Write a record; it is on the disk when this returns."""
        number = len(self.entries) + 1
        entry = Entry(
            number=number,
            at=datetime.now(UTC),
            by=by,
            action=action,
            version=version,
            previous=self.entries[-1].hash if self.entries else FIRST,
            **{"proposal": number, **more},
        )
        entry = entry.model_copy(update={"hash": entry.hashed()})
        self._target.write(entry.as_json() + "\n")
        self._target.flush()
        os.fsync(self._target.fileno())
        self.entries.append(entry)
        return entry
