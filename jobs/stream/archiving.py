"""Archives while micro-batches run, and continues when the tables are available again.

What cannot be archived stays in the spool and is tried again. The spool is bounded: at the bound no new
micro-batch begins, so that transactions wait in Kafka, where nothing is lost.
"""

import logging
import time
from typing import Final

from fraud.errors import Unavailable
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
    limit_bytes
        Bound of the spool.
    """

    def __init__(self, archive: Archive, limit_bytes: int) -> None:
        self._archive, self._limit = archive, limit_bytes
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
        try:
            found = list(self._archive.spool.sizes())
        except Unavailable as error:  # of the object store; nothing is written there meanwhile either
            log.warning("the spool cannot be measured: %s", error)
            return
        oldest = min((changed for _, changed in found), default=time.time())
        self.spool_bytes = sum(size for size, _ in found)
        metrics.SPOOL_BYTES.set(self.spool_bytes)
        metrics.SPOOL_AGE.set(max(time.time() - oldest, 0.0))
        metrics.SPOOL_FULL.set(self.is_full)
