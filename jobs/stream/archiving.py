"""Archives while micro-batches run, and continues when the tables are available again.

What cannot be archived stays in the spool and is tried again. The spool is bounded: at the bound no new
micro-batch begins, so that transactions wait in Kafka, where nothing is lost.
"""

import logging
import time
from pathlib import Path
from typing import Final

from fraud.log.archive import Archive
from jobs.stream import metrics

RETRY_S: Final = 30.0
"""Longest wait between two attempts, seconds."""

log = logging.getLogger("jobs.stream")


class Archiving:
    """Runs the archive, counts its failures, and measures the spool.

    Parameters
    ----------
    archive
        Of the spool.
    spool
        Its folder.
    limit_bytes
        Bound of the spool.
    """

    def __init__(self, archive: Archive, spool: Path, limit_bytes: int) -> None:
        self._archive, self._spool, self._limit = archive, spool, limit_bytes
        self._failures = 0
        self._next = 0.0
        self.trouble = ""
        """Why the last attempt failed; empty when it did not."""
        self.spool_bytes = 0
        self._measure()

    @property
    def is_full(self) -> bool:
        """Whether no micro-batch may begin."""
        return self.spool_bytes >= self._limit

    def run(self, generation: int, *, is_last: bool = False) -> None:
        """Archive what is finished, unless the last failure was a moment ago."""
        if time.monotonic() < self._next and not is_last:
            return
        try:
            metrics.ARCHIVED.inc(self._archive.run(generation))
        except BaseException as error:
            self._failures += 1
            self._next = time.monotonic() + min(2.0 ** min(self._failures, 10), RETRY_S)
            self.trouble = f"the Delta tables cannot be written: {error}"
            metrics.ARCHIVE_ERRORS.inc()
            log.warning("%s; %d bytes wait in the spool", self.trouble, self.spool_bytes)
            log.debug("the archive failed", exc_info=True)
        else:
            self._failures, self._next, self.trouble = 0, 0.0, ""
        self._measure()

    def _measure(self) -> None:
        """Look how much waits, and since when."""
        sizes, oldest = [0], time.time()
        for folder in self._spool.glob("[0-9]*-[0-9]*"):
            try:
                found = [file.stat() for file in folder.iterdir()]
            except FileNotFoundError:  # a task renames or removes files meanwhile
                continue
            sizes += [one.st_size for one in found]
            oldest = min([oldest, *(one.st_mtime for one in found)])
        self.spool_bytes = sum(sizes)
        metrics.SPOOL_BYTES.set(self.spool_bytes)
        metrics.SPOOL_AGE.set(time.time() - oldest)
        metrics.SPOOL_FULL.set(self.is_full)
