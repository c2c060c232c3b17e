"""What rules cost: over the columns of a micro-batch, for one transaction, and on a million of history.

Times are processor time of one thread, the best of several; that of the backtest is a clock's. It reads Delta
tables that are written for it.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from fraud.contracts import Outcome
from fraud.decide.columns import Columns, Floats
from fraud.decide.compiling import compile_rules
from fraud.decide.engine import RuleSet
from fraud.decide.lists import Definition, ListEvent, ListKind, ListRecord, ListStore
from fraud.decide.overruling import overrule
from fraud.features.batch import compute_features
from fraud.rules.backtest import backtest
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import Machine, describe_machine

RULES: Final = (0, 20, 100)
ROWS: Final = (1_000, 10_000)
ENTRIES: Final = 100_000
"""Of the live list."""
BACKTEST_RULES: Final = 50
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS: Final = (
    "{number} > {bound} && amount > {amount} * 2.0",
    "{number} > {bound} && category in ['travel', 'jewelry', 'electronics'] && amount > {amount}",
    "amount > {amount} * 4.0 && score > 0.{digit}",
    "({number} > {bound} || {other} > {bound} * 2.0) && amount > {amount} * 2.0",
    "in_list(device_id, 'stolen') && amount > {amount}",
    "{number} * 2.0 > {other} + {bound} && !(category == 'grocery') && amount > {amount}",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    transactions: int = 1_000_000
    """Of the backtest; 0 leaves it out."""
    repeats: int = 7


@dataclass(frozen=True, slots=True)
class Cost:
    """Of some rules, microseconds a transaction."""

    rules: int
    rows: int
    """Transactions at once; 1 is the scoring service's way."""
    us: float


@dataclass(slots=True)
class RuleFigures:
    """What one run measured."""

    machine: Machine
    costs: list[Cost] = field(default_factory=list)
    live_list_us: float = 0.0
    """Of one value looked up in a live list."""
    backtest_s: float = 0.0
    """Of a clock."""
    backtest_processor_s: float = 0.0
    """Of all threads."""
    backtest_transactions: int = 0
    backtest_rules: int = BACKTEST_RULES

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def rules_of(count: int, seed: int = 1) -> RuleSet:
    """Write rules of the kinds that analysts write, and compile them."""
    return compile_rules(rules_file(count, seed), "bench")


def rules_file(count: int, seed: int = 1) -> bytes:
    """Write so many rules, the same ones for a seed."""
    dice = random.Random(seed)
    numbers = [name for name in deployed_schema().feature_names if "_by_" in name]
    made = []
    for at in range(count):
        when = _KINDS[at % len(_KINDS)].format(
            number=dice.choice(numbers),
            other=dice.choice(numbers),
            bound=f"{dice.uniform(3.0, 60.0):.1f}",
            amount=f"{dice.uniform(20.0, 500.0):.1f}",
            digit=dice.randrange(1, 9),
        )
        then = ("review", "challenge", "decline", "approve")[at % 4]
        made.append({"name": f"r{at}", "when": when, "then": then, "reason": f"rule {at}"})
    lists = {"stolen": [f"device-{at}" for at in range(100)]}
    return json.dumps({"version": "bench", "lists": lists, "rules": made}).encode()


def measure_rules(sizes: Sizes, tell: Callable[[str], None]) -> RuleFigures:
    """Measure; see the module."""
    figures = RuleFigures(describe_machine())
    tell("drawing transactions")
    data = generate(
        GeneratorSettings(transactions=20_000, users=2_000, merchants=500, seed=5), deployed_schema()
    )
    table = data.transactions
    vectors = compute_features(table).vectors
    scores = np.random.default_rng(1).beta(1.0, 12.0, table.num_rows)
    for rows in ROWS:
        for count in RULES:
            tell(f"{count} rules over {rows:,} rows")
            figures.costs.append(_columns(rules_of(count), table.slice(0, rows), vectors, scores, sizes))
    for count in RULES:
        tell(f"{count} rules for one transaction")
        figures.costs.append(_single(rules_of(count), table, vectors, scores, sizes))
    tell("a live list")
    figures.live_list_us = _live_list(table["device_id"].to_pylist(), sizes)
    if sizes.transactions:
        tell(f"a backtest of {sizes.transactions:,} transactions")
        figures.backtest_transactions = sizes.transactions
        figures.backtest_s, figures.backtest_processor_s = _backtest(
            table, vectors, scores, sizes.transactions
        )
    return figures


def _columns(rules: RuleSet, table: pa.Table, vectors: Floats, scores: Floats, sizes: Sizes) -> Cost:
    n = table.num_rows
    keys = table[deployed_schema().primary_key.name].to_pylist()
    now = np.full(n, time.time())

    def decide() -> None:
        columns = Columns(table, vectors[:n], deployed_schema().feature_names, scores[:n])
        for held in rules.holding_columns(columns, keys, now):
            overrule(Outcome.APPROVE, held)

    return Cost(len(rules.rules), n, _best(decide, sizes.repeats) / n * 1e6)


def _single(rules: RuleSet, table: pa.Table, vectors: Floats, scores: Floats, sizes: Sizes) -> Cost:
    some = [
        {**row, **dict(zip(deployed_schema().feature_names, vector, strict=True)), "score": score}
        for row, vector, score in zip(
            table.slice(0, 200).to_pylist(), vectors[:200].tolist(), scores[:200].tolist(), strict=True
        )
    ]
    key, now_s = deployed_schema().primary_key.name, time.time()

    def decide() -> None:
        for values in some:
            overrule(Outcome.APPROVE, rules.holding(values, values[key], now_s))

    return Cost(len(rules.rules), 1, _best(decide, sizes.repeats) / len(some) * 1e6)


def _live_list(values: Sequence[str | None], sizes: Sizes) -> float:
    there = [value for value in values if value]
    with TemporaryDirectory(prefix="bench-lists-") as folder:
        store = ListStore(Path(folder))
        kind = Definition(kind=ListKind.TEXT)
        events = [
            ListEvent(list="stolen", action="create", by="bench", at=datetime.now(UTC), kind=ListKind.TEXT),
            *(kind.event("stolen", "add", f"device-{at}", by="bench") for at in range(ENTRIES)),
        ]
        store.apply(
            ListRecord(at, event.model_dump_json().encode(), time.time()) for at, event in enumerate(events)
        )
        found: Any = store.view(["stolen"], time.time())["stolen"]
        seconds = _best(lambda: found.hold(there), sizes.repeats)
        store.close()
    return seconds / len(there) * 1e6


def _backtest(table: pa.Table, vectors: Floats, scores: Floats, transactions: int) -> tuple[float, float]:
    """Write the log of many days by repeating some transactions, and try rules on it."""
    with TemporaryDirectory(prefix="bench-backtest-") as folder:
        n = table.num_rows
        for at in range(0, transactions, n):
            rows = min(n, transactions - at)
            _append(folder, table.slice(0, rows), vectors[:rows], scores[:rows], at)
        started = time.perf_counter(), time.process_time()
        found = backtest(rules_of(BACKTEST_RULES), folder)
        seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    if found.transactions != transactions:
        raise RuntimeError(f"{found.transactions:,} of {transactions:,} transactions were tried")
    return seconds


def _append(folder: str, table: pa.Table, vectors: Floats, scores: Floats, first: int) -> None:
    n = table.num_rows
    received = [_START + timedelta(seconds=first + at) for at in range(n)]
    origin = {
        "received_at": pa.array(received, TIME),
        "generation": pa.array([1] * n, pa.int64()),
        "epoch": pa.array([first // 20_000] * n, pa.int64()),
        "source_partition": pa.array([0] * n, pa.int32()),
        "source_offset": pa.array(range(first, first + n), pa.int64()),
    }
    ids = pa.array([f"t{first + at}" for at in range(n)])
    transactions = table.set_column(table.column_names.index("transaction_id"), "transaction_id", ids)
    for name, values in origin.items():
        transactions = transactions.append_column(name, values)
    features: dict[str, Any] = {
        name: vectors[:, at] for at, name in enumerate(deployed_schema().feature_names)
    }
    features |= {"features_version": [deployed_schema().features_version] * n}
    decisions = {"transaction_id": ids, "outcome": ["approve"] * n, "score": scores}
    write_deltalake(f"{folder}/transactions", transactions, mode="append")
    write_deltalake(f"{folder}/features", pa.table(features | origin), mode="append")
    write_deltalake(f"{folder}/decisions", pa.table(decisions | origin), mode="append")
    labels = {"transaction_id": ids, "is_fraud": scores > 0.3, "label_time": origin["received_at"]}
    write_deltalake(f"{folder}/labels", pa.table(labels | origin).slice(0, n // 20), mode="append")


def _best(act: Callable[[], Any], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        act()
        seconds.append(time.process_time() - started)
    return min(seconds)
