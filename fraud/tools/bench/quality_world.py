"""One table of the scoreboard, in a process of its own (a schema is read once a process).

    FRAUD_SCHEMA_FILE=... python -m fraud.tools.bench.quality_world '{"world": "amlsim", "seed": 0, ...}'

The same rows and the same trees see the raw columns, the published features and ours; prints JSON.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any, Final

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraud.errors import BadInput
from fraud.learn.examples import Bools, Examples, Split, build_examples, check_classes, divide, forward_folds
from fraud.learn.fit import PARAMETERS, PATIENCE, ROUNDS, complete
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import read_tables
from fraud.learn.training import fit
from fraud.tools.bench.worlds import amlsim, handbook, processor, sparkov
from fraud.tools.bench.worlds.world import DAY_US, Floats, World, times_of
from fraud.watch.bootstrap import NAMES, Scored, interval, resample
from jobs.init.measure import LEAK
from jobs.init.strength import strength_of

WORLDS: Final = {module.WORLD.name: module.WORLD for module in (handbook, sparkov, amlsim, processor)}
RAW, PUBLISHED, OURS = "raw columns", "published features", "our features"
BY_TIME, AT_RANDOM = "by time", "at random"
TEST_SHARE: Final = 0.3
"""Of a random split."""
RESAMPLES: Final = 200
FEW_VALUES: Final = 64
"""A text column of no more values is a category, to the trees on raw columns."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure."""

    name: str
    """Of a world, or the path of a table."""
    seed: int = 0
    size: float = 1.0
    trials: int = 0
    """Of the search for parameters, for our features; 0: none, and no choice of the weights either."""
    gap_days: float | None = None
    """Of a table: how long labels take; None: as ``fraud train`` does."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Average precision of one model on one test."""

    table: str
    split: str
    model: str
    seed: int
    rows: int
    """Of the test."""
    frauds: int
    pr_auc: float
    low: float
    high: float


def measure(task: Task) -> tuple[list[Figure], list[str]]:
    """Measure a table; returns the figures, and the leaks that were found.

    Raises
    ------
    BadInput
        When the table cannot be read, or a period lacks frauds.
    """
    world = WORLDS.get(task.name)
    with TemporaryDirectory(prefix="quality-") as folder:
        path, table = task.name, None
        if world is not None:
            path, table = f"{folder}/world.parquet", world.draw(task.seed, task.size)
            pq.write_table(table, path)
        settings = settings_of(task, world, path)
        tables = read_tables(settings)
        examples = build_examples(tables, gap_days=settings.label_gap_days)
    raw, categories = raw_columns(tables.transactions)
    if len(raw) != len(examples):
        raise BadInput(f"{task.name} has {len(raw) - len(examples)} transactions twice: leave them out")
    parts = {OURS: examples.vectors, RAW: raw}
    if world is not None and table is not None:
        if not np.array_equal(times_of(table), examples.event_us):
            raise BadInput(f"the rows of {task.name} were read in another order than they were drawn")
        parts[PUBLISHED] = world.features(table)
    leaks = [*(world.leaks if world else ()), *leaking(tables.transactions, examples.is_fraud)]
    figures: list[Figure] = []
    for name, split in splits_of(examples, parts, settings):
        counted: Bools | slice = slice(None)
        if world is not None and world.without_known and name == BY_TIME:
            counted = is_new(examples, split, world.gap_days)
        figures += measure_split(task, name, split, parts, settings, categories=categories, counted=counted)
    return figures, leaks


def settings_of(task: Task, world: World | None, path: str) -> TrainSettings:
    """Make the settings of ``fraud train``: its defaults but for what the form of the data says."""
    given: dict[str, Any] = {"transactions": path, "threads": 1, "trials": task.trials, "baselines": False}
    if not task.trials:
        given["balance"] = "none"
    if task.gap_days is not None:
        given["label_gap_days"] = task.gap_days
    if world is not None:
        given |= {
            "label_gap_days": world.gap_days,
            "train_days": world.train_days,
            "test_days": world.test_days,
        }
    return TrainSettings(**given)


def splits_of(
    examples: Examples, parts: dict[str, Floats], settings: TrainSettings
) -> Iterator[tuple[str, Split]]:
    """Divide the rows by time and at random; the vectors are all parts side by side.

    Both train on as many rows, so that the division alone makes the difference.
    """
    whole = replace(examples, vectors=np.column_stack(list(parts.values())))
    split = divide(whole, settings)
    yield BY_TIME, split
    order = np.random.default_rng(settings.seed).permutation(len(whole))
    cut = round(TEST_SHARE * len(order))
    train, test = whole.take(np.sort(order[cut:][: len(split.train)])), whole.take(np.sort(order[:cut]))
    check_classes(train, "train (at random)")
    check_classes(test, "test (at random)")
    yield AT_RANDOM, Split(train, test, split.as_of, split.train_end)


def measure_split(
    task: Task,
    name: str,
    split: Split,
    parts: dict[str, Floats],
    settings: TrainSettings,
    *,
    categories: Sequence[int],
    counted: Bools | slice,
) -> list[Figure]:
    """Train on each part of the vectors, and measure with intervals over the users of the test."""
    scored, first = {}, 0
    for part, columns in parts.items():
        at = slice(first, first + columns.shape[1])
        first = at.stop
        train, test = (replace(one, vectors=one.vectors[:, at]) for one in (split.train, split.test))
        if part == OURS:
            score = fit(replace(split, train=train, test=test), settings).model.predict(test.vectors)
        else:
            score = score_plain(train, test, settings, categories if part == RAW else ())
        scored[part] = Scored(score[counted], 0.5)
    test = split.test.take(counted)
    found = resample(scored, test, RESAMPLES, settings.seed)
    at_auc = NAMES.index("pr_auc")
    intervals = {part: interval(values[:, at_auc]) for part, values in found.items()}
    frauds = int(test.is_fraud.sum())
    return [
        Figure(task.name, name, part, task.seed, len(test), frauds, one.value, one.low, one.high)
        for part, one in intervals.items()
    ]


def score_plain(
    train: Examples, test: Examples, settings: TrainSettings, categories: Sequence[int]
) -> Floats:
    """Fit our trees to other columns: the same parameters, and as many trees as validation chooses."""
    folds = forward_folds(train, settings.folds, settings.validation_share)
    parameters = complete(
        PARAMETERS, train, seed=settings.seed, threads=settings.threads, balance="none", monotone=()
    )

    def data() -> lightgbm.Dataset:
        of_data = {"max_bin": PARAMETERS["max_bin"], "feature_pre_filter": False, "verbosity": -1}
        return lightgbm.Dataset(
            train.vectors, train.is_fraud, categorical_feature=list(categories), params=of_data
        )

    found: dict[str, Any] = lightgbm.cv(
        parameters,
        data(),
        ROUNDS,
        folds=[(fold.fit, fold.held) for fold in folds],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        return_cvbooster=True,
    )
    rounds = max(int(found["cvbooster"].best_iteration), 1)
    return np.asarray(lightgbm.train(parameters, data(), rounds).predict(test.vectors), np.float64)


def raw_columns(transactions: pa.Table) -> tuple[Floats, list[int]]:
    """Make numbers of the columns as they are: [n, columns], and which of them are categories.

    Texts are numbered in the order in which they come; the time is its hour and its weekday.
    """
    time_us = times_of(transactions)
    columns: list[Any] = [time_us // 3_600_000_000 % 24, (time_us // DAY_US + 3) % 7]
    categories: list[int] = []
    for name in transactions.column_names:
        column = transactions[name].combine_chunks()
        if name in NOT_RAW or pa.types.is_timestamp(column.type):
            continue
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            columns.append(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
            continue
        encoded = column.cast(pa.string()).dictionary_encode()
        if len(encoded.dictionary) <= FEW_VALUES:
            categories.append(len(columns))
        columns.append(encoded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return np.column_stack(columns).astype(np.float64), categories


NOT_RAW: Final = frozenset({"transaction_id", "arrival_time", "received_at", "is_fraud"})


def is_new(examples: Examples, split: Split, gap_days: float) -> Bools:
    """Tell which rows of the test are of users without a fraud since the training began that is known.

    It is known so many days after its own.
    """
    frauds = examples.take(examples.is_fraud & (examples.event_us >= split.train.event_us.min()))
    first = np.full(int(examples.user.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, frauds.user, frauds.event_us // DAY_US)
    return np.asarray(first[split.test.user] >= split.test.event_us // DAY_US - gap_days)


def leaking(transactions: pa.Table, is_fraud: Bools) -> list[str]:
    """Name the columns that tell the label by themselves."""
    names = [name for name in transactions.column_names if name not in NOT_RAW]
    texts = {name: transactions[name].combine_chunks() for name in names}
    return [
        f"the column {name} tells the label by itself"
        for name, column in texts.items()
        if not pa.types.is_timestamp(column.type) and strength_of(column, is_fraud) >= LEAK
    ]


def main() -> None:
    """Measure the task that is named, and print the figures as JSON."""
    figures, leaks = measure(Task(**json.loads(sys.argv[1])))
    sys.stdout.write(json.dumps({"figures": [asdict(one) for one in figures], "leaks": leaks}) + "\n")


if __name__ == "__main__":
    main()
