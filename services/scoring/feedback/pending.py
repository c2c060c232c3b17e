"""Labels that wait for their transactions, in an SQLite file: a row for each, with the time of its next look.

A label is looked at after 2 s, then each time when its age has grown by half, at last every hour.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from fraud.errors import BadConfig, Unavailable

FIRST_S: Final = 2.0
LONGEST_S: Final = 3600.0
"""Longest time between two looks at a label, seconds."""
_MAGIC: Final = b"SQLite format 3\0"
_SCHEMA: Final = """
create table if not exists labels (
    id integer primary key autoincrement,
    transaction_id text not null,
    request blob not null,
    kept_at_s real not null,
    due_s real not null,
    unique (transaction_id, request)
);
create index if not exists due on labels (due_s);
"""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingLabel:
    """One label that waits."""

    id: int
    request: bytes
    """JSON, as it was sent, with its time and source."""
    kept_at_s: float


class PendingLabels:
    """Keeps labels in the order in which they came; what it has taken outlives a crash.

    Parameters
    ----------
    file
        Of SQLite. Labels that an older version has kept in a file of lines, there or beside it (``.jsonl``),
        are taken over.
    most
        Labels that may wait.
    now_s
        Unix time of the start, seconds.

    Raises
    ------
    BadConfig
        When the file cannot be opened.
    """

    def __init__(self, file: Path, most: int, now_s: float, primary: str) -> None:
        self._file, self._most, self._primary = file, most, primary
        self._lock = threading.RLock()
        try:
            aside = _set_aside(file)
            self._db = sqlite3.connect(file, timeout=5.0, check_same_thread=False, isolation_level=None)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.executescript(_SCHEMA)
            if aside.exists():
                self._take_over(aside, now_s)
        except (OSError, sqlite3.Error) as error:
            raise BadConfig(f"FRAUD_SCORING_PENDING_FILE={file} cannot be opened: {error}") from error

    def __len__(self) -> int:
        """Count the labels that wait."""
        return int(self._run("select count(*) from labels")[0][0])

    def keep(self, transaction_id: str, request: bytes, now_s: float) -> None:
        """Keep a label; it is on the disk when this returns.

        Raises
        ------
        Unavailable
            When too many wait, or the disk does not take it.
        """
        with self._lock:
            if len(self) >= self._most:
                raise Unavailable(
                    f"{self._most} labels already wait for their transactions, which is the limit: send "
                    f"{self._primary} of the transaction with the label, or send it again later"
                )
            self._insert([(transaction_id, request)], now_s)

    def due(self, now_s: float, most: int) -> list[str]:
        """List ids of transactions whose labels are to be looked at."""
        found = self._run(
            "select transaction_id from labels where due_s <= ? group by transaction_id "
            "order by min(due_s) limit ?",
            now_s,
            most,
        )
        return [row[0] for row in found]

    def of(self, transaction_id: str) -> list[PendingLabel]:
        """List the labels of a transaction in the order in which they came."""
        query = "select id, request, kept_at_s from labels where transaction_id = ? order by id"
        return [PendingLabel(*row) for row in self._run(query, transaction_id)]

    def put_off(self, transaction_ids: Iterable[str], now_s: float) -> None:
        """Look at the labels of some transactions again later."""
        with self._lock:
            self._run("begin")
            for one in transaction_ids:
                self._run(
                    "update labels set due_s = ? + min(max((? - kept_at_s) / 2, ?), ?) "
                    "where transaction_id = ?",
                    *(now_s, now_s, FIRST_S, LONGEST_S, one),
                )
            self._run("commit")

    def remove(self, label: PendingLabel) -> None:
        """Forget a label that has gone on."""
        self._run("delete from labels where id = ?", label.id)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _insert(self, labels: Iterable[tuple[str, bytes]], now_s: float) -> None:
        # The same label again goes behind the others: the last one that was sent holds.
        query = (
            "insert or replace into labels (transaction_id, request, kept_at_s, due_s) values (?, ?, ?, ?)"
        )
        self._run("begin")
        for transaction_id, request in labels:
            self._run(query, transaction_id, request, now_s, now_s + FIRST_S)
        self._run("commit")

    def _run(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    self._db.rollback()
                raise Unavailable(f"{self._file} cannot store labels: {error}") from error

    def _take_over(self, aside: Path, now_s: float) -> None:
        """Take what an older version has kept; lines that a crash has torn go to a file (``.torn``)."""
        whole, torn = [], []
        for line in filter(None, aside.read_bytes().splitlines()):
            try:
                whole.append((str(orjson.loads(line)["transaction_id"]), line))
            except (ValueError, KeyError, TypeError):
                torn.append(line)
        if torn:
            beside = self._file.with_suffix(".torn")
            log.error("%d kept labels are torn and cannot be sent: they are in %s", len(torn), beside)
            beside.write_bytes(b"".join(line + b"\n" for line in torn))
        self._insert(whole, now_s)
        aside.unlink()
        log.info("took over %d labels of an older version", len(whole))


def _set_aside(file: Path) -> Path:
    """Move an older version's file out of the way; returns where it is, if there is one."""
    aside = file.with_name(file.name + ".old")
    for old in (file, file.with_suffix(".jsonl")):
        if not aside.exists() and old.exists() and old.stat().st_size and not _is_ours(old):
            old.replace(aside)
    return aside


def _is_ours(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(_MAGIC)) == _MAGIC
