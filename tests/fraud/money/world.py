"""Plays a stream in several currencies through the real passes and the scoring service.

    export FRAUD_SCHEMA_FILE=tests/fraud/money/payments.yaml FRAUD_RATES_FILE=/tmp/rates.csv
    uv run python -m tests.fraud.money.world DIR    # prints what came of it, as JSON

Rates change under it, also between two runs of one micro-batch. At the end they are all others, and parity,
rebuild and training must still see what was decided by. A process of its own: a deployment has one schema.
"""

import json
import os
import sys
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fraud.contracts import LABELS, SCORED, TRANSACTIONS
from fraud.features.batch import compute_features
from fraud.features.hashing import hash_text
from fraud.features.passes import entity_names
from fraud.kafka.rates import RateFeed
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.log import rows
from fraud.log.archive import Archive
from fraud.log.rebuild import rebuild
from fraud.log.tables import open_table
from fraud.schema.deployed import deployed_schema
from fraud.schema.statistics import Family
from fraud.store import Epoch
from jobs.parity.compare import compare
from jobs.stream.rates import BatchRates
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext, store_of
from tests.deployed import FEATURE_NAMES, FEATURES, PASSES
from tests.load.parity import KAFKA, PARTITIONS, run_batch, spool
from tests.services.scoring.api.test_api import Api

START = datetime.now(UTC) - timedelta(days=20)
CURRENCIES = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "VND": 0}
ZONES = [None, "Europe/Berlin", "America/New_York", "+05:45"]
KINDS = ["purchase"] * 8 + ["verification", "withdrawal", "transfer", "refund", "refund", "reversal"]
BATCHES, RECORDS = 16, 24


def write_rates(dice: np.random.Generator) -> None:
    """Write rates that hold from several moments on; CHF has none."""
    lines = ["currency,base,rate,since"]
    for currency, usual in (("EUR", 1.1), ("JPY", 0.0066), ("KWD", 3.25), ("VND", 0.0000394)):
        for day in (0, 3, 7, 12, 19):
            since = (START + timedelta(days=day)).isoformat() if day else ""
            lines.append(f"{currency},USD,{usual * dice.lognormal(0, 0.1):.8f},{since}")
    Path(os.environ["FRAUD_RATES_FILE"]).write_text("\n".join(lines) + "\n")


def record_of(number: int, dice: np.random.Generator, day: float) -> dict[str, Any]:
    """Make a transaction; some are wrong, each in one way."""
    currency = str(dice.choice([*CURRENCIES, "CHF"])) if dice.random() < 0.8 else None
    kind = str(dice.choice(KINDS)) if dice.random() < 0.9 else None
    minor = int(dice.lognormal(8.0, 1.5)) + 1
    digits = CURRENCIES.get(currency or "USD", 2)
    if kind == "verification" and dice.random() < 0.7:
        minor = 0
    amount: Any = f"{minor / 10**digits:.{digits}f}" if dice.random() < 0.5 else minor / 10**digits
    if dice.random() < 0.03:
        amount = f"1.{'1' * (digits + 1)}"
    elif dice.random() < 0.03:
        amount, kind = 0, "purchase"
    elif dice.random() < 0.02:
        amount = -5
    elif dice.random() < 0.02:
        amount = "99999999999"
    found = {
        "transaction_id": f"t{number}",
        "event_time": (START + timedelta(days=day) - timedelta(hours=float(dice.exponential(3)))).isoformat(),
        "user_id": f"u{dice.integers(6)}",
        "merchant_id": f"m{dice.integers(4)}",
        "amount": amount,
        "currency": currency,
        "kind": kind,
        "zone": ZONES[dice.integers(len(ZONES))],
    }
    return {name: value for name, value in found.items() if value is not None}


class World:
    """The stream without Spark and Kafka, and the scoring service on the same store."""

    def __init__(self, folder: Path, *, is_asked: bool) -> None:
        self.is_asked = is_asked
        self.dice = np.random.default_rng(5)
        write_rates(self.dice)
        self.settings = StreamSettings(home=folder / "stream")
        self.context = self._begin()
        money = deployed_schema().money
        assert money is not None
        feed = RateFeed(money.base, Path(os.environ["FRAUD_RATES_FILE"]))
        self.rates = BatchRates(self.settings.home / "rates", feed, money.base, None)
        self.archive = Archive(
            self.settings.spool_path, self.settings.checkpoint_path, self.settings.delta_path, {}
        )
        self.api = Api(folder, store=self.store, rates=feed)
        self.offsets: Counter[tuple[str, int]] = Counter()
        self.number = self.again = 0
        self.sent: list[dict[str, Any]] = []
        self.statuses: Counter[int] = Counter()
        self.details: set[str] = set()
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
        self.archive.run(self.context.epoch.generation)

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
        write_rates(self.dice)
        assert self.api.service.rates is not None
        self.api.service.rates.look()
        for _ in range(4):
            record = self._record(day)
            answer = self.api.call("POST", "/v1/score", json=record)
            self.statuses[answer.status_code] += 1
            if answer.status_code != 200:
                self.details.add(answer.json()["detail"])
                continue
            write_rates(self.dice)  # another rate: the same answer all the same
            self.api.service.rates.look()
            again = self.api.call("POST", "/v1/score", json=record)
            assert again.content == answer.content, again.text

    def _record(self, day: float) -> dict[str, Any]:
        self.number += 1
        self.sent.append(record_of(self.number, self.dice, day))
        return self.sent[-1]

    def _step(self, batch: int, day: float) -> None:
        entries = self.store.answers().waiting(10_000)
        found = [(SCORED, raw) for _, raw in entries]
        found += [(TRANSACTIONS, json.dumps(self._record(day)).encode()) for _ in range(RECORDS)]
        found += [(TRANSACTIONS, json.dumps(self.sent[-self.dice.integers(1, 20)]).encode())]
        found += [(LABELS, self._label()) for _ in range(3)]
        table = self._kafka(found, day)
        context = replace(self.context, epoch=Epoch(self.context.epoch.generation, batch))
        results = []
        for _ in range(2 if self.dice.random() < 0.5 else 1):
            write_rates(self.dice)
            rates = self.rates.file_for(context.epoch)
            results.append(run_batch(replace(context, rates=rates), table, self.dice))
        first, last = results[0], results[-1]
        same = [name for name in last.column_names if name != "processed_at"]
        assert first.select(same).equals(last.select(same)) or _bits(first, same) == _bits(last, same)
        self.again += len(results) - 1
        spool(context, last)
        self.done.append(last)
        (self.commits / str(batch)).touch()
        self.store.answers().sent([entry for entry, _ in entries])

    def _label(self) -> bytes:
        of = self.sent[self.dice.integers(len(self.sent))]
        keys = {name: of[name] for name in ("transaction_id", "user_id", "merchant_id", "event_time")}
        keys["currency"] = of.get("currency", "USD")
        told = {"label_time": START.isoformat(), "is_fraud": bool(self.dice.random() < 0.7)}
        return json.dumps({**keys, **told}).encode()

    def _kafka(self, found: list[tuple[str, bytes]], day: float) -> pa.Table:
        columns: list[list[Any]] = [[] for _ in KAFKA]
        for at, (topic, value) in enumerate(found):
            user = json.loads(value)["user_id"]
            partition = int(hash_text(user)) % PARTITIONS
            self.offsets[topic, partition] += 1
            moment = int((START + timedelta(days=day, milliseconds=at)).timestamp() * 1e6)
            cells = (user.encode(), value, topic, partition, self.offsets[topic, partition], moment)
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)


def _bits(table: pa.Table, names: list[str]) -> list[Any]:
    """Rows of a table, in which missing numbers are equal."""
    columns = [
        column.to_numpy(zero_copy_only=False).view(np.int64).tolist()
        if pa.types.is_floating(column.type)
        else column.to_pylist()
        for column in (table.column(name).combine_chunks() for name in names)
    ]
    return list(zip(*columns, strict=True))


def trained_on(settings: StreamSettings) -> int:
    """Compute the vectors of the archive again, as training does; returns how many values differ.

    Labels aside: training knows when they arrived by other means.
    """
    tables = read_tables(TrainSettings(data=Path(settings.delta_path), vectors="computed"))
    found = compute_features(tables.transactions)
    chosen = np.array([feature.family is not Family.RISK for feature in FEATURES])
    served = open_table(settings.delta_path, "features", {}).rows(
        ("transaction_id", *FEATURE_NAMES), pa.compute.scalar(True)
    )
    of_id = {name: row for row, name in enumerate(served["transaction_id"].to_pylist())}
    order = [of_id[name] for name in tables.transactions["transaction_id"].to_pylist()]
    expected = np.column_stack([served[name].to_numpy() for name in FEATURE_NAMES])[order]
    kept = ~found.is_duplicate
    differs = found.vectors.view(np.int64) != expected.view(np.int64)
    return int(differs[kept][:, chosen].sum())


def main() -> None:
    """Play, then compare."""
    world = World(Path(sys.argv[1]), is_asked="--stream-alone" not in sys.argv)
    world.play()
    Path(os.environ["FRAUD_RATES_FILE"]).write_text("currency,base,rate,since\nEUR,USD,9,\n")
    whole = pa.concat_tables(world.done)
    kinds = Counter(whole["row_kind"].to_pylist())
    parity = compare(world.settings.delta_path)
    rebuilt = rebuild(world.settings, f"lmdb://{sys.argv[1]}/rebuilt")
    log = open_table(world.settings.delta_path, "transactions", {}).rows(
        ("amount", "currency", "kind", "amount_minor", "base_minor", "currency_rate"), pa.compute.scalar(True)
    )
    letters = whole.filter(pa.array(whole["row_kind"].to_numpy() == rows.DEAD_LETTER))
    sys.stdout.write(
        json.dumps(
            {
                "in": sum(world.offsets.values()),
                "out": whole.num_rows,
                "kinds": {str(kind): n for kind, n in kinds.items()},
                "run_again": world.again,
                "reasons": Counter(letters["reason"].to_pylist()),
                "details": sorted({*letters["detail"].to_pylist()} - {None}),
                "statuses": {str(status): n for status, n in world.statuses.items()},
                "problems": sorted(world.details),
                "parity": parity.errors(),
                "compared": parity.transactions,
                "rebuilt": rebuilt.transactions,
                "states": rebuilt.states,
                "trained_differently": trained_on(world.settings),
                "currencies": Counter(log["currency"].to_pylist()),
                "of_kinds": Counter(log["kind"].to_pylist()),
                "unpriced": log["base_minor"].null_count,
                "log": log.num_rows,
            }
        )
    )


if __name__ == "__main__":
    main()
