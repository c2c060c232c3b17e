"""The command ``fraud whatif``."""

from pathlib import Path
from typing import Annotated

import typer

from fraud.settings.options import DeltaOption, LabelGapOption, MlflowOption, ModelNameOption


def whatif(
    *,
    delta: DeltaOption = None,
    since: Annotated[str | None, typer.Option("--from", help="Beginning of the period, UTC.")] = None,
    until: Annotated[str | None, typer.Option(help="End of the period, UTC.")] = None,
    reviews_per_day: Annotated[
        float | None,
        typer.Option(
            help="Judge by the threshold that gives so many reviews a day, not by the real decisions.",
            show_default=False,
        ),
    ] = None,
    label_gap_days: LabelGapOption = None,
    trained_until: Annotated[
        str | None, typer.Option(help="When the model was trained, where the registry does not say it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for whatif.html, .json and cases.csv.")] = None,
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
) -> None:
    """Report which labelled frauds the decisions of a period stopped, when, and at which review load."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from rich.table import Table  # noqa: PLC0415

    from fraud.settings.base import given, parse_time  # noqa: PLC0415
    from jobs.whatif.report import REPORT_FILE, minutes, money, share, thinned, unit  # noqa: PLC0415
    from jobs.whatif.run import run  # noqa: PLC0415
    from jobs.whatif.settings import WhatIfSettings  # noqa: PLC0415

    settings = WhatIfSettings(
        **given(
            delta=delta,
            since=parse_time(since) if since else None,
            until=parse_time(until) if until else None,
            reviews_per_day=reviews_per_day,
            label_gap_days=label_gap_days,
            trained_until=parse_time(trained_until) if trained_until else None,
            out=out,
            mlflow_uri=mlflow_uri,
            model_name=model_name,
        )
    )
    console = Console(highlight=False)
    if not console.is_terminal:  # a file has no width of its own
        console = Console(highlight=False, width=130)
    found = run(settings)
    for note in found.notes:
        console.print(f"{note}.", style="yellow", soft_wrap=True)
    table = Table(
        "", "stopped a day", "of the frauds", "of the cases", "saved", "less costs", box=SIMPLE_HEAD
    )
    for name, point in [
        ("chosen", found.chosen),
        *((f"{one.threshold:.4f}", one) for one in thinned(found.curve)),
    ]:
        stopped = f"{point.stopped_a_day:,.1f}"
        table.add_row(
            name, stopped, share(point.recall), share(point.cases), money(point.saved), money(point.net)
        )
    console.print(table)
    stops = sorted(case.minutes_to_stop for case in found.cases if case.minutes_to_stop is not None)
    median = minutes(stops[len(stops) // 2]) if stops else "never"
    console.print(
        f"{found.way}: {len(stops):,} of {len(found.cases):,} cases are stopped, {stops.count(0.0):,} of "
        f"them at their first fraud, half within {median} of it; "
        f"money in {unit()}, in brackets 95 % over cards",
        soft_wrap=True,
    )
    console.print(f"report: {settings.out / REPORT_FILE}", soft_wrap=True)
