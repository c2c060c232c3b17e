"""Fitting the trees: parameters, forward-chaining validation, early stopping, the last fit on everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import lightgbm
import numpy as np
from sklearn.metrics import average_precision_score

from fraud.learn.examples import Bools, Codes, Examples, Fold, as_slice, thin_rows
from fraud.model.card import Floats
from fraud.schema.schema import Schema

PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    "metric": "average_precision",
    "learning_rate": 0.04,
    "num_leaves": 15,
    "max_depth": 5,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 3.0,
    "max_bin": 1023,
    "boost_from_average": False,
    "min_sum_hessian_in_leaf": 1.0,
    "cat_smooth": 50.0,
}
"""Good from a few hundred frauds (the Handbook's data, 7 days) to thousands (60 days; the simulator's, two
seeds), see DECISIONS.md 36 and 66; the depth also bounds the time of reasons.

A start at even odds with a least hessian of 1 lets the first trees cut out groups of four frauds and none of
fewer. At the mean's log-odds a leaf of the same frauds would hardly have a hessian. Bins by the thousand keep
limits in the tail of an amount apart."""
ROUNDS: Final = 600
PATIENCE: Final = 60
"""Rounds without a better mean average precision on the held blocks that end the training."""
BALANCES: Final = ("none", "root", "full")


@dataclass(frozen=True, slots=True)
class Validation:
    """What the forward-chaining validation of one set of parameters found."""

    scores: Floats
    """Average precision of each held block."""
    frauds: Floats
    """Frauds of each held block: the weight of its score."""
    rounds: int
    """Best number of trees."""
    rows: Codes
    """Rows that were held, of all blocks."""
    margin: Floats
    """Their log-odds by the models that had not seen them."""
    sizes: tuple[int, ...]
    """Rows of each held block; they stand one after another in ``rows``."""

    @property
    def mean(self) -> float:
        """Average precision, weighted by the blocks' frauds."""
        return float(np.average(self.scores, weights=self.frauds))


def validate_trees(
    train: Examples,
    folds: Sequence[Fold],
    *,
    seed: int,
    threads: int = 0,
    parameters: dict[str, Any] = PARAMETERS,
    balance: str = "none",
    rounds: int = ROUNDS,
    monotone: Sequence[int] | None = None,
    most_rows: int | None = None,
) -> Validation:
    """Fit one model a fold, all stopping at the number of trees that is best for them together.

    Where ``most_rows`` is given, each model learns from at most so many rows: from every fraud and a sample
    of the honest, each of which counts for those left out. What is held is held in full.
    """
    fits = [thin_rows_of(train.is_fraud, fold.fit, most_rows, seed) for fold in folds]
    full = complete(parameters, train, seed=seed, threads=threads, balance=balance, monotone=monotone)
    found: dict[str, Any] = lightgbm.cv(
        full,
        dataset(train, parameters),
        rounds,
        folds=[(fit, fold.held) for fit, fold in zip(fits, folds, strict=True)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        return_cvbooster=True,
        fpreproc=_weigh(train.is_fraud, folds, fits),
    )
    boosters = found["cvbooster"]
    best = max(int(boosters.best_iteration), 1)
    margin = [
        margins(booster, train.vectors[as_slice(fold.held)], threads, best)
        for booster, fold in zip(boosters.boosters, folds, strict=True)
    ]
    truths = [train.is_fraud[fold.held] for fold in folds]
    return Validation(
        scores=np.array([average_precision(t, m) for t, m in zip(truths, margin, strict=True)]),
        frauds=np.array([truth.sum() for truth in truths], np.float64),
        rounds=best,
        rows=np.concatenate([fold.held for fold in folds]),
        margin=np.concatenate(margin),
        sizes=tuple(len(fold.held) for fold in folds),
    )


def thin_rows_of(is_fraud: Bools, rows: Codes, most: int | None, seed: int) -> Codes:
    """Choose at most so many of these rows; None: all."""
    return rows if most is None else rows[thin_rows(is_fraud[rows], most, seed)]


def _weigh(is_fraud: Bools, folds: Sequence[Fold], fits: Sequence[Codes]) -> Any:
    """Make what LightGBM calls with each fold's data: it lets the sampled honest count for the others."""
    if all(len(fit) == len(fold.fit) for fit, fold in zip(fits, folds, strict=True)):
        return None
    turn = iter(zip(folds, fits, strict=True))

    def weigh(fit: lightgbm.Dataset, held: lightgbm.Dataset, parameters: Any) -> Any:
        fold, rows = next(turn)
        honest = int((~is_fraud[fold.fit]).sum()) / max(int((~is_fraud[rows]).sum()), 1)
        fit.construct().set_weight(np.where(is_fraud[rows], 1.0, honest))
        return fit, held, parameters

    return weigh


def monotone_of(schema: Schema) -> tuple[int, ...]:
    """Tell for each feature whether the score may never fall (1) or rise (-1) as it rises; 0: free."""
    return tuple(feature.monotone for feature in schema.features)


def fit_trees(
    train: Examples,
    *,
    seed: int,
    rounds: int,
    threads: int = 0,
    parameters: dict[str, Any] = PARAMETERS,
    balance: str = "none",
    monotone: Sequence[int] | None = None,
) -> lightgbm.Booster:
    """Fit so many boosted trees to all of the training period.

    The same examples, seed and threads give the same trees, byte for byte.

    Parameters
    ----------
    train
        With frauds and honest transactions.
    seed
        Of the sampling of rows and features.
    rounds
        Number of trees, as validation chose it.
    threads
        0: all cores.
    parameters
        LightGBM's; the weight of a fraud, constraints and determinism are added.
    balance
        One of ``BALANCES``.
    monotone
        For each feature: 1, the score never falls as it rises; -1, never rises; 0, free. By default as the
        schema of the examples says.
    """
    full = complete(parameters, train, seed=seed, threads=threads, balance=balance, monotone=monotone)
    booster = lightgbm.train(full, dataset(train, parameters), rounds)
    return lightgbm.Booster(model_str=booster.model_to_string())


def complete(
    parameters: dict[str, Any],
    train: Examples,
    *,
    seed: int,
    threads: int,
    balance: str,
    monotone: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Add to the parameters what does not depend on taste; by default the constraints of the schema."""
    if monotone is None:
        monotone = monotone_of(train.schema)
    return {
        **parameters,
        "scale_pos_weight": fraud_weight(train.is_fraud, balance),
        **({"monotone_constraints": list(monotone)} if any(monotone) else {}),
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def fraud_weight(is_fraud: Bools, balance: str) -> float:
    """Weight of a fraud.

    The full ratio of the honest to one fraud makes the few frauds' noise as heavy as everything else; its
    root keeps the ranking of the middle. Calibration undoes either shift.
    """
    frauds = int(is_fraud.sum())
    ratio = (len(is_fraud) - frauds) / frauds
    return {"none": 1.0, "root": float(np.sqrt(ratio)), "full": float(ratio)}[balance]


def dataset(examples: Examples, parameters: dict[str, Any], *, keep_raw: bool = False) -> lightgbm.Dataset:
    """Hand examples to LightGBM, which keeps one byte a value; later boosting also reads them raw."""
    return lightgbm.Dataset(
        examples.vectors,
        examples.is_fraud,
        feature_name=list(examples.schema.feature_names),
        categorical_feature=[
            at for at, feature in enumerate(examples.schema.features) if feature.is_categorical
        ],
        params={
            "verbosity": -1,
            "max_bin": parameters.get("max_bin", 255),
            "feature_pre_filter": False,
            "cat_smooth": parameters.get("cat_smooth", 10.0),
        },
        free_raw_data=not keep_raw,
    )


def margins(
    booster: lightgbm.Booster, vectors: Floats, threads: int = 0, rounds: int | None = None
) -> Floats:
    """Log-odds of the trees, before calibration."""
    found = booster.predict(vectors, raw_score=True, num_threads=threads, num_iteration=rounds)
    return np.asarray(found, np.float64)


def average_precision(is_fraud: Bools, score: Floats) -> float:
    """PR-AUC by steps, of classes that are both there."""
    return float(average_precision_score(is_fraud, score))
