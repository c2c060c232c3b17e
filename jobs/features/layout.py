"""Columns of a build's result, and of what travels between its passes."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.errors import BadInput
from fraud.features import FEATURE_NAMES, FEATURES_VERSION, kernel
from fraud.features.events import events_of_labels, events_of_transactions
from fraud.schema.arrow import TIME

_IDS: Final = [
    pa.field("transaction_id", pa.string()),
    pa.field("user_id", pa.string()),
    pa.field("merchant_id", pa.string()),
    pa.field("event_time", TIME),
]
RESULT: Final = pa.schema(
    [
        *_IDS,
        pa.field("features_version", pa.string()),
        *(pa.field(name, pa.float64()) for name in FEATURE_NAMES),
        pa.field("arrival_time", TIME),
        pa.field("arrival_sequence", pa.int64()),
    ]
)
"""One row a transaction (duplicates left out). ``arrival_sequence`` is its place, from 0, in the one log
of all transactions and labels; rows of a file stand in that order. NaN is a missing value."""
ARRIVED: Final = pa.schema(
    [
        *_IDS,
        pa.field("arrival_us", pa.int64()),
        pa.field("user_key", pa.int64()),
        pa.field("merchant_key", pa.int64()),
        pa.field("event", pa.binary()),  # the kernel's row, float64
    ]
)
NUMBERED: Final = ARRIVED.append(pa.field("sequence", pa.int64()))
PASSED: Final = NUMBERED.append(pa.field("user_vector", pa.binary()))
"""What the user pass hands to the merchant pass."""


def events_of(what: str, table: pa.Table, arrival: str) -> kernel.Floats:
    """Make the kernel's rows of a table of transactions or labels.

    Raises
    ------
    BadInput
        When a required column has missing values, or a value is outside the contract; names it.
    """
    if table.column(arrival).null_count:
        raise BadInput(
            f"column {arrival} of the {what} has {table.column(arrival).null_count} missing values"
        )
    return events_of_transactions(table) if what == "transactions" else events_of_labels(table)


def result_columns(table: pa.Table, vectors: kernel.Floats) -> pa.Table:
    """Lay vectors out beside their transactions (columns of ``NUMBERED``)."""
    times = table.column("arrival_us").cast(pa.timestamp("us")).cast(TIME)
    columns = [
        *(table.column(field.name).cast(field.type) for field in _IDS),
        pa.repeat(pa.scalar(FEATURES_VERSION), len(vectors)),
        *(pa.array(np.ascontiguousarray(vectors[:, i])) for i in range(len(FEATURE_NAMES))),
        times,
        table.column("sequence"),
    ]
    return pa.table(columns, schema=RESULT)


def pack(floats: kernel.Floats) -> pa.Array:
    """Make one binary value a row of a float64 matrix."""
    n, width = floats.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width * 8)
    data = pa.py_buffer(np.ascontiguousarray(floats))
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), data])


def unpack(column: pa.Array, width: int) -> NDArray[np.float64]:
    """Read a column of binary rows back as a float64 matrix."""
    return np.frombuffer(b"".join(column.to_pylist()), np.float64).reshape(-1, width)
