"""Kills the stream's work at random moments, with any schema, and compares with a run that nobody disturbs.

    FRAUD_SCHEMA_FILE=tests/load/six_entities.yaml uv run python -m tests.load.kills --transactions 200000

The same micro-batches, disturbed as in ``tests.load.parity``, are played twice: calmly, and in processes of
which ``--kills`` end by a signal within about one micro-batch of their begin. Real are the passes, the store,
the spool, the archive and its Delta tables; Kafka's and Spark's part is played. Prints what differs as JSON:
states and tables byte by byte, records lost and doubled, and the parity of the killed run. Exits with 1 where
anything differs, or fewer processes were killed than asked for.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.features.batch import fold_passes
from fraud.schema.deployed import deployed_schema
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from jobs.parity.compare import compare
from tests.deployed import PASSES
from tests.fraud.money.crash import IDENTITY, Run, play_through
from tests.load.parity import micro_batches

TABLES = ("transactions", "features", "decisions", "labels", "dead_letters")


def tables_of(transactions: int, batch: int, seed: int = 7) -> list[pa.Table]:
    """Make the micro-batches: transactions of two months with labels, disturbed."""
    world = GeneratorSettings(
        transactions=transactions,
        users=max(20, transactions // 50),
        merchants=max(30, transactions // 250),
        days=60,
        seed=seed,
    )
    data = generate(world, deployed_schema())
    first = pc.min(data.transactions["event_time"]).as_py()
    return list(micro_batches(data, first, batch, np.random.default_rng(seed)))


def differing(one: pa.Table, other: pa.Table) -> list[str]:
    """Name the columns that are not equal, bit by bit."""
    if one.num_rows != other.num_rows:
        return [f"{one.num_rows} rows, {other.num_rows} rows"]
    pairs = (
        (name, *(table.column(name).combine_chunks() for table in (one, other))) for name in one.column_names
    )
    return [name for name, mine, theirs in pairs if not _are_equal(mine, theirs)]


def _are_equal(one: pa.Array, other: pa.Array) -> bool:
    if not pa.types.is_floating(one.type):
        return bool(one.equals(other))
    if not one.is_valid().equals(other.is_valid()):
        return False
    bits = [side.fill_null(0.0).to_numpy(zero_copy_only=False) for side in (one, other)]
    whole = np.dtype(f"u{bits[0].dtype.itemsize}")
    return np.array_equal(bits[0].view(whole), bits[1].view(whole))


def run(folder: Path, transactions: int, batch: int, kills: int) -> dict[str, Any]:
    """Play twice and compare."""
    os.environ["FRAUD_RATES_FILE"] = str(folder / "rates.csv")
    tables = tables_of(transactions, batch)
    fold_passes(np.ones((1, PASSES[0].event_width)))  # loaded before the processes part
    calm, rough = (Run(folder / name, tables) for name in ("calm", "rough"))
    begun = time.monotonic()
    play_through(calm, 0, 1.0)
    calm_s = time.monotonic() - begun
    killed = play_through(rough, kills, calm_s / len(tables))
    states = [one.states() for one in (calm, rough)]
    found: dict[str, Any] = {
        "machine": describe_machine().words,
        "entities": len(PASSES),
        "features": len(deployed_schema().features),
        "records": sum(table.num_rows for table in tables),
        "micro_batches": len(tables),
        "calm_s": round(calm_s, 1),
        "killed_s": round(time.monotonic() - begun - calm_s, 1),
        "kills": killed,
        "states": len(states[0]),
        "states_differ": sum(
            states[0].get(k) != states[1].get(k) for k in states[0].keys() | states[1].keys()
        ),
        "rows": {},
        "lost": 0,
        "doubled": 0,
        "columns_differ": [],
    }
    for name in TABLES:
        mine, theirs = calm.table(name), rough.table(name)
        found["rows"][name] = mine.num_rows
        found["lost"] += max(mine.num_rows - theirs.num_rows, 0)
        found["doubled"] += theirs.num_rows - theirs.group_by(IDENTITY[name]).aggregate([]).num_rows
        found["columns_differ"] += [f"{name}: {column}" for column in differing(mine, theirs)]
    decided = [list(one.decided()) for one in (calm, rough)]
    found["published"], found["published_again"] = len(decided[0]), len(decided[1]) - len(decided[0])
    found["decisions_lost"] = len(set(decided[0]) - set(decided[1]))
    parity = compare(rough.settings.delta_path)
    found["parity"] = {"compared": parity.transactions, "greatest_difference": parity.greatest}
    found["errors"] = parity.errors()
    return found


def main() -> None:
    """Read the arguments, run, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transactions", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=20_000, help="records of a micro-batch at most")
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = run(Path(folder), given.transactions, given.batch, given.kills)
    print(json.dumps(found, indent=1))  # noqa: T201  the command's result
    wrong = ("states_differ", "lost", "doubled", "columns_differ", "decisions_lost", "errors")
    sys.exit(any(found[name] for name in wrong) or found["kills"] < given.kills)


if __name__ == "__main__":
    main()
