"""Reading tables as they lie: CSV, Parquet or Delta, a file, a folder or a URI.

Every column is cast to the type that the platform wants, or refused by name; optional columns that are
absent stay absent, and their features missing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fraud.errors import BadInput

TIME: Final = pa.timestamp("us", tz="UTC")
TRANSACTION: Final[Mapping[str, pa.DataType]] = {
    "transaction_id": pa.string(),
    "event_time": TIME,
    "user_id": pa.string(),
    "merchant_id": pa.string(),
    "amount": pa.float64(),
}
LABEL: Final[Mapping[str, pa.DataType]] = {
    "transaction_id": pa.string(),
    "label_time": TIME,
    "is_fraud": pa.bool_(),
}
OPTIONAL: Final[Mapping[str, pa.DataType]] = {
    "category": pa.string(),
    "country": pa.string(),
    "channel": pa.string(),
    "device_id": pa.string(),
    "latitude": pa.float64(),
    "longitude": pa.float64(),
    "home_latitude": pa.float64(),
    "home_longitude": pa.float64(),
    "received_at": TIME,
    "generation": pa.int64(),
    "epoch": pa.int64(),
    "source_partition": pa.int64(),
    "source_offset": pa.int64(),
}
OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "device_id": ("device",),
    "latitude": ("lat",),
    "longitude": ("lon", "lng"),
}
"""What else a table may call an optional column."""
SUFFIXES: Final = (".parquet", ".pq", ".csv", "")
_TRUE, _FALSE = ("1", "1.0", "true", "t", "yes"), ("0", "0.0", "false", "f", "no")


def find_table(folder: str, name: str) -> str:
    """Find a table of a folder, whatever it is written as; empty when there is none."""
    if "://" in folder:
        return f"{folder.rstrip('/')}/{name}"
    for suffix in SUFFIXES:
        path = Path(folder) / f"{name}{suffix}"
        if path.exists():
            return str(path)
    return ""


def read_any(path: str, options: Mapping[str, str], names: Mapping[str, str], where: Any = None) -> pa.Table:
    """Read a table.

    Parameters
    ----------
    path
        File, folder or URI (of a Delta table).
    options
        Of the object store.
    names
        Our name: the table's.
    where
        A filter on the table's own columns, as ``pyarrow.compute.Expression``.

    Raises
    ------
    BadInput
        When it is not there, or none of the three; says which paths are.
    """
    try:
        table = _open(path, dict(options)).to_table(filter=where)
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist; `fraud generate --out DIR` writes a data set") from error
    except (pa.ArrowException, DeltaError, OSError) as error:
        raise BadInput(f"{path} is no CSV, Parquet or Delta table that can be read: {error}") from error
    theirs = {their: our for our, their in names.items()}
    for our, others in OTHER_NAMES.items():
        if our not in table.column_names:
            theirs |= dict.fromkeys(others, our)
    return table.rename_columns([theirs.get(name, name) for name in table.column_names])


def cast(table: pa.Table, required: Mapping[str, pa.DataType], name: str, *, nullable: str = "") -> pa.Table:
    """Take the columns that are wanted, as the types that are wanted.

    Raises
    ------
    BadInput
        When a required column is absent, has missing values, or holds something else; names it.
    """
    missing = [column for column in required if column not in table.column_names]
    if missing:
        raise BadInput(
            f"{name} lacks the column {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    if table.num_rows == 0:
        raise BadInput(f"{name} has no rows")
    columns = {}
    for column, kind in {**required, **OPTIONAL}.items():
        if column not in table.column_names:
            continue
        try:
            columns[column] = _cast(table[column], kind)
        except (pa.ArrowException, ValueError) as error:
            raise BadInput(f"{name}: column {column} must hold {_words(kind)}: {error}") from error
        if column in required and column != nullable and columns[column].null_count:
            raise BadInput(f"{name}: column {column} has {columns[column].null_count} missing values")
    return pa.table(columns)


def _open(path: str, options: dict[str, str]) -> pa_dataset.Dataset:
    local = Path(path)
    if "://" in path or (local / "_delta_log").is_dir():
        return DeltaTable(path, storage_options=options or None).to_pyarrow_dataset()
    if not local.exists():
        raise FileNotFoundError(path)
    files = [local] if local.is_file() else sorted(f for f in local.rglob("*") if f.suffix in SUFFIXES[:-1])
    if not files:
        raise BadInput(f"{path} holds no .csv or .parquet file and no Delta table")
    if files[0].suffix == ".csv":
        # Ids such as 007 must not become numbers: what is no number or time by its contract is read as text.
        texts = {
            column: pa.string() for column, kind in {**TRANSACTION, **OPTIONAL}.items() if kind == pa.string()
        }
        convert = pa_csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
        return pa_dataset.dataset(files, format=pa_dataset.CsvFileFormat(convert_options=convert))
    return pa_dataset.dataset(files, format="parquet")


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if kind == TIME:
        return _times(column)
    if kind == pa.bool_():
        return _verdicts(column)
    if kind == pa.string() and pa.types.is_floating(column.type):
        column = column.cast(pa.int64())  # whole numbers that a missing value made fractional
    return column.cast(kind)


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read times, also as dates or as text; those without an offset are UTC."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(TIME)
    if pa.types.is_date(column.type):
        return column.cast(pa.timestamp("us")).cast(TIME)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(f"got {column.type}")
    try:
        return column.cast(TIME)
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp("us")).cast(TIME)


def _verdicts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        return column
    text = pc.utf8_lower(column.cast(pa.string()))
    is_true, is_false = (pc.is_in(text, value_set=pa.array(values)) for values in (_TRUE, _FALSE))
    strange = text.filter(pc.and_(pc.invert(pc.or_(is_true, is_false)), text.is_valid()))
    if len(strange):
        raise ValueError(f"got {strange[0].as_py()!r}")
    return pc.if_else(text.is_valid(), is_true, pa.scalar(None, pa.bool_()))


def _words(kind: pa.DataType) -> str:
    words = {pa.string(): "text", TIME: "times", pa.bool_(): "true or false (1 or 0)"}
    return words.get(kind, "numbers")
