"""The command ``fraud demo``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fraud.errors import FraudError
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.settings.base import given
from fraud.synthetic.settings import GeneratorSettings, past_start
from fraud.tools.demo.run import Size, run


def demo(
    *,
    small: Annotated[bool, typer.Option("--small", help="8,000 transactions instead of 100,000.")] = False,
    home: Annotated[Path | None, typer.Option(help="Folder of all state; default .fraud.")] = None,
    rate: Annotated[
        float | None, typer.Option(help="Transactions per second; default 600 (small: 300).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the data.")] = 7,
    experiment: Annotated[
        bool, typer.Option("--experiment", help="A second model decides for half of the cardholders.")
    ] = False,
    down: Annotated[bool, typer.Option("--down", help="Stop the platform at the end.")] = False,
) -> None:
    """Run the whole platform on this machine: generate, train, stream, check, report."""
    console = Console()
    settings = LocalSettings(**given(home=home))
    start = past_start(datetime.now(UTC))
    size = Size(
        GeneratorSettings(transactions=8_000, users=800, merchants=400, seed=seed, start=start), rate or 300.0
    )
    if not small:
        size = Size(GeneratorSettings(seed=seed, start=start), rate or 600.0)
    try:
        errors = run(settings, size, console, has_experiment=experiment)
    except KeyboardInterrupt:
        console.print("interrupted; stopping the platform")
        platform.down(settings)
        raise
    finally:
        if down:
            platform.down(settings)
    if errors:
        raise FraudError("some records are unaccounted for: " + "; ".join(errors))
