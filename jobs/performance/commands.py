"""The command ``fraud performance``."""

from pathlib import Path
from typing import Annotated

import typer

from fraud.settings.options import DeltaOption


def performance(  # noqa: PLR0917  (typer passes by name)
    delta: DeltaOption = None,
    as_of: Annotated[str | None, typer.Option(help="Judge by what was known at this time, UTC.")] = None,
    windows: Annotated[str | None, typer.Option(help="Maturity windows, days; default 7,14,30.")] = None,
    period: Annotated[int | None, typer.Option(help="Length of the measured period, days.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html, .json and .png.")] = None,
    publishes: Annotated[
        bool | None, typer.Option("--publish/--no-publish", help="Export the figures to Prometheus.")
    ] = None,
    is_strict: Annotated[
        bool | None, typer.Option("--strict/--no-strict", help="Exit code 3 if a figure has fallen.")
    ] = None,
) -> None:
    """Measure decisions by their matured labels, and estimate those that have none yet."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from rich.table import Table  # noqa: PLC0415

    from fraud.money import round_words  # noqa: PLC0415
    from fraud.schema.deployed import deployed_schema  # noqa: PLC0415
    from fraud.settings.base import given, parse_time  # noqa: PLC0415
    from jobs.performance.report import SHOWN, WORDS, in_words, number  # noqa: PLC0415
    from jobs.performance.run import run  # noqa: PLC0415
    from jobs.performance.settings import PerformanceSettings  # noqa: PLC0415

    settings = PerformanceSettings(
        **given(
            delta=delta,
            as_of=parse_time(as_of) if as_of else None,
            windows_days=windows.split(",") if windows else None,
            period_days=period,
            out=out,
            publishes=publishes,
            is_strict=is_strict,
        )
    )
    console = Console(highlight=False)
    if not console.is_terminal:  # a file has no width of its own
        console = Console(highlight=False, width=110)
    summary = run(settings, console.print)
    table = Table("window", "version", *(WORDS.get(name, name) for name in SHOWN), "rows", box=SIMPLE_HEAD)
    for line in summary.lines:
        expected = line.expected.mean if line.expected else None
        cells = []
        for name in SHOWN:
            truth = [number(line.truth, name)] if line.truth else []
            cells.append("\n".join([*truth, f"[blue]({number(expected, name)})[/]"]))
        table.add_row(in_words(line), line.version, *cells, number(line.truth or expected, "rows"))
    console.print(table)
    console.print("[blue](in brackets)[/]: expected by the scores of the same transactions")
    currency = deployed_schema().base_currency
    for one in summary.types:
        console.print(
            f"{one.fraud_type}: {one.frauds} frauds in {settings.period_days} days, recall {one.recall:.3f}, "
            f"{round_words(one.lost, currency)} lost (labels of {one.window_days} days)"
        )
    for note in summary.notes:
        console.print(note, soft_wrap=True)
    for fall in summary.fallen:
        words = f"by {fall.basis} figures: {fall.now:.3f}, was {fall.earlier:.3f}"
        console.print(f"[red]{WORDS[fall.metric]} has fallen[/], {words}")
    console.print(f"as known on {summary.as_of:%Y-%m-%d %H:%M} UTC; report in {settings.out}", soft_wrap=True)
    if summary.fallen and settings.is_strict:
        raise typer.Exit(3)
