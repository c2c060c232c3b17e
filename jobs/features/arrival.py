"""The order in which rows arrived, as sort keys that both engines of a build agree on.

A table of the streaming job's log says it itself: (generation, epoch, received_at, labels first, then
results, partition, offset). Any other table's rows arrive at ``received_at`` or ``arrival_time``, else at
``event_time`` (a label at its ``label_time``), labels first; equal times in the table's order, or by
transaction_id where a table has no order (Delta without the log's columns).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812  (the name that everybody knows it by)

from fraud.contracts.future import ARRIVALS, AheadBounds, is_ahead, times_of, whole_us
from fraud.features.events import to_microseconds
from fraud.features.table_columns import microseconds_of
from fraud.log.arrival import COLUMNS
from fraud.tables import Source
from fraud.tables.files import Format

LOG: Final = COLUMNS
KEYS: Final = ("generation", "epoch", "arrival_us", "rank", "file", "row", "tie")
"""Columns to sort by; all but the texts ``file`` and ``tie`` are whole numbers."""
RANKS: Final = {"labels": 0, "results": 1, "profiles": 2, "transactions": 3}
"""By table: which rows of one time come first."""
_TIMES: Final = {
    "transactions": "event_time",
    "labels": "label_time",
    "results": "result_time",
    "profiles": "profile_time",
}
_TIES: Final = {"profiles": "profile"}
"""By table: what orders rows of one time where nothing else does; else the transaction_id."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The rule of ``fraud.contracts.future`` for the tables of one build.

    Parameters
    ----------
    bounds
        How far a row may be dated ahead of its arrival.
    now
        The arrival of rows that do not tell theirs.
    """

    bounds: AheadBounds
    now: datetime

    def ahead(self, source: Source) -> Column:
        """Tell the rows that are left out, as a Spark column."""
        now_us = F.lit(to_microseconds(self.now))
        known = [name for name in ARRIVALS if name in source.columns][:1]
        arrival_us = F.least(*(_micros(name) for name in known), now_us) if known else now_us
        found = F.expr("false")
        for name in (name for name in times_of(source.what) if name in source.columns):
            is_late = is_ahead(_micros(name), arrival_us, self._bound_us(source, name))
            found |= F.coalesce(is_late, F.expr("false"))
        return found

    def _bound_us(self, source: Source, name: str) -> Column:
        """Find the bound of one time of each row, as ``AheadBounds.of_table`` does."""
        bounds, sources = self.bounds, self.bounds.sources
        of_table = bounds.others_s
        if sources is not None and name == "event_time":
            if source.what != "transactions":
                of_table = bounds.greatest_s
            elif sources.by in source.columns:
                own = [F.lit(part) for one in sources.bounds for part in (one[0], whole_us(one[1]))]
                told = F.element_at(F.create_map(*own), F.col(sources.by).cast("string"))
                return F.coalesce(told, F.lit(whole_us(of_table)))
        return F.lit(whole_us(of_table))


def _micros(name: str) -> Column:
    return F.unix_micros(F.col(name).cast("timestamp"))


def is_log(sources: Sequence[Source]) -> bool:
    """Whether every table carries the log's own arrival order."""
    return all(set(LOG) <= set(source.columns) for source in sources)


def time_column(source: Source) -> str:
    """Name the column that says when a row arrived."""
    names = ("received_at", "arrival_time", _TIMES[source.what])
    return next(name for name in names if name in source.columns)


def key_columns(source: Source, *, of_log: bool) -> list[Column]:
    """Make the sort keys as Spark columns."""
    is_file = source.format is not Format.DELTA
    first, zero = F.col(time_column(source)), F.lit(0).cast("long")
    file, row, tie = F.lit(""), zero, F.lit("")
    if of_log:
        file, row = F.lpad(F.col("source_partition").cast("string"), 10, "0"), F.col("source_offset")
    elif is_file:
        file, row = F.url_decode(F.col("_metadata.file_path")), F.col("_metadata.row_index")
    else:
        tie = F.col(_TIES.get(source.what, "transaction_id"))
    keys = (
        F.col("generation") if of_log else zero,
        F.col("epoch") if of_log else zero,
        F.unix_micros(first.cast("timestamp")),
        F.lit(RANKS[source.what]),
        file,
        row.cast("long"),
        tie,
    )
    return [key.alias(name) for key, name in zip(keys, KEYS, strict=True)]


def order_of(tables: Sequence[tuple[Source, pa.Table]], *, of_log: bool) -> NDArray[np.int64]:
    """Sort the rows of tables that stand one after another by arrival, as the keys of Spark do.

    Returns
    -------
    ndarray
        Positions in the concatenated tables, first arrived first.
    """
    parts: list[list[NDArray[np.generic]]] = []
    for source, table in tables:
        n = table.num_rows
        zeros, texts = np.zeros(n, np.int64), np.zeros(n, "U1")
        is_file = source.format is not Format.DELTA
        parts.append(
            [
                _numbers(table, "generation") if of_log else zeros,
                _numbers(table, "epoch") if of_log else zeros,
                microseconds_of(table, time_column(source)),
                np.full(n, RANKS[source.what]),
                _numbers(table, "source_partition") if of_log else zeros,
                _rows(table, of_log=of_log, is_file=is_file),
                texts if of_log or is_file else _texts(table, _TIES.get(source.what, "transaction_id")),
            ]
        )
    keys = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return np.lexsort(keys[::-1])


def _rows(table: pa.Table, *, of_log: bool, is_file: bool) -> NDArray[np.int64]:
    if of_log:
        return _numbers(table, "source_offset")
    return np.arange(table.num_rows) if is_file else np.zeros(table.num_rows, np.int64)


def _numbers(table: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(table.column(name).to_numpy(), np.int64)


def _texts(table: pa.Table, name: str) -> NDArray[np.str_]:
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False), "U")
