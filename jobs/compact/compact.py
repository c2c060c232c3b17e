"""Compacts one Delta table, and removes files that it no longer uses.

Reads and writes the tables under ``FRAUD_STREAM_DELTA`` while the stream appends to them: a compaction says
that it changes no data, and appends do not conflict with it. Transaction versions, by which the archive knows
what it has written, are kept by every checkpoint. Files are removed only by the tables' own tombstones, once
these are older than ``retention_hours``: a reader's snapshot stays whole, and a file that a writer has not
committed yet is not touched.
"""

from dataclasses import dataclass

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileType, PyFileSystem

from fraud.errors import Unavailable
from fraud.log.archive import TOMBSTONES
from fraud.log.tables import Options, find_table
from jobs.compact.settings import CompactSettings

MB = 1_000_000
(KEPT,) = TOMBSTONES


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of a table."""

    table: str
    added: int
    """Files that took the place of others."""
    replaced: int
    removed: int
    """Files deleted, replaced by earlier compactions."""


def compact(delta: str, table: str, settings: CompactSettings, options: Options) -> Compacted | None:
    """Compact a table; None when there is none of that name.

    Raises
    ------
    Unavailable
        When the store does not answer, or somebody rewrote the same files meanwhile: run it again.
    """
    found = find_table(delta, table, options)
    if found is None:
        return None
    try:
        if KEPT not in found.delta.metadata().configuration:  # made before it was set from the beginning
            found.delta.alter.set_table_properties(TOMBSTONES)
        figures = found.delta.optimize.compact(
            target_size=settings.target_mb * MB, max_concurrent_tasks=settings.max_tasks
        )
        # The log's own checkpoint: the next reader need not go through the commits since the last one.
        if figures["numFilesAdded"]:
            found.delta.create_checkpoint()
        removed = _remove(found.delta, settings.retention_hours, options)
    except (CommitFailedError, DeltaError, OSError) as error:
        raise Unavailable(f"{found.uri} cannot be compacted now: {error}") from error
    return Compacted(table, figures["numFilesAdded"], figures["numFilesRemoved"], removed)


def _remove(table: DeltaTable, retention_hours: int, options: Options) -> int:
    """Delete the files that were replaced so long ago; returns how many were there."""
    named = table.vacuum(retention_hours=retention_hours, dry_run=True, enforce_retention_duration=False)
    files = PyFileSystem(DeltaStorageHandler(table.table_uri, dict(options)))
    there = [found for found in files.get_file_info(named) if found.type is FileType.File]
    if there:  # the log continues naming those that went before
        table.vacuum(retention_hours=retention_hours, dry_run=False, enforce_retention_duration=False)
    return len(there)
