"""How Spark runs the passes of a micro-batch: in one task, in several, or over what a task reads itself."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.log import rows
from jobs.stream.offsets import Range
from jobs.stream.tasks import entity_pass, one_pass, validate_pass
from jobs.stream.tasks.arrow_rows import ARROW_ROWS
from jobs.stream.tasks.context import TaskContext


def run_passes(frame: DataFrame, context: TaskContext) -> Sequence[Any]:
    """Run the passes over a micro-batch of Spark's source; returns the tasks' summaries."""
    selected = validate_pass.SELECTED_TRACED if context.is_traced else validate_pass.SELECTED
    source = frame.selectExpr(*selected).coalesce(context.tasks)
    summary = from_arrow_schema(rows.SUMMARY)
    if context.tasks == 1:
        return source.mapInArrow(one_pass.mapped(context), summary).collect()
    arrow_rows = from_arrow_schema(ARROW_ROWS)
    passed = source.mapInArrow(validate_pass.mapped(context), arrow_rows)
    for at in range(len(context.passes)):
        schema = arrow_rows if at + 1 < len(context.passes) else summary
        by_key = passed.repartitionById(context.tasks, "to")
        passed = by_key.mapInArrow(entity_pass.mapped(context, at), schema)
    return passed.collect()


def run_bounded(
    spark: SparkSession, context: TaskContext, kafka: tuple[tuple[str, str], ...], ranges: Sequence[Range]
) -> Sequence[Any]:
    """Run the passes in one task that reads the records itself (``jobs.stream.tasks.bounded_read``)."""
    passes = one_pass.mapped_bounded(context, kafka, ranges)
    return spark.range(0, 1, 1, 1).mapInArrow(passes, from_arrow_schema(rows.SUMMARY)).collect()
