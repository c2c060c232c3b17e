"""The command ``fraud drift``."""

from pathlib import Path
from typing import Annotated

import typer

from fraud.settings.options import DeltaOption, MlflowOption


def drift(  # noqa: PLR0917  (typer passes by name)
    delta: DeltaOption = None,
    until: Annotated[str | None, typer.Option(help="Judge whole days before this time, UTC.")] = None,
    model: Annotated[str | None, typer.Option(help="Version or alias; default champion.")] = None,
    mlflow_uri: MlflowOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for drift.json and report.html.")] = None,
    publishes: Annotated[
        bool | None, typer.Option("--publish/--no-publish", help="Export the figures to Prometheus.")
    ] = None,
    is_strict: Annotated[
        bool | None, typer.Option("--strict/--no-strict", help="Exit code 3 if there is drift.")
    ] = None,
) -> None:
    """Compare the last full days of served data with the model's training data."""
    from fraud.settings.base import given, parse_time  # noqa: PLC0415
    from jobs.drift.run import run  # noqa: PLC0415
    from jobs.drift.settings import DriftSettings  # noqa: PLC0415

    settings = DriftSettings(
        **given(
            delta=delta,
            until=parse_time(until) if until else None,
            model=model,
            mlflow_uri=mlflow_uri,
            out=out,
            publishes=publishes,
            is_strict=is_strict,
        )
    )
    report = run(settings, typer.echo)
    for day in report.days:
        typer.echo(f"{day.date}: {day.rows:,} transactions, {len(day.flagged)} columns flagged")
        for note in day.notes:
            typer.echo(f"  {note}")
        for one in day.findings:
            if one.is_flagged:
                typer.echo(f"  {one.name}: PSI {one.psi:.3f}; {one.cause}")
    typer.echo(f"drifted for days: {', '.join(report.alarms) or 'none'}; report in {settings.out}")
    if report.alarms and settings.is_strict:
        raise typer.Exit(3)
