"""The commands ``fraud features list``, ``explain``, ``statistics`` and ``docs``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fraud.features.describe import Description, as_markdown, as_records, describe, find_feature, of_family
from fraud.schema.deployed import deployed_schema
from fraud.schema.reading.features import settings_of
from fraud.schema.statistics import STATISTICS

__all__ = ["app", "docs", "explain", "list_features", "statistics"]

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _family() -> None:
    """List and explain the features, and compute them for a table."""


@app.command("list")
def list_features(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything about each feature as JSON.")
    ] = False,
    family: Annotated[str | None, typer.Option(help="Only one family, e.g. velocity.")] = None,
) -> None:
    """List the features in the order of the vector."""
    features = of_family(family, deployed_schema())
    if as_json:
        typer.echo(json.dumps(as_records(features), indent=2))
        return
    table = Table("name", "formula and unit")  # which both fit into 80 columns
    for feature in features:
        table.add_row(feature.name, f"{feature.description} ({feature.unit})")
    table.columns[0].no_wrap = True
    Console().print(table)


@app.command()
def explain(name: Annotated[str, typer.Argument(help="A feature's name.")]) -> None:
    """Say what a feature means: formula, unit, default, what a missing value means, how exact it is."""
    typer.echo(_in_words(describe(find_feature(name, deployed_schema()))))


@app.command()
def statistics() -> None:
    """List the statistics that a schema's features may be, and the settings that each needs or may have."""
    table = Table("statistic", "needs", "may have", "meaning")
    for name, one in STATISTICS.items():
        needs, takes = settings_of(name)
        table.add_row(name, ", ".join(needs), ", ".join(takes), one.meaning)
    table.columns[0].no_wrap = True
    console = Console()
    console.print(table)
    console.print(
        "Without value, the amount is meant. `where` names a filter: only events for which it holds count."
    )


@app.command()
def docs(
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
) -> None:
    """Write the reference of all features in Markdown."""
    if out is None:
        typer.echo(as_markdown(deployed_schema()), nl=False)
    else:
        out.write_text(as_markdown(deployed_schema()))


def _in_words(of: Description) -> str:
    lines = (
        ("formula", of.formula),
        ("unit", of.unit),
        ("family", of.family),
        ("entity", of.entity or "none: of the transaction alone"),
        ("window", _bounds_of(of.window)),
        ("default", f"{of.default}, for an entity without history" if of.entity else of.default),
        ("missing", of.missing),
        ("exactness", of.exactness),
    )
    return "\n".join([of.name, *(f"  {head + ':':<11}{text}" for head, text in lines)])


def _bounds_of(window: str) -> str:
    if not window or window.startswith("("):
        return window or "none"
    return f"{window}, each (t - length, t]"
