"""What is at a path: its format, its files, its header, and its rows as they are written there."""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fraud.errors import BadInput
from fraud.schema.source import Reading
from fraud.tables.database import is_database
from fraud.tables.lines import json_batches, json_header
from fraud.tables.parts import SUFFIXES, Part, parts_of

BLOCK_BYTES: Final = 32 << 20
_SEPARATORS: Final = (",", ";", "\t", "|")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Unreadable(BadInput):
    """Nothing is at a path, or it is not (yet) a whole table."""


class Format(StrEnum):
    """How a table lies on disk."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    DELTA = "delta"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    encoding: str = "utf-8"
    separator: str = ","


def find_table(folder: str, name: str) -> str:
    """Find a table of a folder, whatever it is written as; empty when there is none."""
    if "://" in folder:
        return f"{folder.rstrip('/')}/{name}"
    for suffix in (*SUFFIXES, ""):
        path = Path(folder) / f"{name}{suffix}"
        if path.exists():
            return str(path)
    return ""


def format_of(path: str) -> Format:
    """Tell the format of a table.

    Raises
    ------
    Unreadable
        When nothing is there.
    BadInput
        When it is nothing that can be read.
    """
    if is_database(path):
        return Format.DATABASE
    if "://" in path:
        return Format.PARQUET if path.endswith((".parquet", ".pq")) else Format.DELTA
    if (Path(path) / "_delta_log").is_dir():
        return Format.DELTA
    parts = parts_of(path)
    if not parts and not Path(path).exists():
        raise Unreadable(f"{path} does not exist; `fraud generate --out DIR` writes a data set")
    kinds = {part.kind for part in parts}
    if len(kinds) != 1 or "" in kinds:
        raise BadInput(
            f"{path} is no .csv, .jsonl or .parquet file (also .gz or .zip), no folder of such files of one "
            f"kind, and no Delta table{_what_is_there(parts)}"
        )
    return Format(kinds.pop())


def open_dataset(path: str, found: Format, options: Mapping[str, str]) -> Any:
    """Open a Delta table, or Parquet at a URI."""
    if found is Format.PARQUET:
        from pyarrow.dataset import dataset  # noqa: PLC0415  (imports pandas: seconds of a start)

        return dataset(path, format="parquet")
    from deltalake import DeltaTable  # noqa: PLC0415  (not every image that reads files has it)

    return DeltaTable(path, storage_options=dict(options) or None).to_pyarrow_dataset()


def dialect_of(part: Part, reading: Reading) -> tuple[Dialect, str]:
    """Find out how a CSV file is written; the second value tells a guess in words."""
    notes = []
    encoding = reading.encoding or _encoding_of(part)
    if encoding == "cp1252" and not reading.encoding:
        notes.append("not UTF-8, read as Windows-1252 (latin-1); --read encoding=NAME changes it")
    try:
        with _text(part, encoding) as lines:
            line = lines.readline().rstrip("\r\n")
    except (LookupError, UnicodeError) as error:
        raise BadInput(f"{part}: --read encoding={encoding}: {error}") from error
    counts = {sign: len(next(csv.reader([line], delimiter=sign), [])) for sign in _SEPARATORS}
    separator = reading.separator or max(_SEPARATORS, key=lambda sign: counts[sign])
    if separator != "," and not reading.separator:
        notes.append(f"guessed that columns are separated by {separator!r}; --read separator=X changes it")
    return Dialect(encoding, separator), "; ".join(notes)


def header_of(part: Part, found: Format, dialect: Dialect) -> list[str]:
    """Read the names of a file's columns."""
    if found is Format.CSV:
        with _text(part, dialect.encoding) as lines:
            return next(csv.reader(lines, delimiter=dialect.separator), [])
    return json_header(part) if found is Format.JSON else list(parquet_of(part).schema_arrow.names)


def batches_of(part: Part, found: Format, dialect: Dialect, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read columns of a file batch by batch as they are written there."""
    if found is Format.CSV:
        yield from csv_batches(part, dialect, names)
    elif found is Format.JSON:
        yield from json_batches(part, names)
    else:
        yield from parquet_of(part).iter_batches(columns=list(names))


def csv_batches(part: Part, dialect: Dialect, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read columns of a CSV file as texts; an empty field alone is missing."""
    encoding = "utf-8" if dialect.encoding == "utf-8-sig" else dialect.encoding
    with part.open() as stream:
        reader = pa_csv.open_csv(
            part.path if part.is_plain else stream,
            pa_csv.ReadOptions(block_size=BLOCK_BYTES, encoding=encoding),
            pa_csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(names),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        with reader:
            yield from reader


def _text(part: Part, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(part.open(), encoding, newline="")


def parquet_of(part: Part) -> pq.ParquetFile:
    """Open a Parquet file; one inside an archive is unpacked into memory."""
    if part.is_plain:
        return pq.ParquetFile(part.path)
    with part.open() as stream:
        return pq.ParquetFile(pa.BufferReader(stream.read()))


def _what_is_there(parts: Sequence[Part]) -> str:
    names = [part.name for part in parts]
    if len(names) < 2:
        return ""
    return f"; it holds {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}"


def _encoding_of(part: Part) -> str:
    """Read the whole file once: the first bytes do not tell."""
    with part.open() as raw:
        start = raw.read(4)
        marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
        if marked:
            return marked
        decoder = codecs.getincrementaldecoder("utf-8")()
        raw.seek(0)
        try:
            while block := raw.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"
