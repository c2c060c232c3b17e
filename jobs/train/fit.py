"""Fitting the trees."""

from collections.abc import Sequence
from typing import Any, Final

import lightgbm
import numpy as np

from fraud.features import FEATURE_NAMES, FEATURES
from fraud.model import Floats
from jobs.train.data import Examples

PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    "metric": "average_precision",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "max_depth": 6,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "cat_smooth": 50.0,
}
"""Chosen for PR-AUC on synthetic data of several seeds; the depth also bounds the time of reasons."""
ROUNDS: Final = 600
MONOTONE: Final = tuple(feature.monotone for feature in FEATURES)
PATIENCE: Final = 60
"""Rounds without a better average precision on validation that end the training."""


def fit_trees(
    train: Examples,
    validation: Examples,
    *,
    seed: int,
    threads: int = 0,
    parameters: dict[str, Any] = PARAMETERS,
    rounds: int = ROUNDS,
    monotone: Sequence[int] = MONOTONE,
) -> lightgbm.Booster:
    """Fit boosted trees, stopping when the average precision on validation no longer rises.

    The same examples, seed and threads give the same trees, byte for byte.

    Parameters
    ----------
    train, validation
        Both with frauds and honest transactions.
    seed
        Of the sampling of rows and features.
    threads
        0: all cores.
    parameters
        LightGBM's; the balance of classes, constraints and determinism are added.
    rounds
        Greatest number of trees.
    monotone
        For each feature: 1, the score never falls as it rises; -1, never rises; 0, free.

    Returns
    -------
    lightgbm.Booster
        Cut at the best round.
    """
    full = {
        **parameters,
        "scale_pos_weight": balance(train),
        **({"monotone_constraints": list(monotone)} if any(monotone) else {}),
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    categorical = [index for index, feature in enumerate(FEATURES) if feature.is_categorical]
    data = lightgbm.Dataset(
        train.vectors,
        train.is_fraud,
        feature_name=list(FEATURE_NAMES),
        categorical_feature=categorical,
        params={"verbosity": -1, "max_bin": parameters.get("max_bin", 255)},
    )
    booster = lightgbm.train(
        full,
        data,
        rounds,
        valid_sets=[data.create_valid(validation.vectors, validation.is_fraud)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))


def balance(train: Examples) -> float:
    """Weight of a fraud: the root of how many honest transactions there are to one fraud.

    The full ratio makes the few frauds' noise as heavy as everything else; the root keeps the
    ranking of the middle, and calibration undoes the shift.
    """
    frauds = int(train.is_fraud.sum())
    return float(np.sqrt((len(train) - frauds) / frauds))


def margins(booster: lightgbm.Booster, vectors: Floats, threads: int = 0) -> Floats:
    """Log-odds of the trees, before calibration."""
    return np.asarray(booster.predict(vectors, raw_score=True, num_threads=threads), np.float64)
