"""The chain of an interval: once is as good as twice, a step can be run again, a bad day goes nowhere."""

import json
import shutil
from datetime import UTC, datetime

import mlflow
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.learn.evaluation import evaluate
from fraud.learn.settings import EvaluateSettings, GateSettings, TrainSettings
from fraud.model.aliases import TRAINED_UNTIL
from fraud.rollout.settings import RolloutSettings
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.retrain.run import retrain
from jobs.retrain.settings import Interval, RetrainSettings
from jobs.retrain.steps import STEPS

WEEK = Interval(datetime(2026, 4, 13, tzinfo=UTC), datetime(2026, 4, 20, tzinfo=UTC))
GATE = GateSettings(
    min_frauds=20, resamples=50, max_latency_ms=1000.0, max_calibration_error=0.2, max_bias=10.0
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generator = GeneratorSettings(transactions=6_000, users=600, merchants=200, fraud_rate=0.05, days=110)
    files.write(generate(generator), folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def run(data, place):
    uri = f"sqlite:///{place / 'mlflow.db'}"
    train = TrainSettings(
        data=data, mlflow_uri=uri, threads=1, trials=0, balance="none", baselines=False, bootstrap=5, folds=1
    )

    def call(interval=WEEK, step="", work="work", train=train, gate=GATE, **limits):
        told: list[str] = []
        settings = RetrainSettings(work=place / work, **limits)
        rollout = RolloutSettings(mlflow_uri=uri, model_name=train.model_name)
        return retrain(interval, settings, train, gate, rollout, step=step, tell=told.append), told

    call.train = train
    return call


@pytest.fixture(scope="module")
def client(run):
    uri = run.train.mlflow_uri
    return mlflow.MlflowClient(uri, uri)


@pytest.fixture(scope="module")
def first(run):
    return run()


def test_the_first_retraining_beats_the_rules_and_becomes_champion(first, client):
    record, told = first
    assert record["outcome"] == "promoted"
    assert [name for name in told if name in STEPS] == list(STEPS)
    version = client.get_model_version_by_alias("fraud", "champion")
    assert version.tags["gate"] == "accepted"
    assert version.tags["interval"] == WEEK.name


def test_a_second_run_of_the_interval_does_nothing_and_registers_nothing(first, run, client):
    record, told = run()
    assert record == first[0]
    assert [line for line in told if line.endswith("done before")] == [
        f"{s}: done before" for s in list(STEPS)[1:]
    ]
    assert len(client.search_model_versions("name='fraud'")) == 1


@pytest.mark.usefixtures("first")
def test_a_run_with_another_folder_finds_the_registered_version(run, client, place):
    run(work="elsewhere")
    assert len(client.search_model_versions("name='fraud'")) == 1
    shutil.rmtree(place / "elsewhere")


@pytest.mark.usefixtures("first")
def test_a_step_runs_again_alone_and_those_after_it_are_due(run, client):
    record, _ = run(step="register")
    assert record["version"] == "1"
    record, told = run()
    assert record["outcome"] == "promoted"
    assert [line for line in told if line in STEPS] == ["validate", "rollout"]
    assert len(client.search_model_versions("name='fraud'")) == 1


def test_steps_of_an_interval_not_begun_name_what_to_run_first(run):
    with pytest.raises(BadInput, match="step validate has not been done"):
        run(step="features", work="fresh")
    with pytest.raises(BadInput, match="write one of validate, features"):
        run(step="deploy")


@pytest.mark.usefixtures("first")
def test_a_model_that_is_no_better_is_registered_as_refused_and_the_champion_stays(run, client):
    # Another seed makes another retraining, and no model that is better by so much.
    strict = GATE.model_copy(update={"min_gain": 0.3})
    record, _ = run(train=run.train.model_copy(update={"seed": 8}), gate=strict, work="second")
    assert record["outcome"] == "refused"
    assert str(client.get_model_version_by_alias("fraud", "champion").version) == "1"
    refused = client.get_model_version("fraud", "2")
    assert refused.tags["gate"] == "refused"
    assert "PR-AUC" in refused.tags["gate_reasons"]


@pytest.mark.usefixtures("first")
def test_what_the_champion_was_trained_on_does_not_count_in_the_gate(run, client):
    tags = client.get_model_version("fraud", "1").tags
    assert tags[TRAINED_UNTIL] < tags["as_of"]
    client.set_model_version_tag("fraud", "1", TRAINED_UNTIL, WEEK.end.isoformat())  # as if learnt online
    record, _ = run(step="gate")
    client.set_model_version_tag("fraud", "1", TRAINED_UNTIL, tags[TRAINED_UNTIL])
    assert not record["is_accepted"]
    assert "0 frauds" in record["reasons"][0]
    assert "version 1 was trained up to" in record["reasons"][1]


def test_steps_on_other_data_than_those_before_them_are_refused(run, data, tmp_path):
    for step in ("validate", "features", "train"):
        run(step=step, work="other")
    shutil.copytree(data, tmp_path / "data")
    file = tmp_path / "data" / "transactions.parquet"
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    other = run.train.model_copy(update={"data": str(tmp_path / "data")})
    run(step="validate", work="other", train=other)
    for step, missing in (("train", "features"), ("evaluate", "train"), ("gate", "train")):
        with pytest.raises(BadInput, match=f"step {missing} has not been done"):
            run(step=step, work="other", train=other)


@pytest.mark.usefixtures("first")
def test_a_bad_day_stops_before_anything_is_learnt(run, data, tmp_path, client):
    before = len(client.search_model_versions("name='fraud'"))
    shutil.copytree(data, tmp_path / "data")
    table = pq.read_table(data / "transactions.parquet")
    table = table.set_column(4, "amount", pc.multiply(table["amount"], 1e9))
    pq.write_table(table, tmp_path / "data" / "transactions.parquet")
    with pytest.raises(BadInput, match=r"are refused:\n  range: column amount"):
        run(train=run.train.model_copy(update={"data": str(tmp_path / "data")}), work="bad")
    assert len(client.search_model_versions("name='fraud'")) == before


def test_the_command_goes_on_where_it_was_and_tells_by_its_exit_code(first, run, place, client):
    chosen = {
        "DATA": run.train.data,
        "THREADS": 1,
        "FOLDS": 1,
        "TRIALS": 0,
        "BALANCE": "none",
        "BOOTSTRAP": 5,
    }
    environment = {f"FRAUD_TRAIN_{name}": str(value) for name, value in chosen.items()}
    environment |= {"FRAUD_TRAIN_BASELINES": "false", "FRAUD_RETRAIN_RESULT": str(place / "result.json")}
    given = ["--interval", "2026-04-13/2026-04-20", "--work", str(place / "work")]
    command = ["retrain", *given, "--mlflow-uri", run.train.mlflow_uri]
    before = len(client.search_model_versions("name='fraud'"))
    done = CliRunner().invoke(app, command, env=environment)
    assert done.exit_code == 0, done.output
    assert "train: done before" in done.output
    assert json.loads((place / "result.json").read_text())["champion"] == first[0]["version"]
    assert len(client.search_model_versions("name='fraud'")) == before
    unknown = CliRunner().invoke(app, [*command, "--place", "moon"], env=environment)
    assert unknown.exit_code == 1
    assert "place" in unknown.output


@pytest.mark.usefixtures("first")
def test_a_registered_version_is_evaluated_on_a_labelled_table(run, data, tmp_path, client):
    settings = EvaluateSettings(
        data=data, mlflow_uri=run.train.mlflow_uri, out=tmp_path / "out", bootstrap=20
    )
    done = evaluate(settings)
    assert done.version == "1"
    assert done.metrics.pr_auc > 3 * done.metrics.fraud_share
    text = done.report.read_text()
    for words in ("Over time", "By segment", "At a review capacity", "expected calibration error", "reasons"):
        assert words in text
    assert {"report.html", "metrics.json", "plots"} <= {f.path for f in client.list_artifacts(done.run_id)}
