"""Feature age: how old the newest thing known of an entity was when a transaction was served.

It is the served feature "seconds since the last transaction" of the transaction's user and of its
merchant; an entity never seen before (or not since its events were forgotten) has no age.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.runtime.telemetry import AGE_BUCKETS_S
from fraud.schema.features import ENTITIES, Feature
from jobs.stream.counted import CountedHistogram, count

_FEATURES: Final = {entity.name: Feature("since_last", entity).name for entity in ENTITIES}


def count_ages(table: pa.Table, is_transaction: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    """Count a task's ages.

    Parameters
    ----------
    table
        Rows of ``rows.SPOOLED``.
    is_transaction
        Which of them carry vectors.

    Returns
    -------
    dict
        By entity kind, see :func:`jobs.stream.counted.count`.
    """
    found = {}
    for kind, name in _FEATURES.items():
        ages = table.column(name).to_numpy()[is_transaction]
        found[kind] = count(ages[~np.isnan(ages)], AGE_BUCKETS_S)
    return found


def age_histogram() -> CountedHistogram:
    """Make the histogram ``fraud_stream_feature_age_seconds``, one an entity kind."""
    text = "Age of the newest known event of a transaction's entity, by event time."
    return CountedHistogram(
        "fraud_stream_feature_age_seconds", text, AGE_BUCKETS_S, "entity", tuple(_FEATURES)
    )
