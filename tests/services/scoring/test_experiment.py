"""The scoring service under an experiment; the application as it is, without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from fraud.contracts import parse_record
from fraud.contracts.seal import SealKey
from fraud.decide.experiment import read_experiment, stop_experiment
from fraud.errors import Unavailable
from services.scoring.models import Prediction, prediction_of
from services.scoring.outbox import messages_of
from services.scoring.records import AnswerWriter
from tests.deployed import SCHEMA
from tests.fraud.decide.test_experiment import write
from tests.services.predictor.conftest import make_model
from tests.services.scoring.api.test_api import Always, Api, new
from tests.wire import Decision, ScoredTransaction

OTHER = make_model(5)


class Challenger(Always):
    """Another model than the champion."""

    def __init__(self) -> None:
        self.is_away = self.is_followed = False

    def start(self) -> None:
        self.is_followed = True

    def judge(self, vector: np.ndarray[Any, Any]) -> Prediction:
        if self.is_away:
            raise Unavailable("away")
        return prediction_of(OTHER, "8", vector)


class LabApi(Api):
    """The application with an experiment."""

    def __init__(self, folder: Path) -> None:
        self.file = write(folder)
        self.challenger = Challenger()
        super().__init__(folder, challenger=self.challenger, experiment_file=self.file)

    def record(self, **fields: Any) -> dict[str, Any]:
        id_ = new()
        self.score(transaction_id=id_, **fields)
        return orjson.loads(self.service.scorer.find(id_).record)  # type: ignore[union-attr]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabApi]:
    made = LabApi(tmp_path)
    yield made
    made.service.store.close()


def user_in(lab: LabApi, arm: str) -> str:
    experiment = read_experiment(lab.file)
    return next(user for user in map(str, range(1_000)) if experiment.arm_of(user).name == arm)


def test_the_arm_decides_which_model_decides_and_the_record_says_so(lab: LabApi) -> None:
    treated = lab.record(user_id=user_in(lab, "treatment"))
    assert (treated["model_version"], treated["arm"], treated["shadow_score"]) == ("8", "treatment", None)
    control = lab.record(user_id=user_in(lab, "control"))
    assert (control["model_version"], control["arm"], control["shadow_version"]) == ("7", "control", "8")
    assert 0.0 <= control["shadow_score"] <= 1.0
    raw = orjson.dumps(control)
    assert parse_record(ScoredTransaction, raw).experiment == "challenger-7"
    topics = {message.topic: message.value for message in messages_of(raw, SealKey(), AnswerWriter(SCHEMA))}
    decision = parse_record(Decision, topics["decisions"])
    assert (decision.arm, decision.shadow_score) == ("control", control["shadow_score"])


def test_without_the_challenger_the_champion_decides_its_arm(lab: LabApi) -> None:
    lab.challenger.is_away = True
    found = lab.record(user_id=user_in(lab, "treatment"))
    assert (found["model_version"], found["arm"], found["is_fallback"]) == ("7", "treatment", False)


def test_once_stopped_the_champion_decides_alone_without_a_restart(lab: LabApi) -> None:
    user = user_in(lab, "treatment")
    assert lab.record(user_id=user)["model_version"] == "8"
    stop_experiment(lab.file, read_experiment(lab.file), "guardrail", "enough")
    lab.service.experiment.look()  # type: ignore[union-attr]
    found = lab.record(user_id=user)
    assert found["model_version"] == "7"
    assert "arm" not in found


def test_an_experiment_begins_with_its_file_and_ends_without_it_and_only_then_asks_the_challenger(
    tmp_path: Path,
) -> None:
    lab = LabApi(tmp_path)
    text = lab.file.read_text()
    user, asked = user_in(lab, "treatment"), lab.service.experiment
    assert asked is not None
    lab.file.unlink()
    asked.look()
    assert "arm" not in lab.record(user_id=user)
    assert not lab.challenger.is_followed
    lab.file.write_text(text)
    asked.look()
    assert lab.record(user_id=user)["model_version"] == "8"
    assert lab.challenger.is_followed
    lab.service.store.close()


def test_without_an_experiment_nothing_is_recorded_of_one(tmp_path: Path) -> None:
    api = Api(tmp_path)
    id_ = new()
    api.score(transaction_id=id_)
    record = orjson.loads(api.service.scorer.find(id_).record)  # type: ignore[union-attr]
    assert not {"arm", "experiment", "shadow_score"} & set(record)
    assert api.service.experiment is None
    api.service.store.close()
