"""The command ``fraud train``."""

from typing import Annotated, Any

import typer

from fraud.settings.options import ColumnOption, LabelGapOption, MlflowOption, ModelNameOption, ReadOption


def train(  # noqa: PLR0917  (typer passes by name)
    transactions: Annotated[
        str | None,
        typer.Option(help="Table with a column is_fraud, or a folder with transactions and labels."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Table of labels, if they are in a separate table.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder with the tables transactions and labels.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Moment of training, where the test begins.")] = None,
    test_days: Annotated[float | None, typer.Option(help="Length of the test.")] = None,
    test_until: Annotated[str | None, typer.Option(help="End of the test.")] = None,
    label_gap_days: LabelGapOption = None,
    train_days: Annotated[float | None, typer.Option(help="Length of the training period.")] = None,
    train_from: Annotated[str | None, typer.Option(help="Beginning of the training period.")] = None,
    train_until: Annotated[str | None, typer.Option(help="End of the training period.")] = None,
    column: ColumnOption = None,
    read: ReadOption = None,
    trials: Annotated[int | None, typer.Option(help="Trials of the parameter search.")] = None,
    baselines: Annotated[
        bool | None, typer.Option("--baselines/--no-baselines", help="Compare with other models.")
    ] = None,
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
    alias: Annotated[str | None, typer.Option(help="Alias for the new version; '' for none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
) -> None:
    """Train, compare, report and register a model; FRAUD_TRAIN_* or defaults for what is not given."""
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from fraud.learn.show import comparison_table, metrics_table, parse_settings  # noqa: PLC0415
    from fraud.learn.training import train as run  # noqa: PLC0415
    from fraud.tables import parse_columns, parse_reading  # noqa: PLC0415

    given: dict[str, Any] = {
        "transactions": transactions,
        "labels": labels,
        "data": data,
        "as_of": as_of,
        "test_days": test_days,
        "test_until": test_until,
        "label_gap_days": label_gap_days,
        "train_days": train_days,
        "train_from": train_from,
        "train_until": train_until,
        "columns": parse_columns(column),
        "reading": parse_reading(read),
        "trials": trials,
        "baselines": baselines,
        "mlflow_uri": mlflow_uri,
        "model_name": model_name,
        "alias": alias,
        "seed": seed,
    }
    settings = parse_settings(given)
    console = Console()
    with console.status("starting") as status:

        def show(step: str) -> None:
            console.log(step)
            status.update(step)

        trained = run(settings, show)
    console.print(metrics_table(trained))
    console.print(comparison_table(trained.comparison))
