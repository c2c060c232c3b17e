"""The rules file that a program follows while it runs (its format: ``fraud.decide.compiling``)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from fraud.decide.compiling import compile_rules
from fraud.decide.engine import NO_RULES, RuleSet
from fraud.errors import BadConfig
from fraud.schema.schema import Schema
from fraud.settings.definition import Stamp, stamp_of


@dataclass(frozen=True, slots=True)
class RulesAt:
    """Rules and lists as they were at one moment."""

    file: Path
    """Holds the rules."""
    lists: Path | None = None
    """Folder of the lists; None: the rules name no live ones."""
    lists_version: int = 0


def read_rules(file: Path, schema: Schema | None = None) -> RuleSet:
    """Read and compile a rules file.

    Parameters
    ----------
    file
        Of the format of ``fraud.decide.compiling``.
    schema
        Whose fields and features the rules read; by default the deployment's.

    Raises
    ------
    BadConfig
        With the file's line, the rule and the reason; keep the rules that you have.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadConfig(f"rules {file}: {error.strerror}") from error
    return compile_rules(raw, file.name, schema)


class Source(Protocol):
    """Writes the file of rules, as ``fraud.rules.published`` does."""

    file: Path
    refused: str
    """Why what came last was refused; empty: it counts."""

    def load(self) -> None:
        """Write the file as it is to be now."""

    def look(self) -> None:
        """Write the file again where it has changed."""


class RuleFile:
    """A rules file that may change while the service runs.

    Parameters
    ----------
    file
        None: there are no rules.
    known
        Rules that go on where the file is wrong at the start.
    source
        Writes the file; None: people do.
    schema
        Whose fields and features the rules read; by default the deployment's.

    Raises
    ------
    BadConfig
        When it is wrong at the start, and no rules are known.
    """

    def __init__(
        self,
        file: Path | None,
        known: RuleSet | None = None,
        source: Source | None = None,
        schema: Schema | None = None,
    ) -> None:
        self._file, self._source, self._schema = file, source, schema
        if source is not None:
            source.load()
        self._seen = self._stamp()
        self._refused = ""
        self.rules = NO_RULES
        if file is not None:
            try:
                self.rules = read_rules(file, schema)
            except BadConfig as error:
                if known is None:
                    raise
                self.rules, self._refused = known, str(error)
        self.since = datetime.now(UTC)

    @property
    def refused(self) -> str:
        """Why the file as it is now was refused; empty: it is in force."""
        return self._refused or (self._source.refused if self._source else "")

    def look(self) -> bool:
        """Take the file in if it has changed; True when it has other rules now.

        A wrong one is refused, with its reason in ``refused``: the rules that were in force stay.
        """
        if self._source is not None:
            self._source.look()
        stamp = self._stamp()
        if self._file is None or stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self.rules = read_rules(self._file, self._schema)
        except BadConfig as error:
            self._refused = str(error)
            return False
        self._refused, self.since = "", datetime.now(UTC)
        return True

    def _stamp(self) -> Stamp | None:
        return stamp_of(self._file) if self._file else None
