"""What rules cost the whole stream: ``fraud bench stream --rules 0,20,100``.

One platform with one model and one stream that runs on. For each number of rules the file is written again,
which the stream takes in before its next micro-batch, and a backlog is decided.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table

from fraud.kafka.producer import ProducerSettings
from fraud.learn.settings import TrainSettings
from fraud.learn.training import train
from fraud.local import platform
from fraud.schema.deployed import deployed_schema
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import Machine
from fraud.tools.bench.rules import rules_file
from fraud.tools.bench.stream import (
    Decisions,
    metrics_of,
    own_platform,
    running,
    sustained,
    task_times,
)
from jobs.backfill.run import backfill
from jobs.stream.settings import StreamSettings
from services.simulator import stream

RULES: Final = "rules"
"""The tasks' stage."""
HISTORY: Final = 60_000
BACKLOG: Final = 60_000
"""Transactions for each number of rules, after as many to warm up."""
USERS: Final = 10_000
DAYS: Final = 240
"""That all of them span: none may be dated ahead of now."""


@dataclass(frozen=True, slots=True)
class RulesRate:
    """What one number of rules measured."""

    rules: int
    transactions: int
    per_s: float
    """Decided, from the end of the first micro-batch to the last decision."""
    rules_us: float
    """Time of a task in the stage ``rules``, microseconds a transaction."""
    load: float
    """Of the machine, the last minute's average."""


def measure_with_rules(home: Path, counts: Sequence[int], tell: Callable[[str], None]) -> list[RulesRate]:
    """Measure; ``home`` is emptied before."""
    settings = own_platform(home)
    total = HISTORY + BACKLOG * (len(counts) + 1)
    world = GeneratorSettings(transactions=total, users=USERS, merchants=USERS // 2, days=DAYS, seed=7)
    tell("generating and training")
    data = generate(world, deployed_schema())
    files.write(data, home / "data")
    history = data.transactions.slice(0, HISTORY)
    go_live = pc.max(history.column("event_time")).as_py() + timedelta(microseconds=1)
    known = data.labels.filter(pc.less(data.labels.column("label_time"), pa.scalar(go_live)))
    rules = home / "rules.yaml"
    rules.write_bytes(rules_file(0))
    os.environ["FRAUD_STREAM_RULES_FILE"] = str(rules.absolute())
    with running(settings):
        platform.up(settings, parts=("broker", "mlflow"))
        urls = {part.name: part.url or "" for part in platform.status(settings)}
        train(TrainSettings.quick(str(home / "data"), as_of=go_live, mlflow_uri=urls["mlflow"], seed=7))
        backfill(history, known, StreamSettings(home=home / "stream"))
        reader, producer = Decisions(urls["broker"]), ProducerSettings(bootstrap=urls["broker"])
        platform.up(settings, parts=("stream",))
        metrics = metrics_of(settings)
        found = []
        for at, count in enumerate((counts[0], *counts)):
            tell(f"{count} rules: {BACKLOG:,} transactions")
            rules.write_bytes(rules_file(count))
            before = task_times(metrics).seconds.get(RULES, 0.0)
            stream.play(data.transactions.slice(HISTORY + at * BACKLOG, BACKLOG), None, producer)
            reader.wait_for(BACKLOG)
            _, rate = sustained(reader.read())
            spent = task_times(metrics).seconds.get(RULES, 0.0) - before
            found.append(RulesRate(count, BACKLOG, rate, spent / BACKLOG * 1e6, os.getloadavg()[0]))
            time.sleep(2.0)  # the archive of this backlog must not take from the next one
    return found[1:]


def table_of(machine: Machine, rates: Sequence[RulesRate]) -> Table:
    """Lay the figures out for a terminal."""
    table = Table(title=f"The stream with rules\n{machine.words}", title_justify="left")
    for head in ("rules", "decided/s", "rules, us a transaction", "load"):
        table.add_column(head, justify="right")
    for one in rates:
        table.add_row(f"{one.rules:,}", f"{one.per_s:,.0f}", f"{one.rules_us:.1f}", f"{one.load:.1f}")
    return table
