"""Where a score comes from: the registered model in this process, or the model server."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fraud.contracts import Thresholds
from fraud.errors import BadModel, Unavailable
from fraud.features.kernel import Floats
from fraud.model_client import ModelClient, ModelClientSettings
from services.predictor.registry import ModelSource, ModelWatcher, ServedModel
from services.predictor.settings import PredictorSettings
from services.scoring import metrics
from services.scoring.fast_model import FastModel
from services.scoring.settings import ScoringSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model says of one vector."""

    probability: float
    thresholds: Thresholds
    version: str
    reasons: Callable[[], list[int]]
    """Finds the features that raise the score most; costs some hundred times a score."""


class Model(Protocol):
    """One row a call."""

    is_local: bool

    def judge(self, vector: Floats) -> Verdict:
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


class RegisteredModel:
    """The registry's model, in this process; swaps versions between two rows."""

    is_local = True

    def __init__(self, settings: ScoringSettings) -> None:
        source = PredictorSettings(mlflow_uri=settings.mlflow_uri, model=settings.model)
        self._served: tuple[FastModel, str] | None = None
        self._watcher = ModelWatcher(ModelSource(source), self.publish, settings.reload_s, 30.0)

    def publish(self, served: ServedModel) -> None:
        """Score with another version from the next row on."""
        fast = FastModel(served.scoring)
        self._served = fast, served.version
        metrics.MODEL_INFO.clear()
        metrics.MODEL_INFO.labels(served.version, str(fast.is_fast).lower()).set(1.0)
        log.info("scoring with version %s", served.version)

    def judge(self, vector: Floats) -> Verdict:
        """See :class:`Model`."""
        served = self._served
        if served is None:
            raise Unavailable("no model has been loaded yet; see that the registry has a champion")
        fast, version = served
        probability = fast.probability(vector)
        return Verdict(probability, fast.card.thresholds, version, lambda: fast.reasons(vector))

    def is_ready(self) -> bool:
        """See :class:`Model`."""
        return self._served is not None

    def start(self) -> None:
        """See :class:`Model`."""
        self._watcher.start()

    def stop(self) -> None:
        """See :class:`Model`."""
        self._watcher.stop()


class PredictorModel:
    """The model server, behind timeouts, one retry with jitter and a circuit breaker."""

    is_local = False

    def __init__(self, settings: ScoringSettings) -> None:
        self._client = ModelClient(
            ModelClientSettings(
                url=settings.predictor_url,
                name=settings.name,
                timeout_s=settings.predictor_timeout_s,
                deadline_s=2 * settings.predictor_timeout_s,
                retries=1,
                backoff_s=0.005,
                breaker_cooldown_s=1.0,
            )
        )

    def judge(self, vector: Floats) -> Verdict:
        """See :class:`Model`."""
        try:
            scores = self._client.score(vector)
        except BadModel as error:  # it answers, but not for this build: nobody to ask
            raise Unavailable(str(error)) from error

        def reasons() -> list[int]:
            explained = self._client.score(vector, reasons_from=0.0)
            return [index for index in explained.reason_index[0].tolist() if index >= 0]

        return Verdict(float(scores.probability[0]), scores.thresholds, scores.model_version, reasons)

    def is_ready(self) -> bool:
        """See :class:`Model`."""
        return True

    def start(self) -> None:
        """See :class:`Model`."""

    def stop(self) -> None:
        """See :class:`Model`."""
        self._client.close()


def open_model(settings: ScoringSettings) -> Model:
    """Open the model that the settings name."""
    return RegisteredModel(settings) if settings.model_from == "registry" else PredictorModel(settings)
