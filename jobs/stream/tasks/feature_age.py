"""Feature age: how old the newest thing known of an entity was when a transaction was served.

It is the served feature "seconds since the last transaction" of each entity of the transaction; an entity
never seen before (or not since its events were forgotten) has no age.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.features.passes import Passes, age_columns, feature_names
from fraud.runtime.telemetry import AGE_BUCKETS_S
from jobs.stream.tasks.histograms import SummedHistogram, count


def count_ages(
    table: pa.Table, is_transaction: NDArray[np.bool_], passes: Passes
) -> dict[str, dict[str, Any]]:
    """Count a task's ages.

    Parameters
    ----------
    table
        Rows of ``Rows.spooled_schema``.
    is_transaction
        Which of them carry vectors.
    passes
        That have made the vectors.

    Returns
    -------
    dict
        By entity, see :func:`jobs.stream.tasks.histograms.count`.
    """
    found, names = {}, feature_names(passes)
    for entity, column in age_columns(passes).items():
        ages = table.column(names[column]).to_numpy()[is_transaction]
        found[entity] = count(ages[~np.isnan(ages)], AGE_BUCKETS_S)
    return found


def age_histogram(passes: Passes = ()) -> SummedHistogram:
    """Make the histogram ``fraud_stream_feature_age_seconds``, one an entity of the passes."""
    text = "Age of the newest known event of a transaction's entity, by event time."
    return SummedHistogram(
        "fraud_stream_feature_age_seconds", text, AGE_BUCKETS_S, "entity", tuple(age_columns(passes))
    )
