"""The family ``fraud features``: what ``fraud.features.commands`` says of them, and ``build``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fraud.contracts import MOST_AHEAD_S
from fraud.features import commands
from fraud.settings.options import ColumnOption, LabelGapOption, ReadOption
from jobs.features.engines import Engine

__all__ = ["app", "build", "suggest"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _family() -> None:
    """List and explain the features, and compute them for a table."""


app.command("list")(commands.list_features)
app.command()(commands.explain)
app.command()(commands.statistics)
app.command()(commands.docs)


@app.command()
def build(
    transactions: Annotated[Path, typer.Option(help="Table of transactions: CSV, Parquet or Delta.")],
    out: Annotated[Path, typer.Option(help="Folder of the Delta table to write.")],
    *,
    labels: Annotated[Path | None, typer.Option(help="Table of labels: CSV, Parquet or Delta.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Table of results, where the schema takes any.")
    ] = None,
    profiles: Annotated[
        Path | None, typer.Option(help="Table of profiles, where the schema takes any.")
    ] = None,
    column: ColumnOption = None,
    read: ReadOption = None,
    engine: Annotated[
        Engine, typer.Option(help="Compute in this process or by Spark; auto: by size.")
    ] = Engine.AUTO,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the table at OUT.")] = False,
    most_ahead_s: Annotated[
        float,
        typer.Option(help="How far a row may be dated after its arrival, seconds; other rows are left out."),
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
                results=results,
                profiles=profiles,
                tell=tell,
            )
    finally:
        spark.stop()
    typer.echo(
        f"Wrote {built.transactions:,} vectors to {out} in {built.elapsed_s:.1f} s (engine {built.engine}; "
        f"{built.labels:,} labels{f', {built.results:,} results' if built.results else ''}"
        f"{f', {built.profiles:,} profiles' if built.profiles else ''}). "
        f"Left out: {built.duplicates:,} duplicates, {built.left_out:,} rows from the future."
    )


@app.command()
def suggest(
    transactions: Annotated[
        str, typer.Option(help="Table with is_fraud, or a folder with transactions and labels.")
    ],
    *,
    labels: Annotated[
        str | None, typer.Option(help="Table of labels, if they are in a separate table.")
    ] = None,
    column: ColumnOption = None,
    read: ReadOption = None,
    label_gap_days: LabelGapOption = None,
    budget_s: Annotated[
        float, typer.Option(help="Seconds, after which no further candidate is tried.")
    ] = 600.0,
    most: Annotated[int, typer.Option(help="Most features that are chosen.", min=1)] = 8,
    out: Annotated[
        Path | None, typer.Option(help="Write the schema with the chosen lines to this file.")
    ] = None,
) -> None:
    """Suggest features that the schema lacks, by what they gain on later transactions (FRAUD_TRAIN_*)."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.learn.settings import TrainSettings  # noqa: PLC0415
    from fraud.learn.tables import read_tables  # noqa: PLC0415
    from fraud.schema.deployed import deployed_schema  # noqa: PLC0415
    from fraud.settings.base import given  # noqa: PLC0415
    from fraud.tables import parse_columns, parse_reading  # noqa: PLC0415
    from jobs.features.candidates import line_text, with_lines  # noqa: PLC0415
    from jobs.features.suggest import suggest as search  # noqa: PLC0415

    console, schema = Console(highlight=False), deployed_schema()
    settings = TrainSettings(
        **given(
            transactions=transactions,
            labels=labels,
            columns=parse_columns(column),
            reading=parse_reading(read),
            label_gap_days=label_gap_days,
            vectors="computed",
        )
    )
    tables = read_tables(settings, console.log)
    found = search(tables, schema, settings, budget_s=budget_s, most=most, tell=console.log)
    console.print(
        f"{found.ranked} of {found.candidates} candidates are worth more than a shuffled column: "
        f"{found.tried} tried, {len(found.chosen)} chosen"
    )
    if found.tried < found.ranked and len(found.chosen) < most:
        console.print(f"the budget of {budget_s:g} s has ended; a larger --budget-s tries the others, too")
    for one in found.chosen:
        cost = f"{one.cost_us:.2f} us a transaction, {one.state_bytes:+,.0f} bytes a state"
        console.print(f"  {line_text(one.line)}   # {one.gain:+.4f} (+-{one.error:.4f}) PR-AUC; {cost}")
    if found.chosen:
        words = "PR-AUC of the later test, which no choice has seen"
        console.print(f"{words}: {found.before:.4f} without, {found.after:.4f} with them")
    if out is not None and found.chosen:
        out.write_text(with_lines(schema, [one.line for one in found.chosen]), encoding="utf-8")
        console.print(f"{out}: `fraud schema diff` says what it means for a platform that runs")
