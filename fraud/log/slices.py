"""Slices of the log: stretches in the order of arrival, about as long as memory can hold at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.log.arrival import Ints
from fraud.log.tables import Table, integers_of
from fraud.schema.arrow import TIME
from fraud.store import Epoch
from fraud.store.records import BATCH_BITS

_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of one generation of the log: all records from one moment to another, both included.

    Parameters
    ----------
    first, last
        Moments: ``Epoch.number`` and received_at in microseconds.
    is_newest_epoch
        Whether it belongs to the log's newest micro-batch.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    is_newest_epoch: bool

    @property
    def epoch(self) -> Epoch:
        """The micro-batch of its last record."""
        return Epoch.of(self.last[0])

    def filter(self) -> pc.Expression:
        """Select its rows; files and row groups outside are not read."""
        (_, from_us), (_, to_us) = self.first, self.last
        generation, old, new = self._epochs()
        epoch, received = pc.field("epoch"), pc.field("received_at")
        since, until = (pa.scalar(_UNIX + timedelta(microseconds=at), TIME) for at in (from_us, to_us))
        inside = (pc.field("generation") == generation) & (epoch >= old) & (epoch <= new)
        if old == new:
            return inside & (received >= since) & (received <= until)
        return inside & ((epoch > old) | (received >= since)) & ((epoch < new) | (received <= until))

    def predicate(self) -> str:
        """Select its rows in Delta's words."""
        (_, from_us), (_, to_us) = self.first, self.last
        generation, old, new = self._epochs()
        since, until = ((_UNIX + timedelta(microseconds=at)).isoformat() for at in (from_us, to_us))
        return (
            f"generation = {generation} AND epoch >= {old} AND epoch <= {new} "
            f"AND (epoch > {old} OR received_at >= '{since}') "
            f"AND (epoch < {new} OR received_at <= '{until}')"
        )

    def _epochs(self) -> tuple[int, int, int]:
        old, new = Epoch.of(self.first[0]), Epoch.of(self.last[0])
        return old.generation, old.batch, new.batch


def slices_of(
    tables: Sequence[Table], rows: int, until: Epoch | None = None, after: tuple[int, int] | None = None
) -> list[Slice]:
    """Cut tables of the log into slices of about so many rows of all of them, in the order of arrival.

    Parameters
    ----------
    until
        The last micro-batch; None for all.
    after
        Moment behind which they begin; None for the beginning.
    """
    moments = [_moments_of(table, until, after) for table in tables]
    number = np.concatenate([found[0] for found in moments])
    received = np.concatenate([found[1] for found in moments])
    if after is not None:
        is_later = (number > after[0]) | ((number == after[0]) & (received > after[1]))
        number, received = number[is_later], received[is_later]
    order = np.lexsort((received, number))
    return _cut(number[order], received[order], rows)


def _moments_of(table: Table, until: Epoch | None, after: tuple[int, int] | None) -> tuple[Ints, Ints]:
    where = _since(Epoch.of(after[0])) if after else None  # older files are not read
    numbers, times = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    columns = ("generation", "epoch", "received_at")
    for batch in table.batches(columns, where):
        generation, epoch, received = (integers_of(batch.column(name)) for name in columns)
        number = (generation << BATCH_BITS) + epoch
        inside = np.full(len(number), True) if until is None else number <= until.number
        numbers.append(number[inside])
        times.append(received[inside])
    return np.concatenate(numbers), np.concatenate(times)


def _since(epoch: Epoch) -> pc.Expression:
    """Select the rows of a micro-batch and of those after it."""
    generation = pc.field("generation")
    later = (generation == epoch.generation) & (pc.field("epoch") >= epoch.batch)
    return (generation > epoch.generation) | later


def _cut(number: Ints, received: Ints, rows: int) -> list[Slice]:
    """Cut sorted moments into slices."""
    slices: list[Slice] = []
    start, n = 0, len(number)
    newest = int(np.searchsorted(number, number[-1])) if n else 0
    while start < n:
        next_generation = (int(number[start] >> BATCH_BITS) + 1) << BATCH_BITS
        limit = int(np.searchsorted(number, next_generation))
        if start < newest:
            limit = min(limit, newest)
        end = min(start + rows, limit)
        if end < limit:
            end = _boundary(number, received, start, end)
        first, last = ((int(number[at]), int(received[at])) for at in (start, end - 1))
        slices.append(Slice(first, last, is_newest_epoch=start >= newest))
        start = end
    return slices


def _boundary(number: Ints, received: Ints, start: int, end: int) -> int:
    """Move the end of a slice to where a micro-batch ends (in the history: to where the time changes)."""
    low, high = (int(np.searchsorted(number, number[end], side)) for side in ("left", "right"))
    if low > start:
        return low
    if number[end] >> BATCH_BITS:
        return high
    times = received[low:high]
    low, high = (low + int(np.searchsorted(times, received[end], side)) for side in ("left", "right"))
    return low if low > start else high
