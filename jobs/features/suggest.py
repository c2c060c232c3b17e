"""Chooses further features by what they gain on later transactions, within a budget of time.

All candidates are computed by the fold that serves them. A first model ranks them; those that are worth no
more than shuffled columns fall away. Each of the others is added alone to what is there, best first, and
stays where the PR-AUC rises in every forward block, and its mean by more than two standard errors. The test
period, which no choice has seen, says at the end what the chosen ones are worth.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from fraud.features.batch import compute_features
from fraud.features.passes import passes_of_schema
from fraud.learn.examples import Examples, Fold, build_examples, divide, forward_folds, thin
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import Tables
from fraud.schema.schema import Schema
from jobs.features.candidates import Line, candidates, extended

LEAST_GAIN: Final = 0.001
"""Rise of the PR-AUC below which a feature is not worth its line."""
SEEDS: Final = (1, 2)
_SHADOWS: Final = 20
_TIMED_ROWS: Final = 20_000
_PARAMETERS: Final = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,  # the models are small: threads would wait for each other more than they work
}
_ROUNDS: Final = 100
Tell = Callable[[str], None]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One further feature.

    Parameters
    ----------
    line
        Of the schema's file.
    name
        Of the feature.
    gain, error
        Rise of the mean PR-AUC over the forward blocks beside those chosen before, and its standard error.
    cost_us
        Time of the fold that it adds to a transaction, microseconds.
    state_bytes
        Size that it adds to the mean state.
    """

    line: Line
    name: str
    gain: float
    error: float
    cost_us: float = 0.0
    state_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Suggested:
    """What a search found.

    Parameters
    ----------
    chosen
        In the order of the choice.
    tried
        How many were added alone.
    candidates
        How many there were.
    ranked
        How many of them were worth more than a shuffled column.
    before, after
        PR-AUC of the test period, without and with the chosen ones.
    """

    chosen: tuple[Suggestion, ...]
    tried: int
    candidates: int
    ranked: int
    before: float
    after: float


def suggest(
    tables: Tables,
    schema: Schema,
    settings: TrainSettings,
    *,
    budget_s: float = 600.0,
    most: int = 8,
    tell: Tell = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Suggested:
    """Search for features that a schema lacks.

    Parameters
    ----------
    tables
        Transactions and labels.
    schema
        That of the deployment, whose events the tables make.
    settings
        Division by time and folds, as in training.
    budget_s
        After so many seconds no further candidate is tried.
    most
        How many are chosen at most.
    tell
        Is told what is done.
    clock
        Seconds; for tests.

    Raises
    ------
    BadInput
        When the data do not allow a validation; says what to repair.
    """
    started = clock()
    new = candidates(schema)
    wide = extended(schema, list(new.values()))
    tell(f"computing {len(new)} candidates beside {len(schema.features)} features")
    examples = build_examples(
        tables, vectors="computed", gap_days=settings.label_gap_days, passes=passes_of_schema(wide)
    )
    split = divide(examples, settings)
    train = thin(split.train, settings.tune_rows, settings.seed)
    folds = forward_folds(train, settings.folds, settings.validation_share)
    column = {name: at for at, name in enumerate(wide.feature_names)}
    own = [column[name] for name in schema.feature_names]
    tell(f"ranking them on {len(train):,} transactions, {int(train.is_fraud.sum()):,} frauds")
    ranked = _ranked(
        train, folds, [*own, *(column[name] for name in new)], {column[name]: name for name in new}
    )
    chosen: list[Suggestion] = []
    base = _scores(train, folds, own)
    tried = 0
    for name in ranked:
        if clock() - started > budget_s or len(chosen) >= most:
            break
        tried += 1
        found = _scores(train, folds, [*own, column[name]])
        gain, error = _difference(found, base)
        if gain > max(LEAST_GAIN, 2 * error):
            tell(f"{name}: {gain:+.4f}")
            chosen.append(Suggestion(new[name], name, gain, error))
            own, base = [*own, column[name]], found
    known = [column[name] for name in schema.feature_names]
    before, after = (_test_score(split.train, split.test, columns) for columns in (known, own))
    return Suggested(tuple(_costed(chosen, tables, schema)), tried, len(new), len(ranked), before, after)


def _ranked(train: Examples, folds: Sequence[Fold], columns: list[int], names: dict[int, str]) -> list[str]:
    """Order candidates by their gain in models that see them all; drop what is worth a shuffled column."""
    mine = train.vectors[:, columns]
    rng = np.random.default_rng(SEEDS[0])
    drawn = rng.choice([at for at, column in enumerate(columns) if column in names], _SHADOWS)
    shadows = np.column_stack([rng.permutation(mine[:, at]) for at in drawn])
    both = np.hstack([mine, shadows])
    total = np.zeros(both.shape[1])
    for fold in folds:
        for seed in SEEDS:
            model = _fit(both[fold.fit], train.is_fraud[fold.fit], seed)
            total += model.feature_importance("gain")
    least = float(total[len(columns) :].max())
    order = np.argsort(-total[: len(columns)], kind="stable")
    return [names[columns[at]] for at in order if columns[at] in names and total[at] > least]


def _scores(train: Examples, folds: Sequence[Fold], columns: list[int]) -> Floats:
    """Measure the PR-AUC on each block with each seed, [blocks, seeds]."""
    vectors = train.vectors[:, columns]
    found = [
        [
            average_precision_score(
                train.is_fraud[fold.held],
                _fit(vectors[fold.fit], train.is_fraud[fold.fit], seed).predict(vectors[fold.held]),
            )
            for seed in SEEDS
        ]
        for fold in folds
    ]
    return np.asarray(found)


def _fit(vectors: Floats, is_fraud: NDArray[np.bool_], seed: int) -> lightgbm.Booster:
    data = lightgbm.Dataset(vectors, is_fraud.astype(float))
    return lightgbm.train({**_PARAMETERS, "seed": seed}, data, num_boost_round=_ROUNDS)


def _difference(found: Floats, base: Floats) -> tuple[float, float]:
    """Return the mean rise and its standard error; where a block falls, the rise is none."""
    rises = (found - base).mean(axis=1)
    error = float((found - base).std(ddof=1) / np.sqrt(found.size))
    return (float(rises.mean()) if (rises > 0).all() else 0.0), error


def _test_score(train: Examples, test: Examples, columns: list[int]) -> float:
    vectors, held = train.vectors[:, columns], test.vectors[:, columns]
    scores = [_fit(vectors, train.is_fraud, seed).predict(held) for seed in SEEDS]
    return float(np.mean([average_precision_score(test.is_fraud, score) for score in scores]))


def _costed(chosen: list[Suggestion], tables: Tables, schema: Schema) -> list[Suggestion]:
    """Measure what each chosen feature adds to the fold and to the states, on the newest transactions."""
    part = tables.transactions.slice(max(0, tables.transactions.num_rows - _TIMED_ROWS))
    base_us, base_bytes = _cost(schema, part)
    found = []
    for one in chosen:
        cost_us, size = _cost(extended(schema, [one.line]), part)
        found.append(
            Suggestion(
                one.line, one.name, one.gain, one.error, max(0.0, cost_us - base_us), size - base_bytes
            )
        )
    return found


def _cost(schema: Schema, part: object) -> tuple[float, float]:
    passes = passes_of_schema(schema)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        table = compute_features(part, passes=passes, keep_states=True)
        times.append(time.perf_counter() - started)
    states = [len(state) for of_entity in table.states.values() for state in of_entity.values()]
    return 1e6 * min(times) / max(1, len(table.vectors)), float(np.mean(states)) if states else 0.0
