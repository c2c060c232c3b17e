"""The rows that travel through a micro-batch, from pass to pass and to the spool, as Arrow schemas.

One row a Kafka record; ``row_kind`` says what became of it. Every record ends in exactly one kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts.columns import columns_of
from fraud.contracts.decision import DecisionPart
from fraud.contracts.label import LabelPart
from fraud.contracts.priced import amount_column
from fraud.features import kernel
from fraud.features.kernel import Floats
from fraud.features.layout import layout_of
from fraud.features.passes import Passes, feature_names, sequence_names, sides_beside_primary
from fraud.schema import profiles
from fraud.schema.arrow import TIME, transaction_columns
from fraud.schema.schema import Schema

TRANSACTION: Final = 0
LABEL: Final = 1
DEAD_LETTER: Final = 2
SCORED: Final = 3
"""A transaction that the scoring service has counted and decided; archived as a transaction."""
RECOUNTED: Final = 4
"""The same, but counted in a store that was lost: counted here, decided there."""
RESULT: Final = 5
PROFILE: Final = 6
NOTICES: Final = (LABEL, RESULT, PROFILE)
"""What speaks of an earlier transaction, or of an entity."""

ORIGIN: Final = [
    pa.field("row_kind", pa.int8()),
    pa.field("topic", pa.string()),
    pa.field("source_partition", pa.int32()),
    pa.field("source_offset", pa.int64()),
    pa.field("received_at", TIME),
]
"""Where a record came from; ``received_at`` is the broker's append time, never falling within a partition."""
LABEL_FIELDS: Final = columns_of(LabelPart)
_RESULT_FIELDS: Final = [pa.field("result_time", TIME), pa.field("result", pa.string())]
_PROFILE_FIELDS: Final = [
    pa.field(profiles.ENTITY, pa.string()),
    pa.field(profiles.TIME, TIME),
    pa.field(profiles.PROFILE, pa.string()),
]
DEAD_LETTER_FIELDS: Final = [
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("key", pa.string()),
    pa.field("raw", pa.binary()),
]
DEAD_LETTER_NAMES: Final = tuple(field.name for field in DEAD_LETTER_FIELDS)
TRACE: Final = pa.field("traceparent", pa.string())
"""The trace that a record's Kafka header names; null where there is none, or traces are off."""
DECISION_FIELDS: Final = columns_of(DecisionPart)
STAMP: Final = [
    pa.field("processed_at", TIME),
    pa.field("generation", pa.int64()),
    pa.field("epoch", pa.int64()),
    pa.field("features_version", pa.string()),
]
SUMMARY: Final = pa.schema([pa.field("summary", pa.string())])
"""What a task of the last pass tells the driver: one JSON document."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one schema's records; made by :func:`rows_of`, once a schema.

    Parameters
    ----------
    schema
        Of the records.
    """

    schema: Schema

    @cached_property
    def transaction_fields(self) -> list[pa.Field]:
        """Of a transaction."""
        return transaction_columns(self.schema)

    @cached_property
    def result_fields(self) -> list[pa.Field]:
        """Beside those that labels have too; none where the schema takes no results."""
        return _RESULT_FIELDS if self.schema.results else []

    @cached_property
    def profile_fields(self) -> list[pa.Field]:
        """Beside the keys and the source; none where no entity has a profile."""
        return _PROFILE_FIELDS if self.schema.profiles else []

    @cached_property
    def record_fields(self) -> list[pa.Field]:
        """Of records of all kinds; each has values in those of its kind."""
        return [
            *self.transaction_fields,
            *LABEL_FIELDS,
            *self.result_fields,
            *self.profile_fields,
            *DEAD_LETTER_FIELDS,
        ]

    @cached_property
    def _event(self) -> pa.Field:
        """The kernel's row, float64."""
        return pa.field("event", pa.binary(8 * layout_of(self.schema).width))

    @cached_property
    def validated(self) -> pa.Schema:
        """What the validating pass hands to the primary pass."""
        return pa.schema(
            [
                *ORIGIN,
                *self.record_fields,
                self._event,
                pa.field("record_key", pa.binary()),
                pa.field("record", pa.binary()),  # the Kafka value
                TRACE,
            ]
        )

    @cached_property
    def handed(self) -> list[pa.Field]:
        """What every pass hands to the next one; ``scored`` is the record of the scoring service, whole."""
        return [*ORIGIN, *self.record_fields, self._event, pa.field("scored", pa.binary()), TRACE]

    @cached_property
    def handed_names(self) -> tuple[str, ...]:
        """Names of ``handed``."""
        return _names(self.handed)

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """Columns of the table ``decisions`` by which reports judge what was decided."""
        return (
            *("transaction_id", self.schema.primary_key.name, "event_time"),
            amount_column(self.schema),
            *("outcome", "score"),
        )

    @cached_property
    def transaction_names(self) -> tuple[str, ...]:
        """What is read of a transaction."""
        return _names(self.transaction_fields)

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """What is read of a label."""
        return ("transaction_id", "event_time", *self.schema.key_names, *_names(LABEL_FIELDS))

    @cached_property
    def refund_names(self) -> tuple[str, ...]:
        """Of results, in the columns that transactions have too; none where refunds have no amounts."""
        return ("amount", "currency") if self.schema.takes_refunds else ()

    @cached_property
    def result_names(self) -> tuple[str, ...]:
        """What is read of a result."""
        keys = self.schema.key_names
        return (
            "transaction_id",
            "event_time",
            *keys,
            *(name for name in self.refund_names if name not in keys),
            "source",
            "reason_code",
            *_names(self.result_fields),
        )

    @cached_property
    def profile_names(self) -> tuple[str, ...]:
        """What is read of a profile."""
        return (*self.schema.key_names, "source", *_names(self.profile_fields))

    def passed_schema(self, passes: Passes, at: int) -> pa.Schema:
        """Lay out what a pass hands on: the vectors as far as they are known, and the sequences.

        Parameters
        ----------
        passes
            The primary first.
        at
            Number of the pass.
        """
        vector = pa.field("vector", pa.binary(8 * passes[at].end))  # float64
        sequences = (pa.field(name, pa.int64()) for name in sequence_names(passes[: at + 1]))
        return pa.schema([*self.handed, vector, *sequences])

    def spooled_schema(self, passes: Passes) -> pa.Schema:
        """Lay out what the last pass leaves in the spool; the archive takes the tables' columns from it."""
        return pa.schema(
            [
                *ORIGIN,
                *self.record_fields,
                *DECISION_FIELDS,
                *STAMP,
                *(pa.field(name, pa.int64()) for name in sequence_names(passes)),
                *(pa.field(side.hash_name, pa.int64()) for side in sides_beside_primary(passes)),
                *(pa.field(name, pa.float64()) for name in feature_names(passes)),
            ]
        )

    def record_table(self, names: Sequence[str], values: Sequence[Sequence[Any]]) -> pa.Table:
        """Make a table of ``record_fields``; fields that are not named are missing.

        Parameters
        ----------
        names
            Fields that have values.
        values
            One row a record, in the order of ``names``.
        """
        columns = dict(zip(names, zip(*values, strict=True), strict=True)) if values else {}
        return pa.table(
            [
                pa.array(columns[field.name], field.type)
                if field.name in columns
                else pa.nulls(len(values), field.type)
                for field in self.record_fields
            ],
            schema=pa.schema(self.record_fields),
        )


@lru_cache(maxsize=64)
def rows_of(schema: Schema) -> Rows:
    """Lay out the rows of a schema's records."""
    return Rows(schema)


def _names(fields: Sequence[pa.Field]) -> tuple[str, ...]:
    return tuple(field.name for field in fields)


def hash_columns(passes: Passes, events: Floats, is_notice: NDArray[np.bool_]) -> list[pa.Array]:
    """Make the columns of notices that tell whose they are: the hash of each further entity's key.

    One that leaves its transaction's keys out gets them from the primary entity's state, as hashes.

    Parameters
    ----------
    passes
        The primary first.
    events
        [rows, columns], completed by the primary's fold.
    is_notice
        [rows]; the other rows get null.
    """
    found = [side.keys_of(events) for side in sides_beside_primary(passes)]
    return [pa.array(keys.astype(np.int64), mask=~is_notice | (keys == kernel.NO_KEY)) for keys in found]


def completed_times(times: pa.Array | pa.ChunkedArray, events: Floats) -> pa.ChunkedArray:
    """Give notices that leave the time of their transaction out the one that the primary entity knows."""
    known = pa.array(events[:, kernel.E_TIME], from_pandas=True).cast(pa.int64()).cast(TIME)
    return pc.coalesce(times, known)


def binary_column(floats: Floats) -> pa.Array:
    """One binary value a row of a float64 matrix."""
    n, width = floats.shape
    data = pa.py_buffer(np.ascontiguousarray(floats))
    return pa.Array.from_buffers(pa.binary(8 * width), n, [None, data])


def matrix_of(column: pa.ChunkedArray) -> Floats:
    """Read a column of :func:`binary_column` back, [rows, width]."""
    width = column.type.byte_width // 8
    chunks = [
        np.frombuffer(chunk.buffers()[1], np.float64).reshape(-1, width)[
            chunk.offset : chunk.offset + len(chunk)
        ]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate(chunks) if chunks else np.empty((0, width))
