"""Recording a training in MLflow and registering its model.

Writes one run (parameters, metrics, pictures, data fingerprint), one model version with tags, and
last of all the alias: who follows the alias never sees a version that is not whole.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.utils.logging_utils import disable_logging, enable_logging

from fraud.errors import Unavailable
from fraud.model import flavor
from fraud.model.card import Floats, ModelCard

TRAINED_UNTIL: Final = "trained_until"
"""Tag: the version was trained on transactions before this time."""
CHAMPION: Final = "champion"
"""Alias of the version that decides."""
CHALLENGER: Final = "challenger"
"""Alias of the version that is tried beside it."""
PREVIOUS: Final = "previous"
"""Alias of the version that was champion before."""
ABSENT: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")
"""How registries say that there is no such model, version or alias."""


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


@contextmanager
def open_registry(uri: str, experiment: str = "", registry_uri: str = "") -> Iterator[None]:
    """Point MLflow at a server for the time of a block, and make sure that it answers.

    Parameters
    ----------
    uri
        Tracking server.
    experiment
        Made where it is missing; empty: none is needed.
    registry_uri
        Registry where it is another server; empty: ``uri``.

    Raises
    ------
    Unavailable
        When it does not answer: start it or mend ``mlflow_uri``.
    """
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")  # the folder we run in is not the model's project
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # we say what was made, once
    disable_logging()  # type: ignore[no-untyped-call]
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(registry_uri or uri)
    try:
        if experiment and mlflow.get_experiment_by_name(experiment) is None:
            mlflow.create_experiment(experiment, artifact_location=_artifact_folder(uri))
        if experiment:
            mlflow.set_experiment(experiment)
        yield
    except MlflowException as error:
        raise Unavailable(f"MLflow at {uri} (setting mlflow_uri) failed: {error}") from error
    finally:
        enable_logging()  # type: ignore[no-untyped-call]
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def publish(report: Report, data: str | Path, model_name: str, alias: str) -> Registered:
    """Record a report as a run, register its model and, if given, move the alias to it.

    Call it within :func:`open_registry`.
    """
    client = mlflow.MlflowClient()
    with mlflow.start_run(tags=dict(report.tags)) as run:
        mlflow.log_params(dict(report.parameters))
        mlflow.log_metrics(dict(report.metrics))
        source = CodeDatasetSource({"mlflow.source.name": str(data)})
        dataset: Any = MetaDataset  # its `profile` is abstract to type checkers alone
        mlflow.log_input(dataset(source, name="transactions", digest=report.tags["data_fingerprint"]))
        for file in report.files:
            mlflow.log_artifact(str(file), "plots" if file.suffix == ".png" else None)
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
    for key, value in report.tags.items():
        client.set_model_version_tag(model_name, version, key, value)
    champion = _version_at(client, model_name, CHAMPION)
    chosen = alias if alias != "auto" else CHALLENGER if champion else CHAMPION
    if chosen == CHAMPION and champion:
        client.set_registered_model_alias(model_name, PREVIOUS, champion)
    if chosen:
        client.set_registered_model_alias(model_name, chosen, version)
    return Registered(run.info.run_id, version)


def _version_at(client: mlflow.MlflowClient, name: str, alias: str) -> str | None:
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def _artifact_folder(uri: str) -> str | None:
    if not uri.startswith("sqlite:///"):
        return None  # the server's own business
    return (Path(uri.removeprefix("sqlite:///")).resolve().parent / "artifacts").as_uri()
