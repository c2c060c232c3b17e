"""Data sets on disk: ``transactions``, ``labels``, ``users``, ``merchants`` and ``patterns`` as Parquet."""

from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fraud.errors import BadInput
from fraud.schema.arrow import OWN
from fraud.synthetic.data_set import DataSet

__all__ = ["read", "read_table", "write"]


def write(data_set: DataSet, folder: Path) -> None:
    """Write every table to ``folder``, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields(DataSet):
        table = getattr(data_set, field.name).replace_schema_metadata(OWN)
        pq.write_table(table, folder / f"{field.name}.parquet")


def read(folder: Path) -> DataSet:
    """Read a data set that :func:`write` wrote.

    Raises
    ------
    BadInput
        When a file is missing or is no Parquet file; generate the data set again.
    """
    return DataSet(**{field.name: read_table(folder, field.name) for field in fields(DataSet)})


def read_table(folder: Path, name: str) -> pa.Table:
    """Read one table of a data set, e.g. ``labels``."""
    path = folder / f"{name}.parquet"
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing; write a data set with `fraud generate --out {folder}`") from error
    except pa.ArrowInvalid as error:
        raise BadInput(f"{path} cannot be read as Parquet: {error}") from error
