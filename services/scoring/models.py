"""Where a score comes from: the registered model in this process, or the model server."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httpx
import numpy as np

from fraud.contracts import Thresholds
from fraud.decide.experiment import Alias
from fraud.errors import BadModel, Unavailable
from fraud.features.kernel import Floats
from fraud.model.card import ScoringModel
from fraud.model.client import ModelClient, ModelClientSettings, Scores, served_name
from fraud.model.settings import RegistrySettings
from fraud.model.watcher import ModelSource, ModelWatcher, ServedModel
from fraud.schema.schema import Schema
from services.scoring import metrics
from services.scoring.settings import ScoringSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one vector."""

    probability: float
    thresholds: Thresholds
    version: str
    reasons: Callable[[], list[int]]
    """Finds the features that raise the score most; costs some hundred times a score."""


class Model(Protocol):
    """One row a call."""

    is_local: bool

    def judge(self, vector: Floats) -> Prediction:
        """Score [1, features].

        Raises
        ------
        Unavailable
            When no model answers in time; let the fallback decide.
        """

    def is_ready(self) -> bool:
        """Whether a model would answer, as far as it is known."""

    def start(self) -> None:
        """Begin to follow what is to be served."""

    def stop(self) -> None:
        """End."""


def prediction_of(scoring: ScoringModel, version: str, vector: Floats) -> Prediction:
    """Score [1, features] by a model in this process."""

    def reasons() -> list[int]:
        index, _ = scoring.reasons(vector, np.ones(1, np.bool_))
        return [number for number in index[0].tolist() if number >= 0]

    return Prediction(float(scoring.predict(vector)[0]), scoring.card.thresholds, version, reasons)


class RegisteredModel:
    """The registry's model, in this process; swaps versions between two rows."""

    is_local = True

    def __init__(
        self, settings: ScoringSettings, alias: Alias = Alias.CHAMPION, schema: Schema | None = None
    ) -> None:
        is_champion = alias is Alias.CHAMPION
        model = settings.model if is_champion else settings.challenger
        source = RegistrySettings(
            mlflow_uri=settings.mlflow_uri, registry_uri=settings.registry_uri, model=model
        )
        self._alias = alias
        self._served: tuple[ScoringModel, str] | None = None
        self._labels: tuple[str, str, str] | None = None
        self._watcher = ModelWatcher(
            ModelSource(source, is_required=is_champion, schema=schema),
            self.publish,
            settings.reload_s,
            30.0,
            f"model-{alias}",
        )

    def publish(self, served: ServedModel | None) -> None:
        """Score with another version, or none, from the next row on."""
        if self._labels:
            metrics.MODEL_INFO.remove(*self._labels)
        if served is None:
            self._served = self._labels = None
            log.info("the registry has no %s any more", self._alias)
            return
        self._labels = str(self._alias), served.version, str(served.scoring.is_fast).lower()
        self._served = served.scoring, served.version
        metrics.MODEL_INFO.labels(*self._labels).set(1.0)
        log.info("scoring with version %s as %s", served.version, self._alias)

    def judge(self, vector: Floats) -> Prediction:
        """See :class:`Model`."""
        served = self._served
        if served is None:
            raise Unavailable(f"no model has been loaded yet; see that the registry has a {self._alias}")
        return prediction_of(*served, vector)

    def is_ready(self) -> bool:
        """See :class:`Model`."""
        return self._served is not None

    def look(self) -> None:
        """Load what is to be served, if it can be had now; before ``start``."""
        self._watcher.watch.look()

    def start(self) -> None:
        """See :class:`Model`."""
        self._watcher.start()

    def stop(self) -> None:
        """See :class:`Model`."""
        self._watcher.stop()


class PredictorModel:
    """The model server, behind timeouts, one retry with jitter and a circuit breaker."""

    is_local = False

    def __init__(
        self,
        settings: ScoringSettings,
        alias: Alias = Alias.CHAMPION,
        transport: httpx.BaseTransport | None = None,
        schema: Schema | None = None,
    ) -> None:
        self._client = ModelClient(
            ModelClientSettings(
                url=settings.predictor_url,
                name=served_name(alias, settings.name),
                timeout_s=settings.predictor_timeout_s,
                deadline_s=2 * settings.predictor_timeout_s,
                retries=1,
                backoff_s=0.005,
                breaker_cooldown_s=1.0,
            ),
            features_version=schema.features_version if schema else None,
            transport=transport,
        )

    def judge(self, vector: Floats) -> Prediction:
        """See :class:`Model`."""
        scores = self._ask(vector)

        def reasons() -> list[int]:
            explained = self._ask(vector, reasons_from=0.0)
            if explained.model_version != scores.model_version:
                raise Unavailable("the model server has changed its version between a score and its reasons")
            return [index for index in explained.reason_index[0].tolist() if index >= 0]

        return Prediction(float(scores.probability[0]), scores.thresholds, scores.model_version, reasons)

    def _ask(self, vector: Floats, reasons_from: float | None = None) -> Scores:
        try:
            return self._client.score(vector, reasons_from)
        except BadModel as error:  # it answers, but not for this build: nobody to ask
            raise Unavailable(str(error)) from error

    def is_ready(self) -> bool:
        """See :class:`Model`."""
        return True

    def start(self) -> None:
        """See :class:`Model`."""

    def stop(self) -> None:
        """See :class:`Model`."""
        self._client.close()


def open_model(
    settings: ScoringSettings, alias: Alias = Alias.CHAMPION, schema: Schema | None = None
) -> Model:
    """Open a model from where the settings say; one of the registry must fit the schema."""
    if settings.model_from == "registry":
        return RegisteredModel(settings, alias, schema)
    return PredictorModel(settings, alias, schema=schema)
