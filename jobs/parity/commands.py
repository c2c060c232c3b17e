"""The command ``fraud parity``."""

from pathlib import Path
from typing import Annotated

import typer

from fraud.settings.options import DeltaOption


def parity(
    *,
    delta: DeltaOption = None,
    since: Annotated[str | None, typer.Option(help="Compare records received from this time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Compare records received before this time.")] = None,
    without_future: Annotated[
        bool | None,
        typer.Option(
            "--without-future/--with-future",
            help="Leave out what is dated in the future, as `rebuild-store --without-future` does.",
        ),
    ] = None,
    tolerance: Annotated[float | None, typer.Option(help="Accepted difference; default 0.")] = None,
    json_file: Annotated[Path | None, typer.Option(help="JSON file to write the result to.")] = None,
    publishes: Annotated[
        bool | None,
        typer.Option("--publish/--no-publish", help="Export the result to Prometheus; default yes."),
    ] = None,
    slice_rows: Annotated[int | None, typer.Option(help="Records held in memory at a time.")] = None,
    scratch: Annotated[Path | None, typer.Option(help="Folder for the states while it runs.")] = None,
) -> None:
    """Recompute every served vector from the log; exit non-zero on any difference (FRAUD_PARITY_*)."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.settings.base import given  # noqa: PLC0415
    from jobs.parity.run import run  # noqa: PLC0415
    from jobs.parity.settings import ParitySettings  # noqa: PLC0415

    settings = ParitySettings(
        **given(
            delta=delta,
            since=since,
            until=until,
            without_future=without_future,
            tolerance=tolerance,
            slice_rows=slice_rows,
            scratch=scratch,
            json_file=json_file,
            publishes=publishes,
        )
    )
    run(settings, Console())
