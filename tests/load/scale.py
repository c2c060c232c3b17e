"""What bends the cost of a transaction: features, cardholders on disk, a merchant with much of the traffic.

    uv run python -m tests.load.scale --out bench
    uv run python -m tests.load.scale --curves users --users 10000,10000000

Measured are the stream's passes (validation, folds, a store of LMDB on disk) and the scoring service's step
(look, fold, commit), without model and Kafka: microseconds of processor time a transaction, each point in a
process of its own. Every cardholder has a state before the first transaction; who pays is drawn evenly, so
that few states are met twice. Entities have their own command (``tests.load.entities``), the whole stream by
cardholders, too (``fraud bench stream``).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from fraud.features import kernel
from fraud.features.engine import fold_plan
from fraud.features.events import events_of
from fraud.features.hashing import hash_text
from fraud.features.passes import entity_names
from fraud.schema.deployed import VARIABLE, deployed_schema
from fraud.schema.reading import DEFAULT
from fraud.store import Epoch, open_store
from fraud.synthetic.encoding import encode_transactions
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from tests.deployed import PASSES
from tests.load.entities import scoring_us, stream_us
from tests.load.parity import TASKS

CURVES = {
    "features": "10,25,50,100,200",
    "users": "10000,100000,1000000",
    "hot": "0,10,30,60",
}
"""Curve, and its points."""
FILLED_AT_ONCE = 20_000
EARLIER_US = 15 * 86_400_000_000.0
FIRST = """
  - amount
  - hour
  - weekday
  - distance_home
  - {statistic: since_last, entity: user}
  - {statistic: speed_last, entity: user}
  - {statistic: since_last, entity: merchant}
"""
NEEDED = (("count", "user", "1h"), ("count", "user", "30d"), ("fraud_share", "user", "30d"))
"""The packaged fallback reads these."""
STATISTICS = ("count", "sum", "mean", "std", "max", "zscore", "same_amount", "fraud_share")
WINDOWS = ("1h", "24h", "7d", "30d", "3h", "12h", "3d", "14d", "6h", "2d")
DISTINCT = (("user", "merchant_id"), ("user", "category"), ("user", "country"), ("merchant", "user_id"))


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement."""

    curve: str
    value: int
    stream_us: float
    """Of the stream's passes, a transaction."""
    scoring_us: float
    busiest: float
    """Share of a micro-batch's transactions that one of two tasks gets in the merchant's pass."""
    store_mb: float
    fill_s: float
    """By the clock: a state for every cardholder."""


def feature_lines(features: int) -> list[str]:
    """Write so many features of the two packaged entities, window by window."""
    lines = FIRST.strip("\n").splitlines()
    one = "  - {{statistic: {}, entity: {}, window: {}}}"
    lines += [one.format(*needed) for needed in NEEDED]
    for window in WINDOWS:
        for statistic, entity in product(STATISTICS, ("user", "merchant")):
            if (statistic, entity, window) not in NEEDED:
                lines.append(one.format(statistic, entity, window))
        for entity, field in DISTINCT:
            words = f"statistic: distinct, entity: {entity}, field: {field}, window: {window}"
            lines.append(f"  - {{{words}}}")
    if not len(FIRST.split("\n")) < features <= len(lines):
        sys.exit(f"--features {features}: give from 10 to {len(lines)}")
    return lines[:features]


def schema_of(features: int) -> str:
    """Write the packaged schema with so many features."""
    text = DEFAULT.read_text(encoding="utf-8")
    before, after = text.index("features:\n"), text.index("# What a person")
    return text[:before] + "\n".join(["features:", *feature_lines(features), "", ""]) + text[after:]


def measure(curve: str, value: int, *, users: int, transactions: int, scored: int) -> Point:
    """Measure the deployment's schema."""
    settings = GeneratorSettings(transactions=transactions, users=2_000, merchants=400, days=30)
    table = generate(settings, deployed_schema()).transactions
    dice = np.random.default_rng(5)
    drawn = [f"u-{number}" for number in dice.integers(0, users, transactions)]
    table = _with(table, "user_id", drawn)
    hot = value / 100.0 if curve == "hot" else 0.0
    merchants = table["merchant_id"].to_pylist()
    is_hot = dice.random(transactions) < hot
    merchants = ["m-hot" if here else name for name, here in zip(merchants, is_hot, strict=True)]
    table = _with(table, "merchant_id", merchants)
    values = encode_transactions(table)
    busy = np.bincount([int(hash_text(name)) % TASKS for name in merchants], minlength=TASKS)
    with TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        url, began = f"lmdb://{folder}/store", time.perf_counter()
        fill(url, table, users)
        filled_s = time.perf_counter() - began
        scoring = scoring_us(url, values[:scored])
        stream = stream_us(url, folder, values[scored:])  # its tasks keep the store open
        size = sum(file.stat().st_blocks * 512 for file in (folder / "store").iterdir())
    return Point(
        curve, value, stream, scoring, float(busy.max() / busy.sum()), size / 1e6, round(filled_s, 1)
    )


def fill(url: str, table: pa.Table, users: int) -> None:
    """Give every cardholder the state of one earlier transaction, in the order of the store's keys."""
    primary = PASSES[0]
    earlier = events_of(deployed_schema()).of_transactions(table)
    earlier[:, kernel.E_TIME] -= EARLIER_US + np.ptp(earlier[:, kernel.E_TIME])
    keys = np.sort([hash_text(f"u-{number}") for number in range(users)])
    with open_store(url, entity_names(PASSES)) as store:
        token = store.acquire("fill")
        for first in range(0, users, FILLED_AT_ONCE):
            number = np.arange(first, min(first + FILLED_AT_ONCE, users))
            part = earlier[number % len(earlier)]
            part[:, kernel.E_ID] = number + 1.0
            part[:, primary.key_column] = keys[number]
            states = fold_plan(primary.plan, part, {}).states
            store.write(primary.name, states, Epoch(0, 0), token)
        store.flush()


def _with(table: pa.Table, name: str, values: list[str]) -> pa.Table:
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values, table.schema.field(name).type))


def sweep(given: argparse.Namespace) -> Iterator[Point]:
    """Measure each point in a process of its own."""
    for curve in given.curves.split(","):
        for value in (int(text) for text in getattr(given, curve).split(",")):
            with TemporaryDirectory() as folder:
                environment = dict(os.environ)
                if curve == "features":
                    file = Path(folder) / "schema.yaml"
                    file.write_text(schema_of(value), encoding="utf-8")
                    environment[VARIABLE] = str(file)
                command = [sys.executable, "-m", "tests.load.scale", "--point", curve, str(value)]
                command += ["--transactions", str(given.transactions), "--scored", str(given.scored)]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr)
                yield Point(**json.loads(done.stdout))


def report(found: list[Point], out: Path) -> None:
    """Print the table; write ``scale.json`` and ``scale.png``."""
    machine = describe_machine()
    heads = (
        "curve",
        "value",
        "stream, us",
        "scoring, us",
        "busiest of two tasks",
        "store, MB",
        "filled in, s",
    )
    table = Table(*heads, title=machine.words)
    for one in found:
        numbers = (f"{one.value:,}", f"{one.stream_us:.1f}", f"{one.scoring_us:.1f}", f"{one.busiest:.0%}")
        table.add_row(one.curve, *numbers, f"{one.store_mb:,.0f}", f"{one.fill_s:.1f}")
    Console(width=110).print(table)
    curves = {
        "features": "features",
        "users": "cardholders with a state on disk",
        "hot": "% of the traffic of one merchant",
    }
    measured = [curve for curve in curves if any(one.curve == curve for one in found)]
    figure = Figure(figsize=(4.5 * len(measured), 3.6), layout="constrained")
    for axes, curve in zip(np.atleast_1d(figure.subplots(1, len(measured))), measured, strict=True):
        points = [one for one in found if one.curve == curve]
        values = [one.value for one in points]
        axes.plot(values, [one.stream_us for one in points], marker="o", label="stream")
        axes.plot(values, [one.scoring_us for one in points], marker="o", label="scoring service")
        axes.set(xlabel=curves[curve], ylabel="us of processor time a transaction", ylim=(0, None))
        axes.set_xscale("log" if curve == "users" else "linear")
        axes.legend()
    figure.suptitle(machine.words, fontsize=8)
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "scale.png", dpi=110)
    whole = {"machine": asdict(machine), "points": [asdict(one) for one in found]}
    (out / "scale.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure one point (``--point``), or sweep and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--point", nargs=2, metavar=("CURVE", "VALUE"), help="one of them alone, as JSON")
    parser.add_argument("--curves", default=",".join(CURVES), help="which, comma separated")
    for curve, points in CURVES.items():
        parser.add_argument(f"--{curve}", default=points, help="points of the curve, comma separated")
    parser.add_argument("--transactions", type=int, default=40_000)
    parser.add_argument("--scored", type=int, default=4_000)
    parser.add_argument("--out", type=Path, default=Path("bench"))
    given = parser.parse_args()
    if unknown := set(given.curves.split(",")) - CURVES.keys():
        parser.error(f"--curves {', '.join(sorted(unknown))}: there are {', '.join(CURVES)}")
    if not given.point:
        report(list(sweep(given)), given.out)
        return
    curve, value = given.point[0], int(given.point[1])
    users = value if curve == "users" else 10_000
    found = measure(curve, value, users=users, transactions=given.transactions, scored=given.scored)
    print(json.dumps(asdict(found)))  # noqa: T201


if __name__ == "__main__":
    main()
