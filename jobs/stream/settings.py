"""Settings of the streaming job, read once at its start."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.settings.stream import GuardSettings, KafkaSettings, LogSettings

RECORDS_OF_A_TASK: Final = 10_000
"""In a full micro-batch; more make it no quicker, only later."""
HANDED_ON: Final = 5_000
"""Records that one task does in the time that handing on between tasks takes: with two tasks, a micro-batch
of 10,000 was as quick either way."""


class EngineName(StrEnum):
    """What runs the micro-batches (``jobs.stream.engine``)."""

    SPARK = "spark"
    DIRECT = "direct"


class StreamSettings(LogSettings, KafkaSettings, GuardSettings):
    """Environment variables ``FRAUD_STREAM_...``."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_STREAM_", frozen=True, extra="forbid")

    engine: EngineName = EngineName.SPARK
    """``spark``: Spark Structured Streaming, on one machine or many. ``direct``: this process alone, on one
    core, which takes a fraction of the time for a small micro-batch. Either continues from the other's
    checkpoint."""
    predictor_url: str = "http://127.0.0.1:8080"
    """Base address of the model server (KServe v2)."""
    predictor_deadline_s: float = Field(default=5.0, gt=0.0)
    """How long a micro-batch waits for scores, retries included, before the fallback decides; seconds."""
    predictor_wait_s: float = Field(default=15.0, ge=0.0)
    """How long a start waits for the model server to be ready, seconds; after that the fallback decides."""
    experiment_file: Path | None = None
    """Experiment between two models, see ``fraud.decide.experiment``; none by default. It and its stop record
    are checked for changes before each micro-batch."""
    rules_file: Path | None = None
    """Rules around the model, see ``fraud.decide.compiling``; none by default. Checked for changes before
    each micro-batch. Give the scoring service the same file."""
    rules_published: bool = False
    """Whether the stream writes ``rules_file`` itself, from the rules published on the topic ``audit``."""
    partitions: int = Field(default=2, ge=1)
    """Tasks of each pass of a micro-batch at most; about the number of cores, which they all use then."""
    trigger_s: float = Field(default=0.0, ge=0.0)
    """Least time between the starts of two micro-batches, seconds; 0: at once."""
    max_records_per_batch: int | None = Field(default=None, ge=1, le=60_000)
    """Records that one micro-batch takes from Kafka at most; each counts 32,768 bytes at most, as larger
    ones are set aside (``jobs.stream.tasks.large_records``). None: 10,000 for each of ``partitions``, but at
    least 20,000 and at most 60,000."""
    one_task_records: int | None = Field(default=None, ge=0)
    """Records up to which one task does all of a micro-batch, which is faster; 0: always all tasks.
    None: as many as all tasks do in the same time, 10,000 with two, 5,000 with many (DECISIONS.md, 41)."""
    archive_s: float = Field(default=5.0, gt=0.0)
    """Time between two commits to the Delta tables, seconds."""
    spool_limit_mb: int = Field(default=4_096, ge=1)
    """Results that may wait for the Delta tables, MiB; at the bound no micro-batch begins and ``/ready`` is
    503: transactions wait in Kafka until the tables can be written again."""
    catch_up: bool = True
    """Whether an older copy of the feature store catches up from the log at the start, if it is
    shown to be this stream's; otherwise it is refused, and a person rebuilds it (docs/operations.md)."""
    start_after: Path | None = None
    """A new process that has loaded waits until this file exists: the process before it has ended then.
    None: no wait. `fraud restart` sets it."""
    start_unchecked: bool = False
    """Whether store and model are exchanged while it waits for ``start_after``, so that they are checked at
    its turn alone. `fraud roll` sets it."""
    expire_s: float = Field(default=3600.0, gt=0.0)
    """How often entities without a transaction for 212 days of event time are deleted, seconds."""
    host: str = "127.0.0.1"
    """Address on which metrics are served."""
    metrics_port: int = Field(default=9404, ge=0, le=65535)
    """Port of ``/metrics`` and ``/ready``."""
    spark_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of Spark's own page and metrics (``/metrics/prometheus/``, ``/metrics/executors/prometheus/``);
    none by default, as the page costs memory. A client of it sees the query, not the data."""

    @property
    def most_records(self) -> int:
        """Records of a micro-batch at most."""
        if self.max_records_per_batch is not None:
            return self.max_records_per_batch
        return min(max(RECORDS_OF_A_TASK * self.partitions, 20_000), 60_000)

    def tasks_for(self, records: int | None) -> int:
        """Tasks of each pass of a micro-batch of so many records; None: it is unknown how many.

        Examples
        --------
        >>> settings = StreamSettings(partitions=16)
        >>> settings.tasks_for(5_000), settings.tasks_for(6_000), settings.most_records
        (1, 16, 60000)
        """
        if self.engine is EngineName.DIRECT:
            return 1
        if records is None or self.partitions == 1:
            return self.partitions
        alone = self.one_task_records
        if alone is None:  # one task takes n, all take HANDED_ON + n / partitions
            alone = HANDED_ON * self.partitions // (self.partitions - 1)
        return 1 if records <= alone else self.partitions
