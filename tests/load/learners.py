"""What ways to learn bring, on worlds of several forms: gains in average precision over the defaults.

    uv run python -m tests.load.learners --ways seeds losses noise delays --seeds 3 --size 0.3
    uv run --with catboost==1.2.10 --with jax==0.12.0 python -m tests.load.learners --ways catboost sequence
    uv run python -m tests.load.learners --ways seeds --table FILE --weeks 4

Every way sees the same rows and is measured on the same later test; a gain's interval comes from resampling
the test's users, the same for both sides. ``--table`` takes the Handbook's published data (Parquet, our names
of the columns), as ``tests.load.handbook`` does. Each world is measured in a process of its own, under
its schema.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraud.learn.examples import Examples, build_examples, divide
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.schema.deployed import VARIABLE
from fraud.synthetic import files
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.bench.machine import describe_machine
from fraud.tools.bench.quality import SCHEMAS
from fraud.tools.bench.quality_world import WORLDS, Task, is_new, settings_of
from fraud.tools.bench.worlds.handbook import START
from fraud.tools.bench.worlds.world import DAY_US
from fraud.watch.bootstrap import NAMES, Scored, interval, resample
from tests.load.handbook import TEST_DAYS, TRAIN_UNTIL
from tests.load.learner_variants import (
    CHALLENGERS,
    Scores,
    challengers,
    delays,
    losses,
    noise,
    seeds,
    validated,
)

GENERATED = "generated"
WAYS = ("seeds", "losses", "noise", "delays", *CHALLENGERS)
RESAMPLES = 200
GENERATED_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Run:
    """One world, or week of a table, and what is tried on it."""

    world: str
    ways: tuple[str, ...]
    seed: int = 0
    """Of the world; of a table, how many weeks earlier."""
    size: float = 0.3
    table: str = ""
    train_days: float = 7.0


@dataclass(frozen=True, slots=True)
class Gain:
    """One way on one world."""

    world: str
    seed: int
    group: str
    way: str
    pr_auc: float
    gain: float
    low: float
    high: float
    note: str


def measure(run: Run) -> list[Gain]:
    """Measure all ways of a run; those that need other labels read the world again."""
    found: list[Gain] = []
    plain = [way for way in run.ways if way != "delays"]
    if plain:
        whole, settings = read(run)
        split = divide(whole, settings)
        base = validated(split.train, settings)
        others = [way for way in plain if way in CHALLENGERS]
        makers = {"seeds": seeds, "losses": losses, "noise": noise}
        for way in plain:
            if way in makers:
                found += gains_of(run, way, makers[way](split, settings, base), whole, settings)
        if others:
            scores = challengers(whole, split, settings, base, others)
            found += gains_of(run, "challengers", scores, whole, settings)
    if "delays" in run.ways:
        whole, settings = read(run, is_random=run.world != GENERATED)
        found += gains_of(run, "delays", delays(whole, settings), whole, settings)
    return found


def read(run: Run, *, is_random: bool = False) -> tuple[Examples, TrainSettings]:
    """Draw or read a world; ``is_random``: its labels come after exponential times of a third of the gap."""
    with TemporaryDirectory(prefix="learners-") as name:
        folder = Path(name)
        path = folder / "world.parquet"
        if run.world == GENERATED:
            rows = round(GENERATED_ROWS * run.size)
            scale = rows / GeneratorSettings().transactions
            sizes = {"users": round(10_000 * scale), "merchants": round(5_000 * scale)}
            files.write(
                generate(GeneratorSettings(transactions=rows, seed=7 + run.seed, **sizes)), folder / "data"
            )
            settings = TrainSettings(data=folder / "data", threads=1, balance="none", trials=0)
        elif run.table:
            end = START + timedelta(days=TRAIN_UNTIL + 7 - 7 * run.seed)
            table = pq.read_table(run.table, filters=[("event_time", "<", end + timedelta(days=TEST_DAYS))])
            pq.write_table(late(table, 7.0, run.seed) if is_random else table, path)
            settings = TrainSettings(
                transactions=path,
                as_of=end,
                label_gap_days=7.0,
                train_days=run.train_days,
                test_days=TEST_DAYS,
                threads=1,
                balance="none",
                trials=0,
            )
        else:
            world = WORLDS[run.world]
            table = world.draw(run.seed, run.size)
            pq.write_table(late(table, world.gap_days, run.seed) if is_random else table, path)
            settings = settings_of(Task(run.world), world, path)
        tables = read_tables(settings)
        return build_examples(tables, vectors="computed", gap_days=settings.label_gap_days), settings


def late(table: pa.Table, gap_days: float, seed: int) -> pa.Table:
    """Let labels come after random times, one in twenty after the gap."""
    apart = np.random.default_rng(seed).exponential(gap_days / 3.0, table.num_rows) * DAY_US
    event_us = table["event_time"].cast(pa.int64()).to_numpy()
    came = pa.array(event_us + apart.astype(np.int64), pa.timestamp("us", "UTC"))
    names = [name for name in table.column_names if name != "label_time"]
    return table.select(names).append_column("label_time", came)


def gains_of(run: Run, group: str, scores: Scores, whole: Examples, settings: TrainSettings) -> list[Gain]:
    """Measure every way beside the base, on the same resamples."""
    split = divide(whole, settings)
    counted = np.ones(len(split.test), bool)
    if run.table or (run.world in WORLDS and WORLDS[run.world].without_known):
        counted = is_new(whole, split, settings.label_gap_days)
    test = split.test.take(counted)
    scored = {way: Scored(score[counted], 0.5) for way, score in scores.of.items()}
    at = NAMES.index("pr_auc")
    found = {way: values[:, at] for way, values in resample(scored, test, RESAMPLES, settings.seed).items()}
    lines = []
    for way, values in found.items():
        one = interval(values - found[scores.base])
        lines.append(
            Gain(
                Path(run.table).name or run.world,
                run.seed,
                group,
                way,
                float(values[0]),
                one.value,
                one.low,
                one.high,
                scores.note,
            )
        )
    return lines


def run_apart(run: Run) -> list[Gain]:
    """Measure in a process of its own, under the world's schema."""
    world = WORLDS.get(run.world)
    own = SCHEMAS / world.schema if world and world.schema else SCHEMAS.parents[2] / "schema" / "default.yaml"
    command = [sys.executable, "-m", "tests.load.learners", "--one", json.dumps(asdict(run))]
    done = subprocess.run(
        command, env={**os.environ, VARIABLE: str(own)}, stdout=subprocess.PIPE, text=True, check=True
    )
    return [Gain(**one) for one in json.loads(done.stdout.splitlines()[-1])]


def table_of(gains: list[Gain]) -> list[str]:
    """Write a line a way: its mean gain, the standard error over worlds and seeds, and each world's own."""
    worlds = list(dict.fromkeys(one.world for one in gains))
    lines = [
        f"| way | mean gain | {' | '.join(worlds)} |",
        f"|{'---|' * (2 + len(worlds))}",
    ]
    for group, way in dict.fromkeys((one.group, one.way) for one in gains):
        of = [one for one in gains if (one.group, one.way) == (group, way)]
        values = np.array([one.gain for one in of])
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        cells = [[one for one in of if one.world == world] for world in worlds]
        texts = [
            f"{np.mean([one.gain for one in cell]):+.3f} ({np.mean([one.pr_auc for one in cell]):.3f})"
            if cell
            else ""
            for cell in cells
        ]
        lines.append(f"| {group}: {way} | {values.mean():+.4f} +- {error:.4f} | {' | '.join(texts)} |")
    return lines


def main() -> None:
    """Measure, and print lines as they come and the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="+", default=["seeds", "losses", "noise", "delays"], choices=WAYS)
    parser.add_argument("--worlds", nargs="*", default=[*WORLDS, GENERATED], choices=[*WORLDS, GENERATED])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", type=float, default=0.3)
    parser.add_argument("--table", default="")
    parser.add_argument("--weeks", type=int, default=4)
    parser.add_argument("--train-days", type=float, default=7.0)
    parser.add_argument("--one", help="A run as JSON, in this process.")
    given = parser.parse_args()
    if given.one:
        fields = json.loads(given.one)
        found = measure(Run(**{**fields, "ways": tuple(fields["ways"])}))
        say(json.dumps([asdict(one) for one in found]))
        return
    ways = tuple(given.ways)
    if given.table:
        runs = [
            Run("", ways, week, 1.0, str(Path(given.table).absolute()), given.train_days)
            for week in range(given.weeks)
        ]
    else:
        runs = [Run(world, ways, seed, given.size) for seed in range(given.seeds) for world in given.worlds]
    say(describe_machine().words)
    gains: list[Gain] = []
    for run in runs:
        started = time.perf_counter()
        fresh = run_apart(run)
        gains += fresh
        for one in fresh:
            say(
                f"{one.world} {one.seed} {one.group}: {one.way}: {one.pr_auc:.4f} "
                f"{one.gain:+.4f} ({one.low:+.4f} to {one.high:+.4f}) {one.note}"
            )
        say(f"{run.world or run.table} {run.seed}: {time.perf_counter() - started:.0f} s")
    for line in table_of(gains):
        say(line)


def say(line: str = "") -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
