"""Columns of tables as numbers; what cannot be one is refused, with the column's name and the row."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraud.errors import BadInput
from fraud.features.kernel import Floats


def check_columns(table: pa.Table, names: Iterable[str], what: str) -> None:
    """Refuse a table that lacks a column, or values of one.

    Raises
    ------
    BadInput
        Naming the column.
    """
    for name in names:
        if name not in table.column_names:
            raise BadInput(f"the {what} have no column {name}; present: {', '.join(table.column_names)}")
        if table.column(name).null_count:
            raise BadInput(f"column {name} of the {what} has {table.column(name).null_count} missing values")


def microseconds_of(table: pa.Table, name: str) -> Floats:
    """Read a time column as microseconds since 1970 (times without zone are taken as UTC)."""
    return np.asarray(_micros(table.column(name), name).to_numpy(), np.float64)


def moments_of(table: pa.Table, name: str) -> Floats:
    """Read a time column that may have missing values, as NaN; the others as microseconds since 1970."""
    return np.asarray(_micros(table.column(name), name).cast(pa.float64()).to_numpy(), np.float64)


def _micros(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(column.type):
        raise BadInput(f"column {name} must hold timestamps, not {column.type}")
    return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())


def numbers_of(table: pa.Table, name: str) -> Floats:
    """Read a column of numbers; NaN where one is missing."""
    column = table.column(name)
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    except pa.ArrowInvalid as error:
        raise BadInput(f"column {name} must hold numbers: {error}") from error


def refuse(is_wrong: NDArray[np.bool_], name: str, what: str) -> None:
    """Refuse a column some of whose values are wrong.

    Raises
    ------
    BadInput
        With how many values are, and the first one's row.
    """
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise BadInput(f"column {name}: {int(is_wrong.sum()):,} values are {what}, the first in row {row:,}")
