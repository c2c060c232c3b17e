"""What the gate accepts and refuses, and what the registry remembers of it."""

from dataclasses import replace
from pathlib import Path

import lightgbm
import mlflow
import numpy as np
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.contracts import Thresholds
from fraud.errors import BadInput, BadModel
from fraud.learn.calibrate import fit_sigmoid
from fraud.learn.examples import Examples
from fraud.learn.gate import judge
from fraud.learn.settings import GateSettings
from fraud.model.card import ModelCard, Reference, ScoringModel, Sigmoid
from fraud.model.publish import Report, publish
from fraud.model.registry import ModelVersions, open_registry
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION

SETTINGS = GateSettings(resamples=100, max_latency_ms=1000.0)
FEATURES = len(FEATURE_NAMES)
LATE = FEATURE_NAMES.index("count_30d_by_user")


def draw(seed, rows=6_000):
    rng = np.random.default_rng(seed)
    vectors = np.zeros((rows, FEATURES))  # what is drawn does not hang on how many features there are
    vectors[:, :3] = rng.normal(size=(rows, 3))
    vectors[:, LATE] = rng.integers(0, 2, rows)  # half of the users are new
    is_fraud = vectors[:, 0] + vectors[:, 1] + vectors[:, 2] + rng.normal(size=rows) > 3.5
    time = np.arange(rows) * 60_000_000
    zeros = np.zeros(rows, np.int64)
    return Examples(vectors, time, time, is_fraud, np.ones(rows), rng.integers(0, 800, rows), zeros, ("all",))


def make_model(columns, seed=1, slope=None, features_version=FEATURES_VERSION):
    """A model that sees some columns alone, calibrated unless a slope is given."""
    examples = draw(seed)
    seen = np.zeros_like(examples.vectors)
    seen[:, columns] = examples.vectors[:, columns]
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": seed}
    booster = lightgbm.train(settings, lightgbm.Dataset(seen, examples.is_fraud), 60)
    held = draw(seed + 100)
    margin = booster.predict(held.vectors, raw_score=True)
    card = ModelCard(
        features_version=features_version,
        feature_names=FEATURE_NAMES,
        calibration=Sigmoid(slope=slope, offset=0.0) if slope else fit_sigmoid(margin, held.is_fraud),
        thresholds=Thresholds(review=0.3, decline=0.7),
        reference=Reference(levels=(), features={}, missing={}, score=()),
    )
    return ScoringModel(booster, card)


@pytest.fixture(scope="module")
def period():
    return draw(50)


@pytest.fixture(scope="module")
def good():
    return make_model([0, 1, 2])


@pytest.fixture(scope="module")
def poor():
    return make_model([0])


def test_a_better_model_is_accepted_and_a_worse_one_refused_with_the_figures(good, poor, period):
    accepted = judge(good, poor, period, SETTINGS)
    assert accepted.is_accepted, accepted.reasons
    refused = judge(poor, good, period, SETTINGS)
    assert refused.word == "refused"
    assert any("PR-AUC" in reason and "champion" in reason for reason in refused.reasons)
    assert refused.figures["pr_auc_gain_bound"] < 0.0 < accepted.figures["pr_auc_gain_bound"]


def test_a_model_is_not_better_than_itself(good, period):
    decision = judge(good, good, period, SETTINGS)
    assert not decision.is_accepted
    assert decision.figures["pr_auc_gain"] == 0.0


def test_the_first_model_has_to_beat_the_rules(good, period):
    assert judge(good, None, period, SETTINGS).is_accepted


def test_probabilities_that_are_far_off_are_refused_whatever_the_ranking(poor, period):
    decision = judge(make_model([0, 1, 2], slope=0.05), poor, period, SETTINGS)
    assert not decision.is_accepted
    assert any("calibration error" in reason for reason in decision.reasons)
    assert any("times the frauds" in reason for reason in decision.reasons)


def test_a_slow_model_is_refused(good, poor, period):
    slow = SETTINGS.model_copy(update={"max_latency_ms": 1e-6})
    assert any("ms at p99" in reason for reason in judge(good, poor, period, slow).reasons)


class Blind(ScoringModel):
    """Sees nothing of new users."""

    def predict(self, vectors):
        found = super().predict(vectors)
        return np.where(vectors[:, LATE] == 0.0, 0.01, found)


def test_a_collapse_in_one_segment_is_named(good, poor, period):
    blind = Blind(good._booster, good.card)
    reasons = judge(blind, poor, period, SETTINGS).reasons
    assert any("segment user new" in reason for reason in reasons)


def test_too_few_frauds_are_no_ground_for_a_judgement(good, poor, period):
    few = replace(period, is_fraud=period.is_fraud & (np.cumsum(period.is_fraud) <= 10))
    assert "10 frauds" in judge(good, poor, few, SETTINGS).reasons[0]


# --- the registry


@pytest.fixture
def uri(tmp_path):
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def register(model, tags=None, alias=""):
    own = {"features_version": model.card.features_version, "data_fingerprint": "0" * 32, **(tags or {})}
    report = Report(model.trees, model.card, np.zeros((1, FEATURES)), {}, {}, own)
    return publish(report, Path(), "fraud", alias).version


def test_promotion_and_rollback_move_the_aliases_and_say_why(uri, good, poor):
    with open_registry(uri, "test"):
        versions = ModelVersions("fraud")
        assert versions.at("champion") is None
        one, two = register(poor, alias="auto"), register(good, {"gate": "accepted"}, alias="auto")
        assert (versions.at("champion"), versions.at("challenger")) == (one, two)
        for _ in range(2):  # doing it again changes nothing
            moved = versions.promote(two, "better")
            assert (moved.champion, moved.previous) == (two, one)
        assert versions.at("challenger") is None
        assert versions.tags(two)["promoted_because"] == "better"
        assert versions.rollback("worse live").champion == one
        assert versions.tags(two)["rolled_back_because"] == "worse live"
        with pytest.raises(BadInput, match="previous"):
            versions.rollback("again")
        assert versions.find({"gate": "accepted"}) == two
        assert versions.find({"gate": "no such"}) is None
        np.testing.assert_array_equal(
            versions.load(one).predict(draw(3).vectors), poor.predict(draw(3).vectors)
        )


def test_a_version_of_another_feature_table_cannot_become_champion(uri, good):
    other = make_model([0], features_version="other")
    with open_registry(uri, "test"):
        register(good, alias="champion")
        version = register(other)
        versions = ModelVersions("fraud")
        with pytest.raises(BadModel, match="features other"):
            versions.promote(version, "by mistake")
        refused = CliRunner().invoke(
            app, ["promote", version, "--force", "by mistake", "--dry-run", "--mlflow-uri", uri]
        )
        assert refused.exit_code == 1
        with pytest.raises(BadModel, match="features other"):
            versions.load(version)
        assert versions.at("champion") == "1"


def test_the_commands_promote_what_the_gate_accepted_and_ask_for_a_reason_else(uri, good, poor):
    with open_registry(uri, "test"):
        register(poor, alias="champion")
        register(good, {"gate": "refused", "gate_reasons": "calibration"})

    def call(*arguments):
        return CliRunner().invoke(app, [*arguments, "--mlflow-uri", uri])

    assert "version 2 can be promoted" in call("promote", "2", "--force", "agreed", "--dry-run").output
    with open_registry(uri, "test"):
        assert ModelVersions("fraud").at("champion") == "1"
    refused = call("promote", "2")
    assert isinstance(refused.exception, BadInput | SystemExit)
    assert refused.exit_code == 1
    assert "champion is version 2; previous: 1" in call("promote", "2", "--force", "agreed with risk").output
    assert "champion is version 1" in call("rollback").output
    client = mlflow.MlflowClient(uri, uri)
    assert client.get_model_version("fraud", "2").tags["promoted_because"] == "agreed with risk"
    aliases = client.get_registered_model("fraud").aliases
    assert {name: str(of) for name, of in aliases.items()} == {"champion": "1"}
