"""Sends a share of the requests to another version, on its own model server, during a rollout.

Reads the registry's alias ``canary`` and two tags of the version that it names: which share of the requests
it gets, and until when. ``jobs/rollout`` writes them. A request that the canary does not answer in time is
answered by the champion, so that a bad version costs milliseconds, never a score.
"""

import logging
import math
import random
import time
from typing import Final

import httpx
import numpy as np

from fraud.errors import BadModel
from fraud.model.breaker import CircuitBreaker
from fraud.model.canary import Share
from fraud.model.card import Floats
from fraud.model.client import JSON_LENGTH, Scores, decode_response, encode_request
from fraud.model.watcher import read_share
from fraud.runtime.threads import Watch
from services.predictor import metrics
from services.predictor.settings import PredictorSettings

FAILURES: Final = 5
COOLDOWN_S: Final = 5.0
_log = logging.getLogger(__name__)


class Canary:
    """The other model server, and what it is given.

    Parameters
    ----------
    settings
        Of this model server; ``model`` names the registered model.
    features_version
        That the other model server's answers must have.
    transport
        The way to the other model server; default: a network.
    """

    def __init__(
        self,
        settings: PredictorSettings,
        features_version: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._version = features_version
        self.share: Share | None = None
        self._registered = settings.model.removeprefix("models:/").partition("@")[0]
        self._settings = settings
        self._breaker = CircuitBreaker(FAILURES, COOLDOWN_S)
        self._http = httpx.AsyncClient(
            base_url=settings.canary_url,
            timeout=settings.canary_timeout_s,
            trust_env=False,
            transport=transport,
        )
        self._path = f"/v2/models/{settings.name}/infer"
        self._watch = Watch("canary", self.look, settings.reload_s)

    def start(self) -> None:
        """Follow the alias in a thread of its own that ends with the process."""
        metrics.CANARY_INFO.labels(self._settings.canary_url).set(1.0)
        self._watch.start()

    def stop(self) -> None:
        """End the following."""
        self._watch.stop()

    def takes(self, call: str | None) -> bool:
        """Whether a request is the canary's; requests of one call go the same way."""
        share = self.share
        call = call or f"{random.getrandbits(64):x}"
        return share is not None and share.takes(call, time.time()) and self._breaker.allows()

    async def score(
        self, vectors: Floats, reasons_from: float | None, patience: str | None = None
    ) -> Scores | None:
        """Ask the canary; None where it does not answer, or not as the version that it should be.

        Of the time that the caller waits (``patience``, seconds) it gets half: the rest is the champion's.
        """
        share = self.share
        if share is None:
            return None
        body, json_length = encode_request(vectors, reasons_from)
        headers = {"content-type": "application/octet-stream", JSON_LENGTH: str(json_length)}
        try:
            wait_s = min(self._settings.canary_timeout_s, _seconds(patience) / 2.0)
            answer = await self._http.post(self._path, content=body, headers=headers, timeout=wait_s)
            answer.raise_for_status()
            scores = _check(
                decode_response(answer.content, answer.headers, len(vectors)), share, self._version
            )
        except (httpx.HTTPError, BadModel) as error:
            self._breaker.record(is_success=False)
            metrics.FAILURES.labels(share.version).inc()
            _log.warning("the canary did not score %d rows, the champion does: %r", len(vectors), error)
            return None
        self._breaker.record(is_success=True)
        return scores

    def look(self) -> None:
        """Look once; without the registry the share stays until its time is over."""
        try:
            self.share = read_share(self._registered)
        finally:
            share = self.share
            metrics.CANARY_PERCENT.set(share.percent if share and time.time() < share.until else 0.0)


def _seconds(text: str | None) -> float:
    """Read how long a caller waits; one that says nothing waits for ever."""
    try:
        seconds = float(text or "inf")
    except ValueError:
        return math.inf
    return seconds if seconds > 0.0 else math.inf


def count(version: str, probability: Floats, review: float, seconds: float) -> None:
    """Count an answer of a version, for those who compare versions."""
    metrics.ANSWER_SECONDS.labels(version).observe(seconds)
    metrics.SCORED_ROWS.labels(version).inc(len(probability))
    metrics.FLAGGED_ROWS.labels(version).inc(int((probability >= review).sum()))
    bins = np.bincount(
        np.minimum((probability * metrics.SCORE_BINS).astype(np.int64), metrics.SCORE_BINS - 1)
    )
    for at in np.flatnonzero(bins).tolist():
        metrics.SCORES.labels(version, str(at)).inc(int(bins[at]))


def _check(scores: Scores, share: Share, features_version: str) -> Scores:
    if (scores.model_version, scores.features_version) != (share.version, features_version):
        raise BadModel(f"the canary serves version {scores.model_version}, not {share.version}")
    return scores
