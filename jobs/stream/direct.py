"""Micro-batches by the driver alone: it reads Kafka, and runs the passes itself, one micro-batch at a time.

No Java, no tasks, no rows that travel between processes: a small micro-batch takes a fraction of the time, on
one core of one machine (DECISIONS.md, 90). The checkpoint is written in Spark's form and order: offsets
before a micro-batch, its commit after it. So either engine continues where the other has ended, also within a
micro-batch, and whatever reads the checkpoint stays as it is.
"""

import gc
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import pyarrow as pa

from fraud.errors import Unavailable
from fraud.features.passes import entity_names, passes_of_schema
from fraud.kafka.cluster import describe
from fraud.log.checkpoint import committed_in
from fraud.schema.schema import Schema
from fraud.store import FeatureStore
from jobs.stream.offsets import (
    BEGINNING,
    Partition,
    Range,
    ends_of,
    finish,
    plan,
    ranges_of,
    read_starting,
    unfinished_of,
)
from jobs.stream.poller import Poller, batches_of
from jobs.stream.progress import topics_of
from jobs.stream.query import Process, QueryState
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.bounded_read import read
from jobs.stream.tasks.context import TaskContext, share_store
from jobs.stream.tasks.one_pass import run_one_pass
from jobs.stream.tasks.warm_up import fold_one

LOOK_S: Final = 0.2
"""How long a look for records waits, seconds."""
COLLECT_EVERY: Final = 100
"""Micro-batches between two collections of garbage. None is within one: it would look at every record."""
PARTITIONS_S: Final = 10.0
"""Time between two looks for new partitions, and for the answer, seconds."""


class DirectQuery:
    """Runs micro-batches in a thread (:class:`jobs.stream.query.Query`).

    Parameters
    ----------
    settings
        Of the job.
    topics
        That are read.
    process
        Runs a micro-batch.
    starting_offsets
        Of a new checkpoint.
    is_traced
        Whether the headers of the records are read.
    """

    def __init__(
        self,
        settings: StreamSettings,
        topics: Sequence[str],
        process: Process,
        starting_offsets: str,
        *,
        is_traced: bool,
    ) -> None:
        self._settings, self._topics, self._process = settings, topics, process
        self._starting_offsets, self._is_traced = starting_offsets, is_traced
        self._checkpoint = settings.checkpoint_path
        self._options = {**settings.kafka_options, "bootstrap.servers": settings.kafka_bootstrap}
        self._state = QueryState.STARTING
        self._lag: int | None = None
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._looked = 0.0
        self._thread = threading.Thread(target=self._run, name="query", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """See :class:`~jobs.stream.query.Query`."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def stop(self) -> None:
        """See :class:`~jobs.stream.query.Query`."""
        self._stop.set()
        self._thread.join()

    def state(self) -> QueryState:
        """See :class:`~jobs.stream.query.Query`."""
        return self._state if self._thread.is_alive() else QueryState.ENDED

    def lag(self) -> int | None:
        """See :class:`~jobs.stream.query.Query`."""
        return self._lag

    def _run(self) -> None:
        try:
            last = self._finish_begun()
            with Poller(self._options, self._positions(last), self._settings.most_records) as poller:
                while not self._stop.is_set():
                    last = self._look(poller, last)
        except Exception as error:  # noqa: BLE001  whoever waits for the query raises it
            self._error = error

    def _finish_begun(self) -> int:
        """Run again what was begun and not finished; returns the last micro-batch, -1 before the first."""
        begun = unfinished_of(self._checkpoint)
        if begun is not None:
            self._state = QueryState.RUNNING
            kafka = tuple(self._options.items())
            self._process(read(kafka, ranges_of(self._checkpoint, begun)), begun)
            finish(self._checkpoint, begun)
            return begun
        return committed_in(self._checkpoint)

    def _look(self, poller: Poller, last: int) -> int:
        """Run a micro-batch, if anything has come; returns the last one."""
        started = time.monotonic()
        if started - self._looked > PARTITIONS_S:
            with suppress(Unavailable):  # the brokers; their records are waited for
                poller.read_also({at: BEGINNING for at in self._partitions() if at not in poller.ends})
            self._looked = time.monotonic()
        before = dict(poller.ends)
        taken = poller.take(LOOK_S)
        self._lag = poller.lag()
        if taken is None:
            self._state = QueryState.WAITING
            return last
        self._state = QueryState.RUNNING
        batch = last + 1
        plan(self._checkpoint, batch, poller.ends, before)
        if taken.unreadable is None:
            records = batches_of(taken.messages, is_traced=self._is_traced)
        else:
            records = read(tuple(self._options.items()), [taken.unreadable])
        self._process(records, batch)
        finish(self._checkpoint, batch)
        if batch % COLLECT_EVERY == 0:
            gc.collect()
        self._stop.wait(max(0.0, started + self._settings.trigger_s - time.monotonic()))
        return batch

    def _positions(self, last: int) -> dict[Partition, int]:
        known = ends_of(self._checkpoint, last) if last >= 0 else read_starting(self._starting_offsets)
        return {at: known.get(at, BEGINNING) for at in {*known, *self._partitions()}}

    def _partitions(self) -> list[Partition]:
        """Ask for the partitions of the topics.

        Raises
        ------
        Unavailable
            When the brokers do not answer.
        """
        settings = self._settings
        found = describe(settings.kafka_bootstrap, settings.kafka_options, PARTITIONS_S).topics
        return [(topic, number) for topic in self._topics for number in found.get(topic, ())]


class DirectEngine:
    """The driver's own process (:class:`jobs.stream.query.Engine`).

    Parameters
    ----------
    settings
        Of the job.
    schema
        Of the records.
    is_traced
        Whether the headers of the records are read.
    """

    failures: tuple[type[Exception], ...] = (Exception,)

    def __init__(self, settings: StreamSettings, schema: Schema, *, is_traced: bool = False) -> None:
        self._settings, self._schema, self._is_traced = settings, schema, is_traced

    def warm_up(self) -> None:
        """See :class:`~jobs.stream.query.Engine`."""
        fold_one(self._schema)
        gc.disable()

    def share(self, store: FeatureStore) -> None:
        """See :class:`~jobs.stream.query.Engine`; LMDB can be opened once in a process."""
        names = entity_names(passes_of_schema(self._schema))
        share_store(self._settings.store, names, store)

    def start(self, process: Process, starting_offsets: str) -> DirectQuery:
        """See :class:`~jobs.stream.query.Engine`."""
        topics = topics_of(self._schema)
        return DirectQuery(self._settings, topics, process, starting_offsets, is_traced=self._is_traced)

    def run(self, records: Iterator[pa.RecordBatch], context: TaskContext) -> list[str]:
        """See :class:`~jobs.stream.query.Engine`; the records are Arrow batches."""
        found = run_one_pass(context, records)
        return [text for batch in found for text in batch.column("summary").to_pylist()]

    def run_bounded(self, context: TaskContext, ranges: Sequence[Range]) -> list[str]:
        """See :class:`~jobs.stream.query.Engine`."""
        return self.run(read(context.kafka, ranges), context)
