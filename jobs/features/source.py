"""The input tables of a build: CSV, Parquet or Delta, checked column by column before any work starts.

Reads what a person gives: a file, a folder of Parquet files, or the folder of a Delta table. CSV, and
Parquet whose times Spark cannot read (nanoseconds), is laid down once as Parquet in a staging folder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from fraud.errors import BadInput

TIME: Final = pa.timestamp("us", tz="UTC")
TRANSACTION_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "transaction_id": pa.string(),
    "event_time": TIME,
    "user_id": pa.string(),
    "merchant_id": pa.string(),
    "amount": pa.float64(),
    "category": pa.string(),
    "country": pa.string(),
    "channel": pa.string(),
    "device_id": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
    "home_latitude": pa.float64(),
    "home_longitude": pa.float64(),
}
LABEL_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "transaction_id": pa.string(),
    "event_time": TIME,
    "user_id": pa.string(),
    "merchant_id": pa.string(),
    "label_time": TIME,
    "is_fraud": pa.bool_(),
}
ARRIVAL_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "generation": pa.int64(),
    "epoch": pa.int64(),
    "received_at": TIME,
    "source_partition": pa.int64(),
    "source_offset": pa.int64(),
    "arrival_time": TIME,
}
"""Columns that say in which order rows arrived, where a table has them; see ``jobs.features.arrival``."""
REQUIRED: Final = {
    "transactions": ("transaction_id", "event_time", "user_id", "merchant_id", "amount"),
    "labels": tuple(LABEL_COLUMNS),
}
BLOCK_BYTES: Final = 32 << 20


class Format(StrEnum):
    """How a table lies on disk."""

    CSV = "csv"
    PARQUET = "parquet"
    DELTA = "delta"


@dataclass(frozen=True)
class Source:
    """A table to read.

    Parameters
    ----------
    what
        ``transactions`` or ``labels``.
    path
        File or folder.
    format
        How it lies there.
    schema
        Its columns.
    """

    what: str
    path: Path
    format: Format
    schema: pa.Schema

    @cached_property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns that a build reads, with the types that it wants."""
        own = TRANSACTION_COLUMNS if self.what == "transactions" else LABEL_COLUMNS
        return {name: kind for name, kind in {**own, **ARRIVAL_COLUMNS}.items() if name in self.schema.names}

    @property
    def files(self) -> list[Path]:
        """Its files in the order of the table (not of a Delta table, which has none)."""
        return _files_of(self.path)

    @property
    def needs_staging(self) -> bool:
        """Whether Spark cannot read it as it lies."""
        return self.format is Format.CSV or any(
            pa.types.is_timestamp(self.schema.field(name).type) and self.schema.field(name).type.unit == "ns"
            for name in self.columns
        )


def open_source(what: str, path: Path, spark: SparkSession | None) -> Source:
    """Find out what a path holds, and check its columns.

    Parameters
    ----------
    what
        ``transactions`` or ``labels``.
    path
        File or folder.
    spark
        Reads Delta tables; None refuses them.

    Raises
    ------
    BadInput
        When nothing is there, the format is not known, or a required column is absent or holds
        another kind of values; names it.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist")
    try:
        found = _format_of(path)
        source = Source(what, path, found, _schema_of(path, found, spark))
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    _check(source)
    return source


def is_delta(path: Path) -> bool:
    """Whether a folder holds a Delta table."""
    return (path / "_delta_log").is_dir()


def stage(source: Source, folder: Path) -> Source:
    """Write a table down as Parquet that Spark reads, row by row in the same order.

    Raises
    ------
    BadInput
        When a value cannot be read as its column's type.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.what}.parquet"
    schema = pa.schema(list(source.columns.items()))
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in read_batches(source):
            writer.write_batch(batch)
    return replace(source, path=target, format=Format.PARQUET, schema=schema)


def read_table(source: Source) -> pa.Table:
    """Read a CSV or Parquet table whole, the columns of a build alone, in the table's order."""
    schema = pa.schema(list(source.columns.items()))
    return pa.Table.from_batches(read_batches(source), schema)


def read_batches(source: Source) -> Iterator[pa.RecordBatch]:
    """Read a CSV or Parquet table batch by batch, cast to the columns' types.

    Raises
    ------
    BadInput
        When a value cannot be read as its column's type; names the column.
    """
    schema = pa.schema(list(source.columns.items()))
    for file in source.files:
        try:
            batches = (
                _open_csv(file, source.columns)
                if source.format is Format.CSV
                else pq.ParquetFile(file).iter_batches(columns=list(source.columns))
            )
            for batch in batches:
                yield _cast(batch, schema)
        except pa.ArrowException as error:
            raise BadInput(f"{file}: {error}") from error


def _format_of(path: Path) -> Format:
    if is_delta(path):
        return Format.DELTA
    suffixes = {file.suffix.lower() for file in _files_of(path)}
    if suffixes <= {".csv"} and suffixes:
        return Format.CSV
    if suffixes <= {".parquet", ".pq"} and suffixes:
        return Format.PARQUET
    raise BadInput(f"{path} is no .csv or .parquet file, no folder of such files, and no Delta table")


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    inside = (file for file in path.rglob("*") if file.is_file())
    return sorted(
        file for file in inside if not any(part[0] in "._" for part in file.relative_to(path).parts)
    )


def _schema_of(path: Path, found: Format, spark: SparkSession | None) -> pa.Schema:
    if found is Format.DELTA:
        if spark is None:
            raise BadInput(f"{path} is a Delta table, which needs Spark to be read")
        return to_arrow_schema(spark.read.format("delta").load(str(path)).schema, timezone="UTC")
    first = _files_of(path)[0]
    if found is Format.PARQUET:
        return pa_dataset.dataset(first, format="parquet").schema
    with pa_csv.open_csv(first) as reader:
        return reader.schema


def _check(source: Source) -> None:
    names = source.schema.names
    for name in REQUIRED[source.what]:
        if name not in names:
            raise BadInput(f"{source.path} lacks the column {name}; it has {', '.join(names)}")
    if source.format is Format.CSV:  # its types are guesses; the reader tells what does not fit
        return
    for name, wanted in source.columns.items():
        kind = source.schema.field(name).type
        if not _fits(kind, wanted):
            raise BadInput(f"{source.path}: column {name} holds {kind}, but must hold {_words(wanted)}")


def _fits(kind: pa.DataType, wanted: pa.DataType) -> bool:
    is_whole = pa.types.is_integer(kind)
    if wanted == pa.string():
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(text) or pa.types.is_large_string(text))
    if wanted == TIME:
        return bool(pa.types.is_timestamp(kind))
    if wanted == pa.bool_():
        return bool(pa.types.is_boolean(kind) or is_whole)
    if wanted == pa.int64():
        return bool(is_whole)
    return bool(is_whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _words(wanted: pa.DataType) -> str:
    return {pa.string(): "text", TIME: "timestamps", pa.bool_(): "true or false"}.get(wanted, "numbers")


def _open_csv(file: Path, columns: Mapping[str, pa.DataType]) -> pa_csv.CSVStreamingReader:
    """Open a CSV file; times come as text, because some carry an offset and some do not."""
    types = {name: pa.string() if kind == TIME else kind for name, kind in columns.items()}
    return pa_csv.open_csv(
        file,
        pa_csv.ReadOptions(block_size=BLOCK_BYTES),
        convert_options=pa_csv.ConvertOptions(
            column_types=types, include_columns=list(columns), strings_can_be_null=True
        ),
    )


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        column = batch.column(field.name)
        try:
            arrays.append(_times(column) if field.type == TIME else column.cast(field.type))
        except pa.ArrowInvalid as error:
            raise BadInput(f"column {field.name} must hold {_words(field.type)}: {error}") from error
    return pa.record_batch(arrays, schema)


def _times(column: pa.Array) -> pa.Array:
    """Read times, also as text; those without an offset are UTC."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(TIME)
    try:
        return column.cast(TIME)
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp("us")).cast(TIME)
