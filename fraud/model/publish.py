"""Recording a training in MLflow and registering its model.

Writes one run (parameters, metrics, pictures, data fingerprint), one model version with tags, and
last of all the alias: who follows the alias never sees a version that is not whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from fraud.model import flavor
from fraud.model.aliases import CHALLENGER, CHAMPION, PREVIOUS
from fraud.model.card import Floats, ModelCard
from fraud.model.registry import ModelVersions


@dataclass(frozen=True, slots=True)
class Report:
    """What one training has to show."""

    trees: str
    """LightGBM's text."""
    card: ModelCard
    example: Floats
    """Some vectors, [n, F]."""
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    """Of the run and of the model version."""
    files: list[Path] = field(default_factory=list)
    """Pictures and tables to keep with the run."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a report went."""

    run_id: str
    version: str


def publish(report: Report, data: str | Path, model_name: str, alias: str) -> Registered:
    """Record a report as a run, register its model and, if given, move the alias to it.

    Call it within :func:`fraud.model.registry.open_registry`.
    """
    with mlflow.start_run(tags=dict(report.tags)) as run:
        mlflow.log_params(dict(report.parameters))
        mlflow.log_metrics(dict(report.metrics))
        source = CodeDatasetSource({"mlflow.source.name": str(data)})
        dataset: Any = MetaDataset  # its `profile` is abstract to type checkers alone
        mlflow.log_input(dataset(source, name="transactions", digest=report.tags["data_fingerprint"]))
        _log_files(report.files)
        info = mlflow.models.Model.log(
            artifact_path=None,
            name=model_name.rpartition(".")[2],  # Unity Catalog's catalog.schema.model; MLflow allows no dots
            flavor=flavor,
            registered_model_name=model_name,
            trees=report.trees,
            card=report.card,
            example=report.example,
        )
    version = str(info.registered_model_version)
    versions = ModelVersions(model_name)
    versions.tag(version, report.tags)
    champion = versions.at(CHAMPION)
    chosen = alias if alias != "auto" else CHALLENGER if champion else CHAMPION
    if chosen == CHAMPION and champion:
        versions.name_as(PREVIOUS, champion)
    if chosen:
        versions.name_as(chosen, version)
    return Registered(run.info.run_id, version)


def record_evaluation(
    version: str, metrics: Mapping[str, float], tags: Mapping[str, str], files: list[Path]
) -> str:
    """Record the evaluation of a version as a run; returns the run's id. Call it within ``open_registry``."""
    with mlflow.start_run(run_name=f"evaluate-{version}", tags=dict(tags)) as run:
        mlflow.log_metrics(dict(metrics))
        _log_files(files)
    return str(run.info.run_id)


def _log_files(files: list[Path]) -> None:
    for file in files:
        mlflow.log_artifact(str(file), "plots" if file.suffix == ".png" else None)
