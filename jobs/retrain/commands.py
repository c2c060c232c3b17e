"""The command ``fraud retrain``."""

from pathlib import Path
from typing import Annotated, Any

import typer


def retrain(  # noqa: PLR0917  (typer passes by name)
    interval: Annotated[str, typer.Option(help="START/END; END is the moment of retraining.")],
    transactions: Annotated[str | None, typer.Option(help="Table, or folder of tables.")] = None,
    step: Annotated[str, typer.Option(help="Run this step alone.")] = "",
    work: Annotated[Path | None, typer.Option(help="Folder that the steps share.")] = None,
    label_gap_days: Annotated[float | None, typer.Option(help="How long verdicts take, days.")] = None,
    gate_days: Annotated[float | None, typer.Option(help="Length of the gate's period.")] = None,
    trials: Annotated[int | None, typer.Option(help="Budget of the search for parameters.")] = None,
    mlflow_uri: Annotated[str | None, typer.Option(help="MLflow server, or sqlite:///<file>.")] = None,
    model_name: Annotated[str | None, typer.Option(help="Name in the registry.")] = None,
) -> None:
    """Validate an interval's data, train, evaluate, gate, register, roll out, watch, and keep or go back.

    Steps: validate, features, train, evaluate, gate, register, rollout, watch, conclude. Settings of the
    training come from FRAUD_TRAIN_*, of the gate from FRAUD_GATE_*, of the rest from FRAUD_RETRAIN_*.
    """
    from rich.console import Console  # noqa: PLC0415  (`--help` must not wait for the libraries)

    from jobs.evaluate.settings import GateSettings  # noqa: PLC0415
    from jobs.retrain.pipeline import retrain as run  # noqa: PLC0415
    from jobs.retrain.settings import Interval, RetrainSettings  # noqa: PLC0415
    from jobs.train.settings import TrainSettings  # noqa: PLC0415

    console = Console()
    train: dict[str, Any] = {
        "transactions": transactions,
        "label_gap_days": label_gap_days,
        "trials": trials,
        "mlflow_uri": mlflow_uri,
        "model_name": model_name,
    }
    own: dict[str, Any] = {"work": work, "gate_days": gate_days}
    record = run(
        Interval.parse(interval),
        RetrainSettings(**{name: value for name, value in own.items() if value is not None}),
        TrainSettings(**{name: value for name, value in train.items() if value is not None}),
        GateSettings(),
        step=step,
        tell=console.log,
    )
    console.print({key: value for key, value in record.items() if key not in {"parameters", "figures"}})
