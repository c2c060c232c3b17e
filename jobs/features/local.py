"""A build in this process alone, for tables that fit into memory."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from fraud.contracts import without_future
from fraud.contracts.future import times_of
from fraud.features import kernel
from fraud.features.batch import REFUSED_WORDS, fold_passes
from fraud.features.passes import Passes, are_refused, passes_of_schema
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.tables import Source
from jobs.features.arrival import Guard, is_log, order_of, time_column
from jobs.features.layout import events_of, result_columns


def build_local(
    sources: Sequence[Source],
    guard: Guard,
    tell: Callable[[str], None],
    passes: Passes | None = None,
    schema: Schema | None = None,
) -> tuple[pa.Table, list[int], int]:
    """Compute the vectors of a table.

    Parameters
    ----------
    sources
        The transactions first, then the labels, results and profiles if there are any.
    guard
        Says which rows are left out.
    tell
        Takes words of progress.
    passes
        What is folded; the primary first; by default the schema's.
    schema
        Of the records; by default the deployment's.

    Returns
    -------
    tuple
        Rows of ``layout.result_schema`` in the order of arrival, how many records of each source were folded,
        and how many were left out.

    Raises
    ------
    BadInput
        When a value is missing or outside the contract; names the column.
    """
    schema = schema or deployed_schema()
    passes = passes or passes_of_schema(schema)
    tables, left_out = [], 0
    for source in sources:
        tell(f"reading {source.path}")
        found, times = source.table(tell), times_of(source.what)
        table, ahead = without_future(found, guard.bounds, guard.now, times)
        tables.append((source, table))
        left_out += ahead
    events = np.concatenate(
        [events_of(source.what, table, time_column(source), schema) for source, table in tables]
    )
    tell(f"ordering {len(events):,} records by arrival")
    order = order_of(tables, of_log=is_log(sources))
    tell(f"folding {len(events):,} records")
    folded = fold_passes(events[order], passes=passes, keep_states=False)
    if refused := int(are_refused(folded.events, folded.outcomes).sum()):
        tell(f"{refused:,} {REFUSED_WORDS}")
    tell("laying out the vectors")
    transactions = tables[0][1]
    kept = (order < transactions.num_rows) & (folded.outcomes != kernel.DUPLICATE)
    sequence = np.flatnonzero(kept)
    found = _columns(sources[0], transactions.take(pa.array(order[kept])), sequence)
    result = result_columns(found, folded.vectors[kept], passes, schema)
    return result, [table.num_rows for _, table in tables], left_out


def _columns(
    source: Source, table: pa.Table, sequence: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> pa.Table:
    arrival = table.column(time_column(source)).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return table.append_column("arrival_us", arrival).append_column("sequence", pa.array(sequence))
