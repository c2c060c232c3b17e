"""Makes the Python workers ready before the first micro-batch: libraries loaded, the fold compiled."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.features.batch import fold_passes
from fraud.features.passes import PASSES
from fraud.log import rows
from jobs.stream.tasks import entity_pass
from jobs.stream.tasks.context import settle


def warm_up(spark: SparkSession, partitions: int) -> None:
    """Run one task a core that folds one event; Spark keeps the workers for the micro-batches."""
    frame = spark.range(0, partitions, 1, partitions)  # one row each
    frame.mapInArrow(_fold_one, from_arrow_schema(rows.SUMMARY)).collect()


def _fold_one(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        fold_passes(np.ones((1, PASSES[0].events.width)))
    settle()
    loaded: Any = entity_pass.__name__  # importing it has loaded what a pass needs
    yield pa.RecordBatch.from_pylist([{"summary": loaded}], rows.SUMMARY)
