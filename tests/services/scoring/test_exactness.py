"""Four clients, two replicas, hot users, a stream beside them, crashes: the log gives what was served.

Real are the replicas (processes, over HTTP), the store, the stream's passes, the archive, the Delta tables
and the parity job. Kafka is played: the outbox is carried over by the test, some of it twice.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pyarrow as pa
import pytest

from fraud.contracts import LABELS, SCORED, TRANSACTIONS
from fraud.errors import Unavailable
from fraud.features.hashing import hash_text
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.store import Epoch, FeatureStore
from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext, store_of
from tests.deployed import ENTITIES
from tests.fraud.store.conftest import shards_url
from tests.load.parity import KAFKA, PARTITIONS, run_batch, spool

START = datetime(2026, 3, 1, tzinfo=UTC)
CLIENTS, EACH = 4, 60
USERS, MERCHANTS = 3, 2
T = TypeVar("T")


def made(name: str, dice: np.random.Generator) -> dict[str, Any]:
    seconds = int(dice.integers(0, 7 * 86_400)) if dice.random() < 0.2 else int(dice.integers(0, 60))
    return {
        "transaction_id": name,
        "event_time": (START + timedelta(seconds=seconds)).isoformat(),
        "user_id": f"u{dice.integers(USERS)}",
        "merchant_id": f"m{dice.integers(MERCHANTS)}",
        "amount": float(dice.integers(1, 50_000)) / 100.0,
        "device_id": f"d{dice.integers(3)}",
    }


@dataclass
class Replica:
    url: str
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "services.scoring.main"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)

    def wait(self) -> None:
        for _ in range(600):
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=1.0).status_code == 200:
                    return
            time.sleep(0.1)
        pytest.fail(self.log.read_text()[-3000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def replicas(store_url: str, folder: Path, count: int = 2) -> Iterator[list[Replica]]:
    found = []
    for number in range(count):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {
            **os.environ,
            "FRAUD_SCORING_PORT": str(port),
            "FRAUD_SCORING_STORE_URL": store_url,
            "FRAUD_SCORING_KAFKA_BOOTSTRAP": "127.0.0.1:9",
            "FRAUD_SCORING_KAFKA_TIMEOUT_S": "0.2",
            "FRAUD_SCORING_MODEL_FROM": "predictor",
            "FRAUD_SCORING_PREDICTOR_URL": "http://127.0.0.1:9",
        }
        found.append(Replica(f"http://127.0.0.1:{port}", environment, folder / f"replica-{number}.log"))
    try:
        for replica in found:
            replica.start()
        for replica in found:
            replica.wait()
        yield found
    finally:
        for replica in found:
            replica.kill()


@dataclass
class Client:
    """Sends its transactions one after another; whatever fails is sent again, until there is an answer."""

    number: int
    urls: list[str]
    answers: dict[str, bytes] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def run(self) -> None:
        dice = np.random.default_rng(self.number)
        with httpx.Client(timeout=5.0) as http:
            for i in range(EACH):
                body = json.dumps(made(f"api-{self.number}-{i}", dice)).encode()
                for _ in range(2 if dice.random() < 0.1 else 1):  # some are sent again although answered
                    self._send(http, f"api-{self.number}-{i}", body, dice)

    def _send(self, http: httpx.Client, name: str, body: bytes, dice: np.random.Generator) -> None:
        for _ in range(2_000):
            url = self.urls[int(dice.integers(len(self.urls)))]
            with suppress(httpx.TransportError):
                answer = http.post(f"{url}/v1/score", content=body)
                self.statuses.append(answer.status_code)
                if answer.status_code == 200:
                    if self.answers.setdefault(name, answer.content) != answer.content:
                        self.errors.append(f"{name} has two answers")
                    return
                if answer.status_code not in {429, 503}:
                    self.errors.append(answer.text)
                    return
            time.sleep(0.02)
        self.errors.append(f"{name} was never answered")


class Stream:
    """The streaming job without Spark and Kafka."""

    def __init__(self, settings: StreamSettings, store: FeatureStore, seed: int = 3) -> None:
        self.settings, self.store = settings, store
        query = uuid.uuid4().hex
        self.commits = settings.checkpoint_path / "commits"
        self.commits.mkdir(parents=True)
        (settings.checkpoint_path / "query-id").write_text(query)
        generation = store.generation_of(query)
        self.context = TaskContext(
            Epoch(generation, 0), store.acquire("test"), settings.store, settings.spool_path, (), "", 0.1
        )
        self.archive = Archive(settings.spool_path, settings.checkpoint_path, settings.delta_path, {})
        self.dice = np.random.default_rng(seed)
        self.offsets: dict[tuple[str, int], int] = {}
        self.clock = int(START.timestamp() * 1e6) + 8 * 86_400_000_000  # no event is from the future
        self.batches = self.own = self.letters = self.repeated = 0
        self.sent: list[dict[str, Any]] = []
        self.reasons: list[str] = []
        self.sent_in_order = False
        self.patience_s = 0.0
        """How long a store may be away."""

    def step(self, own: int) -> int:
        """One micro-batch: transactions and labels of its own, and what the outbox holds."""
        entries = self._patiently(lambda: self.store.answers().waiting(10_000))
        found = [(SCORED, record) for _, record in entries]
        again = [one for one in found if self.dice.random() < 0.1]
        self.repeated += len(again)
        for _ in range(own):
            record = made(f"stream-{self.own}", self.dice)
            self.own += 1
            self.sent.append(record)
            found.append((TRANSACTIONS, json.dumps(record).encode()))
            if self.dice.random() < 0.3:
                found.append((LABELS, self._label()))
        if own:
            found = [found[i] for i in self.dice.permutation(len(found))]
        found += again
        if not found:
            return 0
        context = replace(self.context, epoch=Epoch(self.context.epoch.generation, self.batches))
        table = self._table(found)
        if self.dice.random() < 0.4:
            self._patiently(lambda: run_batch(context, table, self.dice))  # and dies
        self._finish(context, self._patiently(lambda: self._run_whole(context, table)))
        self._patiently(lambda: self.store.answers().sent([entry for entry, _ in entries]))
        return len(entries)

    def _run_whole(self, context: TaskContext, table: pa.Table) -> pa.Table:
        instance = self.store.instance()
        done = run_batch(context, table, self.dice)
        self.store.flush()
        if self.store.instance() != instance:
            raise Unavailable("the store failed over: the micro-batch runs again")
        return done

    def _patiently(self, call: Callable[[], T]) -> T:
        give_up = time.monotonic() + self.patience_s
        while True:
            try:
                return call()
            except Unavailable:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def _finish(self, context: TaskContext, done: pa.Table) -> None:
        letters = done.filter(pa.array(done.column("row_kind").to_numpy() == rows.DEAD_LETTER))
        self.letters += letters.num_rows
        self.reasons += letters.column("reason").to_pylist()
        spool(context, done)
        (self.commits / str(self.batches)).touch()
        self.batches += 1
        if self.dice.random() < 0.3:
            self.archive.run(self.context.epoch.generation)

    def _label(self) -> bytes:
        about = self.sent[int(self.dice.integers(len(self.sent)))]
        names = ("transaction_id", "user_id", "merchant_id", "event_time")
        return json.dumps(
            {
                **{name: about[name] for name in names},
                "label_time": START.isoformat(),
                "is_fraud": bool(self.dice.random() < 0.7),
            }
        ).encode()

    def _table(self, found: list[tuple[str, bytes]]) -> pa.Table:
        columns: list[list[Any]] = [[] for _ in KAFKA]
        for topic, value in found:
            user = json.loads(value)["user_id"]
            partition = int(hash_text(user)) % PARTITIONS
            offset = self.offsets[topic, partition] = self.offsets.get((topic, partition), -1) + 1
            self.clock += 1000 if self.sent_in_order else int(self.dice.integers(0, 2)) * 1000
            cells = (user.encode(), value, topic, partition, offset, self.clock)
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)


@pytest.fixture(params=["lmdb", "redis", "shards"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StreamSettings:
    if request.param == "lmdb":
        return StreamSettings(home=tmp_path / "stream")
    if request.param == "shards":
        servers = request.getfixturevalue("shard_servers")
        url = shards_url(servers, prefix=uuid.uuid4().hex)
        return StreamSettings(home=tmp_path / "stream", store_url=url)
    server = request.getfixturevalue("redis_server")
    return StreamSettings(home=tmp_path / "stream", store_url=server.url(prefix=uuid.uuid4().hex))


def test_what_four_clients_were_served_is_what_the_log_gives(
    settings: StreamSettings, tmp_path: Path
) -> None:
    store = store_of(settings.store, ENTITIES)
    with replicas(settings.store, tmp_path) as found:
        stream = Stream(settings, store)
        clients = [Client(number, [one.url for one in found]) for number in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        is_killed = False
        while any(thread.is_alive() for thread in threads):
            stream.step(own=int(stream.dice.integers(0, 8)))
            if not is_killed and sum(len(client.answers) for client in clients) > CLIENTS * EACH // 3:
                found[0].kill()
                found[0].start()
                is_killed = True
        while stream.step(own=3):
            pass
        stream.archive.run(stream.context.epoch.generation)
        assert is_killed
        assert [error for client in clients for error in client.errors] == []
        answers = {name: body for client in clients for name, body in client.answers.items()}
        assert len(answers) == CLIENTS * EACH
        parity = compare(settings.delta_path)
        assert parity.errors() == []
        assert (parity.greatest, parity.waiting, parity.repeated_ids) == (0.0, 0, 0)
        assert parity.transactions == CLIENTS * EACH + stream.own
        assert (stream.letters, set(stream.reasons)) == (stream.repeated, {"duplicate"})
        assert stream.repeated > 0
        check_counts(store, parity.transactions)
        served = httpx.get(f"{found[1].url}/v1/decisions/api-0-0").json()
        assert served["user_sequence"] >= 1
        assert json.loads(answers["api-0-0"])["outcome"] == served["outcome"]
    sizes = compare(settings.delta_path, rows=40)
    assert (sizes.errors(), sizes.waiting) == ([], 0)


def check_counts(store: FeatureStore, expected: int) -> None:
    for kind in ENTITIES:
        assert sum(np.frombuffer(state)[2] for _, state in store.scan(kind)) == expected


def test_a_store_rebuilt_while_the_log_lacks_some_counts_them_when_they_come(
    settings: StreamSettings, tmp_path: Path
) -> None:
    store = store_of(settings.store, ENTITIES)
    with replicas(settings.store, tmp_path, 1) as found:
        stream = Stream(settings, store)
        client = Client(0, [found[0].url])
        client.run()
        for _ in range(3):
            stream.step(own=4)
        found[0].kill()
        found[0].start()
        found[0].wait()
        late = Client(7, [found[0].url])
        late.run()  # counted, and not in the log
        stream.archive.run(stream.context.epoch.generation)
        environment = {
            **os.environ,
            "FRAUD_STREAM_HOME": str(settings.home),
            "FRAUD_STREAM_STORE_URL": settings.store_url,
        }
        command = [sys.executable, "-c", "from fraud.cli import app; app()", "replay", "rebuild-store"]
        subprocess.run([*command, "--replace"], env=environment, check=True, timeout=120)
        stream.context = replace(stream.context, token=store.acquire("test"))
        stream.sent_in_order = True  # as the outbox does: what is counted again is counted as it was served
        while stream.step(own=0):
            pass
        stream.archive.run(stream.context.epoch.generation)
        after = Client(8, [found[0].url])
        after.run()  # the replica has not been told that the store is another one
        while stream.step(own=0):
            pass
        stream.archive.run(stream.context.epoch.generation)
        assert client.errors + late.errors + after.errors == []
        parity = compare(settings.delta_path)
        assert parity.transactions == 3 * EACH + stream.own
        assert (parity.waiting, parity.repeated_ids, parity.errors()) == (0, 0, [])
        check_counts(store, parity.transactions)
