"""Fetching models from the MLflow registry, and following an alias.

Reads the registry's alias and the version's artifact folder; writes nothing.
"""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException

from fraud.errors import BadModel, Unavailable
from fraud.model import metrics
from fraud.model.aliases import ABSENT, CANARY
from fraud.model.canary import PERCENT, UNTIL, Share
from fraud.model.card import ScoringModel, check_fits, read_model
from fraud.model.settings import RegistrySettings
from fraud.runtime.surroundings import settle_own
from fraud.runtime.threads import Watch
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

FIRST_RETRY_S: Final = 0.5
_URI: Final = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that fits this build, with its version in the registry."""

    scoring: ScoringModel
    version: str


class ModelSource:
    """One model of the registry.

    Parameters
    ----------
    settings
        The registry and the model.
    is_required
        Whether an alias that is not there is an error.
    schema
        That the model must fit; by default the deployment's.
    """

    def __init__(
        self, settings: RegistrySettings, *, is_required: bool = True, schema: Schema | None = None
    ) -> None:
        settle_own()
        self._schema = schema or deployed_schema()
        # The watcher has its own patience; without these, one call may take minutes to fail.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # For the whole process: `models:/` addresses are resolved against these, not against arguments.
        mlflow.set_tracking_uri(settings.mlflow_uri)
        mlflow.set_registry_uri(settings.registry_uri or settings.mlflow_uri)
        self._settings = settings
        self._is_required = is_required
        found = _URI.fullmatch(settings.model)
        assert found is not None  # noqa: S101  (the settings' pattern)
        self._name, self._alias, self._fixed = found["name"], found["alias"], found["version"]

    def find_version(self) -> str | None:
        """Ask which version is to be served; None where there is none and none is required.

        Raises
        ------
        Unavailable
            When the registry does not answer or has no such model or alias: ask again later.
        """
        if self._fixed:
            return str(self._fixed)
        try:
            return str(mlflow.MlflowClient().get_model_version_by_alias(self._name, self._alias).version)
        except MlflowException as error:
            if error.error_code in ABSENT and not self._is_required:
                return None
            raise Unavailable(f"no version for {self._settings.model}: {error}") from error

    def fetch(self, version: str) -> ServedModel:
        """Download, read, check and warm up one version.

        Raises
        ------
        Unavailable
            When it cannot be downloaded now.
        BadModel
            When it does not fit this build.
        """
        with TemporaryDirectory(prefix="model-") as folder:
            try:
                registered = mlflow.MlflowClient().get_model_version(self._name, version)
                path = mlflow.artifacts.download_artifacts(f"models:/{self._name}/{version}", dst_path=folder)
            except (MlflowException, OSError) as error:
                raise Unavailable(f"version {version} cannot be downloaded: {error}") from error
            scoring = read_model(Path(path), self._settings.threads)
        names = self._schema.feature_names
        check_fits(scoring.card, self._schema.features_version, names)
        blank = np.full((1, len(names)), np.nan)
        if not 0.0 <= scoring.predict(blank)[0] <= 1.0 or scoring.contributions(blank).shape != blank.shape:
            raise BadModel(f"version {version} answers with other values than probabilities")
        metrics.MODEL_CREATED.labels(self._alias or "fixed").set(registered.creation_timestamp / 1000.0)
        return ServedModel(scoring, version)


def read_share(registered: str) -> Share | None:
    """Read which version of a registered model is being rolled out and the share that it gets; None: none.

    Raises
    ------
    Unavailable
        When the registry does not answer: what was read before holds until its time is over.
    """
    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(registered, CANARY)
        tags = found.tags or {}
        return Share(str(found.version), float(tags[PERCENT]), float(tags[UNTIL]))
    except (KeyError, ValueError):
        return None
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise Unavailable(f"the registry does not say which version of {registered} is rolled out") from error


class ModelWatcher:
    """Publishes a version whenever the registry names another one, and outlives the registry's absence.

    Parameters
    ----------
    source
        Where models come from.
    publish
        Called with each new model that fits; with None when there is none to be served any more.
    reload_s, backoff_max_s
        Wait between looks; longest wait while the registry is unavailable.
    name
        Of the thread.
    """

    def __init__(
        self,
        source: ModelSource,
        publish: Callable[[ServedModel | None], None],
        reload_s: float,
        backoff_max_s: float,
        name: str = "model",
    ) -> None:
        self._source = source
        self._publish = publish
        self._seen: str | None = None
        self.watch = Watch(
            name, self._look, reload_s, first_retry_s=FIRST_RETRY_S, backoff_max_s=backoff_max_s
        )

    def start(self) -> None:
        """Watch in a thread of its own that ends with the process."""
        self.watch.start()

    def stop(self) -> None:
        """End the watching."""
        self.watch.stop()

    def _look(self) -> None:
        """Publish or refuse what is new."""
        try:
            version = self._source.find_version()
            if version != self._seen:
                self._take(version) if version else self._publish(None)
                self._seen = version
        except BaseException:
            metrics.REGISTRY_ERRORS.inc()
            raise

    def _take(self, version: str) -> None:
        try:
            self._publish(self._source.fetch(version))
        except BadModel as error:
            metrics.REFUSED_MODELS.inc()
            _log.error("model version %s refused, the old one stays: %s", version, error)
