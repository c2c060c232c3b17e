"""Carries what the store has counted to Kafka: topics ``scored``, ``decisions`` and ``alerts``.

Every replica runs one; the one that holds the store's lease works. An entry leaves the outbox when Kafka
has it: after a crash in between it is sent again, and the stream's claim (``fraud.store.answers``) keeps it
from being archived twice. The store is flushed first, so that the log never knows what the store may lose.
"""

import logging
import os
import random
import socket
import threading
import time
import uuid
from typing import Final

import orjson

from fraud.contracts import ALERTS, DECISIONS, SCORED, TRANSACTIONS, Outcome
from fraud.errors import Unavailable
from fraud.kafka.delivery import Kafka
from fraud.store import FeatureStore
from services.scoring import metrics
from services.scoring.records import write_decision
from services.scoring.settings import ScoringSettings

BATCH: Final = 1_000
"""Entries taken at once."""
BACKOFF_MAX_S: Final = 2.0
log = logging.getLogger(__name__)


class Outbox:
    """Empties the outbox in a thread of its own.

    Parameters
    ----------
    settings
        Of the service.
    store
        The stream's.
    kafka
        Takes the records.
    """

    def __init__(self, settings: ScoringSettings, store: FeatureStore, kafka: Kafka) -> None:
        self._settings = settings
        self._store = store
        self._answers = store.answers()
        self._kafka = kafka
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._stopping = threading.Event()
        self._failures = 0
        self._oldest: tuple[bytes | None, float] = (None, 0.0)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self.backlog = 0
        self.is_away = False
        """Whether Kafka did not take the last records, or another replica carries none over."""

    @property
    def is_full(self) -> bool:
        """Whether so much waits for Kafka that nothing more should be taken on."""
        return self.backlog >= self._settings.outbox_limit

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Carry over what waits, if Kafka takes it, and end."""
        self._stopping.set()
        self._thread.join(self._settings.kafka_timeout_s + 2.0)

    def drain(self) -> int:
        """Carry the oldest entries over; returns how many Kafka has taken.

        Raises
        ------
        Unavailable
            When the store does not answer, or Kafka does not take all of them.
        """
        self.backlog = self._answers.backlog()
        metrics.OUTBOX.set(self.backlog)
        is_mine = self._answers.lease(self._owner, self._settings.lease_s)
        metrics.IS_DRAINER.set(is_mine)
        if not is_mine or not self.backlog:
            self.is_away = not is_mine and self._stands()
            self._failures = 0
            return 0
        entries = self._answers.waiting(BATCH)
        self._store.flush()
        messages: list[tuple[str, str, bytes]] = []
        owners: list[int] = []
        for at, (_, record) in enumerate(entries):
            found = messages_of(record) if record else []
            messages += found
            owners += [at] * len(found)
        taken = self._kafka.send(messages)
        self.is_away = not all(taken)
        missing = {at for at, is_taken in zip(owners, taken, strict=True) if not is_taken}
        self._answers.sent([entry for at, (entry, _) in enumerate(entries) if at not in missing])
        metrics.PUBLISHED.inc(len(entries) - len(missing))
        if missing:
            raise Unavailable(f"Kafka did not take {len(missing)} of {len(entries)} transactions")
        self._failures = 0
        return len(entries)

    def _stands(self) -> bool:
        """Whether the oldest entry has been the same for longer than Kafka may take."""
        entries = self._answers.waiting(1) if self.backlog else []
        oldest, now = entries[0][0] if entries else None, time.monotonic()
        if oldest != self._oldest[0]:
            self._oldest = oldest, now
        return oldest is not None and now - self._oldest[1] > self._settings.kafka_timeout_s + 1.0

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._attempt())
        while self._failures == 0 and self._attempt() == 0.0:
            pass

    def _attempt(self) -> float:
        """Drain once; returns how long to wait before the next time, seconds."""
        try:
            taken = self.drain()
        except Exception as error:
            if not isinstance(error, Unavailable):
                log.exception("the outbox failed and goes on")  # its end would be noticed by nobody
            self._failures += 1
            metrics.DRAIN_ERRORS.inc()
            ceiling = min(0.1 * 2.0 ** min(self._failures, 10), BACKOFF_MAX_S)
            log.warning("the outbox waits (%d in it): %s", self.backlog, error)
            return ceiling * random.uniform(0.5, 1.0)
        return 0.0 if taken == BATCH else self._settings.drain_poll_s


def messages_of(record: bytes) -> list[tuple[str, str, bytes]]:
    """Make the messages of one record of the outbox: topic, key, value."""
    scored = orjson.loads(record)
    user, decision = scored["user_id"], write_decision(scored)
    found = [(SCORED, user, record), (DECISIONS, user, decision)]
    if scored["outcome"] != Outcome.APPROVE:
        found.append((ALERTS, user, decision))
    return found


def hand_to_stream(kafka: Kafka, user_id: str, raw: bytes) -> None:
    """Let the stream count a transaction that the store could not take.

    Raises
    ------
    Unavailable
        When Kafka does not take it either: it must be refused, so that nothing is lost.
    """
    started = time.perf_counter()
    if not all(kafka.send([(TRANSACTIONS, user_id, raw)])):
        raise Unavailable(
            f"neither the feature store nor Kafka took it within {time.perf_counter() - started:.1f} s"
        )
