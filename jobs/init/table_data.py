"""A table under our names, in the order of its times, as the data report looks at it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts.priced import base_amounts
from fraud.schema.schema import Schema

DAY_US: Final = 86_400_000_000
NEVER: Final = -(2**62)
"""A time before all others, microseconds."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Row = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """A table under our names, in order of time.

    Parameters
    ----------
    table
        Transactions with ``is_fraud`` and ``label_time`` where there are such.
    schema
        Whose columns they are.
    """

    table: pa.Table
    schema: Schema

    @cached_property
    def times(self) -> Ints:
        """Times of the transactions, microseconds, [rows]."""
        return np.asarray(self.table["event_time"].cast(pa.int64()).to_numpy(), np.int64)

    @cached_property
    def days(self) -> Ints:
        """Whole days since the first midnight, [rows]."""
        return np.asarray(self.times // DAY_US - self.times.min() // DAY_US, np.int64)

    @cached_property
    def amount(self) -> NDArray[np.float64]:
        """Amounts, of a schema with money in units of its base currency, [rows]."""
        return base_amounts(self.table, self.schema)

    @cached_property
    def is_labelled(self) -> Bools:
        """Whether the label is known, [rows]."""
        if "is_fraud" not in self.table.column_names:
            return np.zeros(self.table.num_rows, np.bool_)
        return np.asarray(self.table["is_fraud"].is_valid().to_numpy(), np.bool_)

    @cached_property
    def is_fraud(self) -> Bools:
        """Whether it is labelled fraud, [rows]."""
        if "is_fraud" not in self.table.column_names:
            return np.zeros(self.table.num_rows, np.bool_)
        return np.asarray(pc.fill_null(self.table["is_fraud"], False).to_numpy(), np.bool_)

    @cached_property
    def rate(self) -> float:
        """Share of fraud among the labelled rows."""
        return float(self.is_fraud.sum() / max(1, self.is_labelled.sum()))

    def codes(self, name: str) -> Ints:
        """Give each value of a column a number; -1: missing, [rows]."""
        column = self.table[name].combine_chunks().dictionary_encode()
        return np.asarray(column.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def in_order(table: pa.Table, schema: Schema) -> Data:
    """Put a table into the order of its times."""
    order = pc.sort_indices(table, [("event_time", "ascending")])
    return Data(table.take(order), schema)
