"""The challenger is served while the registry has one, and its absence disturbs nothing."""

from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np

from fraud.model.client import ModelClient, ModelClientSettings, served_name
from fraud.model.registry import open_registry
from fraud.model.watcher import ModelSource, ModelWatcher
from services.predictor.settings import PredictorSettings


def test_a_challenger_comes_and_goes_beside_the_champion(tmp_path: Path, tools: SimpleNamespace) -> None:
    registry = tools.Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    champion, challenger = tools.make_model(1), tools.make_model(2)
    registry.register(champion)
    vectors = tools.make_vectors(9)
    with tools.run_server(registry.uri, tmp_path) as server:
        tools.wait_until(server.is_ready, "the server is ready without a challenger")
        name = served_name("challenger")
        is_there = lambda: server.get(f"/v2/models/{name}/ready").status_code == 200  # noqa: E731
        assert not is_there()
        registry.register(challenger, "challenger")
        tools.wait_until(is_there, "the challenger is served")
        settings = ModelClientSettings(url=server.url, timeout_s=30.0, deadline_s=60.0)
        with ModelClient(settings) as one, ModelClient(settings.model_copy(update={"name": name})) as other:
            np.testing.assert_allclose(one.score(vectors).probability, champion.predict(vectors), atol=1e-12)
            np.testing.assert_allclose(
                other.score(vectors).probability, challenger.predict(vectors), atol=1e-12
            )
        with open_registry(registry.uri, "test"):
            mlflow.MlflowClient().delete_registered_model_alias("fraud", "challenger")
        tools.wait_until(lambda: not is_there(), "the challenger is gone")
        assert server.is_ready()
        assert server.metric("fraud_predictor_registry_errors_total") == 0


def test_an_alias_that_need_not_be_there_is_no_error(tmp_path: Path, tools: SimpleNamespace) -> None:
    registry = tools.Registry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    registry.register(tools.make_model(1))
    settings = PredictorSettings(mlflow_uri=registry.uri, model="models:/fraud@challenger")
    published: list[object] = []
    watcher = ModelWatcher(ModelSource(settings, is_required=False), published.append, 10.0, 30.0)
    assert watcher.watch.look() == 10.0
    registry.register(tools.make_model(2), "challenger")
    assert watcher.watch.look() == 10.0
    with open_registry(registry.uri, "test"):
        mlflow.MlflowClient().delete_registered_model_alias("fraud", "challenger")
    assert watcher.watch.look() == 10.0
    assert [one is None for one in published] == [False, True]
