"""Laws of scoring under an experiment: the arm decides which model decides, shadows change nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraud.contracts import Outcome, Thresholds, parse_record
from fraud.decide.experiment import Alias, Experiment
from fraud.errors import BadModel, Unavailable
from fraud.model.client import Scores
from fraud.store import Epoch, open_store
from jobs.stream.tasks import decide_pass, entity_pass, validate_pass
from jobs.stream.tasks.context import TaskContext
from jobs.stream.tasks.publish import decisions
from jobs.stream.tasks.score import Decisions, FeatureWords, score, score_in_trial
from jobs.stream.tasks.scored import Decided
from jobs.stream.tasks.stopwatch import Stopwatch
from tests.deployed import FEATURE_NAMES, SCHEMA
from tests.jobs.stream.tasks.test_passes import kafka, transaction, values
from tests.wire import Decision

USERS = [f"u{i}" for i in range(40)]
WORDS = FeatureWords(SCHEMA, FEATURE_NAMES)


@dataclass
class Model:
    """A model server whose score is a feature, moved; counts what it is asked."""

    version: str
    move: float
    failure: Exception | None = None
    rows: int = 0

    def score(self, vectors: np.ndarray[Any, Any], reasons_from: float | None = None) -> Scores:
        if self.failure:
            raise self.failure
        self.rows += len(vectors) if reasons_from is None else 0
        indices = np.tile(np.array([0, -1, -1], np.int32), (len(vectors), 1))
        return Scores(
            np.clip(vectors[:, 0] + self.move, 0, 1),
            indices,
            np.zeros((len(vectors), 3)),
            self.version,
            "f",
            Thresholds(review=0.5, decline=0.9),
        )


@pytest.fixture
def models() -> dict[Alias, Any]:
    return {Alias.CHAMPION: Model("1", 0.0), Alias.CHALLENGER: Model("2", 0.3)}


@pytest.fixture
def vectors() -> np.ndarray[Any, Any]:
    found = np.zeros((len(USERS), len(FEATURE_NAMES)))
    found[:, 0] = np.linspace(0.0, 0.99, len(USERS))
    return found


def experiment(*arms: dict[str, Any]) -> Experiment:
    return Experiment.model_validate(
        {
            "id": "e",
            "salt": "saltsalt",
            "start": "2026-01-01T00:00:00Z",
            "stop": "2027-01-01T00:00:00Z",
            "arms": list(arms),
            "effect": 1.0,
        }
    )


SPLIT = experiment(
    {"name": "control", "weight": 0.5, "alias": "champion", "shadow": "challenger"},
    {"name": "treatment", "weight": 0.5, "alias": "challenger", "shadow": "champion"},
)


def test_each_user_is_decided_by_the_model_of_the_arm_and_shadowed_by_the_other(
    models: dict[Alias, Any], vectors: np.ndarray[Any, Any]
) -> None:
    found = score_in_trial(models.__getitem__, vectors, USERS, SPLIT, WORDS)
    plain = {alias: score(model, vectors, WORDS) for alias, model in models.items()}
    assert found.trials is not None
    for i, (user, trial) in enumerate(zip(USERS, found.trials, strict=True)):
        arm = SPLIT.arm_of(user)
        mine, other = plain[arm.alias], plain[arm.shadow or Alias.CHAMPION]
        assert (found.outcomes[i], found.reasons[i]) == (mine.outcomes[i], mine.reasons[i])
        assert (found.probability[i], found.model_versions[i]) == (
            mine.probability[i],
            mine.model_versions[i],
        )
        assert (trial.arm, trial.shadow_score, trial.shadow_version) == (
            arm.name,
            other.probability[i],
            other.model_versions[i],
        )
    assert len({trial.arm for trial in found.trials}) == 2


def test_a_shadow_has_no_effect_on_any_decision(
    models: dict[Alias, Any], vectors: np.ndarray[Any, Any]
) -> None:
    shadow = experiment({"name": "all", "weight": 1.0, "alias": "champion", "shadow": "challenger"})
    found, plain = (
        score_in_trial(models.__getitem__, vectors, USERS, shadow, WORDS),
        score(models[Alias.CHAMPION], vectors, WORDS),
    )
    assert found.trials is not None
    assert (found.outcomes, found.reasons, found.probability, found.model_versions) == (
        plain.outcomes,
        plain.reasons,
        plain.probability,
        plain.model_versions,
    )
    assert {trial.shadow_version for trial in found.trials} == {"2"}


@pytest.mark.parametrize("failure", [Unavailable("away"), BadModel("none of that name")])
def test_without_the_challenger_the_champion_decides_its_arm_too(
    models: dict[Alias, Any], vectors: np.ndarray[Any, Any], failure: Exception
) -> None:
    models[Alias.CHALLENGER].failure = failure
    found, plain = (
        score_in_trial(models.__getitem__, vectors, USERS, SPLIT, WORDS),
        score(models[Alias.CHAMPION], vectors, WORDS),
    )
    assert found.outcomes == plain.outcomes
    assert found.trials is not None
    assert {trial.arm for trial in found.trials} == {"control", "treatment"}
    assert {trial.shadow_score for trial in found.trials if trial.arm == "control"} == {None}


def test_without_the_champion_its_arm_falls_back_and_the_other_goes_on(
    models: dict[Alias, Any], vectors: np.ndarray[Any, Any]
) -> None:
    models[Alias.CHAMPION].failure = Unavailable("away")
    found = score_in_trial(models.__getitem__, vectors, USERS, SPLIT, WORDS)
    assert found.trials is not None
    treated = [trial.arm == "treatment" for trial in found.trials]
    assert found.is_fallback == [not one for one in treated]
    assert {o for o, one in zip(found.outcomes, treated, strict=True) if not one} <= {
        Outcome.APPROVE,
        Outcome.REVIEW,
    }


def test_without_an_experiment_the_challenger_is_never_asked(models: dict[Alias, Any], vectors: Any) -> None:
    assert score(models[Alias.CHAMPION], vectors, WORDS).trials is None
    assert models[Alias.CHALLENGER].rows == 0


def test_no_transactions_ask_nobody(models: dict[Alias, Any], vectors: Any) -> None:
    found = score_in_trial(models.__getitem__, vectors[:0], [], SPLIT, WORDS)
    assert found == Decisions([], [], [], [], trials=[])
    assert [model.rows for model in models.values()] == [0, 0]


def test_the_arm_goes_into_the_archive_and_onto_the_wire(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path / 'store'}"
    with open_store(url) as store:
        token, generation = store.acquire("test"), store.generation_of("test")
    nobody = "http://127.0.0.1:9"
    context = TaskContext(Epoch(generation, 0), token, url, tmp_path, (), nobody, 0.1, experiment=SPLIT)
    records = values([transaction(i, user=i) for i in range(12)])
    watch = Stopwatch()
    passed = entity_pass.pass_primary(context, validate_pass.validate(kafka(records)), watch)
    passed = entity_pass.pass_further(context, 1, passed, watch)
    everything = np.zeros((12, len(FEATURE_NAMES)))
    scored = decide_pass._score(context, passed, everything, np.ones(12, bool))
    decided = Decided(passed, context.passes, context.contracts)
    spooled = decide_pass.spool_table(context, passed, vectors=everything, decisions=scored, decided=decided)
    published = [parse_record(Decision, raw) for raw in decisions(spooled, SCHEMA)]
    assert [one.arm for one in published] == [SPLIT.arm_of(one.user_id).name for one in published]
    assert {one.experiment for one in published} == {"e"}
    assert all(one.is_fallback for one in published)  # no model answers here
    archived = spooled.select([*Decision.model_fields.keys() - {"schema_version", "reasons"}]).to_pylist()
    for one, row, reasons in zip(published, archived, spooled.column("reasons").to_pylist(), strict=True):
        texts = {name: json.loads(row[name]) for name in ("rules", "shadow_rules", "tags")}
        assert one == Decision.model_validate({**row, **texts, "reasons": json.loads(reasons)})
    known = json.loads(decisions(spooled, SCHEMA)[0]).keys()
    assert known == set(Decision.model_fields), "every field is written, missing ones as null"
