"""The rules of each micro-batch: one version for all of it, and the same one when it runs again.

Reads the rules file before each micro-batch; writes ``<home>/rules``: every version that decided, under
its hash, and ``history.jsonl``, which says from which micro-batch on it did. A line is safe on the disk
before its micro-batch decides anything, so that a run after a crash publishes the same decisions.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from fraud.decide.engine import NO_RULES, RuleSet
from fraud.decide.list_log import ListFollower
from fraud.decide.lists import ListStore
from fraud.decide.rules import RuleFile, RulesAt, Source, read_rules
from fraud.errors import BadConfig, Unavailable
from fraud.runtime.files import write_durably
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from jobs.stream import metrics

LOAD_S: Final = 120.0
"""How long the first micro-batch that needs lists waits for them, seconds."""
log = logging.getLogger("jobs.stream")


@dataclass(frozen=True, slots=True)
class ActiveRules:
    """The rules that decide since a micro-batch."""

    generation: int
    batch: int
    version: str
    """Empty: there are none."""
    file: str
    """Their content, in the folder of the rules."""


NOTHING_YET = ActiveRules(0, -1, "", "")


class StreamRules:
    """Tells the rules of a micro-batch.

    Parameters
    ----------
    file
        That people change; None: there are no rules.
    folder
        Where the versions that decided are kept.
    unfinished
        The micro-batch that the last run began and did not finish.
    lists
        The live lists; None: rules that name some fail.
    source
        Writes the file; None: people do.
    schema
        Whose fields and features the rules read; by default the deployment's.

    Raises
    ------
    BadConfig
        When the file is wrong and no earlier version has decided, which would go on.
    """

    def __init__(
        self,
        file: Path | None,
        folder: Path,
        unfinished: int | None = None,
        lists: "StreamLists | None" = None,
        source: Source | None = None,
        *,
        schema: Schema | None = None,
    ) -> None:
        self._folder, self._schema = folder, schema or deployed_schema()
        self._lists = lists
        self._history = folder / "history.jsonl"
        self._last = self._read_last()
        self._file = RuleFile(file, _kept(folder, self._last, self._schema), source, self._schema)
        self._begun = unfinished
        self._refused = ""
        self._tell()

    def of(self, generation: int, batch: int) -> RulesAt | None:
        """Name the rules and lists of a micro-batch; None where there are none."""
        is_again = batch == self._begun and self._last.generation == generation
        if not is_again:
            self._file.look()
            self._tell()
            self._put_in_force(generation, batch)
        self._begun = batch
        if not self._last.file:
            return None
        file = self._folder / self._last.file
        if self._lists is None or not rules_of(file, self._schema).live_lists:
            return RulesAt(file)
        return RulesAt(file, self._lists.folder, self._lists.version(is_again=is_again))

    def _put_in_force(self, generation: int, batch: int) -> None:
        rules = self._file.rules
        version = "" if rules is NO_RULES else rules.version
        if version == self._last.version and (generation == self._last.generation or not version):
            return
        name = f"{hashlib.sha256(rules.source).hexdigest()}.yaml" if version else ""
        self._folder.mkdir(parents=True, exist_ok=True)
        if name and not (self._folder / name).exists():
            write_durably(self._folder / name, rules.source)
        self._last = ActiveRules(generation, batch, version, name)
        with self._history.open("a+") as history:
            history.seek(0)
            cut_off = history.read()[-1:] not in {"", "\n"}
            history.write("\n" * cut_off + json.dumps(asdict(self._last)) + "\n")
            history.flush()
            os.fsync(history.fileno())
        log.info("rules %s decide from micro-batch %d on", version or "none", batch)

    def _read_last(self) -> ActiveRules:
        try:
            lines = self._history.read_text().splitlines()
        except FileNotFoundError:
            return NOTHING_YET
        for line in reversed(lines):  # the last one may have been cut off, and named nothing that decided
            try:
                return ActiveRules(**json.loads(line))
            except (ValueError, TypeError):
                continue
        return NOTHING_YET

    def _tell(self) -> None:
        refused = self._file.refused
        if refused and refused != self._refused:
            log.error("the rules stay as they were: %s", refused)
        self._refused = refused
        metrics.RULES_REFUSED.set(bool(refused))
        metrics.name_rules(self._file.rules)


class StreamLists:
    """The live lists of micro-batches; which version the last one had stands in ``<home>/rules/lists.json``.

    Parameters
    ----------
    folder
        Of the rules.
    bootstrap, options
        Of the brokers.
    """

    def __init__(self, folder: Path, bootstrap: str, options: Mapping[str, str]) -> None:
        self.folder = folder / "lists"
        self._file = folder / "lists.json"
        self._kafka = bootstrap, options
        self._log: ListFollower | None = None
        self._store: ListStore | None = None
        self._last = self._read()

    def version(self, *, is_again: bool) -> int:
        """Take in what has arrived; the version of a micro-batch is on the disk before it decides."""
        if is_again and self._last is not None:
            self._reach(self._last)
            return self._last
        store, log_ = self.store, self._open()
        log_.look(oldest=self._last or 0)
        metrics.LISTS_UNAVAILABLE.set(bool(log_.trouble))
        metrics.LISTS_BAD.set(log_.bad_records)
        position = store.position
        if position != self._last:
            write_durably(self._file, json.dumps({"version": position}).encode())
            self._last = position
        return position

    def _reach(self, version: int) -> None:
        """Have a version's changes, which a start on an empty disk lacks."""
        if self.store.position >= version:
            return
        follower = self._open()
        follower.look(oldest=version)
        if follower.trouble:
            raise Unavailable(f"a micro-batch runs again, and its lists are missing: {follower.trouble}")

    @property
    def store(self) -> ListStore:
        """The lists, opened once they are needed."""
        if self._store is None:
            self._store = ListStore(self.folder)
        return self._store

    def close(self) -> None:
        """End."""
        if self._log is not None:
            self._log.close()
        if self._store is not None:
            self._store.close()

    def _open(self) -> ListFollower:
        if self._log is None:
            self._log = ListFollower(self.store, *self._kafka)
            self._log.load(LOAD_S)
        return self._log

    def _read(self) -> int | None:
        try:
            return int(json.loads(self._file.read_bytes())["version"])
        except FileNotFoundError:
            return None


@lru_cache(maxsize=4)
def rules_of(file: Path, schema: Schema) -> RuleSet:
    """Compile the rules of a micro-batch once per process."""
    return read_rules(file, schema)


def _kept(folder: Path, last: ActiveRules, schema: Schema) -> RuleSet | None:
    """Read the rules that decided last."""
    if not last.file:
        return None
    try:
        return read_rules(folder / last.file, schema)
    except BadConfig as error:  # they read a feature that is gone
        log.warning("the rules that decided last cannot go on: %s", error)
        return None
