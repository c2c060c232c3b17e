"""Databricks without an account: addresses reach MLflow as given, three-part names go all the way."""

from pathlib import Path

import mlflow
import pytest

from fraud.errors import BadConfig
from fraud.model.aliases import CHALLENGER, CHAMPION
from fraud.model.publish import Report, publish
from fraud.model.registry import ModelVersions, open_registry
from fraud.tables import find_table
from jobs.online.settings import OnlineSettings
from services.predictor.settings import PredictorSettings
from tests.services.predictor.conftest import make_model, make_vectors

NAME = "main.risk.fraud"


def test_tracking_and_registry_are_those_of_the_settings_and_only_for_the_block():
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with open_registry("databricks://risk", "", "databricks-uc://risk"):
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == (
            "databricks://risk",
            "databricks-uc://risk",
        )
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before


def test_a_name_of_catalog_schema_and_model_is_registered_promoted_loaded_and_rolled_back(tmp_path):
    with open_registry(f"sqlite:///{tmp_path / 'mlflow.db'}", "/Shared/fraud"):
        versions = ModelVersions(NAME)
        for seed, alias in ((1, CHAMPION), (2, CHALLENGER)):
            model = make_model(seed)
            tags = {"features_version": model.card.features_version, "data_fingerprint": "0" * 32}
            report = Report(model.trees, model.card, make_vectors(2), {}, {}, tags)
            publish(report, Path(), NAME, alias)
        assert versions.promote(versions.resolve(CHALLENGER), "a test").previous == "1"
        assert versions.load("2").trees == model.trees
        assert versions.rollback("a test").champion == "1"


def test_settings_of_databricks_come_from_the_environment(monkeypatch):
    for name, value in (
        ("MLFLOW_URI", "databricks"),
        ("REGISTRY_URI", "databricks-uc"),
        ("EXPERIMENT", "/Shared/fraud"),
        ("MODEL_NAME", NAME),
        ("DATA", "abfss://risk@lake.dfs.core.windows.net/tables"),
        ("DELTA_OPTIONS", '{"azure_storage_account_name": "lake"}'),
    ):
        monkeypatch.setenv(f"FRAUD_ONLINE_{name}", value)
    settings = OnlineSettings()
    assert find_table(settings.data, "labels") == "abfss://risk@lake.dfs.core.windows.net/tables/labels"
    assert settings.delta_options == {"azure_storage_account_name": "lake"}
    monkeypatch.setenv("FRAUD_ONLINE_MODEL_NAME", "fraud")
    with pytest.raises(BadConfig, match=r"catalog\.schema\.model"):
        OnlineSettings()


def test_the_model_server_takes_a_name_of_three_parts():
    assert PredictorSettings(model=f"models:/{NAME}@champion", challenger=f"models:/{NAME}@challenger")
    with pytest.raises(BadConfig, match="FRAUD_PREDICTOR_MODEL"):
        PredictorSettings(model=f"models:/{NAME}")
