"""A rollout under traffic, real servers, a real registry: whatever a version does, no call fails."""

import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import httpx
import mlflow
import psutil
import pytest

from fraud.errors import Unavailable
from fraud.model.aliases import CANARY as ALIAS
from fraud.model.aliases import GATE
from fraud.model.canary import PERCENT, UNTIL
from fraud.model.card import ScoringModel, Sigmoid
from fraud.model.client import ModelClient, ModelClientSettings
from fraud.model.registry import ModelVersions, open_registry
from fraud.rollout.pipeline import roll_out
from fraud.rollout.places import Local, open_place
from fraud.rollout.settings import RolloutSettings
from tests.services.predictor.conftest import (
    MODEL_NAME,
    Registry,
    make_model,
    make_vectors,
    run_server,
    wait_until,
)


@dataclass
class Traffic:
    """Calls one after the other, for as long as it is asked to."""

    url: str
    versions: Counter[str] = field(default_factory=Counter)
    failed: list[Exception] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        settings = ModelClientSettings(url=self.url, name=MODEL_NAME, timeout_s=30.0, deadline_s=60.0)
        with ModelClient(settings) as client:
            while not stop.is_set():
                try:
                    self.versions[client.score(make_vectors(20)).model_version] += 1
                except Exception as error:  # noqa: BLE001  (the test says so)
                    self.failed.append(error)


@dataclass
class Stage:
    """A served champion, a registry, and settings for rollouts between them."""

    registry: Registry
    settings: RolloutSettings
    url: str

    def accept(self, model: ScoringModel) -> str:
        version = self.registry.register(model, "challenger")
        with open_registry(self.registry.uri):
            ModelVersions(MODEL_NAME).tag(version, {GATE: "accepted"})
        return version

    def roll_out(self, version: str, place=None):
        traffic, stop = Traffic(self.url), threading.Event()
        thread = threading.Thread(target=traffic.run, args=(stop,))
        thread.start()
        try:
            outcome = roll_out(version, self.settings, place or Local(self.settings))
        finally:
            stop.set()
            thread.join()
        return outcome, traffic


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    registry = Registry(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")
    registry.register(make_model(1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    own = {"canary_url": f"http://127.0.0.1:{port}", "canary_timeout_s": "20"}
    with run_server(registry.uri, folder, **own) as server:
        wait_until(server.is_ready, "the server is ready", 400.0)
        settings = RolloutSettings(
            mlflow_uri=registry.uri,
            predictor_url=server.url,
            percents=(30.0, 60.0),
            stage_s=0.0,
            stage_rows=100,
            stage_max_s=120.0,
            poll_s=0.2,
            lease_s=20.0,
            ready_s=200.0,
            after_s=0.5,
            latency_floor_ms=60_000.0,
            flagged_factor=3.0,
            max_psi=5.0,
        )
        yield Stage(registry, settings, server.url)


def test_a_good_version_is_tried_and_becomes_the_champion_and_a_bad_one_never_does(stage):
    good = stage.accept(make_model(2))
    outcome, traffic = stage.roll_out(good)
    assert (outcome.word, outcome.champion) == ("promoted", good), outcome
    assert traffic.failed == []
    assert set(traffic.versions) == {"1", good}

    wild = make_model(3)
    card = wild.card.model_copy(update={"calibration": Sigmoid(slope=1.0, offset=9.0)})
    bad = stage.accept(ScoringModel(wild._booster, card))
    outcome, traffic = stage.roll_out(bad)
    assert (outcome.word, outcome.champion) == ("rolled back", good), outcome
    assert "review threshold" in outcome.why or "PSI" in outcome.why  # its scores, whichever measure says so
    assert traffic.failed == []
    assert traffic.versions[bad] > 0

    outcome, traffic = stage.roll_out(bad)
    assert (outcome.word, outcome.champion) == ("refused", good)
    assert "taken back before" in outcome.why
    assert set(traffic.versions) <= {good}


def test_a_canary_that_does_not_answer_costs_no_call_and_is_taken_back(stage):
    class Nowhere(Local):
        def canary(self, version):  # noqa: ARG002  (the protocol's)
            return nullcontext()

    silent = stage.accept(make_model(4))
    outcome, traffic = stage.roll_out(silent, Nowhere(stage.settings))
    assert outcome.word == "rolled back"
    assert "requests failed" in outcome.why
    assert traffic.failed == []
    assert silent not in traffic.versions


def test_a_version_that_the_gate_has_not_accepted_is_refused(stage):
    version = stage.registry.register(make_model(5), "challenger")
    outcome = roll_out(version, stage.settings, Local(stage.settings))
    assert (outcome.word, outcome.why) == ("refused", "the gate has not judged it")


def test_without_its_model_server_nothing_is_changed_and_where_none_is_the_alias_alone_moves(stage):
    version = stage.accept(make_model(6))
    with open_registry(stage.registry.uri):
        before = ModelVersions(MODEL_NAME).at("champion")
    away = stage.settings.model_copy(update={"predictor_url": "http://127.0.0.1:9", "place": "local"})
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9.*fraud up"):
        roll_out(version, away, open_place(away))
    with open_registry(stage.registry.uri):
        assert ModelVersions(MODEL_NAME).at("champion") == before
    outcome = roll_out(version, stage.settings, open_place(stage.settings))  # auto: the registry is a file
    assert (outcome.word, outcome.champion) == ("promoted", version)
    assert "nothing is served" in outcome.why


def test_while_one_version_is_rolled_out_no_other_is_and_a_dead_rollout_ends(stage):
    first, second = stage.accept(make_model(7)), stage.accept(make_model(8))
    with open_registry(stage.registry.uri):
        versions = ModelVersions(MODEL_NAME)
        before = versions.at("champion")
        versions.tag(first, {PERCENT: "30", UNTIL: f"{time.time() + 600.0:.0f}"})
        mlflow.MlflowClient().set_registered_model_alias(MODEL_NAME, ALIAS, first)
    with pytest.raises(Unavailable, match=f"version {first} is being rolled out"):
        roll_out(second, stage.settings, Local(stage.settings))
    with open_registry(stage.registry.uri):
        assert (versions.at("champion"), versions.at(ALIAS)) == (before, first)
        versions.tag(first, {UNTIL: f"{time.time() - 1.0:.0f}"})

    class Broken(Local):
        @contextmanager
        def canary(self, version):  # noqa: ARG002  (the protocol's)
            raise Unavailable("no room")
            yield

    with pytest.raises(Unavailable, match="no room"):
        roll_out(second, stage.settings, Broken(stage.settings))
    with open_registry(stage.registry.uri):
        assert (versions.at("champion"), versions.at(ALIAS)) == (before, None)


def test_a_canary_that_dies_at_its_start_is_told_at_once_and_leaves_nothing(stage):
    before = set(psutil.Process().children(recursive=True))
    place = Local(stage.settings.model_copy(update={"model_name": "no@name"}))
    words = r"(?s)the canary ended .* the end of its log:.*FRAUD_PREDICTOR_MODEL"
    with pytest.raises(Unavailable, match=words), place.canary("1"):
        pytest.fail("it is not ready")
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_model_server_listens_on_loopback_alone(stage):
    port = httpx.URL(stage.url).port
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert {one.laddr.ip for one in listening if one.laddr.port == port} == {"127.0.0.1"}
