"""Micro-batches by Spark Structured Streaming: in one task, in several, or over what a task reads itself."""

import json
from collections.abc import Sequence
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.log import rows
from fraud.schema.schema import Schema
from fraud.spark.session import KAFKA_SOURCE, open_session
from fraud.store import FeatureStore
from jobs.stream.java_client import java_options
from jobs.stream.offsets import Range
from jobs.stream.progress import topics_of
from jobs.stream.query import Process, QueryState
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks import entity_pass, one_pass, validate_pass
from jobs.stream.tasks.arrow_rows import ARROW_ROWS
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.warm_up import warm_up


class SparkQuery:
    """A streaming query of Spark (:class:`jobs.stream.query.Query`)."""

    def __init__(self, query: Any) -> None:
        self._query = query

    def wait(self, seconds: float) -> bool:
        """See :class:`~jobs.stream.query.Query`."""
        return bool(self._query.awaitTermination(seconds))

    def stop(self) -> None:
        """See :class:`~jobs.stream.query.Query`."""
        self._query.stop()

    def state(self) -> QueryState:
        """See :class:`~jobs.stream.query.Query`."""
        try:
            message = self._query.status["message"] if self._query.isActive else ""
        except Py4JError:  # Spark's JVM is ended_threads
            return QueryState.ENDED
        if not message:
            return QueryState.ENDED
        if "nitializing" in message:
            return QueryState.STARTING
        return QueryState.WAITING if message.startswith("Waiting for") else QueryState.RUNNING

    def lag(self) -> int | None:
        """See :class:`~jobs.stream.query.Query`."""
        progress = self._query.lastProgress
        if progress is None:
            return None
        behind = 0
        for source in json.loads(progress.json)["sources"]:
            end, latest = source["endOffset"] or {}, source["latestOffset"] or {}
            for topic, partitions in latest.items():
                behind += sum(offset - end.get(topic, {}).get(part, 0) for part, offset in partitions.items())
        return behind


class SparkEngine:
    """Spark, on this machine or a cluster's (:class:`jobs.stream.query.Engine`).

    Parameters
    ----------
    settings
        Of the job.
    schema
        Of the records.
    is_traced
        Whether the headers of the records are read.
    """

    failures: tuple[type[Exception], ...] = (PySparkException, Py4JError)

    def __init__(self, settings: StreamSettings, schema: Schema, *, is_traced: bool = False) -> None:
        self._settings, self._schema, self._is_traced = settings, schema, is_traced
        self._spark = open_spark(settings)

    def warm_up(self) -> None:
        """See :class:`~jobs.stream.query.Engine`."""
        warm_up(self._spark, self._settings.partitions, self._schema)

    def share(self, store: FeatureStore) -> None:
        """See :class:`~jobs.stream.query.Engine`; Spark's workers open a store of their own."""

    def start(self, process: Process, starting_offsets: str) -> SparkQuery:
        """See :class:`~jobs.stream.query.Engine`."""
        settings = self._settings
        security = {f"kafka.{key}": value for key, value in java_options(settings.kafka_options).items()}
        source = (
            self._spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", settings.kafka_bootstrap)
            .option("subscribe", ",".join(topics_of(self._schema)))
            .option("startingOffsets", starting_offsets)
            .option("maxOffsetsPerTrigger", settings.most_records)
            .option("includeHeaders", self._is_traced)
            .options(**KAFKA_SOURCE)
            .options(**security)
            .load()
        )
        writer = source.writeStream.queryName("fraud-stream").foreachBatch(process)
        if settings.trigger_s:
            writer = writer.trigger(processingTime=f"{int(settings.trigger_s * 1000)} milliseconds")
        return SparkQuery(writer.option("checkpointLocation", str(settings.checkpoint_path)).start())

    def run(self, records: DataFrame, context: TaskContext) -> list[str]:
        """See :class:`~jobs.stream.query.Engine`; the records are those of Spark's source."""
        selected = validate_pass.SELECTED_TRACED if context.is_traced else validate_pass.SELECTED
        source = records.selectExpr(*selected).coalesce(context.tasks)
        summary = from_arrow_schema(rows.SUMMARY)
        if context.tasks == 1:
            return _summaries(source.mapInArrow(one_pass.mapped(context), summary))
        arrow_rows = from_arrow_schema(ARROW_ROWS)
        passed = source.mapInArrow(validate_pass.mapped(context), arrow_rows)
        for at in range(len(context.passes)):
            schema = arrow_rows if at + 1 < len(context.passes) else summary
            by_key = passed.repartitionById(context.tasks, "to")
            passed = by_key.mapInArrow(entity_pass.mapped(context, at), schema)
        return _summaries(passed)

    def run_bounded(self, context: TaskContext, ranges: Sequence[Range]) -> list[str]:
        """See :class:`~jobs.stream.query.Engine`."""
        passes = one_pass.mapped_bounded(context, context.kafka, ranges)
        frame = self._spark.range(0, 1, 1, 1)
        return _summaries(frame.mapInArrow(passes, from_arrow_schema(rows.SUMMARY)))


def open_spark(settings: StreamSettings) -> SparkSession:
    """Open the job's Spark session, or give the one that is open."""
    return open_session(
        "fraud-stream",
        f"local[{settings.partitions},4]",
        settings.partitions,
        delta=False,
        spark_port=settings.spark_port,
    )


def _summaries(frame: DataFrame) -> list[str]:
    return [row.summary for row in frame.collect()]
