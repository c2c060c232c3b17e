"""From vectors to verdicts: one batched model call, the policy, and the fallback when the model is away."""

import logging
from dataclasses import dataclass

import numpy as np

from fraud.contracts import Outcome, Reason
from fraud.errors import Unavailable
from fraud.features import FEATURE_NAMES
from fraud.features.kernel import Floats
from fraud.features.reasons import reason_text
from fraud.model_client import ModelClient
from fraud.policy import decide, decide_without_model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Outcomes with their reasons, one a transaction; all of one model version, or all by the fallback."""

    outcomes: list[Outcome]
    reasons: list[list[Reason]]
    probability: list[float | None]
    model_version: str | None

    @property
    def is_fallback(self) -> bool:
        """Whether no model answered."""
        return self.model_version is None


def score(model: ModelClient, vectors: Floats) -> Verdicts:
    """Score and decide; never fails for want of a model.

    Parameters
    ----------
    vectors
        [n, features] in the order of ``FEATURE_NAMES``.

    Raises
    ------
    BadModel
        When the model server serves a model for another feature table: the job must not go on.
    """
    if not len(vectors):
        return Verdicts([], [], [], "none")
    try:
        scores = model.score(vectors)
        outcomes = decide(scores.probability, scores.thresholds)
    except Unavailable as error:
        log.warning("the fallback decides %d transactions: %s", len(vectors), error)
        decided = decide_without_model(vectors)
        nothing: list[float | None] = [None] * len(decided)
        return Verdicts([o for o, _ in decided], [r for _, r in decided], nothing, None)
    reasons = _explain(model, vectors, outcomes)
    return Verdicts(outcomes, reasons, scores.probability.tolist(), scores.model_version)


def _explain(model: ModelClient, vectors: Floats, outcomes: list[Outcome]) -> list[list[Reason]]:
    """Ask for the reasons of what is not approved; a decision stands also without them."""
    reasons: list[list[Reason]] = [[] for _ in outcomes]
    stopped = np.flatnonzero([outcome is not Outcome.APPROVE for outcome in outcomes])
    if len(stopped):
        try:
            explained = model.score(vectors[stopped], reasons_from=0.0)
        except Unavailable as error:
            log.warning("%d decisions stay without reasons: %s", len(stopped), error)
            return reasons
        for row, indices in zip(stopped.tolist(), explained.reason_index.tolist(), strict=True):
            reasons[row] = _in_words(vectors[row], indices)
    return reasons


def _in_words(vector: Floats, indices: list[int]) -> list[Reason]:
    names = [(FEATURE_NAMES[i], float(vector[i])) for i in indices if i >= 0]
    return [Reason(code=name, text=reason_text(name, value)) for name, value in names]
