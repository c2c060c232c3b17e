"""Decisions and the labels of their transactions.

Reads the Delta tables ``decisions`` and ``labels``, without Spark. A label counts from its ``label_time``
on, the business's own clock, so that a replayed history gives what it gave live; of several in a window
the last that arrived counts (``fraud.log.labels``), and a transaction without one counts as honest, as in
training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts import Outcome
from fraud.contracts.priced import base_amounts
from fraud.errors import BadInput
from fraud.log.labels import columns_for_order, in_order_of_arrival
from fraud.log.rows import rows_of
from fraud.log.tables import find_table, floats_of, micros_of, open_table
from fraud.schema.arrow import TIME
from fraud.schema.schema import Schema
from fraud.watch.profile import DAY_US

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
NO_MODEL: Final = "none"
"""Version of a decision that the fallback took."""
_LABEL: Final = ("transaction_id", "is_fraud")
_TYPE: Final = "fraud_type"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions in the order of their time, each once, and the labels on them."""

    event_us: Ints
    user: Ints
    """Number of the cardholder, from 0."""
    amount: Floats
    score: Floats
    """Calibrated probability of fraud; NaN where the fallback decided."""
    is_flagged: Bools
    """Not approved."""
    version: NDArray[np.str_]
    """Of the model; ``none`` where the fallback decided."""
    label_row: Ints
    """Decision that a label is on, [labels], in the order in which the labels arrived."""
    label_us: Ints
    label_type: Ints
    """Number of the kind of fraud that a label names, in ``type_names``; -1: honest."""
    type_names: tuple[str, ...]
    """Kinds of fraud in the order of their names; ``unknown`` where labels name none."""
    as_of_us: int
    """The moment of the summary; nothing later is in here."""

    def is_fraud(self, window_days: int) -> Bools:
        """Tell which transactions were known to be fraud so many days after they were made."""
        found: Bools = self.types(window_days) >= 0
        return found

    def types(self, window_days: int) -> Ints:
        """Tell the kind of fraud of each transaction that was known to be one by then; -1: of none."""
        at_us = self.event_us[self.label_row] + window_days * DAY_US
        in_time = self.label_us <= at_us
        found = np.full(len(self.event_us), -1, np.int64)
        found[self.label_row[in_time]] = self.label_type[in_time]  # of several the last one stays
        return found

    def matured_until(self, window_days: int) -> int:
        """Find the time up to which transactions are so many days old."""
        return self.as_of_us - window_days * DAY_US

    def between(self, since_us: int, until_us: int) -> Bools:
        """Choose the transactions of (since, until]."""
        return (self.event_us > since_us) & (self.event_us <= until_us)


def read_decided(
    delta: str,
    options: Mapping[str, str],
    schema: Schema,
    *,
    as_of: datetime | None,
    days: int,
    now: datetime | None = None,
) -> Decided:
    """Read the newest so many days of decisions, and the labels on them.

    Parameters
    ----------
    schema
        Of the transactions.
    as_of
        Moment of the summary; None: the newest event or label, but not later than ``now``, so that a
        label dated into the future makes nothing old enough, nor one given today on traffic of long ago.

    Raises
    ------
    BadInput
        When there is no decision.
    Unavailable
        When the tables cannot be read; try again.
    """
    decisions, labels = open_table(delta, "decisions", options), find_table(delta, "labels", options)
    time = pc.field("event_time")
    moment = as_of or min(_reach(decisions, labels, days), now or datetime.now(UTC))
    inside = (time <= pa.scalar(moment, TIME)) & (time > pa.scalar(moment - timedelta(days=days), TIME))
    found = decisions.rows((*rows_of(schema).judged, "model_version"), inside)
    if not found.num_rows:
        raise BadInput(f"no decision under {delta} in the {days} days before {moment:%Y-%m-%d %H:%M} UTC")
    label_time = pc.field("label_time")
    known = inside & (label_time <= pa.scalar(moment, TIME))
    kept = (*_LABEL, *(name for name in (_TYPE,) if labels and name in labels.columns))
    names = [*kept, *columns_for_order(labels.columns)] if labels else []
    rows = labels.rows(names, known) if labels else _NO_LABELS
    return join(found, rows, schema, as_of_us=int(moment.timestamp() * 1e6))


def join(decisions: pa.Table, labels: pa.Table, schema: Schema, *, as_of_us: int) -> Decided:
    """Join decisions with labels; of a decision that is there twice the first one counts."""
    decisions = decisions.sort_by("event_time").combine_chunks()
    ids = decisions.column("transaction_id").combine_chunks().dictionary_encode()
    _, first = np.unique(ids.indices.to_numpy(), return_index=True)
    kept = decisions.take(pa.array(np.sort(first)))
    labels = in_order_of_arrival(labels)
    decided = kept.column("transaction_id").combine_chunks()
    row = pc.index_in(labels.column("transaction_id"), value_set=decided)
    is_ours = pc.is_valid(row)
    labels = labels.filter(is_ours)
    users = kept.column(schema.primary_key.name).combine_chunks().dictionary_encode()
    outcome, version = (kept.column(name).to_pylist() for name in ("outcome", "model_version"))
    is_fraud = np.array(labels.column("is_fraud").to_pylist(), np.bool_)
    names, numbers = np.unique([one or UNKNOWN for one in _types_of(labels)], return_inverse=True)
    return Decided(
        event_us=micros_of(kept.column("event_time")),
        user=users.indices.to_numpy().astype(np.int64),
        amount=base_amounts(kept, schema),
        score=floats_of(kept.column("score")),
        is_flagged=np.array([one != Outcome.APPROVE for one in outcome], np.bool_),
        version=np.array([one or NO_MODEL for one in version], np.str_),
        label_row=row.filter(is_ours).to_numpy().astype(np.int64),
        label_us=micros_of(labels.column("label_time")),
        label_type=np.where(is_fraud, numbers, -1),
        type_names=tuple(map(str, names)),
        as_of_us=as_of_us,
    )


def _types_of(labels: pa.Table) -> list[str | None]:
    if _TYPE not in labels.column_names:  # a table of an older build
        return [None] * labels.num_rows
    found: list[str | None] = labels.column(_TYPE).to_pylist()
    return found


_NO_LABELS: Final = pa.table(
    {
        "transaction_id": pa.array([], pa.string()),
        "label_time": pa.array([], TIME),
        "is_fraud": pa.array([], pa.bool_()),
    }
)


def _reach(decisions: Any, labels: Any, days: float) -> datetime:
    """Find the newest event, or a label within so many days after it: what is known ends there."""
    newest = _newest(decisions, "event_time")
    near = pc.field("label_time") <= pa.scalar(newest + timedelta(days=days), TIME)
    return max(newest, _newest(labels, "label_time", near))


def _newest(table: Any, column: str, chosen: Any = None) -> datetime:
    newest = datetime.fromtimestamp(0, UTC)
    for batch in table.batches([column], chosen) if table else ():
        found = pc.max(batch.column(column)).as_py()
        newest = max(newest, found) if found is not None else newest
    return newest
