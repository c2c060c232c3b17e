"""A build by Spark, in parallel by entity, for tables of any size.

Records are numbered in the order of arrival; then two passes, users and merchants: each gathers an
entity's records in one partition, in order, and folds them batch by batch. An entity's state is carried
from one batch to the next, so that no task holds more than a batch, whatever an entity's volume.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel, TaskContext
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name that everybody knows it by)
from pyspark.sql.pandas.types import from_arrow_schema

from fraud.errors import BadInput
from fraud.features import FEATURE_NAMES, kernel
from fraud.features.batch import merchant_events
from fraud.features.engine import Folded, fold_events
from fraud.features.plan import EVENT_COLUMN
from fraud.schema.features import MERCHANT, USER, USER_FEATURES, Entity
from fraud.tables import LABEL, TRANSACTION, Source, check
from fraud.tables.files import Format
from jobs.features import layout
from jobs.features.arrival import KEYS, Guard, is_log, key_columns, time_column

PARTITION_ROWS: Final = 500_000
_COUNTS: Final = pa.schema([pa.field("partition", pa.int32()), pa.field("records", pa.int64())])
_COUNTED: Final = from_arrow_schema(_COUNTS)

Batches = Iterator[pa.RecordBatch]


def build_parallel(
    sources: Sequence[Source], spark: SparkSession, rows: int, guard: Guard, tell: Callable[[str], None]
) -> DataFrame:
    """Plan the computation of the vectors of a table; it runs when the frame is written.

    Parameters
    ----------
    sources
        The transactions first, then the labels if there are any; none that needs staging.
    spark
        The session.
    rows
        About how many records there are.
    guard
        Says which rows are left out.
    tell
        Takes words of progress.

    Returns
    -------
    DataFrame
        Rows of ``layout.RESULT``; each partition a run of the arrival order.

    Raises
    ------
    BadInput
        When a value is missing or outside the contract; names the column.
    """
    width = max(spark.sparkContext.defaultParallelism, math.ceil(rows / PARTITION_ROWS))
    tell(f"ordering about {rows:,} records by arrival")
    arrived = _arrived(sources, spark, width, guard).persist(StorageLevel.DISK_ONLY)
    counts = in_our_words(arrived.mapInArrow(_count, _COUNTED).collect)
    firsts, total = {}, 0
    for row in sorted(counts, key=lambda row: int(row.partition)):
        firsts[int(row.partition)] = total
        total += int(row.records)
    tell(f"folding {total:,} records: users, then merchants")
    slice_rows = max(1, math.ceil(total / width))
    return (
        arrived.mapInArrow(partial(_number, firsts), from_arrow_schema(layout.NUMBERED))
        .repartition(width, "user_key")
        .sortWithinPartitions("user_key", "sequence")
        .mapInArrow(_pass_users, from_arrow_schema(layout.PASSED))
        .repartition(width, "merchant_key")
        .sortWithinPartitions("merchant_key", "sequence")
        .mapInArrow(_pass_merchants, from_arrow_schema(layout.RESULT))
        .repartitionById(width, F.floor(F.col("arrival_sequence") / slice_rows).cast("int"))
        .sortWithinPartitions("arrival_sequence")
    )


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
    return spark.read.format("parquet").load([str(file) for file in source.files])


def _arrived(sources: Sequence[Source], spark: SparkSession, width: int, guard: Guard) -> DataFrame:
    """Read every record, sorted by arrival, as rows of ``layout.ARRIVED``."""
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
        .mapInArrow(partial(_make_events, reads), from_arrow_schema(layout.ARRIVED))
    )


def _make_events(reads: dict[str, tuple[tuple[str, ...], str]], batches: Batches) -> Batches:
    for batch in batches:
        is_transaction = batch.column("is_transaction").to_numpy() == 1
        table = pa.Table.from_batches([batch])
        parts = []
        for what, (names, arrival) in reads.items():
            rows = np.flatnonzero(is_transaction == (what == "transactions"))
            if len(rows):
                own = table.take(pa.array(rows)).select([f"{what}_{name}" for name in names])
                parts.append((rows, _arrived_rows(what, own.rename_columns(list(names)), arrival)))
        order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
        found = pa.concat_tables([part for _, part in parts]).take(pa.array(order))
        yield from found.combine_chunks().to_batches()


def _arrived_rows(what: str, table: pa.Table, arrival: str) -> pa.Table:
    check(_typed(what, table), what, f"the {what}")
    events = layout.events_of(what, table, arrival)
    zone = table.schema.field(arrival).type.tz
    arrival_us = table.column(arrival).cast(pa.timestamp("us", tz=zone)).cast(pa.int64())
    columns = {
        **{name: table.column(name) for name in ("transaction_id", "user_id", "merchant_id", "event_time")},
        "arrival_us": arrival_us,
        "user_key": pa.array(events[:, kernel.E_USER].astype(np.int64)),
        "merchant_key": pa.array(events[:, kernel.E_MERCHANT].astype(np.int64)),
        "event": layout.pack(events),
    }
    columns = {name: _as(column, layout.ARRIVED.field(name).type) for name, column in columns.items()}
    return pa.table(columns, schema=layout.ARRIVED)


def _typed(what: str, table: pa.Table) -> pa.Table:
    kinds = TRANSACTION if what == "transactions" else LABEL
    return pa.table(
        {name: _as(table[name], kind) for name, kind in kinds.items() if name in table.column_names}
    )


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _count(batches: Batches) -> Batches:
    records = sum(batch.num_rows for batch in batches)
    yield pa.RecordBatch.from_pylist([{"partition": _partition(), "records": records}], _COUNTS)


def _number(firsts: dict[int, int], batches: Batches) -> Batches:
    first = firsts[_partition()]
    for batch in batches:
        sequence = pa.array(np.arange(first, first + batch.num_rows))
        first += batch.num_rows
        yield pa.record_batch([*batch.columns, sequence], schema=layout.NUMBERED)


def _pass_users(batches: Batches) -> Batches:
    for batch, events, folded in _fold(USER, batches):
        passed, rows = merchant_events(events, folded.outcomes)
        table = batch.take(pa.array(rows))
        columns = {name: table.column(name) for name in layout.NUMBERED.names}
        columns |= {"event": layout.pack(passed), "user_vector": layout.pack(folded.vectors[rows])}
        yield pa.record_batch([columns[name] for name in layout.PASSED.names], schema=layout.PASSED)


def _pass_merchants(batches: Batches) -> Batches:
    for batch, events, folded in _fold(MERCHANT, batches):
        rows = np.flatnonzero(events[:, kernel.E_KIND] == kernel.KIND_TRANSACTION)
        vectors = np.empty((len(rows), len(FEATURE_NAMES)))
        own = batch.take(pa.array(rows))
        vectors[:, : len(USER_FEATURES)] = layout.unpack(own.column("user_vector"), len(USER_FEATURES))
        vectors[:, len(USER_FEATURES) :] = folded.vectors[rows]
        found = layout.result_columns(pa.Table.from_batches([own]), vectors)
        yield from found.combine_chunks().to_batches()


def _fold(entity: Entity, batches: Batches) -> Iterator[tuple[pa.RecordBatch, kernel.Floats, Folded]]:
    """Fold batches sorted by entity; the last entity of a batch may go on in the next one."""
    carried: dict[float, bytes | None] = {}
    for batch in batches:
        if not batch.num_rows:
            continue
        events = layout.unpack(batch.column("event"), kernel.EVENT_COLUMNS)
        folded = fold_events(entity, events, carried)
        last = float(events[-1, EVENT_COLUMN[entity.name]])
        carried = {last: folded.states[last]}
        yield batch, events, folded


def _partition() -> int:
    task = TaskContext.get()
    return task.partitionId() if task else 0
