"""Laws of following the registry, with a scripted registry."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.errors import BadConfig, BadModel, Unavailable
from fraud.model.watcher import ModelSource, ModelWatcher
from services.predictor.settings import PredictorSettings


class ScriptedSource:
    """A registry whose alias, health and bad versions the test decides."""

    def __init__(self) -> None:
        self.version = "1"
        self.is_away = False
        self.is_cut = False
        self.bad: set[str] = set()
        self.fetched: list[str] = []

    def find_version(self) -> str:
        if self.is_away:
            raise Unavailable("away")
        return self.version

    def fetch(self, version: str) -> Any:
        if self.is_cut:
            raise Unavailable("half way")
        self.fetched.append(version)
        if version in self.bad:
            raise BadModel("does not fit")
        return version


def make_watcher(source: ScriptedSource) -> tuple[ModelWatcher, list[Any]]:
    published: list[Any] = []
    return ModelWatcher(source, published.append, reload_s=10.0, backoff_max_s=30.0), published


@given(st.lists(st.sampled_from("123")))
def test_each_change_of_the_alias_is_fetched_once_and_the_last_good_version_is_served(versions):
    source = ScriptedSource()
    source.bad = {"2"}
    watcher, published = make_watcher(source)
    for version in versions:
        source.version = version
        assert watcher.watch.look() == 10.0
    changes = [v for i, v in enumerate(versions) if i == 0 or versions[i - 1] != v]
    assert source.fetched == changes
    assert published == [v for v in changes if v != "2"]


def test_waits_double_up_to_the_limit_while_the_registry_is_away_and_recover():
    source = ScriptedSource()
    source.is_away = True
    watcher, published = make_watcher(source)
    waits = [watcher.watch.look() for _ in range(9)]
    ceilings = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, ceilings, strict=True))
    source.is_away = False
    assert watcher.watch.look() == 10.0
    assert published == ["1"]


def test_a_download_that_failed_is_tried_again():
    source = ScriptedSource()
    watcher, published = make_watcher(source)
    source.is_cut = True
    assert watcher.watch.look() <= 0.5
    source.is_cut = False
    watcher.watch.look()
    assert published == ["1"]


def test_a_fixed_version_needs_no_registry_to_be_found(tmp_path):
    settings = PredictorSettings(model="models:/fraud/3", mlflow_uri=f"sqlite:///{tmp_path}/none.db")
    assert ModelSource(settings).find_version() == "3"


@pytest.mark.parametrize("model", ["fraud", "models:/fraud", "models:/fraud@", "models:/fraud/x"])
def test_a_model_address_that_names_no_version_stops_at_the_start(model):
    with pytest.raises(BadConfig, match="FRAUD_PREDICTOR_MODEL"):
        PredictorSettings(model=model)
