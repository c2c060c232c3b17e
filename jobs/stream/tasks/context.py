"""What a task of a micro-batch is given, and the connections that a worker process keeps between tasks."""

import gc
import os
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fraud.contracts import MOST_AHEAD_S, AheadBounds, Contracts, bounds_of, contracts_of
from fraud.decide.experiment import Alias, Experiment
from fraud.decide.rules import RulesAt
from fraud.features.passes import Passes, passes_of_schema
from fraud.kafka.producer import Producer, ProducerSettings
from fraud.log.rows import Rows, rows_of
from fraud.log.spool import Place, ResultFile, Spool, spool_at
from fraud.model.client import ModelClient, ModelClientSettings, served_name
from fraud.money import NO_RATES, Rates, read_rates
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.store import Epoch, FeatureStore, open_store

PUBLISH_S: Final = 30.0
"""How long the brokers may take to accept a record, seconds."""
QUEUE_RECORDS: Final = 500_000
"""Records that may wait for the brokers: those of a micro-batch."""
CHALLENGER_S: Final = 1.0
"""How long a micro-batch waits for the challenger at most, seconds."""


@dataclass(frozen=True, slots=True)
class TaskContext:
    """Travels from the driver to every task of one micro-batch."""

    epoch: Epoch
    token: int
    """Fencing token of the driver."""
    store_url: str
    spool: Place
    kafka: tuple[tuple[str, str], ...]
    """Options of the producer under Kafka's names, with ``bootstrap.servers``."""
    predictor_url: str
    predictor_deadline_s: float
    tasks: int = 1
    """Of each pass."""
    rules: RulesAt | None = None
    """Of this micro-batch; None: there are none."""
    experiment: Experiment | None = None
    """Under way while this micro-batch is decided."""
    most_ahead_s: float = MOST_AHEAD_S
    """How far a record may be dated ahead of its append time, seconds, where the schema bounds no source."""
    schema: Schema = field(default_factory=deployed_schema)
    """Of the records."""
    passes: Passes = ()
    """The primary first; by default the schema's."""
    rates: Path | None = None
    """File of the rates that this micro-batch prices by; it never changes."""
    is_traced: bool = False
    """Whether traces are handed on from the records' headers to decisions and alerts."""
    trace: str = ""
    """Header of the micro-batch's own span, for the model server; empty: there is none."""
    run: str = ""
    """Name of this run of the micro-batch, under which an object store has its results."""

    def __post_init__(self) -> None:
        if not self.passes:
            object.__setattr__(self, "passes", passes_of_schema(self.schema))

    @property
    def rows(self) -> Rows:
        """How the records travel."""
        return rows_of(self.schema)

    @property
    def bounds(self) -> AheadBounds:
        """How far a record may be dated ahead of its append time."""
        return bounds_of(self.schema, self.most_ahead_s)

    @property
    def contracts(self) -> Contracts:
        """The models of the records."""
        return contracts_of(self.schema)

    def result_file(self, part: str, attempt: str = "") -> ResultFile:
        """Open a file of this run's results, see :class:`fraud.log.spool.Spool`."""
        return _spool(self.spool, os.getpid()).file(self.epoch.name, self.run, part, attempt)


def store_of(url: str, entities: tuple[str, ...]) -> FeatureStore:
    """Open the feature store once per process."""
    process = os.getpid()
    return _shared.get((url, entities, process)) or _store(url, entities, process)


def share_store(url: str, entities: tuple[str, ...], store: FeatureStore) -> None:
    """Let passes in this process use the driver's store, where it can be opened only once in a process."""
    if urlsplit(url).scheme == "lmdb":
        _shared[url, entities, os.getpid()] = store


def rates_of(context: TaskContext) -> Rates:
    """Read the rates once per process; without money there are none."""
    money = context.schema.money
    return _rates(context.rates, money.base) if money and context.rates else NO_RATES


def model_of(context: TaskContext, alias: Alias = Alias.CHAMPION) -> ModelClient:
    """Keep one client of the model server per process and model; its breaker outlives a micro-batch.

    The challenger has less time: if it is unavailable, the champion decides.
    """
    deadline_s = context.predictor_deadline_s
    if alias is Alias.CHALLENGER:
        deadline_s = min(deadline_s, CHALLENGER_S)
    return _model(
        context.predictor_url, served_name(alias), deadline_s, context.schema.features_version, os.getpid()
    )


def producer_of(context: TaskContext) -> Producer:
    """Keep one Kafka producer per process."""
    return _producer(context.kafka, os.getpid())


@cache
def settle() -> None:
    """Take what a worker process has loaded out of the garbage collector's sight, once.

    Spark collects garbage after every task; over the libraries' objects that alone takes tens of
    milliseconds a pass. Within a task none is collected: it would look at every record again and again.
    """
    from pyspark import TaskContext as SparkTask  # noqa: PLC0415  known only inside a task

    gc.collect()
    gc.freeze()
    if SparkTask.get():
        gc.disable()


_shared: Final[dict[tuple[str, tuple[str, ...], int], FeatureStore]] = {}


# The process id is part of the keys: a worker is forked from a process that may have opened them already.
@cache
def _store(url: str, entities: tuple[str, ...], _process: int) -> FeatureStore:
    return open_store(url, entities)


@cache
def _spool(place: Place, _process: int) -> Spool:
    return spool_at(place)


@lru_cache(maxsize=4)
def _rates(file: Path, base: str) -> Rates:
    return read_rates(file, base)


@cache
def _model(url: str, name: str, deadline_s: float, features_version: str, _process: int) -> ModelClient:
    settings = ModelClientSettings(url=url, name=name, deadline_s=deadline_s, timeout_s=deadline_s)
    return ModelClient(settings, features_version=features_version)


@cache
def _producer(options: tuple[tuple[str, str], ...], _process: int) -> Producer:
    given = dict(options)
    bootstrap = given.pop("bootstrap.servers")
    return Producer(
        ProducerSettings(
            bootstrap=bootstrap, delivery_timeout_s=PUBLISH_S, queue_records=QUEUE_RECORDS, options=given
        )
    )
