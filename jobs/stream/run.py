"""The driver: opens its parts and runs the query until it is told to stop.

A query that fails because a disk, the store or Kafka is unavailable is restarted (``jobs.stream.outages``).
"""

import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from prometheus_client import REGISTRY

from fraud.decide.experiment import Experiment, open_experiment
from fraud.errors import Unavailable
from fraud.features.passes import passes_of_schema
from fraud.kafka.cluster import describe
from fraud.kafka.rates import RateFeed
from fraud.log.archive import Archive, read_summaries
from fraud.log.mirror import Mirror
from fraud.model.client import ModelClient, ModelClientSettings
from fraud.rules.published import open_published
from fraud.runtime.threads import ended_threads
from fraud.runtime.traces import NO_TRACES, Traces
from fraud.runtime.waiting import wait_until
from fraud.schema.deployed import deployed_schema, rates_file
from fraud.schema.schema import Schema
from fraud.store import Epoch
from fraud.watch.figures import Figures
from jobs.stream import metrics
from jobs.stream.archiving import Archiving
from jobs.stream.background import BackgroundThreads
from jobs.stream.engine import open_engine
from jobs.stream.expiry import Expiry
from jobs.stream.fit import open_fitting_store
from jobs.stream.gate import BatchGate
from jobs.stream.offsets import ranges_of, records_of, unfinished_of
from jobs.stream.outages import cause_of, is_passing, lacks_memory, report_of, wait_s
from jobs.stream.progress import Progress
from jobs.stream.query import Query, QueryState
from jobs.stream.rates import BatchRates
from jobs.stream.recovery import remember
from jobs.stream.rules import StreamLists, StreamRules
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tracing import note_batch

log = logging.getLogger("jobs.stream")

KAFKA_S: Final = 5.0
"""Time between two questions whether a broker answers, and for the answer, seconds."""
FIGURES_S: Final = 10.0
"""Time between two looks for what jobs that end have measured, seconds."""


class StreamJob:
    """One run of the query over one checkpoint.

    Parameters
    ----------
    settings
        Of the job.
    schema
        Of the records; by default the deployment's.
    traces
        Of this program.
    mirror
        Of the driver's files, restored; None where the home is a folder.
    """

    def __init__(
        self,
        settings: StreamSettings,
        schema: Schema | None = None,
        traces: Traces = NO_TRACES,
        mirror: Mirror | None = None,
    ) -> None:
        self._schema = schema = schema or deployed_schema()
        passes = passes_of_schema(schema)
        self._traces, self._mirror = traces, mirror
        self._settings, self._passes = settings, passes
        self._experiment = open_experiment(settings.experiment_file)
        self._store = open_fitting_store(settings, schema)
        self._progress = Progress(self._store, settings, schema, mirror)
        query_id = self._progress.check().named()
        self._push()  # the name is durable before the store knows it
        self._generation = self._store.generation_of(query_id)
        self._token = self._store.acquire(f"{socket.gethostname()}:{os.getpid()}")
        self._progress.begin(query_id, self._generation, self._token)
        if self._store.complete_entities() != self._store.entities:
            self._store.mark_complete()
        self._expiry = Expiry(self._store, self._token, passes)
        self._engine = open_engine(settings, schema, is_traced=traces.is_on)
        self._engine.share(self._store)
        if mirror is not None:
            mirror.restore()  # what the driver before was writing when it was fenced off
        remember(settings)
        archive = Archive(
            settings.spool,
            settings.checkpoint_path,
            settings.delta_path,
            settings.delta_options,
            passes=passes,
            schema=schema,
            committed=None if mirror is None else mirror.committed,
        )
        metrics.name_entities(passes)
        self._spool = archive.spool
        self._archiving = Archiving(archive, settings.spool_limit_mb << 20)
        self._figures = Figures(settings.delta_path, settings.delta_options)
        REGISTRY.register(self._figures)
        self._unfinished = unfinished_of(settings.checkpoint_path)
        """The micro-batch that the last run began and did not finish, perhaps because it could not."""
        self._rates = _open_rates(settings, schema, self._unfinished)
        self._rules = StreamRules(
            settings.rules_file,
            settings.rules_path,
            self._unfinished,
            lists=StreamLists(settings.rules_path, settings.kafka_bootstrap, settings.kafka_options),
            source=open_published(settings),
            schema=schema,
        )
        self._stop = threading.Event()
        self._gate = BatchGate(self._stop, lambda: self._archiving.is_full)
        self._background = BackgroundThreads(
            {
                "archive": (settings.archive_s, self._archive_once),
                "expiry": (settings.expire_s, self._expiry.run),
                "figures": (FIGURES_S, self._figures.refresh),
                "kafka": (KAFKA_S, self._ask_kafka),
            },
            self._stop,
        )
        self._query: Query | None = None
        self._failures = 0
        """Of the query, since a micro-batch or a look for data succeeded."""
        self._is_kafka_unavailable = False
        """Whether no broker answered at the last look: the query then waits, and fails only after minutes."""

    def is_ready(self) -> bool:
        """Whether the query has looked for data, continues, and may take more."""
        query = self._query
        is_held = self._archiving.is_full or self._is_kafka_unavailable
        if query is None or self._stop.is_set() or is_held or ended_threads():
            return False
        state = query.state()
        if state is QueryState.WAITING:
            self._failures = 0
        return state in (QueryState.WAITING, QueryState.RUNNING) and not self._failures

    def stop(self, *_signal: object) -> None:
        """Ask the run to end after its micro-batch."""
        self._stop.set()

    def run(self) -> None:
        """Run until stopped; raises what ended the query."""
        self._engine.warm_up()
        self._wait_for_model()
        self._background.start()
        try:
            while not self._stop.is_set():
                self._run_query()
        finally:
            self._background.end()
        if self._background.failure is not None:
            raise self._background.failure
        with suppress(Unavailable):  # what is not durable is neither archived nor lost: it runs again
            self._push()
        self._archiving.run(self._generation, is_last=True)
        self._store.close()
        self._traces.close()

    def _wait_for_model(self) -> None:
        """Give a model server that starts at the same time until it is ready."""
        of = self._settings
        with ModelClient(ModelClientSettings(url=of.predictor_url)) as client:
            if not wait_until(lambda: self._stop.is_set() or client.is_ready(), of.predictor_wait_s):
                words = "the model server %s is not ready after %.0f s; the fallback decides until it is"
                log.warning(words, of.predictor_url, of.predictor_wait_s)

    def _run_query(self) -> None:
        """Run the query until it fails or the job is to stop; after what passes, wait and return."""
        try:
            self._query = self._engine.start(self._process, self._progress.starting_offsets())
            while not self._stop.is_set() and not self._query.wait(0.2):
                with suppress(Unavailable):  # a task that needs the store says so itself
                    self._store.hold(self._token)  # a newer driver finds nobody at the checkpoint
            with self._gate.between():
                self._query.stop()
        except self._engine.failures as error:
            report = report_of(error)
            if not is_passing(report):
                raise
            self._failures += 1
            metrics.QUERY_FAILURES.inc()
            pause_s = wait_s(self._failures)
            log.warning("the query failed and starts again in %.0f s: %s", pause_s, cause_of(report))
            self._stop.wait(pause_s)

    def _process(self, records: Any, batch: int) -> None:
        with self._gate.batch(), self._traces.batch("micro-batch") as trace:
            started = time.perf_counter()
            self._progress.before()
            context = self._context(batch, trace.header)
            self._push()  # what is planned, before anything is done
            self._spool.begin(context.epoch.name)
            collected, run = self._run_passes(records, context)
            self._progress.after(batch)
            self._spool.complete(context.epoch.name, run)
            summaries = read_summaries(collected)
            self._expiry.see(summaries)
            metrics.record(summaries, batch, time.perf_counter() - started)
            if self._traces.is_on:
                note_batch(trace, summaries, batch)
            self._failures = 0

    def _push(self) -> None:
        """Make what Spark and the driver wrote durable, where a volume does not."""
        if self._mirror is not None:
            self._mirror.push()

    def _run_passes(self, records: Any, context: TaskContext) -> tuple[list[str], str]:
        """Run the passes over what the engine has read, or in bounded memory after it ran out of memory.

        Returns the tasks' summaries, and which run has the results.
        """
        if context.epoch.batch != self._unfinished:
            try:
                return self._engine.run(records, context), context.run
            except self._engine.failures as error:
                if not lacks_memory(error):
                    raise
                log.warning(
                    "a micro-batch ran out of memory, and is read again in bounded memory: %s",
                    cause_of(str(error)),
                )
                self._spool.begin(context.epoch.name)
        ranges = ranges_of(self._settings.checkpoint_path, context.epoch.batch)
        context = replace(context, tasks=1, run=uuid.uuid4().hex)  # the first run left results of its own
        return self._engine.run_bounded(context, ranges), context.run

    def _context(self, batch: int, trace: str) -> TaskContext:
        settings = self._settings
        kafka = {**settings.kafka_options, "bootstrap.servers": settings.kafka_bootstrap}
        return TaskContext(
            epoch=Epoch(self._generation, batch),
            token=self._token,
            store_url=settings.store,
            spool=settings.spool,
            kafka=tuple(kafka.items()),
            predictor_url=settings.predictor_url,
            predictor_deadline_s=settings.predictor_deadline_s,
            tasks=settings.tasks_for(records_of(settings.checkpoint_path, batch)),
            rules=self._rules.of(self._generation, batch),
            experiment=self._running_experiment(),
            most_ahead_s=settings.most_ahead_s,
            schema=self._schema,
            passes=self._passes,
            rates=self._rates.file_for(Epoch(self._generation, batch)) if self._rates else None,
            is_traced=self._traces.is_on,
            trace=trace,
            run=uuid.uuid4().hex,
        )

    def _running_experiment(self) -> Experiment | None:
        if self._experiment is None:
            return None
        self._experiment.look()
        return self._experiment.running()

    def _ask_kafka(self) -> None:
        """See whether a broker answers."""
        try:
            describe(self._settings.kafka_bootstrap, self._settings.kafka_options, KAFKA_S)
        except Unavailable:
            self._is_kafka_unavailable = True
            raise
        self._is_kafka_unavailable = False

    def _archive_once(self) -> None:
        self._push()
        self._archiving.run(self._generation)
        lag = None if self._query is None else self._query.lag()
        if lag is not None:
            metrics.LAG.set(lag)


def _open_rates(settings: StreamSettings, schema: Schema, unfinished: int | None) -> BatchRates | None:
    """Open the reference rates; None where the schema has no money."""
    money = schema.money
    if money is None:
        return None
    feed = RateFeed(money.base, rates_file(), settings.kafka_bootstrap, settings.kafka_options)
    return BatchRates(settings.rates_path, feed, money.base, unfinished)
