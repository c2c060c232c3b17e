"""The command ``fraud retrain``: the whole chain on a machine, and one step of it in a container."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fraud.settings.options import LabelGapOption, MlflowOption, ModelNameOption


def retrain(  # noqa: PLR0917  (typer passes by name)
    interval: Annotated[str, typer.Option(help="START/END; END is the moment of retraining.")],
    transactions: Annotated[str | None, typer.Option(help="Table, or folder of tables.")] = None,
    step: Annotated[str, typer.Option(help="Run this step alone.")] = "",
    work: Annotated[Path | None, typer.Option(help="Folder that the steps share.")] = None,
    label_gap_days: LabelGapOption = None,
    gate_days: Annotated[float | None, typer.Option(help="Length of the gate's period.")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials of the parameter search.")] = None,
    place: Annotated[
        str | None,
        typer.Option(
            help="Where the rollout runs: local, kubernetes, registry (only the alias moves); default auto."
        ),
    ] = None,
    mlflow_uri: MlflowOption = None,
    model_name: ModelNameOption = None,
) -> None:
    """Retrain for an interval: validate, train, evaluate, gate, register and roll out.

    Steps: validate, features, train, evaluate, gate, register, rollout. Settings of the training come
    from FRAUD_TRAIN_*, of the gate from FRAUD_GATE_*, of the rollout from FRAUD_ROLLOUT_*, of the rest from
    FRAUD_RETRAIN_*. Exit code of the rollout: 0 it is champion, 3 the gate refused it, 1 withdrawn.
    """
    from fraud.learn.settings import GateSettings, TrainSettings  # noqa: PLC0415
    from fraud.rollout.pipeline import EXIT  # noqa: PLC0415
    from fraud.rollout.settings import RolloutSettings  # noqa: PLC0415
    from fraud.settings.base import given  # noqa: PLC0415  (`--help` must not wait for libraries)
    from jobs.retrain.run import retrain as run  # noqa: PLC0415
    from jobs.retrain.settings import Interval, RetrainSettings  # noqa: PLC0415

    train = TrainSettings(
        **given(
            transactions=transactions,
            label_gap_days=label_gap_days,
            trials=trials,
            mlflow_uri=mlflow_uri,
            model_name=model_name,
        )
    )
    settings = RetrainSettings(**given(work=work, gate_days=gate_days))
    record = run(
        Interval.parse(interval),
        settings,
        train,
        GateSettings(),
        RolloutSettings(
            mlflow_uri=train.mlflow_uri,
            registry_uri=train.registry_uri,
            model_name=train.model_name,
            **given(place=place),
        ),
        step=step,
        tell=typer.echo,
    )
    if settings.result is not None:
        settings.result.write_text(json.dumps(record), encoding="utf-8")
    typer.echo(json.dumps({key: record[key] for key in record if key not in {"parameters", "figures"}}))
    raise typer.Exit(EXIT.get(record.get("outcome", ""), 0))
