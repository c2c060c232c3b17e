"""Kills the stream's work at random moments: currencies, kinds, refunds, profiles, wrong clocks, new rates.

    export FRAUD_SCHEMA_FILE=tests/fraud/money/everything.yaml FRAUD_RATES_FILE=/tmp/rates.csv
    uv run python -m tests.fraud.money.crash DIR --kills 25    # prints what differs, as JSON

Real are the passes, the store, the rates of each micro-batch, the spool, the archive and its Delta tables,
in processes that are killed; Kafka's and Spark's part is played, as in ``tests.load.parity``. The rates in
effect are replaced before every run of a micro-batch: one that was cut off must go on by those that it began
with.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import DECISIONS, LABELS, PROFILES, RESULTS, TRANSACTIONS
from fraud.features.batch import fold_passes
from fraud.features.hashing import hash_text
from fraud.features.passes import entity_names
from fraud.kafka.rates import RateFeed
from fraud.log.archive import Archive
from fraud.log.tables import open_table
from fraud.store import Epoch, open_store
from fraud.store.value import newest_state
from jobs.stream.rates import BatchRates
from jobs.stream.settings import StreamSettings
from jobs.stream.tasks.context import TaskContext, store_of
from jobs.stream.tasks.publish import messages
from tests.deployed import PASSES, SCHEMA
from tests.load.parity import KAFKA, PARTITIONS, run_batch, spool

START = datetime(2026, 3, 1, tzinfo=UTC)
BATCHES, RECORDS, USERS = 16, 40, 6
DIGITS = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "CHF": 2}
KINDS = ["purchase"] * 8 + ["verification", "withdrawal", "transfer", "refund", "refund", "reversal"]
CHANNELS = (None, "pos", "batch_file")
AHEAD_S = (20, 200, 4_000, 90_000)
"""By which clocks are wrong."""
IDENTITY = {
    "transactions": ["transaction_id"],
    "features": ["transaction_id"],
    "decisions": ["transaction_id"],
    "labels": ["source_partition", "source_offset"],
    "results": ["source_partition", "source_offset"],
    "profiles": ["source_partition", "source_offset"],
    "dead_letters": ["topic", "source_partition", "source_offset"],
}
Records = list[tuple[str, dict[str, Any]]]


def rates_at(seed: int) -> str:
    """Make rates, others with every seed; CHF has none."""
    dice = np.random.default_rng(seed)
    usual = {"EUR": 1.1, "JPY": 0.0066, "KWD": 3.25}
    lines = [f"{currency},USD,{rate * dice.lognormal(0, 0.1):.8f}," for currency, rate in usual.items()]
    return "\n".join(["currency,base,rate,since", *lines, ""])


class Input:
    """What lies in Kafka, by micro-batch; the same in every run."""

    def __init__(self) -> None:
        self.dice = np.random.default_rng(11)
        self.sent: list[dict[str, Any]] = []
        self.offsets: Counter[tuple[str, int]] = Counter()
        self.tables = [self._table(self._records(batch), batch) for batch in range(BATCHES)]

    def _at(self, batch: int) -> datetime:
        return START + timedelta(days=1.5 * batch)

    def _records(self, batch: int) -> Records:
        dice, found = self.dice, list[tuple[str, dict[str, Any]]]()
        for _ in range(RECORDS):
            found.append((TRANSACTIONS, self._transaction(batch)))
            if dice.random() < 0.2:
                found.insert(-1, (RESULTS, self._result(batch, self.sent[-1])))
        found.append((TRANSACTIONS, self.sent[-dice.integers(1, 30)]))
        found += [(RESULTS, self._result(batch, self._one())) for _ in range(20)]
        found += [found[-1], (RESULTS, {"user_id": "u1", "result": "gone"})]
        at = {"label_time": self._at(batch).isoformat()}
        found += [
            (LABELS, {**_named(self._one()), **at, "is_fraud": bool(dice.random() < 0.7)}) for _ in range(4)
        ]
        return found + [(PROFILES, self._profile(batch)) for _ in range(4)]

    def _one(self) -> dict[str, Any]:
        return self.sent[-self.dice.integers(1, min(len(self.sent), 60) + 1)]

    def _transaction(self, batch: int) -> dict[str, Any]:
        dice, currency = self.dice, str(self.dice.choice(list(DIGITS)))
        kind = str(dice.choice(KINDS))
        minor = 0 if kind == "verification" else int(dice.lognormal(8.0, 1.5)) + 1
        late, number = timedelta(hours=float(dice.exponential(6))), len(self.sent)
        if number % 5 == 0:
            late = timedelta(seconds=-AHEAD_S[number // 5 % len(AHEAD_S)])
        self.sent.append(
            {
                "transaction_id": f"t{number}",
                "event_time": (self._at(batch) - late).isoformat(),
                "user_id": f"u{dice.integers(USERS)}",
                "merchant_id": f"m{dice.integers(4)}",
                "amount": f"{minor / 10 ** DIGITS[currency]:.{DIGITS[currency]}f}",
                "currency": currency,
                "kind": kind,
                "zone": [None, "Asia/Tokyo", "-03:30"][dice.integers(3)],
                "channel": CHANNELS[number % len(CHANNELS)],
            }
        )
        return self.sent[-1]

    def _result(self, batch: int, of: dict[str, Any]) -> dict[str, Any]:
        dice = self.dice
        at = self._at(batch) - timedelta(seconds=int(dice.integers(10_000)))
        told = {**_named(of), "result_time": at.isoformat()}
        word = str(dice.choice(["authorised", "declined", "reversed", "refunded", "refunded", "refunded"]))
        if word != "refunded" or dice.random() < 0.2:
            return {**told, "result": word}
        digits = DIGITS[of["currency"]]
        amount = round(float(of["amount"]) * float(dice.choice([0.1, 0.3, 0.5, 1.0])), digits)
        currency = "KWD" if dice.random() < 0.1 else of["currency"]
        return {**told, "result": word, "amount": max(amount, 10.0**-digits), "currency": currency}

    def _profile(self, batch: int) -> dict[str, Any]:
        dice = self.dice
        zone = str(dice.choice(["Europe/Berlin", "America/New_York", "+05:45"]))
        values = [
            {"address": f"a{dice.integers(3)}"},
            {"limit": float(dice.integers(1, 9_000))},
            {"lives_in": zone},
        ]
        whose = {"entity": "user", "user_id": f"u{dice.integers(USERS)}"}
        at = self._at(batch) - timedelta(hours=int(dice.integers(60)))
        return {**whose, "profile_time": at.isoformat(), "profile": values[dice.integers(3)]}

    def _table(self, records: Records, batch: int) -> pa.Table:
        rows = []
        for at, (topic, record) in enumerate(records):
            partition = int(hash_text(record["user_id"])) % PARTITIONS
            self.offsets[topic, partition] += 1
            moment = int((self._at(batch) + timedelta(milliseconds=at)).timestamp() * 1e6)
            given = {name: value for name, value in record.items() if value is not None}
            raw = json.dumps(given).encode()
            rows.append(
                (record["user_id"].encode(), raw, topic, partition, self.offsets[topic, partition], moment)
            )
        columns = zip(*rows, strict=True)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, KAFKA, strict=True)], schema=KAFKA)


def _named(of: dict[str, Any]) -> dict[str, Any]:
    return {name: of[name] for name in ("transaction_id", "user_id")}


class Run:
    """The stream over one home folder, as a process that may end anywhere."""

    def __init__(self, folder: Path, tables: list[pa.Table]) -> None:
        self.folder, self.tables = folder, tables
        self.settings = StreamSettings(home=folder / "stream")
        self.commits = self.settings.checkpoint_path / "commits"
        self.commits.mkdir(parents=True, exist_ok=True)

    @property
    def next(self) -> int:
        """The micro-batch that is to run."""
        return sum(1 for _ in self.commits.iterdir())

    def play(self, attempt: int) -> None:
        """Run what is left."""
        store = store_of(self.settings.store, entity_names(PASSES))
        generation = store.generation_of("one-query")
        url, token = self.settings.store, store.acquire("crash-test")
        context = TaskContext(Epoch(generation, 0), token, url, self.settings.spool_path, (), "", 0.1)
        file = Path(os.environ["FRAUD_RATES_FILE"])
        file.write_text(rates_at(0))
        unfinished = self.next if self._is_priced(Epoch(generation, self.next)) else None
        rates = BatchRates(self.settings.home / "rates", RateFeed("USD", file), "USD", unfinished)
        settings = self.settings
        archive = Archive(settings.spool_path, settings.checkpoint_path, settings.delta_path, {})
        dice = np.random.default_rng(attempt)
        while self.next < len(self.tables):
            self._step(self.next, replace(context, epoch=Epoch(generation, self.next)), rates, dice)
            archive.run(generation)
        while archive.run(generation):  # first what a kill has left open, then what was finished since
            pass

    def _step(self, batch: int, context: TaskContext, rates: BatchRates, dice: np.random.Generator) -> None:
        is_priced = self._is_priced(context.epoch)
        Path(os.environ["FRAUD_RATES_FILE"]).write_text(rates_at(9_999 if is_priced else batch))
        context = replace(context, rates=rates.file_for(context.epoch))
        found = run_batch(context, self.tables[batch], dice)
        with (self.folder / "published.jsonl").open("ab") as published:
            for topic, _, value in messages(found, SCHEMA):
                if topic == DECISIONS:
                    published.write(value + b"\n")
        spool(context, found)
        (self.commits / str(batch)).touch()

    def _is_priced(self, epoch: Epoch) -> bool:
        """Whether a run of a micro-batch has written its rates down."""
        return (self.settings.home / "rates" / f"{epoch.name}.csv").exists()

    def states(self) -> dict[tuple[str, float], bytes]:
        """Read all states."""
        names = entity_names(PASSES)
        with open_store(self.settings.store, names) as store:
            return {
                (name, key): bytes(newest_state(value)) for name in names for key, value in store.values(name)
            }

    def table(self, name: str) -> pa.Table:
        """Read a table in one order, without the wall clock."""
        found = open_table(self.settings.delta_path, name, {})
        kept = [column for column in found.columns if column != "processed_at"]
        order = [(column, "ascending") for column in IDENTITY[name]]
        return found.rows(kept, pc.scalar(True)).sort_by(order)

    def decided(self) -> Iterator[str]:
        """Name the transactions whose decisions were published; a line that a kill has torn is left out."""
        for line in (self.folder / "published.jsonl").read_bytes().splitlines():
            try:
                yield json.loads(line)["transaction_id"]
            except ValueError:
                continue


def bits_of(table: pa.Table) -> list[Any]:
    """Lay a table's columns out so that missing numbers are equal."""
    return [
        column.fill_null(-1.0).to_numpy(zero_copy_only=False).view(np.int64).tolist()
        if pa.types.is_floating(column.type)
        else column.to_pylist()
        for column in (table.column(name).combine_chunks() for name in table.column_names)
    ]


def _far_ahead(transactions: pa.Table) -> list[str | None]:
    """Name the channels of those that are dated further ahead than the setting allows."""
    ahead = pc.subtract(transactions["event_time"], transactions["received_at"])
    is_far = pc.greater(ahead.cast(pa.int64()), 300_000_000)
    channels: list[str | None] = transactions["channel"].filter(is_far).to_pylist()
    return channels


def play_through(run: Run, kills: int, longest_s: float) -> int:
    """Play to the end in processes, of which at most so many are killed; returns how many.

    Parameters
    ----------
    longest_s
        Between the begin of a process and its end by a kill, at most.
    """
    chance, done = random.Random(5), 0
    while True:
        process, moment_s = os.fork(), chance.uniform(0.001, longest_s)
        if not process:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process where it stands
            if done < kills:
                signal.setitimer(signal.ITIMER_REAL, moment_s)
            run.play(done)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return done
        done += 1


def main() -> None:
    """Play twice, calmly and with kills; print what differs as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=25)
    given = parser.parse_args()
    tables = Input().tables
    fold_passes(np.ones((1, PASSES[0].event_width)))  # loaded before the processes part
    calm, rough = (Run(given.folder / name, tables) for name in ("calm", "rough"))
    begun = time.monotonic()
    found: dict[str, Any] = {"calm_kills": play_through(calm, 0, 1.0)}
    each_s = (time.monotonic() - begun) / BATCHES
    found["kills"] = play_through(rough, given.kills, each_s)
    states = [one.states() for one in (calm, rough)]
    found["states"] = len(states[0])
    found["states_differ"] = sum(
        states[0].get(key) != states[1].get(key) for key in states[0].keys() | states[1].keys()
    )
    found["rows"], found["lost"], found["doubled"], found["differ"] = {}, 0, 0, []
    for name, identity in IDENTITY.items():
        pair = [one.table(name) for one in (calm, rough)]
        found["rows"][name] = pair[0].num_rows
        found["lost"] += max(pair[0].num_rows - pair[1].num_rows, 0)
        found["doubled"] += sum(one.num_rows - one.group_by(identity).aggregate([]).num_rows for one in pair)
        found["differ"] += [] if bits_of(pair[0]) == bits_of(pair[1]) else [name]
    found["in"] = sum(table.num_rows for table in tables)
    found["reasons"] = Counter(calm.table("dead_letters")["reason"].to_pylist())
    found["rates"] = len(set(calm.table("transactions")["currency_rate"].to_pylist()))
    found["far_ahead"] = Counter(_far_ahead(calm.table("transactions")))
    found["refunds"] = calm.table("results")["amount"].drop_null().length()
    decided = [list(one.decided()) for one in (calm, rough)]
    found["published"], found["published_again"] = len(decided[0]), len(decided[1]) - len(decided[0])
    found["decisions_lost"] = len(set(decided[0]) - set(decided[1]))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
