"""Online learning: knows no future, follows a new pattern, and never takes the champion's place by itself."""

from dataclasses import replace
from datetime import UTC, datetime

import mlflow
import numpy as np
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.learn.calibrate import calibrate
from fraud.learn.examples import build_examples, split_by_time, to_micros
from fraud.learn.fit import average_precision, fit_trees, margins
from fraud.learn.settings import GateSettings, TrainSettings
from fraud.learn.tables import read_tables
from fraud.learn.training import train
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.online import run
from jobs.online.learner import DAY_US, ResidualTrees, known_at
from jobs.online.prequential import play
from jobs.online.run import learn
from jobs.online.settings import OnlineSettings

GO_LIVE = datetime(2026, 3, 2, tzinfo=UTC)
GATE = GateSettings(
    min_frauds=10, resamples=50, max_latency_ms=1000.0, max_calibration_error=0.5, max_bias=50.0
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("online")
    generator = GeneratorSettings(
        transactions=12_000,
        users=800,
        merchants=300,
        fraud_rate=0.06,
        days=110,
        drift="new_pattern",
        drift_day=60,
    )
    files.write(generate(generator), folder / "data")
    return folder


@pytest.fixture(scope="module")
def settings(place):
    return OnlineSettings(
        data=place / "data",
        mlflow_uri=f"sqlite:///{place / 'mlflow.db'}",
        kafka_bootstrap="",
        work=place / "work",
        threads=1,
    )


@pytest.fixture(scope="module")
def examples(settings):
    return build_examples(read_tables(settings))


@pytest.fixture(scope="module")
def champion(examples):
    return fit_trees(split_by_time(examples, GO_LIVE, GO_LIVE).train, seed=7, rounds=60, threads=1)


def test_what_is_known_at_a_moment_holds_nothing_that_came_later(examples, settings):
    now_us = to_micros(GO_LIVE)
    known = known_at(examples, now_us, settings)
    assert known.event_us.max() < now_us
    assert known.event_us.min() >= now_us - settings.window_days * DAY_US
    assert (known.label_us[known.is_fraud] <= now_us).all()
    assert (known.event_us[~known.is_fraud] < now_us - settings.ripe_days * DAY_US).all()


def test_calibration_comes_from_days_of_which_the_honest_are_known_too(examples, settings, champion):
    held = []

    def calibrate_and_tell(margin, is_fraud):
        held.append(is_fraud.mean())
        return calibrate(margin, is_fraud)

    now_us = to_micros(GO_LIVE)
    known = known_at(examples, now_us, settings)
    run.grow(Frozen(champion), known, now_us, settings, calibrate_and_tell)
    window = (examples.event_us >= now_us - 30 * DAY_US) & (examples.event_us < now_us)
    assert held[0] < 1.2 * examples.is_fraud[window].mean()


def test_a_label_dated_into_the_future_moves_no_moment(examples, settings):
    learnt_us, _ = run.moments(examples, settings)
    later = examples.label_us.copy()
    later[0] = to_micros(datetime(2099, 1, 1, tzinfo=UTC))
    assert run.moments(replace(examples, label_us=later), settings)[0] == learnt_us


def test_with_too_few_frauds_the_champion_stays(examples, settings, champion):
    known = known_at(examples, to_micros(GO_LIVE), settings)
    few = known.take(np.flatnonzero(~known.is_fraud))
    assert ResidualTrees(champion, settings).learn(few) is champion


class Frozen:
    def __init__(self, booster):
        self.booster = booster

    def score(self, examples):
        return margins(self.booster, examples.vectors, 1)

    def learn(self, known):
        pass


class Following(Frozen):
    def __init__(self, champion, settings):
        super().__init__(champion)
        self.trees = ResidualTrees(champion, settings)
        self.days = 0

    def learn(self, known):
        self.days += 1
        if self.days % 7 == 0:
            self.booster = self.trees.learn(known)


def test_after_a_new_pattern_the_learner_is_ahead_of_the_frozen_champion(examples, settings, champion):
    learners = {"frozen": Frozen(champion), "online": Following(champion, settings)}
    begin_us = to_micros(GO_LIVE)
    played = play(examples, learners, begin_us, begin_us + 49 * DAY_US, settings)
    first, later = played.day < 7, played.day >= 21
    np.testing.assert_array_equal(played.scores["frozen"][first], played.scores["online"][first])
    truth = played.examples.is_fraud[later]
    frozen, online = (average_precision(truth, played.scores[n][later]) for n in ("frozen", "online"))
    assert online > frozen + 0.01, (online, frozen)
    assert np.isnan(played.curve("online")[:13]).all()
    assert np.isfinite(played.curve("online")[13:]).all()


def test_a_round_registers_one_challenger_and_the_gate_guards_the_champion(settings):
    trained = train(
        TrainSettings(
            data=settings.data,
            mlflow_uri=settings.mlflow_uri,
            as_of=GO_LIVE,
            threads=1,
            trials=0,
            folds=1,
            balance="none",
            baselines=False,
            bootstrap=0,
        )
    )
    strict = GATE.model_copy(update={"min_gain": 0.9})
    first = learn(settings, strict)
    assert (first.is_new, first.champion, first.decision.word) == (True, trained.version, "refused")
    again = learn(settings, strict)
    assert (again.is_new, again.version) == (False, first.version)
    client = mlflow.MlflowClient(settings.mlflow_uri, settings.mlflow_uri)
    assert len(client.search_model_versions("name='fraud'")) == 2
    assert str(client.get_model_version_by_alias("fraud", "challenger").version) == first.version
    assert str(client.get_model_version_by_alias("fraud", "champion").version) == trained.version
    refused = CliRunner().invoke(app, ["promote", "challenger", "--mlflow-uri", settings.mlflow_uri])
    assert refused.exit_code == 1
    assert str(client.get_model_version_by_alias("fraud", "champion").version) == trained.version
