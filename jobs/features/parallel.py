"""A build by Spark, in parallel by entity, for tables of any size.

Records are numbered in the order of arrival; then a pass an entity, the primary first: each gathers an
entity's records in one partition, in order, and folds them batch by batch. An entity's state is carried
from one batch to the next, so that no task holds more than a batch, whatever an entity's volume.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import StorageLevel, TaskContext
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name that everybody knows it by)
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.errors import BadInput
from fraud.features import kernel
from fraud.features.engine import Folded, fold_plan
from fraud.features.passes import (
    EntityPass,
    Passes,
    as_handed_on,
    entity_names,
    handed_on,
    passes_of_schema,
)
from fraud.money import NO_RATES, Rates
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import AMOUNT_MINOR
from fraud.schema.schema import Schema
from fraud.tables import Source, check
from fraud.tables.columns import ours_of
from fraud.tables.files import Format
from fraud.tables.rates import CURRENCY, deployed_rates
from jobs.features import layout, two_sides
from jobs.features.arrival import KEYS, RANKS, Guard, is_log, key_columns, time_column

PARTITION_ROWS: Final = 500_000
_COUNTS: Final = pa.schema([pa.field("partition", pa.int32()), pa.field("records", pa.int64())])
_COUNTED: Final = from_arrow_schema(_COUNTS)

Batches = Iterator[pa.RecordBatch]


def build_parallel(
    sources: Sequence[Source],
    spark: SparkSession,
    rows: int,
    guard: Guard,
    tell: Callable[[str], None],
    *,
    passes: Passes | None = None,
    schema: Schema | None = None,
) -> DataFrame:
    """Plan the computation of the vectors of a table; it runs when the frame is written.

    Parameters
    ----------
    sources
        The transactions first, then labels, results and profiles if there are any; none that needs staging.
    spark
        The session.
    rows
        About how many records there are.
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
    DataFrame
        Rows of ``layout.result_schema``; each partition a run of the arrival order.

    Raises
    ------
    BadInput
        When a value is missing or outside the contract; names the column.
    """
    schema = schema or deployed_schema()
    passes = passes or passes_of_schema(schema)
    of_all = passes, schema
    width = max(spark.sparkContext.defaultParallelism, math.ceil(rows / PARTITION_ROWS))
    tell(f"ordering about {rows:,} records by arrival")
    arrived = _arrived(sources, spark, width, guard, of_all).persist(StorageLevel.DISK_ONLY)
    counts = in_our_words(arrived.mapInArrow(_count, _COUNTED).collect)
    firsts, total = {}, 0
    for row in sorted(counts, key=lambda row: int(row.partition)):
        firsts[int(row.partition)] = total
        total += int(row.records)
    tell(f"folding {total:,} records: {', then '.join(f'{name}s' for name in entity_names(passes))}")
    slice_rows = max(1, math.ceil(total / width))
    numbered = layout.numbered_schema(passes, schema)
    frame = arrived.mapInArrow(partial(_number, numbered, firsts), from_arrow_schema(numbered))
    handed, result = (from_arrow_schema(of(*of_all)) for of in (layout.passed_schema, layout.result_schema))
    for at, one in enumerate(passes):
        laid_out = handed if at + 1 < len(passes) else result
        if one.has_sides:
            frame = frame.mapInArrow(partial(two_sides.part, one), handed)
            frame = _by_key(frame, one, width).mapInArrow(partial(two_sides.run, of_all, at), handed)
            frame = frame.repartition(width, "sequence").sortWithinPartitions("sequence")
            frame = frame.mapInArrow(partial(two_sides.merge, of_all, at), laid_out)
        else:
            frame = _by_key(frame, one, width).mapInArrow(partial(_run_pass, of_all, at), laid_out)
    return frame.repartitionById(
        width, F.floor(F.col("arrival_sequence") / slice_rows).cast("int")
    ).sortWithinPartitions("arrival_sequence")


def in_our_words(act: Callable[[], Any]) -> Any:
    """Run an action of Spark; an error of ours inside a task comes out as itself.

    Raises
    ------
    BadInput
        When a task raised it.
    """
    try:
        return act()
    except PythonException as error:
        found = re.search(r"fraud\.errors\.BadInput: (.*)", str(error))
        if found is None:
            raise
        raise BadInput(found.group(1).strip()) from error


def count_left_out(source: Source, spark: SparkSession, guard: Guard) -> int:
    """Count the rows that the guard leaves out."""
    return _read(source, spark).where(guard.ahead(source)).count()


def _read(source: Source, spark: SparkSession) -> DataFrame:
    if source.format is Format.DELTA:
        return spark.read.format("delta").load(str(source.path))
    return spark.read.format("parquet").load([str(part.path) for part in source.files])


def _arrived(
    sources: Sequence[Source], spark: SparkSession, width: int, guard: Guard, of: tuple[Passes, Schema]
) -> DataFrame:
    """Read every record, sorted by arrival, as rows of ``layout.arrived_schema``."""
    of_log = is_log(sources)
    frames = []
    for source in sources:
        frame = _read(source, spark).where(~guard.ahead(source))
        # The names of a transaction's and a label's columns must not meet: some are of other types.
        columns = [F.col(name).alias(f"{source.what}_{name}") for name in source.columns]
        frames.append(frame.select(*key_columns(source, of_log=of_log), *columns))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame, allowMissingColumns=True)
    reads = {source.what: (tuple(source.columns), time_column(source)) for source in sources}
    return (
        whole.repartitionByRange(width, *KEYS)
        .sortWithinPartitions(*KEYS)
        .mapInArrow(
            partial(_make_events, of, reads, _rates_for(sources[0], of[1])),
            from_arrow_schema(layout.arrived_schema(*of)),
        )
    )


def _make_events(
    of: tuple[Passes, Schema], reads: dict[str, tuple[tuple[str, ...], str]], rates: Rates, batches: Batches
) -> Batches:
    for batch in batches:
        rank = batch.column("rank").to_numpy()
        table = pa.Table.from_batches([batch])
        parts = []
        for what, (names, arrival) in reads.items():
            rows = np.flatnonzero(rank == RANKS[what])
            if len(rows):
                own = table.take(pa.array(rows)).select([f"{what}_{name}" for name in names])
                own = own.rename_columns(list(names))
                parts.append((rows, _arrived_rows(what, own, arrival, of, rates)))
        order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
        found = pa.concat_tables([part for _, part in parts]).take(pa.array(order))
        yield from found.combine_chunks().to_batches()


def _rates_for(transactions: Source, schema: Schema) -> Rates:
    """Read the rates once, here: all tasks price by the same ones."""
    has_more = CURRENCY in transactions.columns and AMOUNT_MINOR not in transactions.columns
    return deployed_rates(schema.money.base) if schema.money and has_more else NO_RATES


def _arrived_rows(
    what: str, table: pa.Table, arrival: str, of: tuple[Passes, Schema], rates: Rates
) -> pa.Table:
    (passes, schema), ours = of, ours_of(of[1])
    laid_out = layout.arrived_schema(passes, schema)
    check(_typed(ours.of(what), table), what, f"the {what}", ours, rates)
    events = layout.events_of(what, table, arrival, schema, rates)
    zone = table.schema.field(arrival).type.tz
    arrival_us = table.column(arrival).cast(pa.timestamp("us", tz=zone)).cast(pa.int64())
    columns = {
        **{
            name: table.column(name) if name in table.column_names else pa.nulls(table.num_rows, pa.string())
            for name in layout.id_names(schema)
        },
        "arrival_us": arrival_us,
        **layout.key_columns(passes, events),
        "event": layout.pack(events),
    }
    columns = {name: _as(column, laid_out.field(name).type) for name, column in columns.items()}
    return pa.table(columns, schema=laid_out)


def _typed(kinds: Mapping[str, pa.DataType], table: pa.Table) -> pa.Table:
    return pa.table(
        {name: _as(table[name], kind) for name, kind in kinds.items() if name in table.column_names}
    )


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _count(batches: Batches) -> Batches:
    records = sum(batch.num_rows for batch in batches)
    yield pa.RecordBatch.from_pylist([{"partition": _partition(), "records": records}], _COUNTS)


def _number(schema: pa.Schema, firsts: dict[int, int], batches: Batches) -> Batches:
    first = firsts[_partition()]
    for batch in batches:
        sequence = pa.array(np.arange(first, first + batch.num_rows))
        first += batch.num_rows
        yield pa.record_batch([*batch.columns, sequence], schema=schema)


def _by_key(frame: DataFrame, one: EntityPass, width: int) -> DataFrame:
    """Gather an entity's records in one partition, in order; what has no key goes anywhere."""
    key = F.col(layout.key_name(one))
    spread = F.when(key == 0, -1 - F.col("sequence")).otherwise(key)
    return frame.repartition(width, spread).sortWithinPartitions(key, "sequence")


def _run_pass(of: tuple[Passes, Schema], at: int, batches: Batches) -> Batches:
    """Fold one pass, and lay out its vectors behind those of the passes before."""
    passes, _ = of
    one = passes[at]
    for batch, events, folded in _fold(one, batches):
        if at == 0:
            kept = np.flatnonzero(handed_on(folded.events, folded.outcomes))
            records, vectors = batch.take(pa.array(kept)), folded.vectors[kept]
            passed = as_handed_on(folded.events[kept], folded.outcomes[kept])
        else:
            known = layout.unpack(batch.column("vector"), one.first)
            records, passed, vectors = batch, events, np.hstack([known, folded.vectors])
        yield from layout.handed_batches(records, passed, vectors, of, is_last=at + 1 == len(passes))


def _fold(one: EntityPass, batches: Batches) -> Iterator[tuple[pa.RecordBatch, kernel.Floats, Folded]]:
    """Fold batches sorted by key; the last entity of a batch may go on in the next one."""
    carried: dict[float, bytes | None] = {}
    for batch in batches:
        if not batch.num_rows:
            continue
        events = layout.unpack(batch.column("event"), one.events.width)
        rows = np.flatnonzero(one.concerns(events))  # the last ones: no key is the least
        folded = fold_plan(one.plan, events[rows], carried)
        if len(rows):
            last = float(one.keys_of(events)[-1])
            carried = {last: folded.states[last]}
        if len(rows) < len(events):
            folded = _widened(folded, rows, events)
        yield batch, events, folded


def _widened(folded: Folded, rows: NDArray[np.int64], events: kernel.Floats) -> Folded:
    """Lay the result for some rows out over all; the others have no vector, and are handed on."""
    n, whole = len(events), events.copy()
    vectors, outcomes = np.full((n, folded.vectors.shape[1]), np.nan), np.full(n, kernel.NEW)
    vectors[rows], outcomes[rows], whole[rows] = folded.vectors, folded.outcomes, folded.events
    return Folded(vectors, outcomes, folded.states, folded.sequences, whole)


def _partition() -> int:
    task = TaskContext.get()
    return task.partitionId() if task else 0
