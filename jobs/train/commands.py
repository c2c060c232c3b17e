"""The command ``fraud train``."""

from pathlib import Path
from typing import Annotated, Any

import typer


def train(  # noqa: PLR0917  (typer passes by name)
    data: Annotated[
        Path | None, typer.Option(help="Folder with transactions.parquet and labels.parquet.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Moment of training, e.g. 2026-03-01T00:00:00Z.")] = None,
    label_gap_days: Annotated[float | None, typer.Option(help="How long verdicts take, days.")] = None,
    mlflow_uri: Annotated[str | None, typer.Option(help="MLflow server, or sqlite:///<file>.")] = None,
    model_name: Annotated[str | None, typer.Option(help="Name in the registry.")] = None,
    alias: Annotated[str | None, typer.Option(help="Alias for the new version; '' for none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
) -> None:
    """Train, evaluate and register a model; what is not given comes from FRAUD_TRAIN_* or the defaults."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)
    from rich.table import Table  # noqa: PLC0415

    from jobs.train.pipeline import train as run  # noqa: PLC0415
    from jobs.train.settings import TrainSettings, parse_time  # noqa: PLC0415

    given: dict[str, Any] = {
        "data": data,
        "as_of": None if as_of is None else parse_time(as_of),
        "label_gap_days": label_gap_days,
        "mlflow_uri": mlflow_uri,
        "model_name": model_name,
        "alias": alias,
        "seed": seed,
    }
    settings = TrainSettings(**{name: value for name, value in given.items() if value is not None})
    console = Console()
    with console.status("starting") as status:

        def show(step: str) -> None:
            console.log(step)
            status.update(step)

        trained = run(settings, show)
    table = Table(title=f"{trained.name} version {trained.version}, {trained.seconds:.1f} s")
    table.add_column("test metric")
    table.add_column("value", justify="right")
    for name, value in trained.metrics.as_dict().items():
        table.add_row(name, f"{value:,.4f}" if isinstance(value, float) else f"{value:,}")
    table.add_row("review from", f"{trained.thresholds.review:.4f}")
    table.add_row("decline from", f"{trained.thresholds.decline:.4f}")
    console.print(table)
