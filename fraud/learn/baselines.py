"""Other models on the same periods: what the trees have to beat.

Logistic regression and random forest (scikit-learn), XGBoost, and the rules that decide when no model
answers. Each sees the same vectors; what it cannot take as missing is imputed by the training's median.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from fraud.learn.examples import Bools, Examples, Fold, thin
from fraud.learn.settings import TrainSettings
from fraud.model.card import Floats
from fraud.schema.schema import Schema
from fraud.watch.bootstrap import Scored, best_f1_threshold


class Classifier(Protocol):
    """What scikit-learn and XGBoost have in common."""

    def fit(self, vectors: Floats, is_fraud: Bools) -> Any:
        """Learn."""

    def predict_proba(self, vectors: Floats) -> Floats:
        """Score, [n, 2]."""


class Rules:
    """How many of the policy's fallback rules hold; nothing is learnt.

    Parameters
    ----------
    schema
        Whose fallback it is.
    """

    def __init__(self, schema: Schema) -> None:
        self._fallback = schema.fallback
        self._columns = [schema.feature_names.index(rule.feature) for rule in schema.fallback]

    def fit(self, vectors: Floats, is_fraud: Bools) -> "Rules":
        """Do nothing."""
        del vectors, is_fraud
        return self

    def predict_proba(self, vectors: Floats) -> Floats:
        """Share of the rules that hold; 0 where the schema has none."""
        held = vectors[:, self._columns] >= np.array([rule.limit for rule in self._fallback])
        share = held.sum(axis=1) / max(len(self._fallback), 1)
        return np.column_stack([1.0 - share, share])


def make_baselines(seed: int, threads: int, schema: Schema) -> dict[str, Callable[[], Classifier]]:
    """Name and maker of each."""
    jobs = threads or -1
    return {
        "xgboost": lambda: xgboost.XGBClassifier(
            n_estimators=200, learning_rate=0.1, max_depth=6, max_bin=127, n_jobs=jobs, random_state=seed
        ),
        "random_forest": lambda: RandomForestClassifier(
            100, min_samples_leaf=2, n_jobs=jobs, random_state=seed
        ),
        "logistic_regression": lambda: make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            # Amounts and times have long tails; ranks made normal are what a linear model can use.
            QuantileTransformer(output_distribution="normal", subsample=20_000, random_state=seed),
            LogisticRegression(C=0.1, max_iter=400),
        ),
        "rules": lambda: Rules(schema),
    }


NAMES: Final = ("xgboost", "random_forest", "logistic_regression", "rules")


def score_baselines(
    train: Examples,
    test: Examples,
    fold: Fold,
    settings: TrainSettings,
    on_step: Callable[[str], None] = lambda _: None,
) -> dict[str, Scored]:
    """Fit each baseline, and score the test period.

    Parameters
    ----------
    train, test
        The periods.
    fold
        The last of the forward-chaining validation: the threshold of F1 is chosen on it.
    settings
        Of the training.
    on_step
        Told what begins.
    """
    scored = {}
    fit = thin(train.take(fold.fit), settings.baseline_rows, settings.seed)
    held = train.take(fold.held)
    whole = thin(train, settings.baseline_rows, settings.seed)
    for name, make in make_baselines(settings.seed, settings.threads, train.schema).items():
        on_step(f"baseline: {name.replace('_', ' ')}")
        threshold = best_f1_threshold(_scores(make().fit(fit.vectors, fit.is_fraud), held), held.is_fraud)
        model = make().fit(whole.vectors, whole.is_fraud)
        scored[name] = Scored(_scores(model, test), threshold)
    return scored


def _scores(model: Classifier, examples: Examples, block: int = 200_000) -> Floats:
    parts = [
        model.predict_proba(examples.vectors[start : start + block])[:, 1]
        for start in range(0, len(examples), block)
    ]
    return np.concatenate(parts).astype(np.float64)
