"""A table of a database, by SQLAlchemy: ``postgresql+psycopg://user@host/database#schema.table``.

Every value is read as its text, as in JSON, so that the same forms and expressions hold. Rows come in the
order of the primary key, where the table has one.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from fraud.errors import BadInput

ROWS: Final = 50_000
"""Of a batch."""
SCHEMES: Final = frozenset(
    {"sqlite", "postgresql", "mysql", "mariadb", "mssql", "oracle", "duckdb", "snowflake"}
)
"""How the URL of a database begins, before a driver's name."""


def is_database(path: str) -> bool:
    """Whether a path is the URL of a database's table.

    Examples
    --------
    >>> is_database("postgresql+psycopg://me@host/shop#payments"), is_database("s3://lake/payments")
    (True, False)
    """
    scheme, mark, _ = path.partition("://")
    return bool(mark) and scheme.partition("+")[0] in SCHEMES


def database_header(path: str) -> list[str]:
    """Name the columns of a table.

    Raises
    ------
    BadInput
        When the database cannot be reached, or has no such table.
    """
    with _table(path) as (_, table):
        return [str(column.name) for column in table.columns]


def database_batches(path: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read columns of a table batch by batch, as texts."""
    from sqlalchemy import select  # noqa: PLC0415  (with its drivers, for those who read databases)

    with _table(path) as (engine, table), engine.connect() as connection:
        query = select(*(table.columns[name] for name in names)).order_by(*table.primary_key.columns)
        result = connection.execution_options(stream_results=True, yield_per=ROWS).execute(query)
        for rows in result.partitions():
            columns = zip(*rows, strict=True)
            arrays = [pa.array(map(_text, column), pa.string(), size=len(rows)) for column in columns]
            yield pa.record_batch(arrays, names=list(names))


@contextmanager
def _table(path: str) -> Iterator[tuple[Any, Any]]:
    """Open a database and look at one of its tables; errors in words, without a password."""
    from sqlalchemy import MetaData, Table, create_engine, inspect  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError  # noqa: PLC0415

    url, _, name = path.partition("#")
    if not name:
        raise BadInput(f"{path} does not name a table: write DATABASE#TABLE, e.g. {path}#transactions")
    schema, _, table = name.rpartition(".")
    engine = None
    try:
        engine = create_engine(_settled(url))
        yield engine, Table(table, MetaData(), schema=schema or None, autoload_with=engine)
    except NoSuchTableError as error:
        there = ", ".join(inspect(engine).get_table_names(schema or None))
        raise BadInput(f"{url} has no table {name}; it has {there or 'none'}") from error
    except (ImportError, NoSuchModuleError) as error:
        raise BadInput(f"{url}: the driver of this database is not installed: {error}") from error
    except (SQLAlchemyError, ArgumentError) as error:
        words = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise BadInput(f"{url} cannot be read: {words}") from error
    finally:
        if engine is not None:
            engine.dispose()


def _settled(url: str) -> str:
    """Put variables of the environment in, and refuse a password that would be shown and recorded."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    found = make_url(url)
    password = str(found.password or "")
    if password and not password.startswith("$"):
        hidden = found.render_as_string(hide_password=True)
        raise BadInput(
            f"{hidden} holds a password, which logs and the registry would keep: write $NAME in its place "
            "and set the variable NAME, or leave it to the database's own file of passwords"
        )
    if not password:
        return url
    name = password.removeprefix("$").strip("{}")
    if name not in os.environ:
        raise BadInput(f"{url}: the variable {name} is not set")
    return found.set(password=os.environ[name]).render_as_string(hide_password=False)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()  # also of a time
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.hex() if isinstance(value, bytes) else str(value)
