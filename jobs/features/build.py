"""Feature vectors of a whole table, through the same fold as the stream, into a Delta table.

Reads a table of transactions, and those of labels and results if there are any; writes
``layout.result_schema``.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from fraud.contracts import MOST_AHEAD_S, bounds_of
from fraud.errors import BadInput
from fraud.schema.arrow import OWN
from fraud.schema.deployed import deployed_schema
from fraud.tables import Reading, Source, check_mapping, open_source
from fraud.tables.files import Format, parquet_of
from jobs.features.arrival import Guard
from jobs.features.engines import Engine
from jobs.features.local import build_local
from jobs.features.parallel import build_parallel, count_left_out, in_our_words

Tell = Callable[[str], None]
Folding = tuple[DataFrame, list[int], int]
"""The vectors, how many records of each source were folded, and how many were left out."""
LOCAL_ROWS: Final = 2_000_000
"""Up to so many records one process takes less time than Spark (41 s against 55 s for a million on two
cores), at 2 kB of memory for each."""
_CSV_ROW_BYTES: Final = 150


@dataclass(frozen=True, slots=True)
class Built:
    """What a build wrote."""

    engine: Engine
    transactions: int
    """Vectors written."""
    labels: int
    results: int
    profiles: int
    duplicates: int
    """Transactions whose id had arrived before; they have no vector."""
    left_out: int
    """Rows of the tables that are dated into the future; see ``fraud.contracts.future``."""
    elapsed_s: float


def build(
    transactions: Path,
    labels: Path | None,
    out: Path,
    spark: SparkSession,
    *,
    engine: Engine = Engine.AUTO,
    overwrite: bool = False,
    most_ahead_s: float = MOST_AHEAD_S,
    columns: Mapping[str, str] | None = None,
    reading: Reading | None = None,
    results: Path | None = None,
    profiles: Path | None = None,
    tell: Tell = print,
) -> Built:
    """Compute the vectors that each transaction would have been served with, and write them.

    Parameters
    ----------
    transactions, labels
        CSV, Parquet or Delta; columns as in ``fraud.contracts``.
    out
        Folder of the Delta table to write.
    spark
        Reads and writes Delta; folds too, with the engine ``spark``.
    engine
        ``local`` folds in this process, ``spark`` in parallel by entity; the result is the same to
        the byte. ``auto`` chooses by the number of records.
    overwrite
        Whether a table that is there is replaced (readers of its old version keep it).
    most_ahead_s
        How far a row may be dated ahead of its arrival, seconds; one further ahead is left out and counted.
        It arrives at ``received_at``, else at ``arrival_time``, else now.
    columns
        Our name: the tables' name of a column, where they differ.
    reading
        What the tables' texts mean, where a guess would be wrong.
    results, profiles
        Tables of results and of profiles, where the schema takes any.
    tell
        Takes words of progress.

    Raises
    ------
    BadInput
        When a table cannot be read, lacks a column or holds wrong values, or ``out`` is taken.
    """
    started = time.perf_counter()
    if out.exists() and any(out.iterdir()) and not (overwrite and (out / "_delta_log").is_dir()):
        raise BadInput(
            f"{out} is not empty; choose another folder, or replace a Delta table with --overwrite"
        )
    given = {"transactions": transactions, "labels": labels, "results": results, "profiles": profiles}
    paths = {what: path for what, path in given.items() if path}
    sources = [
        open_source(what, path, columns=columns, reading=reading, tell=tell) for what, path in paths.items()
    ]
    check_mapping(columns or {}, sources)
    chosen = _choose(sources, spark) if engine is Engine.AUTO else engine
    staging = out.parent / f".{out.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        fold = _fold_locally if chosen is Engine.LOCAL else _fold_in_parallel
        guard = Guard(bounds_of(deployed_schema(), most_ahead_s), datetime.now(UTC))
        frame, counts, left_out = fold(sources, spark, staging, guard, tell)
        tell(f"writing {out}")
        writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        in_our_words(lambda: writer.save(str(out)))
    finally:
        spark.catalog.clearCache()
        shutil.rmtree(staging, ignore_errors=True)
    written = spark.read.format("delta").load(str(out)).count()
    elapsed_s = time.perf_counter() - started
    of = {source.what: count for source, count in zip(sources, counts, strict=True)}
    labels_, results_, profiles_ = (of.get(what, 0) for what in ("labels", "results", "profiles"))
    duplicates = of["transactions"] - written
    return Built(chosen, written, labels_, results_, profiles_, duplicates, left_out, elapsed_s)


def count_rows(source: Source, spark: SparkSession) -> int:
    """Count a table's records; those of a CSV file are estimated by its size."""
    if source.format is Format.DELTA:
        return spark.read.format("delta").load(str(source.path)).count()
    if source.format is Format.PARQUET:
        return sum(parquet_of(part).metadata.num_rows for part in source.files)
    return sum(part.size for part in source.files) // _CSV_ROW_BYTES


def _choose(sources: Sequence[Source], spark: SparkSession) -> Engine:
    is_submitted = "SPARK_ENV_LOADED" in os.environ  # a cluster's executors do not see this machine's files
    is_small = sum(count_rows(source, spark) for source in sources) <= LOCAL_ROWS
    return Engine.LOCAL if is_small and not is_submitted else Engine.SPARK


def _fold_locally(
    sources: Sequence[Source], spark: SparkSession, staging: Path, guard: Guard, tell: Tell
) -> Folding:
    table, counts, left_out = build_local(sources, guard, tell)
    staging.mkdir(parents=True)
    pq.write_table(table, staging / "vectors.parquet", compression="lz4")
    return spark.read.parquet(str(staging / "vectors.parquet")).coalesce(1), counts, left_out


def _fold_in_parallel(
    sources: Sequence[Source], spark: SparkSession, staging: Path, guard: Guard, tell: Tell
) -> Folding:
    ready = []
    for source in sources:
        if needs_staging(source):
            tell(f"laying {source.path} down as Parquet")
        ready.append(stage(source, staging, tell) if needs_staging(source) else source)
    left_out = [count_left_out(source, spark, guard) for source in ready]
    counts = [count_rows(source, spark) - ahead for source, ahead in zip(ready, left_out, strict=True)]
    return build_parallel(ready, spark, sum(counts), guard, tell), counts, sum(left_out)


def needs_staging(source: Source) -> bool:
    """Whether Spark cannot read a table as it lies: text, other names or types, or rows to leave out."""
    is_text = source.format in {Format.CSV, Format.JSON}
    if is_text or source.reading.invalid == "skip" or source.makes_kinds or not source.is_plain:
        return True
    types = source.types()
    has_types = all(
        types[name] == kind or _widens(types[name], kind) for name, kind in source.columns.items()
    )
    return not has_types


def stage(source: Source, folder: Path, tell: Tell) -> Source:
    """Write a table down as Parquet that Spark reads, row by row in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.what}.parquet"
    schema = source.schema.with_metadata(OWN)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in source.batches():
            table = pa.Table.from_batches([batch])
            if source.reading.invalid == "skip":
                table = source.checked(table, tell)
            writer.write_table(table.replace_schema_metadata(OWN))
    return open_source(source.what, target)


def _widens(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether Spark reads a type as ours without a loss."""
    if pa.types.is_timestamp(wanted):
        return bool(pa.types.is_timestamp(found) and found.unit != "ns")
    is_number = pa.types.is_integer(found) or pa.types.is_floating(found)
    return (
        is_number
        if pa.types.is_floating(wanted)
        else bool(pa.types.is_integer(found) and pa.types.is_integer(wanted))
    )
