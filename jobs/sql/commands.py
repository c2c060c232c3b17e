"""The command ``fraud sql``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraud.settings.options import DeltaOption

if TYPE_CHECKING:
    import duckdb

    from fraud.log.sql import Tables

_SHOWN = 50


def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SELECT; none: lists tables, views and columns.")
    ] = None,
    *,
    delta: DeltaOption = None,
    as_of: Annotated[str | None, typer.Option(help="Read the tables as they were at this time, UTC.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all rows to a .csv or .parquet file.")] = None,
    rows: Annotated[int, typer.Option(help="Most rows that are shown.", min=1)] = _SHOWN,
) -> None:
    """Ask the platform's tables in SQL (DuckDB): decisions with labels, features by name, figures by week."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.log.sql import open_tables  # noqa: PLC0415
    from fraud.settings.base import parse_time  # noqa: PLC0415
    from fraud.settings.stream import LakeSettings  # noqa: PLC0415

    console = Console(highlight=False)
    stream = LakeSettings()
    moment = parse_time(as_of) if as_of else None
    tables = open_tables(delta or stream.delta_path, stream.delta_options, moment)
    if query is None:
        _list(tables, console)
        return
    found = tables.query(query)
    if out is not None:
        typer.echo(f"{out}: {_write(found, out):,} rows")
        return
    _show(found, rows, console)


def _list(tables: "Tables", console: Any) -> None:
    from rich.table import Table  # noqa: PLC0415

    shown = Table("table or view", "columns")
    for name, columns in tables.names.items():
        shown.add_row(name, ", ".join(columns))
    console.print(shown)


def _show(found: "duckdb.DuckDBPyRelation", most: int, console: Any) -> None:
    from rich.table import Table  # noqa: PLC0415

    from fraud.log.sql import to_arrow  # noqa: PLC0415

    rows = to_arrow(found, most + 1)
    shown = Table(*rows.column_names)
    for row in rows.slice(0, most).to_pylist():
        shown.add_row(*map(_cell, row.values()))
    console.print(shown)
    if rows.num_rows > most:
        console.print(f"more than {most} rows: --rows N shows more, --out FILE writes all")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(found: "duckdb.DuckDBPyRelation", out: Path) -> int:
    from fraud.errors import BadInput  # noqa: PLC0415
    from fraud.log.sql import write  # noqa: PLC0415

    if out.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"{out}: a result is written as .csv or .parquet")
    return write(found, out)
