"""The family ``fraud features``: what ``fraud.features.commands`` says of them, and ``build``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fraud.contracts import MOST_AHEAD_S
from fraud.features import commands
from fraud.settings.options import ColumnOption, ReadOption
from jobs.features.engines import Engine

__all__ = ["app", "build"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _family() -> None:
    """List and explain the features, and compute them for a table."""


app.command("list")(commands.list_features)
app.command()(commands.explain)
app.command()(commands.docs)


@app.command()
def build(
    transactions: Annotated[Path, typer.Option(help="Table of transactions: CSV, Parquet or Delta.")],
    out: Annotated[Path, typer.Option(help="Folder of the Delta table to write.")],
    *,
    labels: Annotated[Path | None, typer.Option(help="Table of labels: CSV, Parquet or Delta.")] = None,
    column: ColumnOption = None,
    read: ReadOption = None,
    engine: Annotated[
        Engine, typer.Option(help="Fold in this process or by Spark; auto: by size.")
    ] = Engine.AUTO,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the table at OUT.")] = False,
    most_ahead_s: Annotated[
        float, typer.Option(help="Seconds that a row may be dated ahead of its arrival; others are left out.")
    ] = MOST_AHEAD_S,
    partitions: Annotated[int | None, typer.Option(help="Cores for Spark; default: all.", min=1)] = None,
) -> None:
    """Compute the feature vectors of a table, as the stream would have served them."""
    from fraud.spark.session import open_session  # noqa: PLC0415
    from fraud.tables import parse_columns, parse_reading  # noqa: PLC0415
    from jobs.features import build as job  # noqa: PLC0415  (`--help` must not wait for Spark)
    from jobs.features.progress import show_progress  # noqa: PLC0415

    columns, reading = parse_columns(column), parse_reading(read)
    cores = partitions or os.cpu_count() or 1
    spark = open_session("fraud-features-build", f"local[{cores}]", cores)
    try:
        with show_progress(spark) as tell:
            built = job.build(
                transactions,
                labels,
                out,
                spark,
                engine=engine,
                overwrite=overwrite,
                most_ahead_s=most_ahead_s,
                columns=columns,
                reading=reading,
                tell=tell,
            )
    finally:
        spark.stop()
    typer.echo(
        f"Wrote {built.transactions:,} vectors to {out} in {built.elapsed_s:.1f} s (engine {built.engine}; "
        f"{built.labels:,} labels). "
        f"Left out: {built.duplicates:,} duplicates, {built.left_out:,} rows from the future."
    )
