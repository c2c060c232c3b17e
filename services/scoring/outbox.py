"""Carries what the store has counted to Kafka: topics ``scored``, ``decisions`` and ``alerts``.

Every replica runs one; the one that holds the store's lease works. An entry leaves the outbox when Kafka
has it: after a crash in between it is sent again, and the stream's claim (``fraud.store.answers``) keeps it
from being archived twice. The store is flushed first, so that the log never knows what the store may lose.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Final

import orjson

from fraud.contracts import ALERTS, DECISIONS, SCORED, TRANSACTIONS, Outcome
from fraud.contracts.seal import SealKey, sealed
from fraud.errors import Unavailable
from fraud.kafka.producer import Record, Sender
from fraud.runtime.threads import Watch
from fraud.runtime.traces import HEADER, NO_TRACES, Traces, headers, headers_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import FeatureStore
from services.scoring import metrics
from services.scoring.records import AnswerWriter
from services.scoring.settings import ScoringSettings

BATCH: Final = 1_000
"""Entries taken at once."""
BACKOFF_MAX_S: Final = 2.0


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
    traces
        Of the service.
    schema
        Of the transactions; by default the deployment's.
    """

    def __init__(
        self,
        settings: ScoringSettings,
        store: FeatureStore,
        kafka: Sender,
        traces: Traces = NO_TRACES,
        schema: Schema | None = None,
    ) -> None:
        self._writer = AnswerWriter(schema or deployed_schema())
        self._settings = settings
        self._traces = traces
        self._store = store
        self._answers = store.answers()
        self._kafka = kafka
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._oldest: tuple[bytes | None, float] = (None, 0.0)
        self.watch = Watch(
            "outbox", self._attempt, settings.drain_poll_s, first_retry_s=0.2, backoff_max_s=BACKOFF_MAX_S
        )
        self.backlog = 0
        self.is_unavailable = False
        """Whether Kafka refused the last records, or another replica has stopped draining the outbox."""

    @property
    def is_full(self) -> bool:
        """Whether so much waits for Kafka that nothing more should be taken on."""
        return self.backlog >= self._settings.outbox_limit

    def start(self) -> None:
        """Begin."""
        self.watch.start()

    def stop(self) -> None:
        """Carry over what waits, if Kafka takes it, and end."""
        has_ended = self.watch.stop(self._settings.kafka_timeout_s + 2.0)
        while has_ended and not self.watch.failures and self.watch.look() == 0.0:
            pass

    def drain(self) -> int:
        """Carry the oldest entries over; returns how many Kafka has taken.

        Raises
        ------
        Unavailable
            When the store does not answer, or Kafka does not take all of them.
        """
        loads = self._answers.loads()
        self.backlog = sum(load.outbox for load in loads)
        metrics.count_loads(loads)
        is_mine = self._answers.lease(self._owner, self._settings.lease_s)
        metrics.IS_DRAINER.set(is_mine)
        if not is_mine or not self.backlog:
            self.is_unavailable = not is_mine and self._stands()
            return 0
        entries = self._answers.waiting(BATCH)
        seal_key = self._store.seal_key()
        self._store.flush()
        messages: list[Record] = []
        owners: list[int] = []
        for at, (_, record) in enumerate(entries):
            found = messages_of(record, seal_key, self._writer) if record else []
            messages += found
            owners += [at] * len(found)
        with self._traces.batch("publish", _parents(messages)) as batch:
            batch.note(records=len(messages))
            delivery = self._kafka.deliver(messages)
        self.is_unavailable = not delivery.is_complete
        missing = {at for at, is_taken in zip(owners, delivery.taken, strict=True) if not is_taken}
        self._answers.sent([entry for at, (entry, _) in enumerate(entries) if at not in missing])
        metrics.PUBLISHED.inc(len(entries) - len(missing))
        if missing:
            raise Unavailable(
                f"Kafka did not accept {len(missing)} of {len(entries)} transactions: {delivery.reason}"
            )
        return len(entries)

    def _stands(self) -> bool:
        """Whether the oldest entry has been the same for longer than Kafka may take."""
        entries = self._answers.waiting(1) if self.backlog else []
        oldest, now = entries[0][0] if entries else None, time.monotonic()
        if oldest != self._oldest[0]:
            self._oldest = oldest, now
        return oldest is not None and now - self._oldest[1] > self._settings.kafka_timeout_s + 1.0

    def _attempt(self) -> float:
        """Drain once; returns how long to wait before the next time, seconds."""
        return 0.0 if self.drain() == BATCH else self._settings.drain_poll_s


def messages_of(record: bytes, seal_key: SealKey, writer: AnswerWriter) -> list[Record]:
    """Make the messages of one record of the outbox.

    Parameters
    ----------
    seal_key
        Of the store that it lies in.
    writer
        Writes its decision.
    """
    scored = orjson.loads(record)
    user, decision = scored[writer.primary], writer.decision(scored)
    trace = headers_of(scored.get(HEADER))
    found = [Record(SCORED, user, sealed(record, seal_key), trace), Record(DECISIONS, user, decision, trace)]
    if scored["outcome"] != Outcome.APPROVE:
        found.append(Record(ALERTS, user, decision, trace))
    return found


def _parents(messages: list[Record]) -> Iterator[str]:
    """Name the traces of the records of a batch, once each."""
    for one in messages:
        if one.topic == SCORED and one.headers:
            yield str(one.headers[0][1])


def hand_to_stream(kafka: Sender, key: str, raw: bytes) -> None:
    """Let the stream count a transaction that the store could not take.

    Raises
    ------
    Unavailable
        When Kafka does not take it either: it must be refused, so that nothing is lost.
    """
    started = time.perf_counter()
    if not kafka.deliver([Record(TRANSACTIONS, key, raw, headers())]).is_complete:
        raise Unavailable(
            f"neither the feature store nor Kafka accepted it within {time.perf_counter() - started:.1f} s"
        )
