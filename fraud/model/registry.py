"""Versions and aliases of one model in the MLflow registry.

``champion`` decides, ``challenger`` is tried beside it, ``previous`` was champion before. Who follows an
alias sees it move last, after everything that belongs to the move is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import mlflow
from mlflow.exceptions import MlflowException

from fraud.errors import BadInput, BadModel
from fraud.features import FEATURE_NAMES, FEATURES_VERSION
from fraud.model.card import ScoringModel, check_fits, read_model
from fraud.model.publish import ABSENT, CHALLENGER, CHAMPION, PREVIOUS

GATE: Final = "gate"
"""Tag of a version: what the gate decided, ``accepted`` or ``refused``."""
GATE_REASONS: Final = "gate_reasons"
MOST_TAG: Final = 2_000
"""Characters that a tag may have, with room to the strictest registry's limit."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Aliases after a move."""

    champion: str
    previous: str | None


class ModelVersions:
    """The versions of one model; use it within ``fraud.model.publish.open_registry``.

    Parameters
    ----------
    name
        In the registry; in Unity Catalog ``catalog.schema.model``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
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
        check_fits(model.card, FEATURES_VERSION, FEATURE_NAMES)
        return model

    def challenge(self, version: str) -> None:
        """Make a version the challenger."""
        self._client.set_registered_model_alias(self.name, CHALLENGER, version)

    def promote(self, version: str, why: str) -> Moved:
        """Make a version the champion; the present one becomes ``previous``. Doing it again changes nothing.

        Raises
        ------
        BadModel
            When it was trained with another feature table.
        """
        own = self.tags(version)
        trained_with = own.get("features_version", FEATURES_VERSION)
        if trained_with != FEATURES_VERSION:
            raise BadModel(
                f"version {version} was trained with features {trained_with}, not with {FEATURES_VERSION}"
            )
        champion = self.at(CHAMPION)
        if champion == version:
            return Moved(version, self.at(PREVIOUS))
        self.tag(version, {"promoted_at": _now(), "promoted_because": why})
        if champion is not None:
            self._client.set_registered_model_alias(self.name, PREVIOUS, champion)
        self._client.set_registered_model_alias(self.name, CHAMPION, version)
        if self.at(CHALLENGER) == version:
            self._client.delete_registered_model_alias(self.name, CHALLENGER)
        return Moved(version, champion)

    def rollback(self, why: str) -> Moved:
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
        self._client.set_registered_model_alias(self.name, CHAMPION, previous)
        self._client.delete_registered_model_alias(self.name, PREVIOUS)
        return Moved(previous, None)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
