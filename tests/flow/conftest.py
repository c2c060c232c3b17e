"""A broker, a registry and a model server for the flow tests, and streaming jobs side by side on them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.synthetic import files
from fraud.synthetic.data_set import DataSet
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from jobs.stream.settings import StreamSettings

PATIENCE_S = 300.0


def wait_until(is_true: Callable[[], bool], check: Callable[[], None] = lambda: None) -> None:
    """Poll a condition, while ``check`` raises nothing."""
    give_up = time.monotonic() + PATIENCE_S
    while not is_true():
        check()
        assert time.monotonic() < give_up, f"timed out after {PATIENCE_S:.0f} s"
        time.sleep(0.05)


@dataclass
class Job:
    """A streaming job of its own home on the shared parts."""

    home: Path
    kafka: str
    predictor: str
    options: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    port: int = field(default=0)

    @property
    def settings(self) -> StreamSettings:
        return StreamSettings(home=self.home)

    def start(self) -> None:
        self.starts += 1
        self.port = platform_free_port()
        environment = {
            **os.environ,
            "FRAUD_STREAM_HOME": str(self.home),
            "FRAUD_STREAM_KAFKA_BOOTSTRAP": self.kafka,
            "FRAUD_STREAM_PREDICTOR_URL": self.predictor,
            "FRAUD_STREAM_METRICS_PORT": str(self.port),
            **self.options,
        }
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "jobs.stream.main"]
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def family(self) -> list[psutil.Process]:
        """The driver and whatever it has started: the JVM and Python workers."""
        assert self.process is not None
        driver = psutil.Process(self.process.pid)
        return [driver, *driver.children(recursive=True)]

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def check(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"the job ended:\n{self.tail()}"

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def commits(self) -> int:
        """Micro-batches that Spark has committed."""
        return len(list((self.settings.checkpoint_path / "commits").glob("[0-9]*")))

    def kill(self) -> None:
        """SIGKILL to whatever is still there."""
        if self.process is None:
            return
        family = self.family() if self.process.poll() is None else []
        for one in family:
            if one.is_running():
                one.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM: the micro-batch is finished and archived."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=120) == 0, self.tail()


def platform_free_port() -> int:
    """Choose a port that nobody listens on."""
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Parts:
    """What the jobs share."""

    kafka: str
    predictor: str
    data: DataSet
    history: pa.Table
    folder: Path
    settings: LocalSettings

    def job(self, name: str, **options: str) -> Job:
        home = self.folder / name
        home.mkdir()
        return Job(home, self.kafka, self.predictor, options, self.folder / f"{name}.log")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Broker, MLflow and model server, with a model of small data."""
    folder = tmp_path_factory.mktemp("flow")
    home = folder / "plätform 1"  # a name that is not plain ASCII, and has a space
    settings = LocalSettings(
        home=home,
        kafka_port=0,
        kafka_controller_port=0,
        mlflow_port=0,
        predictor_port=0,
        scoring_port=0,
        console_port=0,
        canary_port=0,
        stream_metrics_port=0,
        kafka_heap_mb=384,
    )
    generator = GeneratorSettings(transactions=8_000, users=400, merchants=200, seed=5)
    data = generate(generator)
    files.write(data, home / "data")
    go_live = generator.start + timedelta(days=generator.days * 0.7)
    try:
        platform.up(settings, ["broker", "mlflow"])
        urls = {part.name: part.url or "" for part in platform.status(settings)}
        train(TrainSettings.quick(str(home / "data"), as_of=go_live, mlflow_uri=urls["mlflow"], seed=5))
        platform.up(settings, ["predictor"])
        urls = {part.name: part.url or "" for part in platform.status(settings)}
        history = data.transactions.filter(
            pc.less(data.transactions.column("event_time"), pa.scalar(go_live))
        )
        yield Parts(urls["broker"], urls["predictor"], data, history, folder, settings)
    finally:
        platform.down(settings)
