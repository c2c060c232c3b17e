"""A tiny model in a real registry on a file, and the real server as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import httpx
import lightgbm
import numpy as np
import pytest

from fraud.contracts import Thresholds
from fraud.model.card import ModelCard, Reference, ScoringModel, Sigmoid
from fraud.model.publish import Report, publish
from fraud.model.registry import open_registry
from tests.deployed import FEATURE_NAMES, FEATURES_VERSION

MODEL_NAME = "fraud"


def make_model(seed: int, features_version: str = FEATURES_VERSION) -> ScoringModel:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(600, len(FEATURE_NAMES)))
    vectors[rng.random(vectors.shape) < 0.1] = np.nan
    is_fraud = np.nan_to_num(vectors[:, seed % 5 :: 5]).sum(axis=1) + rng.normal(size=600) > 2.0
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": seed, "num_leaves": 7}
    booster = lightgbm.train(settings, lightgbm.Dataset(vectors, is_fraud), 20)
    card = ModelCard(
        features_version=features_version,
        feature_names=FEATURE_NAMES,
        calibration=Sigmoid(slope=1.1, offset=0.1 * seed),
        thresholds=Thresholds(review=0.3, decline=0.7),
        reference=Reference(levels=(), features={}, missing={}, score=()),
    )
    return ScoringModel(booster, card)


def make_vectors(rows: int, seed: int = 99) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, len(FEATURE_NAMES)))
    vectors[rng.random(vectors.shape) < 0.1] = np.nan
    return vectors


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    stop_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < stop_at, f"never came true: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Registry:
    uri: str

    def create(self) -> None:
        with open_registry(self.uri, "test"):
            pass

    def register(self, model: ScoringModel, alias: str = "champion") -> str:
        report = Report(
            trees=model._booster.model_to_string(),
            card=model.card,
            example=make_vectors(2),
            parameters={},
            metrics={},
            tags={"features_version": model.card.features_version, "data_fingerprint": "0" * 32},
        )
        with open_registry(self.uri, "test"):
            return publish(report, Path(), MODEL_NAME, alias).version


@dataclass
class Server:
    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10.0)

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/v2/health/live").status_code == 200
        except httpx.TransportError:
            return False

    def is_ready(self) -> bool:
        return self.is_up() and self.get("/v2/health/ready").status_code == 200

    def is_serving(self, version: str) -> bool:
        return self.get(f"/v2/models/{MODEL_NAME}").json()["versions"] == [version]

    def metric(self, line: str) -> float:
        """Value of the metric whose line begins so; 0 when there is none."""
        for text in self.get("/metrics").text.splitlines():
            if text.startswith(line + " "):
                return float(text.rsplit(" ", 1)[1])
        return 0.0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def run_server(mlflow_uri: str, folder: Path, **settings: str) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "FRAUD_PREDICTOR_PORT": str(port),
        "FRAUD_PREDICTOR_MLFLOW_URI": mlflow_uri,
        "FRAUD_PREDICTOR_RELOAD_S": "0.1",
        "FRAUD_PREDICTOR_BACKOFF_MAX_S": "0.5",
        **{f"FRAUD_PREDICTOR_{name.upper()}": value for name, value in settings.items()},
    }
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.predictor.main"], env=environment, stdout=out, stderr=out
        )
        server = Server(f"http://127.0.0.1:{port}", process, log)
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """The functions of this module, for tests that build their own."""
    return SimpleNamespace(
        Registry=Registry,
        make_model=make_model,
        make_vectors=make_vectors,
        run_server=run_server,
        wait_until=wait_until,
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")


@pytest.fixture(scope="module")
def models() -> tuple[ScoringModel, ScoringModel]:
    return make_model(1), make_model(2)


@pytest.fixture(scope="module")
def server(
    registry: Registry, models: tuple[ScoringModel, ScoringModel], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    registry.register(models[0])
    with run_server(registry.uri, tmp_path_factory.mktemp("server")) as running:
        wait_until(running.is_ready, "the server is ready")
        yield running
