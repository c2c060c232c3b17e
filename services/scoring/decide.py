"""From a vector to a decision: model, thresholds, rules, and the fallback without the model."""

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fraud.contracts import Outcome, Reason, Transaction
from fraud.decide.engine import NO_LISTS, NOTHING, RuleHits, RuleSet
from fraud.decide.experiment import Alias, ExperimentRecord
from fraud.decide.live_lists import LiveLists
from fraud.decide.overruling import overrule
from fraud.decide.policy import by_thresholds, decide_without_model
from fraud.decide.rules import RuleFile
from fraud.decide.values import SCORE, vocabulary_of
from fraud.errors import Unavailable
from fraud.features.kernel import Floats
from fraud.features.reasons import reason_text
from fraud.model.breaker import CircuitBreaker
from fraud.runtime.traces import span
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from services.scoring import metrics
from services.scoring.experiment import RunningExperiment
from services.scoring.models import Model, Prediction
from services.scoring.records import Decided, Part

_AMOUNT: Final = "amount"
"""The statistic that a transaction answers alone, without the history of its entities."""
log = logging.getLogger(__name__)


class Decider:
    """Decides one transaction a call; never fails for want of a model.

    Parameters
    ----------
    model
        Gives the score.
    rules
        Have the last word.
    with_reasons
        Whether to ask the model why, for what is not approved.
    experiment
        The experiment, where there may be one.
    lists
        Of the rules, where they name live ones.
    names
        Of the features, in the vector's order; by default the schema's.
    schema
        Of the transactions; by default the deployment's.
    """

    def __init__(
        self,
        model: Model,
        rules: RuleFile,
        *,
        with_reasons: bool,
        experiment: RunningExperiment | None = None,
        lists: LiveLists | None = None,
        names: Sequence[str] | None = None,
        schema: Schema | None = None,
    ) -> None:
        self._model = model
        self._rules = rules
        self._with_reasons = with_reasons
        self._experiment = experiment
        self._lists = lists
        self._schema = schema = schema or deployed_schema()
        self._names = tuple(names or schema.feature_names)
        self._fields = vocabulary_of(schema).fields
        self._breaker = CircuitBreaker(failures=3, cooldown_s=1.0)

    def decide(self, record: Transaction, vector: Floats, away: tuple[Part, ...] = ()) -> Decided:
        """Decide by a vector, [1, features]; ``away`` are the parts that it had to be made without.

        Without the store there is no vector to speak of: the model is not asked, and of the rules and the
        fallback only those that look at the transaction alone can hold.
        """
        prediction, trial = (
            (None, None) if "store" in away else self._judge(self._schema.primary_of(record), vector)
        )
        if prediction is None:
            outcome, reasons = decide_without_model(vector, self._names, self._schema)[0]
            if "store" not in away:
                away = (*away, "model")
                metrics.DEGRADED.labels("model").inc()
        else:
            outcome, reasons = by_thresholds(prediction.probability, prediction.thresholds), []
        score, thresholds = (prediction.probability, prediction.thresholds) if prediction else (None, None)
        rules = self._rules.rules
        lists_version = self._lists.version(rules) if self._lists else 0
        held = self._holding(rules, lists_version, record, vector, score)
        ruled = overrule(outcome, held, score, thresholds)
        if ruled.outcome is Outcome.APPROVE:
            reasons = []
        elif prediction is not None and (ruled.by_segment or outcome) is not Outcome.APPROVE:
            reasons = self._explain(prediction, vector)
        return Decided(
            outcome=ruled.outcome,
            score=score,
            reasons=[*ruled.reasons, *reasons],
            model_version=prediction.version if prediction else None,
            policy_version=rules.version_with(lists_version),
            is_fallback=prediction is None,
            degraded=away,
            trial=trial,
            ruled=ruled,
        )

    def _holding(
        self, rules: RuleSet, lists_version: int, record: Transaction, vector: Floats, score: float | None
    ) -> RuleHits:
        if rules.is_empty:
            return NOTHING
        values: dict[str, Any] = dict(zip(self._names, vector[0].tolist(), strict=True))
        values.update((name, getattr(record, name)) for name in self._fields)
        values[SCORE] = score
        now_s = time.time()
        live = NO_LISTS
        if self._lists and rules.live_lists:
            live = self._lists.view(rules, now_s, lists_version)
        held = rules.holding(values, self._schema.primary_of(record), now_s, live)
        metrics.count_rules(held)
        return held

    def _judge(self, key: str, vector: Floats) -> tuple[Prediction | None, ExperimentRecord | None]:
        """Ask the model of the user's arm, where there is an experiment; else the champion."""
        experiment = self._experiment.running() if self._experiment else None
        if self._experiment is None or experiment is None:
            return self._ask_champion(vector), None
        arm = experiment.arm_of(key)
        metrics.ARMS.labels(arm.name).inc()
        found = {
            Alias.CHALLENGER: self._experiment.ask(vector)
            if Alias.CHALLENGER in (arm.alias, arm.shadow)
            else None
        }
        prediction = found[Alias.CHALLENGER] if arm.alias is Alias.CHALLENGER else None
        if prediction is None or arm.shadow is Alias.CHAMPION:
            found[Alias.CHAMPION] = self._ask_champion(vector)
        prediction = prediction or found[Alias.CHAMPION]  # the champion decides while it is unavailable
        shadow = found.get(arm.shadow) if arm.shadow else None
        if shadow is None:
            return prediction, ExperimentRecord(experiment.id, arm.name)
        return prediction, ExperimentRecord(experiment.id, arm.name, shadow.probability, shadow.version)

    def _ask_champion(self, vector: Floats) -> Prediction | None:
        if not self._breaker.allows():
            return None
        try:
            with metrics.MODEL_SECONDS.time(), span("model"):
                prediction = self._model.judge(vector)
        except Unavailable as error:
            metrics.MODEL_ERRORS.inc()
            self._breaker.record(is_success=False)
            log.warning("the fallback decides: %s", error)
            return None
        self._breaker.record(is_success=True)
        return prediction

    def _explain(self, prediction: Prediction, vector: Floats) -> list[Reason]:
        """Ask why; a decision stands also without."""
        if not self._with_reasons:
            return []
        try:
            found = prediction.reasons()
        except Unavailable as error:
            log.warning("a decision stays without reasons: %s", error)
            return []
        names = [(self._names[i], float(vector[0, i])) for i in found]
        return [
            Reason(code=name, text=reason_text(name, value, vector[0], self._schema)) for name, value in names
        ]


def vector_without_store(record: Transaction, schema: Schema) -> Floats:
    """Make the vector of a transaction of which nothing is known but itself, [1, features]."""
    vector = np.full((1, len(schema.features)), np.nan)
    if record.amount_base is not None:
        amounts = [feature.statistic == _AMOUNT for feature in schema.features]
        vector[0, amounts] = round(record.amount_base * 1000.0) / 1000.0
    return vector
