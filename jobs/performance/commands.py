"""The command ``fraud performance``."""

from pathlib import Path
from typing import Annotated

import typer


def performance(  # noqa: PLR0917  (typer passes by name)
    delta: Annotated[str | None, typer.Option(help="Path or URI of the Delta tables.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Judge by what was known at this time, UTC.")] = None,
    windows: Annotated[str | None, typer.Option(help="Maturity windows, days; default 7,14,30.")] = None,
    period: Annotated[int | None, typer.Option(help="Length of the measured period, days.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html, .json and .png.")] = None,
    publishes: Annotated[
        bool | None, typer.Option("--publish/--no-publish", help="Show the figures to Prometheus.")
    ] = None,
    is_strict: Annotated[
        bool | None, typer.Option("--strict/--no-strict", help="Exit code 3 where a figure has fallen.")
    ] = None,
) -> None:
    """Measure decisions by their matured verdicts, and estimate those that have none yet."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from rich.table import Table  # noqa: PLC0415

    from jobs.performance.main import run  # noqa: PLC0415
    from jobs.performance.report import WORDS, in_words  # noqa: PLC0415
    from jobs.performance.settings import read_settings  # noqa: PLC0415

    settings = read_settings(
        delta=delta,
        as_of=as_of,
        windows_days=windows.split(",") if windows else None,
        period_days=period,
        out=out,
        publishes=publishes,
        is_strict=is_strict,
    )
    console = Console(highlight=False)
    account = run(settings, console.print)
    names = ("precision", "recall", "pr_auc", "caught", "lost", "frauds")
    heads = [name.replace("pr_auc", "PR-AUC") for name in names]
    table = Table("window", "version", *heads, "transactions")
    for line in account.lines:
        truth, expected = line.truth, line.expected.mean if line.expected else None
        cells = []
        for name in names:
            form = ",.0f" if name in {"caught", "lost", "frauds"} else ".3f"
            there = [format(getattr(one, name), form) if one else "" for one in (truth, expected)]
            cells.append(f"{there[0]} [blue]({there[1]})[/]" if there[1] else there[0])
        rows = truth or expected
        table.add_row(in_words(line), line.version, *cells, f"{rows.rows:,.0f}" if rows else "")
    console.print(table)
    console.print("[blue](in brackets)[/]: expected by the scores of the same transactions")
    for note in account.notes:
        console.print(note, soft_wrap=True)
    for one in account.fallen:
        words = f"by {one.basis} figures: {one.now:.3f}, was {one.earlier:.3f}"
        console.print(f"[red]{WORDS[one.metric]} has fallen[/], {words}")
    console.print(f"as known on {account.as_of:%Y-%m-%d %H:%M} UTC; report in {settings.out}", soft_wrap=True)
    if account.fallen and settings.is_strict:
        raise typer.Exit(3)
