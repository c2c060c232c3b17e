"""Data sets on disk: each table of a data set as a Parquet file of its name."""

from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fraud.contracts.topics import PROFILES, RESULTS
from fraud.errors import BadInput
from fraud.schema.arrow import OWN
from fraud.synthetic.data_set import DataSet

__all__ = ["read", "read_table", "read_told", "write"]


def write(data_set: DataSet, folder: Path) -> None:
    """Write every table to ``folder``, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields(DataSet):
        file, table = folder / f"{field.name}.parquet", getattr(data_set, field.name)
        if table is None:
            file.unlink(missing_ok=True)  # of an earlier data set in the same place
        else:
            pq.write_table(table.replace_schema_metadata(OWN), file)


def read(folder: Path) -> DataSet:
    """Read a data set that :func:`write` wrote.

    Raises
    ------
    BadInput
        When a file is missing or is no Parquet file; generate the data set again.
    """
    told = (RESULTS, PROFILES)
    found = {name: read_told(folder, name) for name in told}
    names = [field.name for field in fields(DataSet) if field.name not in told]
    return DataSet(**{name: read_table(folder, name) for name in names}, **found)


def read_told(folder: Path, name: str) -> pa.Table | None:
    """Read the results or the profiles of a data set; None where it has none."""
    return read_table(folder, name) if (folder / f"{name}.parquet").exists() else None


def read_table(folder: Path, name: str) -> pa.Table:
    """Read one table of a data set, e.g. ``labels``."""
    path = folder / f"{name}.parquet"
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing; write a data set with `fraud generate --out {folder}`") from error
    except pa.ArrowInvalid as error:
        raise BadInput(f"{path} cannot be read as Parquet: {error}") from error
