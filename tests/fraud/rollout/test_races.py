"""What others do while a version is tried or watched: an operator promotes, a scrape fails."""

from contextlib import nullcontext

import mlflow
import pytest

from fraud.errors import Unavailable
from fraud.model.aliases import CHAMPION, GATE
from fraud.model.registry import ModelVersions, open_registry
from fraud.rollout import pipeline
from fraud.rollout.measure import Judgement
from fraud.rollout.settings import RolloutSettings


class Pods:
    def servers(self):
        return ["http://pod"]

    def canary(self, version):  # noqa: ARG002  (the protocol's)
        return nullcontext()


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """Version 1 is the champion, 2 and 3 are accepted; every stage is good."""
    monkeypatch.setattr(pipeline._Rollout, "_stage", lambda *_: Judgement("good"))
    monkeypatch.setattr(pipeline, "await_version", lambda *_: None)
    monkeypatch.setattr(pipeline, "read", lambda _: ({"http://pod": {}}, 0.0))
    with open_registry(f"sqlite:///{tmp_path / 'mlflow.db'}"):
        client = mlflow.MlflowClient()
        client.create_registered_model("fraud")
        for _ in range(3):
            client.create_model_version("fraud", "file:///nowhere")
        found = ModelVersions("fraud")
        client.set_registered_model_alias("fraud", CHAMPION, "1")
        for version in "23":
            found.tag(version, {GATE: "accepted"})
        yield found


def roll_out_2(tmp_path, **settings):
    given = {"mlflow_uri": f"sqlite:///{tmp_path / 'mlflow.db'}", "after_s": 0.0} | settings
    return pipeline.roll_out("2", RolloutSettings(**given), Pods())


def test_a_version_that_somebody_promotes_during_the_canary_stays(versions, tmp_path, monkeypatch):
    def stage(self, *_):
        self.versions.promote("3", "operator")
        return Judgement("good")

    monkeypatch.setattr(pipeline._Rollout, "_stage", stage)
    outcome = roll_out_2(tmp_path)
    assert (outcome.word, outcome.champion) == ("refused", "3")
    assert "rolled_back_at" not in versions.tags("2")


def test_a_version_that_somebody_promotes_during_the_watch_stays(versions, tmp_path, monkeypatch):
    def await_version(*_):
        versions.promote("3", "operator")
        raise Unavailable("it serves 3")

    monkeypatch.setattr(pipeline, "await_version", await_version)
    outcome = roll_out_2(tmp_path)
    assert (outcome.word, outcome.champion) == ("rolled back", "3")
    assert "rolled_back_at" in versions.tags("2")
    assert "rolled_back_at" not in versions.tags("3")


@pytest.mark.parametrize(("failing", "word"), [({4}, "promoted"), (set(range(4, 10_000)), "rolled back")])
def test_one_scrape_that_fails_is_none(versions, tmp_path, monkeypatch, failing, word):
    looks = []

    def read(_):
        looks.append(1)
        if len(looks) in failing:
            raise Unavailable("server disconnected")
        return {"http://pod": {}}, 0.0

    monkeypatch.setattr(pipeline, "read", read)
    assert roll_out_2(tmp_path, after_s=0.5, poll_s=0.05).word == word
    assert versions.at(CHAMPION) == ("2" if word == "promoted" else "1")
