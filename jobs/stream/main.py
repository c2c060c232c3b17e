"""The driver: reads its settings, opens its parts, runs the query until it is told to stop.

Ends with exit code 0 after SIGTERM or SIGINT (the running micro-batch is finished and archived), and
non-zero with one clear line when the query fails or a newer driver takes over.
"""

import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from prometheus_client import REGISTRY
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.decide.experiment import Experiment, open_experiment
from fraud.errors import BadState, FraudError, Unavailable
from fraud.log import rows
from fraud.log.archive import Archive, read_summaries
from fraud.runtime.telemetry import configure_logging, serve_metrics
from fraud.spark.session import KAFKA_SOURCE, open_session
from fraud.store import Epoch, open_store
from fraud.watch.figures import Figures
from jobs.stream import merchant_pass, metrics, one_pass, user_pass, validate_pass
from jobs.stream.cluster import check_cluster, cluster_of
from jobs.stream.context import TaskContext
from jobs.stream.expiry import Expiry
from jobs.stream.java_client import java_options
from jobs.stream.parcels import PARCELS
from jobs.stream.progress import TOPICS, Progress
from jobs.stream.settings import StreamSettings
from jobs.stream.warm_up import warm_up

log = logging.getLogger("jobs.stream")

FIGURES_S: Final = 10.0
"""Time between two looks for what jobs that end have measured, seconds."""
_PRODUCER: Final = {
    "acks": "all",
    "enable.idempotence": "true",
    "linger.ms": "2",
    "compression.type": "lz4",
    "message.timeout.ms": "30000",
    "queue.buffering.max.messages": "500000",
}


class StreamJob:
    """One run of the query over one checkpoint."""

    def __init__(self, settings: StreamSettings) -> None:
        if settings.rebuild_mark.exists():
            raise BadState(
                "the rebuild of the feature store has not finished: "
                "run `fraud replay rebuild-store --replace` to its end"
            )
        self._settings = settings
        self._experiment = open_experiment(settings.experiment_file)
        self._store = open_store(settings.store)
        self._progress = Progress(self._store, settings)
        query_id = self._progress.check().named()
        self._generation = self._store.generation_of(query_id)
        self._token = self._store.acquire(f"{socket.gethostname()}:{os.getpid()}")
        self._progress.begin(query_id, self._generation, self._token)
        self._expiry = Expiry(self._store, self._token)
        self._spark = open_session(
            "fraud-stream",
            f"local[{settings.partitions},4]",
            settings.partitions,
            delta=False,
            spark_port=settings.spark_port,
        )
        self._archive = Archive(
            settings.spool_path, settings.checkpoint_path, settings.delta_path, settings.delta_options
        )
        self._figures = Figures(settings.delta_path, settings.delta_options)
        REGISTRY.register(self._figures)
        self._stop = threading.Event()
        self._batch = threading.Lock()
        self._failure: BaseException | None = None
        self._query: Any = None

    def is_ready(self) -> bool:
        """Whether the query has looked for data at least once."""
        query = self._query
        return query is not None and query.isActive and "nitializing" not in query.status["message"]

    def stop(self, *_signal: object) -> None:
        """Ask the run to end after its micro-batch."""
        self._stop.set()

    def run(self) -> None:
        """Run until stopped; raises what ended the query."""
        warm_up(self._spark, self._settings.partitions)
        self._query = self._start()
        helpers = [
            threading.Thread(target=self._regularly, args=(every_s, act), name=act.__qualname__)
            for every_s, act in (
                (self._settings.archive_s, self._archive_once),
                (self._settings.expire_s, self._expiry.run),
                (FIGURES_S, self._figures.refresh),
            )
        ]
        for helper in helpers:
            helper.start()
        try:
            while not self._stop.is_set() and not self._query.awaitTermination(0.2):
                with suppress(Unavailable):  # a task that needs the store says so itself
                    self._store.hold(self._token)  # a newer driver finds nobody at the checkpoint
            with self._batch:  # between two micro-batches
                self._query.stop()
        finally:
            self._stop.set()
            for helper in helpers:
                helper.join()
        if self._failure is not None:
            raise self._failure
        self._archive.run(self._generation)
        self._store.close()

    def _start(self) -> Any:
        settings = self._settings
        security = {f"kafka.{key}": value for key, value in java_options(settings.kafka_options).items()}
        source = (
            self._spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", settings.kafka_bootstrap)
            .option("subscribe", ",".join(TOPICS))
            .option("startingOffsets", self._progress.starting_offsets())
            .option("maxOffsetsPerTrigger", settings.max_records_per_batch)
            .options(**KAFKA_SOURCE)
            .options(**security)
            .load()
        )
        writer = source.writeStream.queryName("fraud-stream").foreachBatch(self._process)
        if settings.trigger_s:
            writer = writer.trigger(processingTime=f"{int(settings.trigger_s * 1000)} milliseconds")
        return writer.option("checkpointLocation", str(settings.checkpoint_path)).start()

    def _process(self, frame: DataFrame, batch: int) -> None:
        while not self._batch.acquire(timeout=0.2):
            if self._stop.is_set():  # `stop` waits for this call, which must not wait for it
                raise Unavailable("the job ends; the micro-batch runs at its next start")
        try:
            started = time.perf_counter()
            self._progress.before()
            context = self._context(batch)
            # A run that was cut off may have had more tasks than this one: their files would count twice.
            shutil.rmtree(context.spool_folder, ignore_errors=True)
            collected = _summaries(frame.selectExpr(*validate_pass.SELECTED).coalesce(context.tasks), context)
            self._progress.after(batch)
            summaries = read_summaries(collected)
            self._expiry.see(summaries)
            metrics.record(summaries, batch, time.perf_counter() - started)
        finally:
            self._batch.release()

    def _context(self, batch: int) -> TaskContext:
        settings = self._settings
        records = one_pass.records_of(settings.checkpoint_path, batch)
        is_small = records is not None and records <= settings.one_task_records
        kafka = {**_PRODUCER, **settings.kafka_options, "bootstrap.servers": settings.kafka_bootstrap}
        return TaskContext(
            epoch=Epoch(self._generation, batch),
            token=self._token,
            store_url=settings.store,
            spool=settings.spool_path,
            kafka=tuple(kafka.items()),
            predictor_url=settings.predictor_url,
            predictor_deadline_s=settings.predictor_deadline_s,
            tasks=1 if is_small else settings.partitions,
            experiment=self._running_experiment(),
            most_ahead_s=settings.most_ahead_s,
        )

    def _running_experiment(self) -> Experiment | None:
        if self._experiment is None:
            return None
        self._experiment.look()
        return self._experiment.running()

    def _archive_once(self) -> None:
        metrics.ARCHIVED.inc(self._archive.run(self._generation))
        progress = self._query.lastProgress
        if progress is not None:
            metrics.record_progress(json.loads(progress.json))

    def _regularly(self, every_s: float, act: Callable[[], object]) -> None:
        while not self._stop.wait(every_s):
            try:
                act()
            except Exception as error:  # noqa: BLE001  whatever it is ends the job, not only this thread
                self._failure = error
                self._stop.set()


def main() -> None:
    """Run the job as a program."""
    configure_logging()
    try:
        settings = StreamSettings()
        check_cluster(settings.checkpoint_path, cluster_of(settings), settings.kafka_bootstrap)
        job = StreamJob(settings)
        signal.signal(signal.SIGTERM, job.stop)
        signal.signal(signal.SIGINT, job.stop)
        serve_metrics(settings.host, settings.metrics_port, job.is_ready)
        job.run()
    except StreamingQueryException as error:
        log.exception("the query failed")
        sys.exit(f"error: {_cause(str(error))}")
    except FraudError as error:
        sys.exit(f"error: {error}")


def _summaries(source: DataFrame, context: TaskContext) -> Sequence[Any]:
    """Run the passes over a micro-batch."""
    summary = from_arrow_schema(rows.SUMMARY)
    if context.tasks == 1:
        return source.mapInArrow(one_pass.mapped(context), summary).collect()
    parcels = from_arrow_schema(PARCELS)
    return (
        source.mapInArrow(validate_pass.mapped(context), parcels)
        .repartitionById(context.tasks, "to")
        .mapInArrow(user_pass.mapped(context), parcels)
        .repartitionById(context.tasks, "to")
        .mapInArrow(merchant_pass.mapped(context), summary)
        .collect()
    )


def _cause(text: str) -> str:
    """Find the line that names an error of ours in Spark's report."""
    ours = [line.strip() for line in text.splitlines() if line.strip().startswith("fraud.errors.")]
    return ours[-1] if ours else text.splitlines()[0]


if __name__ == "__main__":
    main()
