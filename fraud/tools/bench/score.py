"""``fraud bench score``: latency of the scoring service at set rates and beyond what it can take.

Runs a broker, a model registry and the service in a folder of its own; the store starts with a history.
The same load goes to KServe's model server and to a plain FastAPI, which get finished vectors instead. All,
with the load generator, share this machine's cores.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from fraud.errors import BadConfig, Unavailable
from fraud.features.batch import compute_features
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.local import platform
from fraud.local.settings import LocalSettings
from fraud.model.settings import RegistrySettings
from fraud.model.watcher import ModelSource
from fraud.runtime.waiting import retry
from fraud.schema.deployed import deployed_schema
from fraud.synthetic import files
from fraud.synthetic.encoding import encode_transactions
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.load import Loaded, Plan
from fraud.tools.bench.machine import Machine, describe_machine
from jobs.backfill.run import backfill
from jobs.stream.settings import StreamSettings

HISTORY: Final = 50_000
START_S: Final = 120.0
VECTORS: Final = 2_000
SERVERS: Final = ("scoring", "kserve", "fastapi")
REALTIME: Final = ("chrt", "--rr", "1")
"""Starts a program that goes before all of normal priority, as if the machine were its own."""


@dataclass(frozen=True, slots=True)
class Point:
    """One server at one rate."""

    server: str
    rate: float
    loaded: Loaded
    server_cpu_ms: float
    """Of the server's process, by request that it answered with 200."""
    load: float
    """Processes that ran or waited over the last minute, others' work included."""


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """What one run measured."""

    machine: Machine
    is_realtime: bool
    points: list[Point]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_scoring(
    home: Path,
    *,
    rates: tuple[float, ...],
    seconds: float,
    users: int,
    servers: tuple[str, ...] = SERVERS,
    is_realtime: bool = False,
) -> ScoreFigures:
    """Measure all servers at all rates, one after another.

    Parameters
    ----------
    home
        Folder of its own; what is there is given up.
    rates
        Requests a second.
    seconds
        How long each is held.
    users
        Cardholders in the data.
    servers
        Which of ``SERVERS``.
    is_realtime
        Whether servers and load generator go before other work of the machine.

    Raises
    ------
    BadConfig
        When this machine does not let them.
    """
    before = REALTIME if is_realtime else ()
    if before and (not shutil.which(before[0]) or subprocess.run([*before, "true"], check=False).returncode):
        raise BadConfig("real-time priority needs Linux, `chrt` (package util-linux) and the right to use it")
    described = describe_machine()
    # One second of each rate warms up; the bodies of a rate are not sent again at the next.
    with prepared(home, int(sum(rates) * (seconds + 1.0)) + 2_000, users) as ready:
        points = [
            point for server in servers for point in _measure(server, ready, (rates, seconds), before=before)
        ]
    return ScoreFigures(described, is_realtime, points)


@dataclass(frozen=True, slots=True)
class Ready:
    """What servers and load generator need: it is there while the platform runs."""

    environment: dict[str, str]
    """Of the scoring service."""
    model: Path
    """Folder of the champion's files."""
    transactions: Path
    """Bodies for the scoring service, one a line."""
    vectors: Path
    """Bodies for servers that take finished vectors."""


@contextmanager
def prepared(home: Path, transactions: int, users: int) -> Iterator[Ready]:
    """Run broker and registry in a folder of its own, with a model, a store with a history, and bodies.

    Parameters
    ----------
    home
        What is there is given up.
    transactions
        That can be sent.
    users
        Cardholders in the data.
    """
    settings = _own_platform(home)
    data = generate(
        GeneratorSettings(
            transactions=HISTORY + transactions, users=users, merchants=max(users // 2, 100), seed=5
        ),
        deployed_schema(),
    )
    files.write(data, home / "data")
    history, new = data.transactions.slice(0, HISTORY), data.transactions.slice(HISTORY)
    go_live = pc.max(history.column("event_time")).as_py() + timedelta(microseconds=1)
    known = data.labels.filter(pc.less(data.labels.column("label_time"), pa.scalar(go_live)))
    stream = StreamSettings(home=home / "stream")
    try:
        platform.up(settings, parts=("broker", "mlflow"))
        urls = {part.name: part.url or "" for part in platform.status(settings)}
        train(TrainSettings.quick(str(home / "data"), as_of=go_live, mlflow_uri=urls["mlflow"], seed=5))
        backfill(history, known, stream)
        model = _fetch_model(urls["mlflow"], home / "model")
        bodies, vectors = home / "transactions.jsonl", home / "vectors.jsonl"
        bodies.write_bytes(b"\n".join(encode_transactions(new)))
        _write_vectors(history.slice(HISTORY - VECTORS), vectors)
        environment = {
            "FRAUD_SCORING_STORE_URL": stream.store,
            "FRAUD_SCORING_KAFKA_BOOTSTRAP": urls["broker"],
            "FRAUD_SCORING_MLFLOW_URI": urls["mlflow"],
        }
        yield Ready(environment, model, bodies, vectors)
    finally:
        platform.down(settings)


def _measure(
    server: str, ready: Ready, pace: tuple[tuple[float, ...], float], *, before: Sequence[str]
) -> Iterator[Point]:
    rates, seconds = pace
    is_ours = server == "scoring"
    path = "/v1/score" if is_ours else "/v1/models/fraud:predict"
    file = ready.transactions if is_ours else ready.vectors
    with running([*before, sys.executable, "-m"], server, ready) as (process, port):
        first = 0
        for rate in rates:
            for length, is_counted in ((1.0, False), (seconds, True)):
                plan = Plan("127.0.0.1", port, path, str(file), first if is_ours else 0, rate, length)
                spent = sum(process.cpu_times()[:2])
                loaded = send(plan, before)
                used_ms = (sum(process.cpu_times()[:2]) - spent) * 1e3
                first += loaded.sent
                if is_counted:
                    answered = max(1, loaded.statuses.get("200", 0))
                    yield Point(server, rate, loaded, used_ms / answered, os.getloadavg()[0])


def send(plan: Plan, before: Sequence[str] = ()) -> Loaded:
    """Send a plan, in a process of its own."""
    command = [*before, sys.executable, "-m", "fraud.tools.bench.load", json.dumps(asdict(plan))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"the load generator ended: {done.stderr[-500:]}")
    return Loaded(**json.loads(done.stdout))


@contextmanager
def running(python: Sequence[str], server: str, ready: Ready) -> Iterator[tuple[psutil.Process, int]]:
    """Run one of ``SERVERS`` by a command that takes a module; gives the process and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = (
        ["services.scoring.main"]
        if server == "scoring"
        else ["fraud.tools.bench.score_servers", server, str(port), str(ready.model)]
    )
    log = ready.model.parent / f"{server}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*python, *module],
            env={**os.environ, **ready.environment, "FRAUD_SCORING_PORT": str(port)},
            stdout=output,
            stderr=output,
        )
    try:
        is_ours = server == "scoring"
        _wait(port, "/v2/models/fraud/ready" if is_ours else "/", log, any_answer=not is_ours)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, path: str, log: Path, *, any_answer: bool) -> None:
    def ask() -> None:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=1.0, trust_env=False)
        if not any_answer:
            answer.raise_for_status()

    try:
        retry(ask, httpx.HTTPError, START_S, pause_s=lambda _: 0.1)
    except httpx.HTTPError as error:
        words = f"a server did not start; the end of {log.name}:\n{log.read_text()[-1000:]}"
        raise Unavailable(words) from error


def _fetch_model(mlflow_uri: str, folder: Path) -> Path:
    """Leave the champion's files in a folder, for the servers that know no registry."""
    source = ModelSource(RegistrySettings(mlflow_uri=mlflow_uri))
    version = source.find_version()
    if version is None:
        raise Unavailable(f"the registry at {mlflow_uri} has no champion")
    served = source.fetch(version)
    folder.mkdir()
    (folder / "model.txt").write_text(served.scoring.booster.model_to_string())
    (folder / "fraud.json").write_text(served.scoring.card.model_dump_json())
    return folder


def _write_vectors(transactions: pa.Table, file: Path) -> None:
    vectors = np.nan_to_num(compute_features(transactions).vectors)
    lines = (json.dumps({"instances": [row]}) for row in vectors.tolist())
    file.write_text("\n".join(lines))


def _own_platform(home: Path) -> LocalSettings:
    if home.exists():
        platform.down(LocalSettings(home=home))
        shutil.rmtree(home)
    return LocalSettings(home=home, kafka_port=0, kafka_controller_port=0, mlflow_port=0)
