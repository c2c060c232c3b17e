"""The parts of the embedded platform, in the order of their start: what each runs, and when it is ready."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from fraud.errors import BadConfig, Unavailable
from fraud.local import broker
from fraud.local.cache import cache_folder
from fraud.local.jars import Tell, spark_jars
from fraud.local.java import java_home
from fraud.local.mlflow_db import give_up_half_made
from fraud.local.settings import LocalSettings
from fraud.programs import PROGRAMS
from fraud.runtime.surroundings import settle
from fraud.schema import deployed as schema
from fraud.settings.names import suggest

MODEL_NAME: Final = "fraud"
MODEL_ALIAS: Final = "champion"
EXPERIMENT: Final = "experiment.yaml"
"""In the home folder: the experiment that stream and scoring service take part in."""

_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts are: the settings, and the ports as they were chosen."""

    settings: LocalSettings
    ports: Mapping[str, int]
    """Port's name: number."""

    def folder(self, part: str) -> Path:
        """Return the folder of a part's own data."""
        return self.settings.home_path / part

    def address(self, port: str) -> str:
        """Return ``host:port`` of a port's name."""
        return f"{self.settings.host}:{self.ports[port]}"

    def url(self, port: str) -> str:
        """Return the base URL of a port's name."""
        return f"http://{self.address(port)}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part; its functions take the place."""

    name: str
    ports: tuple[str, ...]
    """Names of its ports, its own first; each one's setting is ``<name>_port``."""
    needs: tuple[str, ...]
    """Parts that must be ready before."""
    needs_champion: bool
    """Whether it can only start once the registry has a model with the alias."""
    prepare: Callable[[Place, Tell], None]
    """Before the start: files, downloads."""
    command: Callable[[Place], list[str]]
    environment: Callable[[Place], dict[str, str]]
    is_ready: Callable[[Place], bool]
    url: Callable[[Place], str]
    """Where people and clients find it."""
    finish: Callable[[Place], None] = lambda _place: None
    """When it is ready, again at every `up`."""
    stop_timeout_s: float = 30.0
    """How long it may take to end by itself."""
    kept_ports: tuple[str, ...] = ()
    """Names of ports that are chosen at its start, and that another program listens on later."""
    waits_for: tuple[str, ...] = ()
    """Parts that start at the same time, and for which it waits itself."""
    metrics_port: str = ""
    """Name of the port on which it answers ``/metrics``; empty: nowhere."""
    standby: str = ""
    """Variable that names the file of its turn (``fraud.runtime.standby``); empty: it cannot wait."""


def has_champion(place: Place) -> bool:
    """Whether the model registry has a champion.

    Raises
    ------
    Unavailable
        When the registry does not say.
    """
    query = {"name": MODEL_NAME, "alias": MODEL_ALIAS}
    url = f"{place.url('mlflow')}/api/2.0/mlflow/registered-models/alias"
    try:
        answer = httpx.get(url, params=query, timeout=_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise Unavailable(f"the model registry at {url} does not answer: {error}") from error
    if answer.is_success:
        return True
    if "RESOURCE_DOES_NOT_EXIST" in answer.text or "INVALID_PARAMETER_VALUE" in answer.text:
        return False
    raise Unavailable(f"the model registry at {url} answered {answer.status_code}: {answer.text[:200]}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=_TIMEOUT_S, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _prepare_broker(place: Place, tell: Tell) -> None:
    settings = place.settings
    broker.prepare_broker(
        place.folder("broker"),
        host=settings.host,
        ports=place.ports,
        partitions=settings.kafka_partitions,
        tell=tell,
    )


def _prepare_stream(place: Place, tell: Tell) -> None:
    _spark_scratch(place).mkdir(parents=True, exist_ok=True)
    spark_jars(tell)


def _prepare_mlflow(place: Place, tell: Tell) -> None:
    give_up_half_made(place.folder("mlflow") / "mlflow.db", tell)


def _prepare_nothing(_place: Place, _tell: Tell) -> None:
    """Most parts make what they need."""


def _inherited() -> dict[str, str]:
    """Take over the caller's environment.

    Where it forbids bytecode beside the sources, bytecode goes to the cache: without any, the start of
    MLflow takes twice as long.
    """
    environment = dict(os.environ)
    for name, value in environment.items():
        if name.startswith("FRAUD_") and name.endswith("_FILE") and value:
            environment[name] = str(Path.cwd() / value)  # a part runs in a folder of its own
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):
        environment.setdefault("PYTHONPYCACHEPREFIX", str(cache_folder() / "bytecode"))
    settle(environment)
    return environment


def _program(name: str) -> Callable[[Place], list[str]]:
    return lambda _place: [sys.executable, "-m", PROGRAMS[name]]


def _mlflow_command(place: Place) -> list[str]:
    artifacts = place.folder("mlflow") / "artifacts"
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", place.settings.host),
        *("--port", str(place.ports["mlflow"])),
        *("--workers", "1"),
        *("--backend-store-uri", "sqlite:///mlflow.db"),  # in its current folder, whatever that is called
        *("--artifacts-destination", artifacts.as_uri()),
    ]


def _mlflow_environment(_place: Place) -> dict[str, str]:
    inherited = {name: value for name, value in _inherited().items() if not name.startswith("MLFLOW_")}
    return {
        **inherited,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # six more processes, for evaluations of chat models
    }


def _predictor_environment(place: Place) -> dict[str, str]:
    return {
        **_inherited(),
        **_schema(place),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "FRAUD_PREDICTOR_HOST": place.settings.host,
        "FRAUD_PREDICTOR_PORT": str(place.ports["predictor"]),
        "FRAUD_PREDICTOR_MLFLOW_URI": place.url("mlflow"),
        "FRAUD_PREDICTOR_CANARY_URL": place.url("canary"),
        "FRAUD_PREDICTOR_MODEL": f"models:/{MODEL_NAME}@{MODEL_ALIAS}",
    }


def _stream_environment(place: Place) -> dict[str, str]:
    # Set by spark-submit, it would make the job look for a cluster's jars.
    inherited = {name: value for name, value in _inherited().items() if name != "SPARK_ENV_LOADED"}
    return {
        **inherited,
        **_schema(place),
        **_experiment(place, "STREAM"),
        "JAVA_HOME": str(java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": place.settings.host,
        "SPARK_LOCAL_DIRS": str(_spark_scratch(place)),
        "FRAUD_STREAM_HOME": str(place.folder("stream")),
        "FRAUD_STREAM_HOST": place.settings.host,
        "FRAUD_STREAM_KAFKA_BOOTSTRAP": place.address("kafka"),
        "FRAUD_STREAM_PREDICTOR_URL": place.url("predictor"),
        "FRAUD_STREAM_PREDICTOR_WAIT_S": str(place.settings.ready_timeout_s),
        "FRAUD_STREAM_METRICS_PORT": str(place.ports["stream_metrics"]),
    }


def _scoring_environment(place: Place) -> dict[str, str]:
    return {
        **_inherited(),
        **_schema(place),
        **_experiment(place, "SCORING"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "FRAUD_SCORING_HOST": place.settings.host,
        "FRAUD_SCORING_PORT": str(place.ports["scoring"]),
        "FRAUD_SCORING_STORE_URL": f"lmdb://{place.folder('stream') / 'store'}",
        "FRAUD_SCORING_DELTA": str(place.folder("stream") / "delta"),
        "FRAUD_SCORING_KAFKA_BOOTSTRAP": place.address("kafka"),
        "FRAUD_SCORING_MLFLOW_URI": place.url("mlflow"),
        "FRAUD_SCORING_MODEL": f"models:/{MODEL_NAME}@{MODEL_ALIAS}",
    }


def _console_environment(place: Place) -> dict[str, str]:
    return {
        **_inherited(),
        **_schema(place),
        **_experiment(place, "CONSOLE"),
        "FRAUD_CONSOLE_HOST": place.settings.host,
        "FRAUD_CONSOLE_PORT": str(place.ports["console"]),
        "FRAUD_CONSOLE_KAFKA_BOOTSTRAP": place.address("kafka"),
        "FRAUD_CONSOLE_DELTA": str(place.folder("stream") / "delta"),
        "FRAUD_CONSOLE_MLFLOW_URI": place.url("mlflow"),
        "FRAUD_CONSOLE_EXPERIMENT_STATE": str(place.folder("experiment") / "state.json"),
    }


def _schema(place: Place) -> dict[str, str]:
    """Return the home's own schema, if it has one and no other one was given."""
    own = place.settings.home_path / schema.FILE
    return {schema.VARIABLE: str(own)} if own.exists() and not os.environ.get(schema.VARIABLE) else {}


def _experiment(place: Place, part: str) -> dict[str, str]:
    """Let a part take part in the experiment that the home folder defines, once it does."""
    return {f"FRAUD_{part}_EXPERIMENT_FILE": str(place.settings.home_path / EXPERIMENT)}


def _spark_scratch(place: Place) -> Path:
    return place.folder("stream") / "scratch"


PARTS: Final = (
    Part(
        name="mlflow",
        ports=("mlflow",),
        needs=(),
        needs_champion=False,
        prepare=_prepare_mlflow,
        command=_mlflow_command,
        environment=_mlflow_environment,
        is_ready=lambda place: _answers(f"{place.url('mlflow')}/health"),
        url=lambda place: place.url("mlflow"),
    ),
    Part(
        name="broker",
        ports=("kafka", "kafka_controller"),
        needs=(),
        needs_champion=False,
        prepare=_prepare_broker,
        command=lambda place: broker.broker_command(place.settings.kafka_heap_mb),
        environment=lambda _place: broker.broker_environment(),
        is_ready=lambda place: broker.is_broker_ready(place.address("kafka")),
        url=lambda place: place.address("kafka"),
        finish=lambda place: broker.create_topics(place.address("kafka"), place.settings.kafka_partitions),
    ),
    Part(
        name="predictor",
        ports=("predictor",),
        needs=("mlflow",),
        needs_champion=True,
        prepare=_prepare_nothing,
        command=_program("predictor"),
        environment=_predictor_environment,
        is_ready=lambda place: _answers(f"{place.url('predictor')}/v2/models/{MODEL_NAME}/ready"),
        url=lambda place: place.url("predictor"),
        kept_ports=("canary",),
        metrics_port="predictor",
    ),
    Part(
        name="stream",
        ports=("stream_metrics",),
        needs=("broker", "mlflow"),
        waits_for=("predictor",),  # while Spark starts
        needs_champion=True,
        prepare=_prepare_stream,
        command=_program("stream"),
        environment=_stream_environment,
        is_ready=lambda place: _answers(f"{place.url('stream_metrics')}/ready"),
        url=lambda place: f"{place.url('stream_metrics')}/metrics",
        stop_timeout_s=75.0,  # it finishes its micro-batch and archives it
        metrics_port="stream_metrics",
        standby="FRAUD_STREAM_START_AFTER",
    ),
    Part(
        name="scoring",
        ports=("scoring",),
        needs=("broker", "mlflow", "stream"),  # the stream's store, and a stream that archives what it counts
        needs_champion=True,
        prepare=_prepare_nothing,
        command=_program("scoring"),
        environment=_scoring_environment,
        is_ready=lambda place: _answers(f"{place.url('scoring')}/v2/models/{MODEL_NAME}/ready"),
        url=lambda place: place.url("scoring"),
        metrics_port="scoring",
        standby="FRAUD_SCORING_START_AFTER",
    ),
    Part(
        name="console",
        ports=("console",),
        needs=("broker",),
        needs_champion=False,
        prepare=_prepare_nothing,
        command=_program("console"),
        environment=_console_environment,
        is_ready=lambda place: _answers(f"{place.url('console')}/ready"),
        url=lambda place: place.url("console"),
        metrics_port="console",
    ),
)
"""In the order of their start; they are stopped in the reverse order."""


@dataclass(frozen=True, slots=True)
class PartTable:
    """The parts that a platform consists of."""

    parts: tuple[Part, ...]
    """In the order of their start."""
    has_champion: Callable[[Place], bool] = has_champion
    """Whether the registry has the model that some parts need."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name the parts, in the order of their start."""
        return tuple(part.name for part in self.parts)

    def with_needs(self, names: Iterable[str]) -> list[Part]:
        """List the named parts and all that they need, in the order of their start.

        Raises
        ------
        BadConfig
            When there is no part of a name.
        """
        by_name = {part.name: part for part in self.parts}
        wanted: set[str] = set()
        left = list(names)
        while left:
            name = left.pop()
            if name not in by_name:
                raise BadConfig(f"there is no part {name!r}; {suggest(name, self.names)}")
            if name not in wanted:
                wanted.add(name)
                left.extend((*by_name[name].needs, *by_name[name].waits_for))
        return [part for part in self.parts if part.name in wanted]


TABLE: Final = PartTable(PARTS)
"""The embedded platform's own."""
