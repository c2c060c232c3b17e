"""What each further entity costs: processor time of a transaction in the stream and in the scoring service.

    uv run python -m tests.load.entities --out bench

A schema of 2 to 8 entities is made, 20 features for each beyond the packaged two. Measured are the stream's
passes (validation, folds, a store of LMDB) and the scoring service's step (look, fold, commit), without model
and Kafka, in one process a schema.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from fraud.contracts import TRANSACTIONS, Outcome, contracts_of, parse_record
from fraud.decide.overruling import Ruled
from fraud.features.passes import entity_names
from fraud.schema.deployed import VARIABLE, deployed_schema
from fraud.schema.reading import DEFAULT
from fraud.store import Epoch, open_store
from fraud.synthetic.encoding import encode_transactions
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from jobs.stream.tasks.context import TaskContext
from services.scoring.records import Decided
from services.scoring.scorer import Scorer
from tests.deployed import PASSES
from tests.load.parity import KAFKA, run_batch

FURTHER = ("device", "card", "account", "ip", "terminal", "email")
FEATURES = """
  - {{statistic: [count, sum, mean, std, max], entity: {0}, window: [1h, 24h, 7d]}}
  - {{statistic: zscore, entity: {0}, window: [24h, 7d]}}
  - {{statistic: since_last, entity: {0}}}
  - {{statistic: distinct, entity: {0}, field: user_id, window: 24h}}
  - {{statistic: fraud_share, entity: {0}, window: 7d}}
"""
BATCH = 5_000
LIMITS_US = {"stream": 12.0, "scoring": 60.0}
"""Of a further entity of 20 features, of processor time a transaction."""


def schema_of(entities: int) -> str:
    """Write the packaged schema with further entities."""
    names = FURTHER[: entities - 2]
    fields = "".join(f"  {name}: {{type: key}}\n" for name in names if name != "device")
    keys = "".join(f"  {name}: {{key: {'device_id' if name == 'device' else name}}}\n" for name in names)
    features = "".join(FEATURES.format(name).lstrip("\n") for name in names)
    text = DEFAULT.read_text(encoding="utf-8")
    for mark, more in (("entities:\n", fields), ("features:\n", keys), ("# What a person", features)):
        text = text.replace(mark, f"{more}{mark}", 1)
    return text


class Approving:
    """Decides without a model."""

    def decide(self, *_: object) -> Decided:
        ruled = Ruled(Outcome.APPROVE, Outcome.APPROVE)
        return Decided(Outcome.APPROVE, 0.1, [], ruled, "1", "none", is_fallback=False)


def measure(transactions: int, scored: int) -> dict[str, float]:
    """Measure the deployment's schema; microseconds of processor time a transaction."""
    settings = GeneratorSettings(transactions=transactions, users=2_000, merchants=400, days=30)
    values = encode_transactions(generate(settings, deployed_schema()).transactions)
    with TemporaryDirectory() as folder:
        return {
            "stream": stream_us(f"lmdb://{folder}/stream", Path(folder), values),
            "scoring": scoring_us(f"lmdb://{folder}/scoring", values[-scored:]),
            "features": float(len(deployed_schema().features)),
        }


def stream_us(url: str, folder: Path, values: list[bytes]) -> float:
    """Take records through the stream's passes; microseconds a transaction, without the first micro-batch."""
    with open_store(url, entity_names(PASSES)) as store:
        token = store.acquire("test")
    dice, spent = np.random.default_rng(1), []
    arrival_us = time.time_ns() // 1_000
    for batch, (first, last) in enumerate(pairwise(range(0, len(values) + 1, BATCH))):
        n = last - first
        cells: list[Any] = [
            [b"u"] * n,
            values[first:last],
            [TRANSACTIONS] * n,
            [0] * n,
            list(range(first, last)),
            [arrival_us] * n,
        ]
        table = pa.table([pa.array(c, f.type) for c, f in zip(cells, KAFKA, strict=True)], schema=KAFKA)
        context = TaskContext(Epoch(1, batch), token, url, folder / "spool", (), "", 0.1)
        spent.append(_processor_us(partial(run_batch, context, table, dice)) / n)
    return float(np.median(spent[1:]))  # the first one compiles


def scoring_us(url: str, values: list[bytes]) -> float:
    """Score records one by one; microseconds a transaction, the first one left out."""
    model = contracts_of(deployed_schema()).transaction
    records = [parse_record(model, raw) for raw in values]
    with open_store(url, entity_names(PASSES)) as store:
        scorer = Scorer(store, Approving(), 5, PASSES)  # type: ignore[arg-type]
        scorer.score(records[0])
        spent = [_processor_us(partial(scorer.score, one)) for one in records[1:]]
    return float(np.median(spent))


def _processor_us(act: Callable[[], object]) -> float:
    began = time.process_time_ns()
    act()
    return (time.process_time_ns() - began) / 1_000


def sweep(most: int, transactions: int, scored: int) -> Iterator[dict[str, float]]:
    """Measure each number of entities in a process of its own."""
    for entities in range(2, most + 1):
        with TemporaryDirectory() as folder:
            file = Path(folder) / "schema.yaml"
            file.write_text(schema_of(entities), encoding="utf-8")
            command = [sys.executable, "-m", "tests.load.entities", "--measure"]
            command += ["--transactions", str(transactions), "--scored", str(scored)]
            environment = {**os.environ, VARIABLE: str(file)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr)
            yield {"entities": entities, **json.loads(done.stdout)}


def report(found: list[dict[str, float]], out: Path) -> None:
    """Print the table; write ``entities.json`` and ``entities.png``."""
    machine = describe_machine()
    table = Table("entities", "features", "stream, us", "scoring, us", title=machine.words)
    for row in found:
        cells = (f"{row['entities']:.0f}", f"{row['features']:.0f}")
        table.add_row(*cells, f"{row['stream']:.1f}", f"{row['scoring']:.1f}")
    Console(width=100).print(table)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), LIMITS_US, strict=True):
        entities, cost = [row["entities"] for row in found], [row[name] for row in found]
        slope = float(np.polyfit(entities, cost, 1)[0])
        axes.plot(entities, cost, marker="o")
        axes.set(title=f"{name}: {slope:.1f} us a further entity", xlabel="entities", ylim=(0, None))
        axes.set_ylabel("us of processor time a transaction")
        print(f"{name}: {slope:.1f} us a further entity of 20 features; aim {LIMITS_US[name]:g}")  # noqa: T201
    figure.suptitle(machine.words, fontsize=8)
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "entities.png", dpi=110)
    (out / "entities.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure one schema (``--measure``), or sweep and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--measure", action="store_true", help="the schema of FRAUD_SCHEMA_FILE alone, as JSON"
    )
    parser.add_argument("--most", type=int, default=8, help="entities of the last schema")
    parser.add_argument("--transactions", type=int, default=40_000)
    parser.add_argument("--scored", type=int, default=4_000)
    parser.add_argument("--out", type=Path, default=Path("bench"))
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.transactions, given.scored)))  # noqa: T201
        return
    report(list(sweep(given.most, given.transactions, given.scored)), given.out)


if __name__ == "__main__":
    main()
