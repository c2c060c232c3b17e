"""Settings of the scoring service, read from the environment (``FRAUD_SCORING_*``)."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from fraud.contracts.future import MOST_AHEAD_S, MostAhead
from fraud.settings.access import DeltaAccess, KafkaAccess, MlflowAccess


class ScoringSettings(KafkaAccess, DeltaAccess, MlflowAccess):
    """Where it listens, what it reads, and how much it takes on."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_SCORING_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on; any other than loopback needs ``keys_file``."""
    port: int = Field(default=8090, ge=0, le=65535)
    """HTTP port; 0: any free one."""
    store_url: str = "lmdb:///var/lib/fraud/store"
    """The stream's feature store."""
    store_timeout_s: float = Field(default=0.5, gt=0.0)
    """How long a store over a network may take for one call, where its URL does not say, seconds."""

    model_from: Literal["registry", "predictor"] = "registry"
    """``registry``: the model is scored in this process; ``predictor``: by the model server."""
    model: str = Field(default="models:/fraud@champion", pattern=r"^models:/[^/@]+(@[^/@]+|/\d+)$")
    """What to score with: ``models:/<name>@<alias>`` follows the alias."""
    challenger: str = Field(default="models:/fraud@challenger", pattern=r"^models:/[^/@]+(@[^/@]+|/\d+)$")
    """The other model of an experiment; loaded only where there is one."""
    reload_s: float = Field(default=10.0, gt=0.0)
    """How often the registry is asked for the alias, seconds."""
    model_wait_s: float = Field(default=15.0, ge=0.0)
    """How long the start waits for the first model before requests are taken without one, seconds."""
    predictor_url: str = "http://127.0.0.1:8080"
    """Base address of the model server (KServe v2)."""
    predictor_timeout_s: float = Field(default=0.1, gt=0.0)
    """How long one answer of the model server may take before the fallback decides, seconds."""
    name: str = "fraud"
    """The model's name in the paths ``/v1/models/<name>`` and ``/v2/models/<name>``."""
    reasons: bool = True
    """Whether the model's reasons are given for what is not approved."""

    experiment_file: Path | None = None
    """Experiment between two models, see ``fraud.decide.experiment``; none by default. It and its stop record
    are checked for changes as often as the rules."""
    rules_file: Path | None = None
    """Rules around the model, see ``fraud.decide.compiling``; none by default."""
    rules_published: bool = False
    """Whether ``rules_file`` is this program's own, and holds what was published to the topic ``audit``."""
    lists_folder: Path | None = None
    """Folder of one replica's copy of the live lists; none: a new temporary folder, filled from Kafka at the
    start."""
    rules_look_s: float = Field(default=1.0, gt=0.0)
    """How often the rules file is checked for changes, seconds."""

    start_after: Path | None = None
    """A new process that has loaded waits until this file exists, before it opens store and port: the process
    before it has ended then. None: no wait. `fraud restart` sets it."""
    start_unchecked: bool = False
    """Whether store and model are exchanged while it waits for ``start_after``, so that they are checked at
    its turn alone. `fraud roll` sets it."""
    threads: int = Field(default=0, ge=0)
    """Threads that score; 0: one, on the event loop, with a local store and model, else 16."""
    max_waiting: int = Field(default=32, ge=1)
    """Requests that may wait in a burst, an eighth of it under lasting load; more are answered
    429 at once."""
    max_batch: int = Field(default=500, ge=1, le=10_000)
    """Transactions of one ``POST /v1/score/batch`` at most."""
    max_body_bytes: int = Field(default=1_000_000, ge=1_000)
    """Greatest body of a request, packed or not, bytes; a single transaction or label has 16,384 at most."""
    max_reading_bytes: int = Field(default=32_000_000, ge=1_000)
    """Bytes of all bodies that are being read and not whole yet; more are answered 429."""
    max_connections: int = Field(default=1_000, ge=1)
    """Open connections; where there are too many, a new one takes the place of one that only waits."""
    max_connections_of_one: int = Field(default=250, ge=1)
    """Open connections of one client address; raise it behind a proxy or load balancer."""
    keep_alive_s: float = Field(default=75.0, gt=0.0)
    """How long a connection may be idle, seconds; longer than the pools of clients keep theirs."""
    connection_s: float = Field(default=60.0, gt=0.0)
    """How long a connection is kept, seconds; then the next answer closes it: clients reach new replicas."""
    head_s: float = Field(default=10.0, gt=0.0)
    """How long the head of a request may take to arrive, seconds."""
    body_s: float = Field(default=30.0, gt=0.0)
    """How long its body may take to arrive, and a client to take its answer, seconds."""
    most_ahead_s: MostAhead = MOST_AHEAD_S
    """How far a transaction or a label may be dated ahead of this service's clock, seconds; further: 422.
    A source has its own bound, if the schema has one (part ``future``)."""
    attempts: int = Field(default=64, ge=1)
    """How often a transaction is computed again because another one of its entity was committed first."""

    keys_file: Path | None = None
    """YAML ``client: {sha256: of its API key in hex, scopes: [score, label, read]}``; without it, anyone who
    reaches the port may call."""
    rate_per_s: float = Field(default=0.0, ge=0.0)
    """Transactions a second that one client may send, each of a batch and each other request count as one;
    0: no limit."""
    rate_burst: int = Field(default=200, ge=1)
    """Transactions that a client may send at once before the limit counts; a larger batch is taken, and the
    client waits longer before its next request."""
    log_salt: str = ""
    """Mixed into the hashes of ids in logs, so that they cannot be looked up; empty: a new one at each start,
    so that an id reads the same in one process only."""

    delta: str = ""
    """Path or URI of the Delta tables, in which labels without keys find transactions that the store does not
    know; empty: the store alone is asked."""
    delta_timeout_s: float = Field(default=5.0, gt=0.0)
    """How long a lookup in the tables may take before the label is refused (503), seconds; one at a time."""
    labels_pending: bool = False
    """Whether a label of a transaction that is not known yet is kept (``pending_file``) or refused."""
    pending_file: Path = Path("pending-labels.sqlite")
    """Where one replica keeps such labels; a ``.jsonl`` file of the same name is read and replaced."""
    max_pending: int = Field(default=100_000, ge=1)
    """Labels that may wait; more are refused (503)."""
    pending_days: float = Field(default=30.0, gt=0.0)
    """How long a label waits before it becomes a dead letter, days."""
    outbox_limit: int = Field(default=1_000_000, ge=1)
    """Transactions that may wait for Kafka, in the store, before new ones are refused (503)."""
    drain_poll_s: float = Field(default=0.05, gt=0.0)
    """How often the outbox is read, seconds."""
    lease_s: float = Field(default=3.0, gt=0.0)
    """How long after the end of the replica that empties the outbox another one takes over, seconds."""
    kafka_timeout_s: float = Field(default=5.0, gt=0.0)
    """How long Kafka may take to accept records before they are sent again, seconds."""
