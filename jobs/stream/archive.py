"""The archive: carries finished micro-batches from the spool into the Delta tables, each exactly once.

Reads spool folders of committed micro-batches; appends to the tables ``transactions``, ``features``,
``decisions``, ``labels`` and ``dead_letters``. What one commit takes is written down (``plan.json``)
before it starts, and every table's commit carries the plan's number as Delta's transaction version:
after a crash the same plan runs again and Delta skips the tables that have it.
"""

import json
import logging
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.features import FEATURE_NAMES
from jobs.stream import rows

log = logging.getLogger(__name__)

_ORIGIN: Final = ("received_at", "generation", "epoch", "source_partition", "source_offset")
_IDS: Final = ("transaction_id", "user_id", "merchant_id", "event_time")
TABLES: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "transactions": (rows.TRANSACTION, (*(field.name for field in rows.TRANSACTION_FIELDS), *_ORIGIN)),
    "features": (rows.TRANSACTION, (*_IDS, "features_version", *FEATURE_NAMES, *_ORIGIN)),
    "decisions": (
        rows.TRANSACTION,
        (
            *_IDS,
            "amount",
            *(field.name for field in rows.DECISION_FIELDS),
            "features_version",
            "processed_at",
            *_ORIGIN,
        ),
    ),
    "labels": (rows.LABEL, (*_IDS, *(field.name for field in rows.LABEL_FIELDS), *_ORIGIN)),
    "dead_letters": (
        rows.DEAD_LETTER,
        ("topic", *(field.name for field in rows.DEAD_LETTER_FIELDS), "processed_at", *_ORIGIN),
    ),
}
"""Table: which rows of the spool it takes, and which columns. (generation, epoch, received_at, topic
with labels first, source_partition, source_offset) is the arrival order."""


class Plan(BaseModel):
    """What one round of commits takes."""

    writer: str
    """Identity of the spool; Delta counts ``number`` per writer."""
    number: int
    folders: list[str]
    is_done: bool


class Archive:
    """Moves committed micro-batches from ``spool`` to Delta tables under ``delta``.

    Parameters
    ----------
    spool
        Folder of the micro-batches' results.
    checkpoint
        Spark's checkpoint, whose ``commits`` say which micro-batches are finished.
    delta
        Path or URI under which the tables lie.
    """

    def __init__(self, spark: SparkSession, spool: Path, checkpoint: Path, delta: str) -> None:
        self._spark = spark
        self._spool = spool
        self._commits = checkpoint / "commits"
        self._delta = delta.rstrip("/")
        self._plan_file = spool / "plan.json"
        self._schema = from_arrow_schema(rows.SPOOLED)
        spool.mkdir(parents=True, exist_ok=True)

    def run(self, generation: int) -> int:
        """Archive what is finished; returns how many micro-batches that was.

        Parameters
        ----------
        generation
            Of the running query; folders of older generations are finished.
        """
        plan = self._read_plan()
        if plan.is_done:
            folders = self._finished(generation)
            if not folders:
                return 0
            plan = Plan(writer=plan.writer, number=plan.number + 1, folders=folders, is_done=False)
            self._write_plan(plan)
        self._commit(plan)
        for folder in plan.folders:
            shutil.rmtree(self._spool / folder, ignore_errors=True)
        self._write_plan(plan.model_copy(update={"is_done": True}))
        return len(plan.folders)

    def _finished(self, generation: int) -> list[str]:
        committed = max((int(file.name) for file in self._commits.glob("[0-9]*")), default=-1)
        folders = sorted(folder.name for folder in self._spool.glob("[0-9]*-[0-9]*"))
        finished = []
        for name in folders:
            of, batch = (int(part) for part in name.split("-"))
            if of < generation or (of == generation and batch <= committed):
                finished.append(name)
        return finished

    def _commit(self, plan: Plan) -> None:
        paths = [str(self._spool / name) for name in plan.folders if any((self._spool / name).glob("*.parquet"))]
        if not paths:
            return
        found = self._spark.read.schema(self._schema).parquet(*paths)
        for table, (kind, columns) in TABLES.items():
            taken = found.filter(f"kind = {kind}")
            if table == "decisions":  # history from before go-live was decided elsewhere
                taken = taken.filter("outcome is not null")
            self._append(table, taken.select(*columns), plan)

    def _append(self, table: str, frame: DataFrame, plan: Plan) -> None:
        (
            frame.coalesce(1)
            .write.format("delta")
            .mode("append")
            .option("txnAppId", plan.writer)
            .option("txnVersion", plan.number)
            .save(f"{self._delta}/{table}")
        )

    def _read_plan(self) -> Plan:
        if not self._plan_file.exists():
            return Plan(writer=f"stream-{uuid.uuid4()}", number=0, folders=[], is_done=True)
        return Plan.model_validate_json(self._plan_file.read_bytes())

    def _write_plan(self, plan: Plan) -> None:
        partial = self._plan_file.with_suffix(".partial")
        partial.write_text(plan.model_dump_json())
        partial.replace(self._plan_file)


def read_summaries(collected: Sequence[Any]) -> list[dict[str, Any]]:
    """Read what the tasks of a micro-batch told the driver."""
    return [json.loads(row.summary) for row in collected]
