"""A whole training on a small synthetic data set, with a registry on a file."""

import json
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput, Unavailable
from fraud.learn import tables
from fraud.learn.baselines import NAMES as BASELINES
from fraud.learn.examples import build_examples, divide, forward_folds
from fraud.learn.fit import fit_trees, margins, validate_trees
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.model.card import check_fits, read_model
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION

AS_OF = datetime(2026, 3, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("data")
    data_set = generate(
        GeneratorSettings(transactions=6_000, users=600, merchants=200, fraud_rate=0.05, days=110)
    )
    pq.write_table(data_set.transactions, made / "transactions.parquet")
    pq.write_table(data_set.labels, made / "labels.parquet")
    return made


@pytest.fixture(scope="module")
def settings(folder, tmp_path_factory) -> TrainSettings:
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    return TrainSettings(data=folder, as_of=AS_OF, mlflow_uri=uri, threads=1, trials=2, bootstrap=20, folds=2)


@pytest.fixture(scope="module")
def steps() -> list[str]:
    return []


@pytest.fixture(scope="module")
def trained(settings, steps):
    before = mlflow.get_tracking_uri()
    made = train(settings, steps.append)
    assert mlflow.get_tracking_uri() == before, "a caller in the same process keeps its registry"
    return made


@pytest.fixture(scope="module")
def client(settings) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(settings.mlflow_uri, settings.mlflow_uri)


@pytest.fixture(scope="module")
def model_folder(trained, client) -> Path:
    version = client.get_model_version(trained.name, trained.version)
    return Path(
        mlflow.artifacts.download_artifacts(client.get_model_version_download_uri("fraud", version.version))
    )


def test_the_score_is_far_better_than_chance_on_the_test_period(trained):
    assert trained.metrics.pr_auc > 4 * trained.metrics.fraud_share
    assert trained.metrics.roc_auc > 0.75
    assert trained.metrics.brier < trained.metrics.fraud_share


def test_the_alias_names_the_version_and_its_tags_say_what_it_was_made_of(trained, client, folder):
    version = client.get_model_version_by_alias("fraud", "champion")
    assert str(version.version) == trained.version
    assert version.tags["features_version"] == FEATURES_VERSION
    assert version.tags["as_of"] == AS_OF.isoformat()
    assert version.tags["data_fingerprint"] == tables.read_tables(TrainSettings(data=folder)).fingerprint


def test_the_run_holds_parameters_metrics_data_and_pictures(trained, client):
    run = client.get_run(trained.run_id)
    assert run.data.metrics["pr_auc"] == pytest.approx(trained.metrics.pr_auc)
    assert {"learning_rate", "seed", "label_gap_days", "calibration", "train_rows"} <= set(run.data.params)
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.tags["data_fingerprint"]
    files = {file.path for file in client.list_artifacts(trained.run_id, "plots")}
    names = ("precision_recall", "roc", "calibration", "scores", "importance", "contributions")
    assert {"report.html", "metrics.json"} <= {file.path for file in client.list_artifacts(trained.run_id)}
    assert {f"{name}.pr_auc" for name in (*BASELINES, "lightgbm")} <= set(run.data.metrics)
    assert files == {f"plots/{name}.png" for name in names}
    text = Path(mlflow.artifacts.download_artifacts(_artifact(run, "metrics.json"))).read_text()
    assert json.loads(text)["roc_auc"] == trained.metrics.roc_auc


def _artifact(run, name):
    return f"{run.info.artifact_uri}/{name}"


def test_the_registered_folder_shows_signature_and_example_and_scores(trained, model_folder):
    model = read_model(model_folder)
    check_fits(model.card, FEATURES_VERSION, FEATURE_NAMES)
    assert model.card.thresholds == trained.thresholds
    described = mlflow.models.Model.load(str(model_folder))
    assert described.signature.inputs.input_names() == list(FEATURE_NAMES)
    assert described.signature.to_dict() == model.card.signature
    example = described.load_input_example(str(model_folder))
    probability = model.predict(example.to_numpy(float))
    assert ((probability > 0.0) & (probability < 1.0)).all()


def test_the_reference_describes_the_training_features(model_folder, split):
    reference = read_model(model_folder).card.reference
    column = split.train.vectors[:, 0]
    name = FEATURE_NAMES[0]
    assert reference.missing[name] == pytest.approx(np.isnan(column).mean())
    np.testing.assert_allclose(reference.features[name], np.nanquantile(column, reference.levels))
    assert set(reference.features) == set(FEATURE_NAMES)
    assert reference.score == tuple(sorted(reference.score))


@pytest.fixture(scope="module")
def split(settings):
    return divide(build_examples(tables.read_tables(settings)), settings)


def test_the_same_data_and_seed_give_the_same_trees(split):
    texts = {fit_trees(split.train, seed=seed, threads=1, rounds=20).model_to_string() for seed in (1, 1, 2)}
    assert len(texts) == 2


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_stated_constraint_holds_in_the_trees(split, direction):
    monotone = [direction] + [0] * (len(FEATURE_NAMES) - 1)
    trees = fit_trees(split.train, seed=1, threads=1, rounds=200, monotone=monotone)
    assert trees.feature_importance()[0] > 0
    levels = np.nanquantile(split.train.vectors[:, 0], np.linspace(0.0, 1.0, 20))
    for row in split.test.vectors[:50]:
        rows = np.tile(row, (len(levels), 1))
        rows[:, 0] = levels
        assert (np.diff(margins(trees, rows)) * direction >= 0.0).all()


def test_validation_is_reproducible_and_ranks_better_than_chance(split):
    folds = forward_folds(split.train, 2, 0.4)
    one, two = (validate_trees(split.train, folds, seed=3, threads=1, rounds=40) for _ in range(2))
    np.testing.assert_array_equal(one.margin, two.margin)
    assert one.rounds == two.rounds
    assert one.mean > 2 * split.train.is_fraud[one.rows].mean()


def test_every_model_is_compared_on_the_same_test_with_intervals(trained):
    assert set(trained.comparison) == {"lightgbm", *BASELINES}
    for figures in trained.comparison.values():
        for found in figures.values():
            assert 0.0 <= found.low <= found.high <= 1.0
    assert trained.comparison["lightgbm"]["pr_auc"].value == pytest.approx(trained.metrics.pr_auc)
    assert trained.comparison["lightgbm"]["pr_auc"].value > trained.comparison["rules"]["pr_auc"].high


def test_progress_is_told_from_reading_to_registering(trained, steps):
    assert trained.seconds > 0.0
    assert steps[0] == "reading the tables"
    assert steps[-1] == "registering"


def test_the_command_tells_the_metrics_and_a_second_version(trained, settings, folder):
    arguments = [
        "train",
        "--data",
        str(folder),
        "--mlflow-uri",
        settings.mlflow_uri,
        "--as-of",
        AS_OF.isoformat(),
    ]
    quick = ["--trials", "0", "--no-baselines", "--alias", ""]
    done = CliRunner().invoke(app, [*arguments, *quick])
    assert done.exit_code == 0, done.output
    assert f"fraud version {int(trained.version) + 1}" in done.output
    assert "pr_auc" in done.output
    client = mlflow.MlflowClient(settings.mlflow_uri, settings.mlflow_uri)
    assert str(client.get_model_version_by_alias("fraud", "champion").version) == trained.version


def test_a_moment_before_any_label_is_refused_in_words(settings):
    early = settings.model_copy(update={"as_of": datetime(2026, 1, 10, tzinfo=UTC)})
    with pytest.raises(BadInput, match="as_of"):
        train(early)


def test_an_absent_registry_is_told_before_the_work_begins(settings, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    steps: list[str] = []
    with pytest.raises(Unavailable, match="mlflow_uri"):
        train(settings.model_copy(update={"mlflow_uri": "http://127.0.0.1:9"}), steps.append)
    assert steps == []
