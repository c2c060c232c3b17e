"""Plays a stream with results and profiles through the real passes and the scoring service.

    FRAUD_SCHEMA_FILE=schema.yaml uv run python -m tests.fraud.results.world DIR    # prints JSON

Results come before and after their transactions, twice, of what is in tiles, of what the card keeps no more,
more than a card waits for, and wrong in several ways; some
come by the API; so do profiles of cards and merchants, also of such as nobody has used. A process of its own:
a deployment has one schema.
"""

import json
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import DEAD_LETTERS, LABELS, PROFILES, RESULTS, SCORED, TRANSACTIONS, DeadLetter
from fraud.features.hashing import hash_text
from fraud.features.passes import entity_names
from fraud.learn.examples import build_examples
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.log.catch_up import catch_up
from fraud.log.rebuild import rebuild
from fraud.log.tables import open_table
from fraud.store import Epoch, FeatureStore, Watermark, open_store
from fraud.store.value import newest_state
from jobs.parity.compare import compare
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext, store_of
from jobs.stream.tasks.publish import publish
from tests.deployed import FEATURE_NAMES, PASSES, SCHEMA
from tests.load.parity import KAFKA, PARTITIONS, run_batch, spool
from tests.services.scoring.api.test_api import Api, Taking

if TYPE_CHECKING:
    from fraud.kafka.producer import Record

START = datetime.now(UTC) - timedelta(days=20)
BATCHES, RECORDS, CARDS = 14, 30, 5
OLDER = 6
"""Micro-batch after which a copy of the store is taken."""
CROWDED = 3
"""Micro-batch in which a card gets more results of transactions that never come than it waits for."""
ZONES = [None, "America/New_York", "Europe/Berlin", "+05:45"]
TOLD = [("authorised", None)] * 2 + [
    ("declined", "51"),
    ("declined", "14"),
    ("declined", None),
    ("reversed", None),
    ("refunded", None),
    ("refunded", None),
]


def record_of(number: int, dice: np.random.Generator, day: float) -> dict[str, Any]:
    """Make a transaction; its number says of which card it is."""
    found = {
        "transaction_id": f"t{number}",
        "event_time": (START + timedelta(days=day) - timedelta(hours=float(dice.exponential(3)))).isoformat(),
        "card": f"c{number % CARDS}",
        "merchant_id": f"m{dice.integers(3)}",
        "device_id": f"d{dice.integers(3)}" if dice.random() < 0.7 else None,
        "channel": "online",
        "amount": float(dice.integers(100, 9_999)) / 100,
    }
    return {name: value for name, value in found.items() if value is not None}


class Brokers:
    """Take what the stream publishes."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def deliver_all(self, messages: Iterable[tuple[str, str, bytes]]) -> None:
        self.sent += [(topic, value) for topic, _, value in messages]


class World:
    """The stream without Spark and Kafka, and the scoring service on the same store."""

    def __init__(self, folder: Path, *, is_asked: bool) -> None:
        self.is_asked = is_asked
        self.dice = np.random.default_rng(7)
        self.older = f"lmdb://{folder}/older"
        self.settings = StreamSettings(home=folder / "stream")
        self.context = self._begin()
        self.archive = Archive(
            self.settings.spool_path, self.settings.checkpoint_path, self.settings.delta_path, {}
        )
        self.asked: list[Record] = []
        pending = {"labels_pending": True, "pending_file": folder / "pending.sqlite"}
        self.api = Api(folder, Taking(self.asked), store=self.store, **pending)
        self.brokers = Brokers()
        self.offsets: Counter[tuple[str, int]] = Counter()
        self.number = 0
        self.sent: list[dict[str, Any]] = []
        self.statuses: Counter[str] = Counter()
        self.problems: set[str] = set()
        self.done: list[pa.Table] = []

    def play(self) -> None:
        """Play all micro-batches, and requests between them."""
        for batch in range(BATCHES):
            day = 20.0 * (batch + 1) / BATCHES
            if self.is_asked:
                self._ask(day)
            self._step(batch, day)
            if self.dice.random() < 0.5:
                self.archive.run(self.context.epoch.generation)
            if batch == OLDER:
                self._copy_store(batch)
        self.archive.run(self.context.epoch.generation)

    def _copy_store(self, batch: int) -> None:
        """Take a copy of the store, which says how far it is."""
        query, generation = (
            (self.settings.checkpoint_path / "query-id").read_text(),
            self.context.epoch.generation,
        )
        self.store.advance(Watermark(query, Epoch(generation, batch)), None, self.context.token)
        self.store.flush()
        folder = Path(self.older.removeprefix("lmdb://"))
        folder.mkdir()
        shutil.copy(Path(self.settings.store.removeprefix("lmdb://")) / "data.mdb", folder)

    def _begin(self) -> TaskContext:
        query = uuid.uuid4().hex
        self.commits = self.settings.checkpoint_path / "commits"
        self.commits.mkdir(parents=True)
        (self.settings.checkpoint_path / "query-id").write_text(query)
        url = self.settings.store
        self.store = store_of(url, entity_names(PASSES))
        epoch = Epoch(self.store.generation_of(query), 0)
        return TaskContext(epoch, self.store.acquire("test"), url, self.settings.spool_path, (), "", 0.1)

    def _ask(self, day: float) -> None:
        for _ in range(4):
            record = self._record(day)
            self._call("/v1/score", record)
            told = {"transaction_id": record["transaction_id"], "result": "declined"}
            self._call("/v1/results", {**told, "result_time": self._time(day)})
        refund = {"transaction_id": record["transaction_id"], "result": "refunded", "amount": 0.5}
        self._call("/v1/results", {**refund, "result_time": self._time(day)})
        self._call("/v1/results", refund)
        profile = {"entity": "card", "card": record["card"], "profile": {"address": f"by the API {day}"}}
        self._call("/v1/profiles", {**profile, "profile_time": self._time(day)})
        self._call("/v1/profiles", {**profile, "profile": {"credit_limit": "much"}})
        old = self.sent[self.dice.integers(len(self.sent))]
        self._call("/v1/results", {"transaction_id": f"of-nobody-{day}", "result": "reversed"})
        self._call(
            "/v1/results", {"transaction_id": old["transaction_id"], "card": old["card"], "result": "gone"}
        )

    def _call(self, path: str, body: dict[str, Any]) -> None:
        answer = self.api.call("POST", path, json=body)
        status = "" if path == "/v1/score" else answer.json().get("status", "")
        self.statuses[f"{answer.status_code} {path} {status}".strip()] += 1
        if answer.status_code != 200:
            self.problems.add(answer.json()["detail"])

    def _record(self, day: float) -> dict[str, Any]:
        self.number += 1
        self.sent.append(record_of(self.number, self.dice, day))
        return self.sent[-1]

    def _step(self, batch: int, day: float) -> None:
        entries = self.store.answers().waiting(10_000)
        found = [(SCORED, raw) for _, raw in entries]
        found += [(topic, value) for topic, _, value, _ in self.asked if topic in (RESULTS, PROFILES)]
        found += [(topic, self._at(value, day)) for topic, value in self.brokers.sent if topic == RESULTS]
        self.asked.clear()
        self.brokers.sent.clear()
        found += [(RESULTS, self._result(day, early=True)) for _ in range(4)]
        found += [(TRANSACTIONS, json.dumps(self._record(day)).encode()) for _ in range(RECORDS)]
        found += [(TRANSACTIONS, json.dumps(self.sent[-self.dice.integers(1, 20)]).encode())]
        told = [(RESULTS, self._result(day, early=False)) for _ in range(12)]
        told += [(PROFILES, self._profile(day)) for _ in range(8)]
        found += [(RESULTS, one) for one in self._untaken(batch, day)]
        found += [
            *told,
            *told[:3],
            *told[-3:],
            *self._wrong(day),
            *((LABELS, self._label()) for _ in range(3)),
        ]
        table = self._kafka(found, day)
        context = replace(self.context, epoch=Epoch(self.context.epoch.generation, batch))
        last = run_batch(context, table, self.dice)
        again = run_batch(context, table, self.dice)
        same = [name for name in last.column_names if name != "processed_at" and name not in FEATURE_NAMES]
        assert last.select(same).equals(again.select(same))
        last = self._decided(last)
        publish(self.brokers, last, SCHEMA)  # type: ignore[arg-type]
        spool(context, last)
        self.done.append(last)
        (self.commits / str(batch)).touch()
        self.store.answers().sent([entry for entry, _ in entries])

    def _at(self, value: bytes, day: float) -> bytes:
        """Date back what the stream reports of itself: here it arrives days ago."""
        return json.dumps({**json.loads(value), "result_time": self._time(day)}).encode()

    def _decided(self, table: pa.Table) -> pa.Table:
        """Decline some, as a model would: the stream tells that of itself."""
        is_declined = (table["row_kind"].to_numpy() == rows.TRANSACTION) & (
            self.dice.random(table.num_rows) < 0.2
        )
        outcomes = pc.if_else(pa.array(is_declined), "decline", table["outcome"])
        return table.set_column(table.column_names.index("outcome"), "outcome", outcomes)

    def _result(self, day: float, *, early: bool) -> bytes:
        """Tell a result of a late transaction or of one that comes next; mostly of one of the last."""
        number = self.number + 1 + int(self.dice.integers(8)) if early else 0
        if not early:
            reach = self.number if self.dice.random() < 0.3 else min(self.number, 30)
            number = self.number - int(self.dice.integers(reach))
        word, code = TOLD[self.dice.integers(len(TOLD))]
        told = {
            "transaction_id": f"t{number}",
            "card": f"c{number % CARDS}",
            "result": word,
            "reason_code": code,
        }
        if word == "refunded" and number % 4:
            told["amount"] = float(self.dice.integers(1, 4_000)) / 100
        if not early and number % 3 == 0:
            told["event_time"] = self.sent[number - 1]["event_time"]
        return json.dumps({**told, "result_time": self._time(day)}).encode()

    def _untaken(self, batch: int, day: float) -> list[bytes]:
        """Tell of the oldest transaction, and once of more that never come than a card waits for."""
        of = self.sent[0]
        told = [{name: of[name] for name in ("transaction_id", "card", "event_time")}]
        if batch == CROWDED:
            told += [{"transaction_id": f"never-{number}", "card": "c0"} for number in range(80)]
        more = {"result": "declined", "result_time": self._time(day)}
        return [json.dumps(one | more).encode() for one in told]

    def _profile(self, day: float) -> bytes:
        """Tell something of a card or a merchant, also of one that nobody has used, and now and then late."""
        at = {"profile_time": self._time(day - float(self.dice.choice([0, 0, 0, 3])))}
        if self.dice.random() < 0.4:
            profile = {"risk": f"class-{self.dice.integers(3)}"}
            whose = {"entity": "merchant", "merchant_id": f"m{self.dice.integers(5)}"}
            return json.dumps({**whose, **at, "profile": profile}).encode()
        values = {"credit_limit": [None, 500, 1_000.5], "address": ["a", "b"], "lives_in": ZONES}
        name = self.dice.choice(list(values))
        value = values[name][self.dice.integers(len(values[name]))]
        whose = {"entity": "card", "card": f"c{self.dice.integers(CARDS + 2)}"}
        return json.dumps({**whose, **at, "profile": {name: value}}).encode()

    def _time(self, day: float) -> str:
        return (START + timedelta(days=day)).isoformat()

    def _wrong(self, day: float) -> list[tuple[str, bytes]]:
        at = {"result_time": self._time(day)}
        ahead = {"result_time": self._time(day + 2)}
        wrong = [
            {"transaction_id": "t1", "card": "c1", "result": "gone", **at},
            {"transaction_id": "t1", "result": "declined", **at},
            {"transaction_id": "t1", "card": "c1", "result": "declined"},
            {"transaction_id": "t1", "card": "c1", "result": "authenticated", **at},
            {"transaction_id": "t1", "card": "c1", "result": "declined", "amount": 1.0, **at},
            {"transaction_id": "t1", "card": "c1", "result": "refunded", "amount": 1.005, **at},
            {"transaction_id": "t1", "card": "c1", "result": "declined", **ahead},
        ]
        of_card, at = {"entity": "card", "card": "c1"}, {"profile_time": self._time(day)}
        ahead = {"profile_time": self._time(day + 2)}
        told = [
            {"entity": "user", "card": "c1", **at, "profile": {"address": "a"}},
            {**of_card, **at, "profile": {"street": "a"}},
            {"entity": "card", **at, "profile": {"address": "a"}},
            {**of_card, **at, "profile": {"lives_in": "Europe/Munich"}},
            {**of_card, **ahead, "profile": {"address": "a"}},
        ]
        return [
            *((RESULTS, json.dumps(one).encode()) for one in wrong),
            *((PROFILES, json.dumps(one).encode()) for one in told),
        ]

    def _label(self) -> bytes:
        of = self.sent[self.dice.integers(len(self.sent))]
        told = {"label_time": START.isoformat(), "is_fraud": bool(self.dice.random() < 0.7)}
        return json.dumps({name: of[name] for name in ("transaction_id", "card")} | told).encode()

    def _kafka(self, found: list[tuple[str, bytes]], day: float) -> pa.Table:
        columns: list[list[Any]] = [[] for _ in KAFKA]
        for at, (topic, value) in enumerate(found):
            card = json.loads(value).get("card", "")
            partition = int(hash_text(card)) % PARTITIONS
            self.offsets[topic, partition] += 1
            moment = int((START + timedelta(days=day, milliseconds=at)).timestamp() * 1e6)
            cells = (card.encode(), value, topic, partition, self.offsets[topic, partition], moment)
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)


def trained_on(settings: StreamSettings) -> int:
    """Compute the vectors of the archive again, as training does; returns how many values differ.

    Of a stream alone: the tables do not tell in which order the scoring service and the stream counted.
    """
    tables = read_tables(TrainSettings(data=settings.delta_path, vectors="computed"))
    examples = build_examples(tables, vectors="computed")
    served = open_table(settings.delta_path, "features", {}).rows(
        ("transaction_id", *FEATURE_NAMES), pa.compute.scalar(True)
    )
    of_id = {name: row for row, name in enumerate(served["transaction_id"].to_pylist())}
    order = [of_id[name] for name in tables.transactions["transaction_id"].to_pylist()]
    expected = np.column_stack([served[name].to_numpy() for name in FEATURE_NAMES])[order]
    differs = examples.vectors.view(np.int64) != expected.view(np.int64)
    return int(differs.sum())


def unlike(store: FeatureStore, url: str) -> int:
    """Count the states of which a rebuilt store has other bytes."""
    names = entity_names(PASSES)
    with open_store(url, names) as other:
        found = [[newest_of(one, name) for name in names] for one in (store, other)]
    return sum(
        found[0][at].get(key) != found[1][at].get(key)
        for at in range(len(names))
        for key in found[0][at].keys() | found[1][at].keys()
    )


def caught_up(world: World) -> dict[str, Any]:
    """Fold the log onto the older copy of the store; returns what was folded, and how many states differ."""
    settings = world.settings.model_copy(update={"store_url": world.older})
    found = catch_up(settings, lambda _ends: [])
    return {**asdict(found), "unlike": unlike(world.store, world.older)}


def newest_of(store: FeatureStore, entity: str) -> dict[float, bytes]:
    return {key: bytes(newest_state(value)) for key, value in store.values(entity)}


def buried(world: World) -> dict[str, int]:
    """Wait 40 days for the transactions of the results that the service keeps; returns their dead letters."""
    world.api.service.labels.resolve(time.time() + 40 * 86_400.0)
    sent = [value for topic, _, value, _ in world.asked if topic == DEAD_LETTERS]
    letters = map(DeadLetter.model_validate_json, sent)
    return Counter(f"{letter.topic} {letter.reason}" for letter in letters)


def main() -> None:
    """Play, then compare."""
    world = World(Path(sys.argv[1]), is_asked="--stream-alone" not in sys.argv)
    world.play()
    whole = pa.concat_tables(world.done)
    parity = compare(world.settings.delta_path, rows=90)
    rebuilt = rebuild(world.settings, f"lmdb://{sys.argv[1]}/rebuilt")
    results = open_table(world.settings.delta_path, "results", {}).rows(
        ("transaction_id", "result", "source", "card_spending_hash", "amount"), pa.compute.scalar(True)
    )
    profiles = open_table(world.settings.delta_path, "profiles", {}).rows(
        ("entity", "profile", "source"), pa.compute.scalar(True)
    )
    served = open_table(world.settings.delta_path, "features", {}).rows(
        FEATURE_NAMES, pa.compute.scalar(True)
    )
    letters = whole.filter(pa.array(whole["row_kind"].to_numpy() == rows.DEAD_LETTER))
    sys.stdout.write(
        json.dumps(
            {
                "in": sum(world.offsets.values()),
                "out": whole.num_rows,
                "kinds": {str(kind): n for kind, n in Counter(whole["row_kind"].to_pylist()).items()},
                "reasons": Counter(letters["reason"].to_pylist()),
                "details": sorted(
                    {*(detail.split(" ahead ")[-1] for detail in letters["detail"].to_pylist())}
                ),
                "statuses": world.statuses,
                "problems": sorted(world.problems),
                "parity": parity.errors(),
                "compared": parity.transactions,
                "waiting": parity.waiting,
                "caught_up": None if world.is_asked else caught_up(world),
                "buried": buried(world),
                "rebuilt": rebuilt.transactions,
                "unlike": unlike(world.store, f"lmdb://{sys.argv[1]}/rebuilt"),
                "log": served.num_rows,
                "results": Counter(results["result"].to_pylist()),
                "refunded": pc.sum(results["amount"]).as_py(),
                "profiles": Counter(profiles["entity"].to_pylist()),
                "of_api": sum((one or "").startswith("api:") for one in profiles["source"].to_pylist()),
                "sources": Counter(map(str, results["source"].to_pylist())),
                "completed": len(results) - results["card_spending_hash"].null_count,
                "greatest": {name: pc.max(served[name]).as_py() for name in FEATURE_NAMES},
                "trained_differently": None if world.is_asked else trained_on(world.settings),
            }
        )
    )


if __name__ == "__main__":
    main()
