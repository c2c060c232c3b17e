"""Makes the Python workers ready before the first micro-batch: libraries loaded, the fold compiled."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.features.batch import fold_passes
from fraud.features.passes import passes_of_schema
from fraud.log import rows
from fraud.schema.schema import Schema
from jobs.stream.tasks import entity_pass
from jobs.stream.tasks.context import settle


def warm_up(spark: SparkSession, partitions: int, schema: Schema) -> None:
    """Run one task a core that folds one event; Spark keeps the workers for the micro-batches.

    Parameters
    ----------
    spark
        The driver's session.
    partitions
        Tasks at a time.
    schema
        Whose passes are folded.
    """
    frame = spark.range(0, partitions, 1, partitions)  # one row each
    frame.mapInArrow(partial(_fold_one, schema), from_arrow_schema(rows.SUMMARY)).collect()


def fold_one(schema: Schema) -> None:
    """Fold one event in this process, and collect garbage as a process does that runs the passes."""
    passes = passes_of_schema(schema)
    fold_passes(np.ones((1, passes[0].events.width)), passes=passes)
    settle()


def _fold_one(schema: Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        fold_one(schema)
    loaded: Any = entity_pass.__name__  # importing it has loaded what a pass needs
    yield pa.RecordBatch.from_pylist([{"summary": loaded}], rows.SUMMARY)
