"""Which of several labels of a transaction counts: the last one that arrived.

The fold sees labels as they arrive, so a later one takes the place of an earlier one whatever either says of
its own time. Training, reports, rules and the console follow the same rule, here:

- in the platform's own tables arrival is the log's order (``fraud.log.arrival.COLUMNS``);
- in any other table a label arrives at ``received_at``, else at ``arrival_time``, else at ``label_time``;
- labels that arrive at the same time count in the table's order.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts.future import ARRIVALS
from fraud.log.arrival import COLUMNS

_TIME = pa.timestamp("us", tz="UTC")


def order_labels(labels: pa.Table) -> NDArray[np.int64]:
    """Order labels by arrival; of several of a transaction the last counts.

    Parameters
    ----------
    labels
        A column ``label_time``, and those that tell the arrival, where there are any.

    Returns
    -------
    ndarray
        [rows] positions, first arrival first.

    Examples
    --------
    >>> order_labels(pa.table({"label_time": pa.array([5, 3, 5], pa.timestamp("us"))})).tolist()
    [1, 0, 2]
    """
    if set(COLUMNS) <= set(labels.column_names):
        keys = [_whole_numbers(labels[name]) for name in COLUMNS]
    else:
        name = next((name for name in ARRIVALS if name in labels.column_names), "label_time")
        keys = [_whole_numbers(pc.coalesce(labels[name], labels["label_time"]))]
    return np.lexsort(keys[::-1])


def in_order_of_arrival(labels: pa.Table) -> pa.Table:
    """Sort labels by arrival; of several of a transaction the last counts."""
    return labels.take(pa.array(order_labels(labels)))


def columns_for_order(names: list[str] | tuple[str, ...]) -> list[str]:
    """Choose, of a table's columns, those that tell the order of its labels."""
    return [name for name in ("label_time", *COLUMNS, *ARRIVALS[1:]) if name in names]


def _whole_numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(_TIME, safe=False)
    return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)
