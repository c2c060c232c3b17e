"""Stores of both backends; a broker and streaming jobs on it, without a model: the fallback decides."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fraud.local import platform
from fraud.local.settings import LocalSettings
from tests.flow.conftest import Job
from tests.fraud.store.conftest import make_urls, redis_server, shard_servers, url

__all__ = ["redis_server", "shard_servers", "url"]

PORTS = ["kafka", "kafka_controller", "mlflow", "predictor", "canary", "scoring", "console", "stream_metrics"]


@pytest.fixture(params=["lmdb", "redis"])
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Make the URL of a store that nobody has used."""
    return make_urls(request, tmp_path_factory)


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[str]:
    """Address of a broker of its own."""
    ports = {f"{name}_port": 0 for name in PORTS}
    settings = LocalSettings(home=tmp_path / "platform", kafka_heap_mb=384, **ports)
    try:
        platform.up(settings, ["broker"])
        yield next(str(part.url) for part in platform.status(settings) if part.name == "broker")
    finally:
        platform.down(settings)


@pytest.fixture
def make_job(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Make a streaming job; options are environment variables."""
    made: list[Job] = []

    def make(home: Path = tmp_path / "stream", **options: str) -> Job:
        home.mkdir(exist_ok=True)
        quick = {"FRAUD_STREAM_ARCHIVE_S": "1", "FRAUD_STREAM_PREDICTOR_DEADLINE_S": "0.2"}
        job = Job(home, kafka, "http://127.0.0.1:9", {**quick, **options}, tmp_path / "job.log")
        made.append(job)
        return job

    yield make
    for job in made:
        job.kill()
