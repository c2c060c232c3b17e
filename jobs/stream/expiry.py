"""Deletes the states of entities that are idle for longer than any feature looks back.

Reads and deletes in the feature store, beside the micro-batches and in small steps.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from fraud.errors import Unavailable
from fraud.features.passes import Passes
from fraud.store import FeatureStore
from fraud.store.retention import exact_after_days, expire_before_us
from jobs.stream import metrics

log = logging.getLogger("jobs.stream")


class Expiry:
    """Time-to-live of entities, by event time.

    Parameters
    ----------
    store
        The driver's.
    token
        Its fencing token.
    passes
        Whose states it holds.
    """

    def __init__(self, store: FeatureStore, token: int, passes: Passes) -> None:
        self._store = store
        self._token = token
        self._days = {one.name: exact_after_days(one.entity) for one in passes}
        self._newest_us: float | None = None

    def see(self, summaries: Iterable[Mapping[str, Any]]) -> None:
        """Learn from what the tasks of a micro-batch tell how far event time has advanced."""
        times = [summary["newest_event_us"] for summary in summaries]
        known = [time_us for time_us in (*times, self._newest_us) if time_us is not None]
        self._newest_us = max(known, default=None)

    def run(self) -> int:
        """Delete what is idle now; returns how many entities.

        A store that does not answer is left for the next time.

        Raises
        ------
        Fenced
            When a newer driver has taken over.
        """
        if self._newest_us is None:
            return 0
        deleted = 0
        try:
            for entity, days in self._days.items():
                before_us = expire_before_us(self._newest_us, time.time() * 1e6, days)
                found = self._store.expire(entity, before_us, self._token)
                metrics.EXPIRED.labels(entity).inc(found)
                deleted += found
            self._store.answers().expire(time.time())
        except Unavailable as error:
            log.warning("idle entities stay for now: %s", error)
        if deleted:
            log.info("forgot %d idle entities", deleted)
        return deleted
