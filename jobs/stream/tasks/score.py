"""From vectors to outcomes: one batched call per model, the policy, and the fallback without the model."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fraud.contracts import Outcome, Reason, Thresholds
from fraud.decide.experiment import Alias, Experiment, ExperimentRecord, split_by_arm
from fraud.decide.overruling import Ruled
from fraud.decide.policy import decide, decide_without_model
from fraud.errors import BadModel, Unavailable
from fraud.features.kernel import Floats
from fraud.features.reasons import reason_text
from fraud.model.client import NO_SCORES, ModelClient, Scores
from fraud.schema.schema import Schema

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Outcomes with their reasons, one a transaction."""

    outcomes: list[Outcome]
    reasons: list[list[Reason]]
    probability: list[float | None]
    model_versions: list[str | None]
    """None where no model answered and the fallback decided."""
    trials: list[ExperimentRecord] | None = None
    """None while there is no experiment."""
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    """By model version."""
    policy_version: str | None = None
    """Of the rules; None where there are none, as of the next two."""
    ruled: list[Ruled] | None = None
    """What the rules made of each."""
    rule_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Transactions by rule that was ``live``, in ``shadow``, or ``failed``."""

    @property
    def is_fallback(self) -> list[bool]:
        """Whether no model answered."""
        return [version is None for version in self.model_versions]

    def __add__(self, other: "Decisions") -> "Decisions":
        return Decisions(
            self.outcomes + other.outcomes,
            self.reasons + other.reasons,
            self.probability + other.probability,
            self.model_versions + other.model_versions,
            thresholds={**self.thresholds, **other.thresholds},
        )

    def take(self, order: NDArray[np.int64]) -> "Decisions":
        """Put them into another order."""
        rows = order.tolist()
        return Decisions(
            [self.outcomes[row] for row in rows],
            [self.reasons[row] for row in rows],
            [self.probability[row] for row in rows],
            [self.model_versions[row] for row in rows],
            thresholds=self.thresholds,
        )


@dataclass(frozen=True, slots=True)
class FeatureWords:
    """The features of vectors, and the schema that has words for them."""

    schema: Schema
    names: Sequence[str]
    """In the vectors' order."""

    def reasons(self, vector: Floats, indices: list[int]) -> list[Reason]:
        """Say what the model names as reasons; an index below 0 names none."""
        found = [(self.names[i], float(vector[i])) for i in indices if i >= 0]
        return [
            Reason(code=name, text=reason_text(name, value, vector, self.schema)) for name, value in found
        ]


def score(model: ModelClient, vectors: Floats, of: FeatureWords) -> Decisions:
    """Score and decide; never fails for want of a model.

    Parameters
    ----------
    vectors
        [n, features].
    of
        The features, in the vectors' order.

    Raises
    ------
    BadModel
        When the model server serves a model for another feature table: the job must not go on.
    """
    scores = _ask(model, vectors)
    return _fall_back(vectors, of) if scores is None else _judge(model, vectors, scores, of)


def score_in_trial(
    model_of: Callable[[Alias], ModelClient],
    vectors: Floats,
    users: Sequence[str],
    experiment: Experiment,
    of: FeatureWords,
) -> Decisions:
    """Score and decide under an experiment: each user's arm names the model.

    Where the challenger does not answer, the champion decides its arm's transactions too; the arm stays in
    the record, the model's version says what happened.

    Parameters
    ----------
    model_of
        Gives the client of a model.
    vectors, users
        [n, features] and the users of the rows.
    of
        As of :func:`score`.

    Raises
    ------
    BadModel
        See :func:`score`.
    """
    arms = split_by_arm(experiment, users)
    deciding = np.array([arm.alias for arm in arms], object)
    shadow = np.array([arm.shadow for arm in arms], object)
    asked, scores = {}, {}
    for alias in (Alias.CHALLENGER, Alias.CHAMPION):
        asked[alias] = np.flatnonzero((deciding == alias) | (shadow == alias))
        scores[alias] = _ask(model_of(alias), vectors[asked[alias]], is_needed=alias is Alias.CHAMPION)
        if alias is Alias.CHALLENGER and scores[alias] is None:
            deciding[:] = Alias.CHAMPION
    decisions = Decisions([], [], [], [])
    order: list[int] = []
    trials = [ExperimentRecord(experiment.id, arm.name) for arm in arms]
    for alias, found in scores.items():
        rows = np.flatnonzero(deciding == alias)
        order += rows.tolist()
        if found is None:
            decisions += _fall_back(vectors[rows], of)
            continue
        chosen = found.take(np.searchsorted(asked[alias], rows))
        decisions += _judge(model_of(alias), vectors[rows], chosen, of)
        for row, probability in zip(asked[alias].tolist(), found.probability.tolist(), strict=True):
            if shadow[row] == alias:
                trials[row] = replace(
                    trials[row], shadow_score=probability, shadow_version=found.model_version
                )
    return replace(decisions.take(np.argsort(order)), trials=trials)


def explain_further(
    decisions: Decisions,
    models: Sequence[ModelClient],
    vectors: Floats,
    rows: NDArray[np.int64],
    of: FeatureWords,
) -> Decisions:
    """Add the model's reasons to some decisions; each is explained by the version that scored it.

    Parameters
    ----------
    models
        That may have scored them.
    vectors, rows
        [n, features], and the decisions' rows among them.
    of
        As of :func:`score`.
    """
    reasons = list(decisions.reasons)
    for model in models:
        if not len(rows):
            break
        try:
            explained = model.score(vectors[rows], reasons_from=0.0)
        except (Unavailable, BadModel) as error:
            log.warning("%d decisions stay without reasons: %s", len(rows), error)
            continue
        is_theirs = np.array(
            [decisions.model_versions[row] == explained.model_version for row in rows.tolist()]
        )
        for row, indices in zip(
            rows[is_theirs].tolist(), explained.reason_index[is_theirs].tolist(), strict=True
        ):
            reasons[row] = [*reasons[row], *of.reasons(vectors[row], indices)]
        rows = rows[~is_theirs]
    return replace(decisions, reasons=reasons)


def _ask(model: ModelClient, vectors: Floats, *, is_needed: bool = True) -> Scores | None:
    """Score; None where there is no answer, or (of a model that one can do without) a wrong one."""
    if not len(vectors):
        return NO_SCORES
    try:
        return model.score(vectors)
    except Unavailable as error:
        log.warning("%d transactions are not scored: %s", len(vectors), error)
    except BadModel as error:
        if is_needed:
            raise
        log.warning("%d transactions are not scored by the challenger: %s", len(vectors), error)
    return None


def _fall_back(vectors: Floats, of: FeatureWords) -> Decisions:
    decided = decide_without_model(vectors, of.names, of.schema)
    return Decisions(
        [outcome for outcome, _ in decided],
        [reasons for _, reasons in decided],
        [None] * len(decided),
        [None] * len(decided),
    )


def _judge(model: ModelClient, vectors: Floats, scores: Scores, of: FeatureWords) -> Decisions:
    outcomes = decide(scores.probability, scores.thresholds)
    reasons = _explain(model, vectors, outcomes, of)
    return Decisions(
        outcomes,
        reasons,
        scores.probability.tolist(),
        [scores.model_version] * len(outcomes),
        thresholds={scores.model_version: scores.thresholds} if outcomes else {},
    )


def _explain(
    model: ModelClient, vectors: Floats, outcomes: list[Outcome], of: FeatureWords
) -> list[list[Reason]]:
    """Ask for the reasons of what is not approved; a decision stands also without them."""
    reasons: list[list[Reason]] = [[] for _ in outcomes]
    stopped = np.flatnonzero([outcome is not Outcome.APPROVE for outcome in outcomes])
    if len(stopped):
        try:
            explained = model.score(vectors[stopped], reasons_from=0.0)
        except (Unavailable, BadModel) as error:  # the model may have gone since it scored
            log.warning("%d decisions stay without reasons: %s", len(stopped), error)
            return reasons
        for row, indices in zip(stopped.tolist(), explained.reason_index.tolist(), strict=True):
            reasons[row] = of.reasons(vectors[row], indices)
    return reasons
