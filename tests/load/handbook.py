"""Average precision in the form of the Fraud Detection Handbook's data, ours beside its published features.

    uv run python -m tests.load.handbook --seeds 3 --train-days 7 60

Every seed draws a world of the published size (5,000 customers, 10,000 terminals). Training until day 122
(2018-07-31, as published), 7 days of delay, 7 of test; without a search. ``--table FILE`` takes the published
data instead (Parquet, our names of the columns), over four weeks, each one week earlier, as its authors do.
``pr_auc`` is of all transactions of the test; ``pr_auc_new`` as the Handbook counts: without the cards that
are known to be defrauded by then.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from fraud.learn.examples import build_examples, divide
from fraud.learn.fit import PARAMETERS
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.learn.training import fit
from fraud.tools.bench.machine import describe_machine
from fraud.tools.bench.worlds.handbook import LABEL_DELAY_DAYS, START, baseline_features, draw_handbook
from fraud.tools.bench.worlds.world import DAY_US

TRAIN_UNTIL = 122
"""Day after the training period of the published results."""
TEST_DAYS = 7
WEEKS = 4
TREES = 300
"""Of the trees on the published features: about as many as validation chooses for ours."""
OURS = "our features, our trees"
SAME_TREES = "published features, our trees"
FOREST = "published features, random forest"
LIBRARY = "published features, XGBoost"
MODELS = (OURS, SAME_TREES, FOREST, LIBRARY)
Scorer = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Result:
    """Average precision of one model in one world."""

    model: str
    pr_auc: float
    pr_auc_new: float


def compare(
    seed: int,
    train_days: int,
    until: int = TRAIN_UNTIL,
    threads: int = 1,
    *,
    models: tuple[str, ...] = MODELS,
    table: pa.Table | None = None,
    **changes: Any,
) -> Iterator[Result]:
    """Draw a world, or take a table, train the models that are named and measure them.

    ``changes`` are of our settings.
    """
    begin, test = until - train_days, until + LABEL_DELAY_DAYS
    if table is None:
        world = draw_handbook(days=test + TEST_DAYS, seed=seed)
    else:
        world = table.filter(pc.less(table["event_time"], START + timedelta(days=test + TEST_DAYS)))
    day = (world["event_time"].cast(pa.int64()).to_numpy() - round(START.timestamp() * 1e6)) // DAY_US
    truth = world["is_fraud"].to_numpy() == 1
    in_train, in_test = (day >= begin) & (day < until), day >= test
    is_new = ~known_to_be_defrauded(world["user_id"].to_numpy(), day, truth, begin)[in_test]

    def measure(model: str, score: np.ndarray) -> Result:
        values = (
            average_precision_score(truth[in_test][rows], score[rows]) for rows in (slice(None), is_new)
        )
        return Result(model, *values)

    if OURS in models:
        yield measure(OURS, score_ours(world, train_days, test, {"threads": threads, **changes}))
    plain = baseline_features(world)
    for name, scorer in scorers(threads).items():
        if name in models:
            yield measure(name, scorer(plain[in_train], truth[in_train], plain[in_test]))


def score_ours(world: pa.Table, train_days: int, as_of_day: int, changes: dict[str, Any]) -> np.ndarray:
    """Train as `fraud train` does, with its defaults but for the search, and score the test."""
    with TemporaryDirectory(prefix="handbook-") as folder:
        path = Path(folder) / "world.parquet"
        pq.write_table(world, path)
        given: dict[str, Any] = {
            "transactions": path,
            "as_of": START + timedelta(days=as_of_day),
            "label_gap_days": LABEL_DELAY_DAYS,
            "train_days": train_days,
            "test_days": TEST_DAYS,
            "trials": 0,
            "balance": "none",
        }
        settings = TrainSettings(**{**given, **changes})
        split = divide(build_examples(read_tables(settings)), settings)
    return fit(split, settings).model.predict(split.test.vectors)


def scorers(threads: int) -> dict[str, Scorer]:
    """Name the models on the published features: our trees, and two with their libraries' defaults."""

    def trees(vectors: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
        parameters = {**PARAMETERS, "seed": 7, "num_threads": threads, "verbosity": -1}
        booster = lightgbm.train(parameters, lightgbm.Dataset(vectors, truth), TREES)
        return np.asarray(booster.predict(test))

    def forest(vectors: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
        model = RandomForestClassifier(n_jobs=threads, random_state=0).fit(vectors, truth)
        return np.asarray(model.predict_proba(test)[:, 1])

    def boosted(vectors: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
        model = xgboost.XGBClassifier(n_jobs=threads, random_state=0).fit(vectors, truth)
        return model.predict_proba(test)[:, 1]

    return {SAME_TREES: trees, FOREST: forest, LIBRARY: boosted}


def known_to_be_defrauded(user: np.ndarray, day: np.ndarray, truth: np.ndarray, begin: int) -> np.ndarray:
    """Tell which transactions are of a card with a fraud since ``begin`` known by the day before."""
    frauds = truth & (day >= begin)
    first = np.full(user.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, user[frauds], day[frauds])
    return np.asarray(first[user] < day - LABEL_DELAY_DAYS)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-days", type=int, nargs="+", default=[7, 60])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    given = parser.parse_args()
    say(describe_machine().words)
    for days in given.train_days:
        found: dict[str, list[Result]] = {}
        table = pq.read_table(given.table) if given.table else None
        for seed in range(given.seeds if table is None else WEEKS):
            started = time.perf_counter()
            until = TRAIN_UNTIL - (7 * seed if table is not None else 0)
            models = tuple(given.models)
            for result in compare(seed, days, until, threads=given.threads, models=models, table=table):
                found.setdefault(result.model, []).append(result)
                say(f"{days} d, seed {seed}: {result} {time.perf_counter() - started:.0f} s")
        what = "worlds" if table is None else "weeks"
        say(f"\n| {days} days of training, {seed + 1} {what} | PR-AUC | without known cards |")
        say("|---|---|---|")
        for model, results in found.items():
            figures = spread([r.pr_auc for r in results]), spread([r.pr_auc_new for r in results])
            say(f"| {model} | {' | '.join(figures)} |")
        say()


def say(line: str = "") -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def spread(values: list[float]) -> str:
    """Write the mean, and the least and the greatest."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
