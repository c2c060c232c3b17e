"""Versions and aliases of one model in the MLflow registry.

``champion`` decides, ``challenger`` is tried beside it, ``previous`` was champion before. Who follows an
alias sees it move last, after everything that belongs to the move is written.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.logging_utils import disable_logging, enable_logging

from fraud.errors import BadInput, BadModel, Unavailable
from fraud.model.aliases import ABSENT, CHALLENGER, CHAMPION, PREVIOUS
from fraud.model.card import ScoringModel, check_fits, read_model
from fraud.runtime.surroundings import settle_own
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

MOST_TAG: Final = 2_000
"""Characters that a tag may have, with room to the strictest registry's limit."""


@dataclass(frozen=True, slots=True)
class AliasMove:
    """The versions that the aliases name after a move."""

    champion: str
    previous: str | None


_UNREACHED = "Max retries exceeded"
"""Stands in MLflow's error where nothing answers."""


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
        When it does not answer: start it or correct ``mlflow_uri``.
    """
    settle_own()
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
        if _UNREACHED in str(error):
            raise Unavailable(
                f"no MLflow answers at {uri} (setting mlflow_uri): `fraud up mlflow` starts it on this "
                "machine; or name another server, or a file (sqlite:///mlflow.db), with --mlflow-uri"
            ) from error
        raise Unavailable(f"MLflow at {uri} (setting mlflow_uri) failed: {error}") from error
    finally:
        enable_logging()  # type: ignore[no-untyped-call]
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


class ModelVersions:
    """The versions of one model; use it within :func:`open_registry`.

    Parameters
    ----------
    name
        In the registry; in Unity Catalog ``catalog.schema.model``.
    schema
        That its versions must fit; by default the deployment's.
    """

    def __init__(self, name: str, schema: Schema | None = None) -> None:
        self.name, self._schema = name, schema or deployed_schema()
        self._client = mlflow.MlflowClient()

    def at(self, alias: str) -> str | None:
        """Version that an alias names; None when there is none."""
        try:
            return str(self._client.get_model_version_by_alias(self.name, alias).version)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise

    def resolve(self, version_or_alias: str) -> str:
        """Turn an alias into its version.

        Raises
        ------
        BadInput
            When there is no such version or alias.
        """
        found = version_or_alias if version_or_alias.isdigit() else self.at(version_or_alias)
        if found is None:
            raise BadInput(
                f"{self.name} has no alias {version_or_alias!r}; give a version number or another one"
            )
        self.tags(found)
        return found

    def tags(self, version: str) -> dict[str, str]:
        """Tags of a version."""
        try:
            return dict(self._client.get_model_version(self.name, version).tags or {})
        except MlflowException as error:
            if error.error_code in ABSENT:
                raise BadInput(f"{self.name} has no version {version}") from error
            raise

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Write tags of a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, version, key, value[:MOST_TAG])

    def find(self, tags: Mapping[str, str]) -> str | None:
        """Newest version that carries all these tags; None when none does."""
        try:
            # Filtered here: Unity Catalog cannot search by tag.
            found = self._client.search_model_versions(f"name='{self.name}'")
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise
        numbers = sorted((int(one.version) for one in found), reverse=True)
        for number in numbers:
            own = self.tags(str(number))
            if all(own.get(key) == value for key, value in tags.items()):
                return str(number)
        return None

    def load(self, version: str) -> ScoringModel:
        """Download a version and check that it fits this build.

        Raises
        ------
        BadModel
            When it does not.
        """
        with TemporaryDirectory(prefix="model-") as folder:
            path = mlflow.artifacts.download_artifacts(f"models:/{self.name}/{version}", dst_path=folder)
            model = read_model(Path(path), threads=0)
        check_fits(model.card, self._schema.features_version, self._schema.feature_names)
        return model

    def artifact(self, version: str, name: str, folder: Path) -> Path:
        """Download a file that was stored with a version's run.

        Raises
        ------
        BadInput
            When the version was registered without it.
        """
        try:
            run_id = self._client.get_model_version(self.name, version).run_id
            path = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=name, dst_path=str(folder)
            )
        except (MlflowException, OSError) as error:
            raise BadInput(f"version {version} was registered without {name}; train a new version") from error
        return Path(path)

    def name_as(self, alias: str, version: str) -> None:
        """Let an alias name a version."""
        self._client.set_registered_model_alias(self.name, alias, version)

    def unname(self, alias: str) -> None:
        """Take an alias away."""
        self._client.delete_registered_model_alias(self.name, alias)

    def challenge(self, version: str) -> None:
        """Make a version the challenger."""
        self.name_as(CHALLENGER, version)

    def check_features(self, version: str) -> None:
        """Refuse a version that was trained with another feature table.

        Raises
        ------
        BadModel
            When it was; names both tables.
        """
        ours = self._schema.features_version
        trained_with = self.tags(version).get("features_version", ours)
        if trained_with != ours:
            raise BadModel(f"version {version} was trained with features {trained_with}, not with {ours}")

    def promote(self, version: str, why: str) -> AliasMove:
        """Make a version the champion; the present one becomes ``previous``. Doing it again changes nothing.

        Raises
        ------
        BadModel
            When it was trained with another feature table.
        """
        self.check_features(version)
        champion = self.at(CHAMPION)
        if champion == version:
            return AliasMove(version, self.at(PREVIOUS))
        self.tag(version, {"promoted_at": _now(), "promoted_because": why})
        if champion is not None:
            self.name_as(PREVIOUS, champion)
        self.name_as(CHAMPION, version)
        if self.at(CHALLENGER) == version:
            self.unname(CHALLENGER)
        return AliasMove(version, champion)

    def rollback(self, why: str) -> AliasMove:
        """Make ``previous`` the champion again. Once only: what was rolled back is not gone back to.

        Raises
        ------
        BadInput
            When there is no previous version.
        """
        champion, previous = self.at(CHAMPION), self.at(PREVIOUS)
        if previous is None:
            raise BadInput(f"{self.name} has no alias {PREVIOUS}; promote a version by number instead")
        if champion is not None and champion != previous:
            self.tag(champion, {"rolled_back_at": _now(), "rolled_back_because": why})
        self.name_as(CHAMPION, previous)
        self.unname(PREVIOUS)
        return AliasMove(previous, None)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _artifact_folder(uri: str) -> str | None:
    if not uri.startswith("sqlite:///"):
        return None  # the server's own business
    return (Path(uri.removeprefix("sqlite:///")).resolve().parent / "artifacts").as_uri()
