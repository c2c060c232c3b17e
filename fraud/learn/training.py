"""The training from end to end: read, split, choose, fit, calibrate, thresholds, measure, register."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import lightgbm
import numpy as np

from fraud.contracts import Thresholds
from fraud.learn.baselines import score_baselines
from fraud.learn.calibrate import calibrate
from fraud.learn.examples import Examples, Split, build_examples, divide, forward_folds, to_micros
from fraud.learn.fit import Validation, fit_trees, fraud_weight, validate_trees
from fraud.learn.measure import Metrics, measure
from fraud.learn.profile import make_profile, write_profile
from fraud.learn.report import Evaluation, write_report
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import Tables, read_tables
from fraud.learn.thresholds import choose_thresholds, costs_of
from fraud.learn.tune import Choice, choose, constraints
from fraud.model import flavor
from fraud.model.aliases import TRAINED_UNTIL
from fraud.model.card import Floats, ModelCard, Reference, ScoringModel
from fraud.model.publish import Report, publish
from fraud.model.registry import open_registry
from fraud.schema.schema import Schema
from fraud.watch.bootstrap import NAMES, Interval, Scored, best_f1_threshold, interval, resample
from fraud.watch.profile import Profile

LEVELS: Final = tuple(np.linspace(0.0, 1.0, 21).round(2).tolist())
"""Quantile levels of the training reference."""
EXAMPLE_ROWS: Final = 5
OURS: Final = "lightgbm"
"""Name of our model in the comparison."""

OnStep = Callable[[str], None]
Comparison = dict[str, dict[str, Interval]]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A training that is registered."""

    name: str
    """Of the registered model."""
    version: str
    """In the registry."""
    run_id: str
    """Of the MLflow run."""
    as_of: str
    """The moment of training, ISO 8601."""
    metrics: Metrics
    """On the test period."""
    thresholds: Thresholds
    features_version: str
    seconds: float
    """Wall time of the training."""
    comparison: Comparison = field(default_factory=dict)
    """Model: figure: value and interval on the test period; F1, precision and recall where validation put
    the best F1."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that is not registered yet, and what is known of how it came to be."""

    model: ScoringModel
    booster: lightgbm.Booster
    choice: Choice
    validation: Validation
    f1_threshold: float
    """Probability of the greatest F1 on the validation blocks."""


def train(
    settings: TrainSettings,
    on_step: OnStep = lambda _: None,
    tags: Mapping[str, str] | None = None,
    schema: Schema | None = None,
) -> TrainedModel:
    """Train, evaluate and register one model.

    Parameters
    ----------
    settings
        Data, moment, costs and registry.
    on_step
        Told, in words, what begins.
    tags
        Further ones of the run and of the model version.
    schema
        Of the data; by default the deployment's.

    Raises
    ------
    BadInput
        When the data or the moment do not allow a training; says what to correct.
    Unavailable
        When MLflow does not answer.
    """
    started = perf_counter()
    with open_registry(settings.mlflow_uri, settings.experiment, settings.registry_uri):
        on_step("reading the tables")
        tables = read_tables(settings, on_step, schema)
        count = len(tables.schema.features)
        on_step(f"computing {count} features of {tables.transactions.num_rows:,} transactions")
        examples = build_examples(tables, vectors=settings.vectors, gap_days=settings.label_gap_days)
        split = divide(examples, settings)
        fitted = fit(split, settings, on_step)
        on_step(f"measuring on {len(split.test):,} later transactions")
        probability = fitted.model.predict(split.test.vectors)
        comparison = compare(fitted, split, probability, settings, on_step)
        profile = make_profile(
            examples,
            tables.transactions,
            split,
            fitted.model,
            fitted.validation,
            until_us=to_micros(split.as_of),
        )
        return register(
            fitted,
            split,
            tables,
            settings,
            profile=profile,
            comparison=comparison,
            probability=probability,
            started=started,
            on_step=on_step,
            tags=tags,
        )


def fit(split: Split, settings: TrainSettings, on_step: OnStep = lambda _: None) -> Fitted:
    """Choose parameters, fit, calibrate and choose thresholds; the test period is not looked at.

    The trees are fitted to the whole training period. Their number, the calibration and the thresholds
    come from the forward-chaining validation.
    """
    choice = choose(split.train, settings, on_step)
    folds = forward_folds(split.train, settings.folds, settings.validation_share)
    on_step(f"validating forward on {len(folds)} blocks of {len(split.train):,} transactions")
    kwargs: dict[str, Any] = {
        "seed": settings.seed,
        "threads": settings.threads,
        "parameters": choice.parameters,
        "balance": choice.balance,
        "monotone": constraints(settings, split.train.schema),
    }
    validation = validate_trees(split.train, folds, most_rows=settings.validation_rows, **kwargs)
    on_step(f"fitting {validation.rounds} trees to {len(split.train):,} transactions")
    booster = fit_trees(split.train, rounds=validation.rounds, **kwargs)
    on_step("calibrating and choosing thresholds")
    held = split.train.take(validation.rows)
    calibration = calibrate(validation.margin, held.is_fraud, settings.calibration)
    probability = calibration.apply(validation.margin)
    schema = split.train.schema
    card = ModelCard(
        features_version=schema.features_version,
        feature_names=schema.feature_names,
        calibration=calibration,
        thresholds=choose_thresholds(probability, held.is_fraud, held.amount, costs_of(settings)),
        reference=describe_distribution(split.train, probability),
        signature=flavor.make_signature(schema.feature_names).to_dict(),
    )
    model = ScoringModel(booster, card, settings.threads)
    return Fitted(model, booster, choice, validation, best_f1_threshold(probability, held.is_fraud))


def compare(
    fitted: Fitted, split: Split, probability: Floats, settings: TrainSettings, on_step: OnStep
) -> Comparison:
    """Measure our model, and the baselines if asked for, with intervals over users."""
    scored = {OURS: Scored(probability, fitted.f1_threshold)}
    if settings.baselines:
        fold = forward_folds(split.train, settings.folds, settings.validation_share)[-1]
        scored |= score_baselines(split.train, split.test, fold, settings, on_step)
    if settings.bootstrap:
        on_step(f"resampling the test's users {settings.bootstrap} times")
    found = resample(scored, split.test, settings.bootstrap, settings.seed)
    return {
        name: {figure: interval(values[:, i]) for i, figure in enumerate(NAMES)}
        for name, values in found.items()
    }


def register(
    fitted: Fitted,
    split: Split,
    tables: Tables,
    settings: TrainSettings,
    *,
    profile: Profile,
    comparison: Comparison,
    probability: Floats,
    started: float,
    on_step: OnStep,
    tags: Mapping[str, str] | None,
) -> TrainedModel:
    """Write the report, the run and the model version."""
    card = fitted.model.card
    metrics = measure(probability, split.test.is_fraud, split.test.amount, card.thresholds)
    own = {
        "features_version": card.features_version,
        "data_fingerprint": tables.fingerprint,
        "as_of": split.as_of.isoformat(),
        TRAINED_UNTIL: split.train_end.isoformat(),
        **(tags or {}),
    }
    logged = {**metrics.as_dict(), **flat(comparison)}
    with TemporaryDirectory(prefix="train-") as folder:
        on_step("drawing")
        evaluation = Evaluation(
            title=f"{settings.model_name}: training of {split.as_of:%Y-%m-%d}",
            facts=own,
            model=fitted.model,
            examples=split.test,
            probability=probability,
            metrics=metrics,
            costs=costs_of(settings),
            comparison=comparison,
        )
        files = [*write_report(evaluation, Path(folder)), write_profile(profile, Path(folder))]
        on_step("registering")
        report = Report(
            trees=fitted.booster.model_to_string(),
            card=card,
            example=split.train.vectors[:EXAMPLE_ROWS],
            parameters=describe(settings, split, fitted),
            metrics=logged,
            tags=own,
            files=files,
        )
        source = settings.transactions or settings.data
        registered = publish(report, source, settings.model_name, settings.alias)
    return TrainedModel(
        name=settings.model_name,
        version=registered.version,
        run_id=registered.run_id,
        as_of=split.as_of.isoformat(),
        metrics=metrics,
        thresholds=card.thresholds,
        features_version=card.features_version,
        seconds=perf_counter() - started,
        comparison=comparison,
    )


def flat(comparison: Comparison) -> dict[str, float]:
    """Name every figure of a comparison as MLflow does: ``xgboost.pr_auc.low``."""
    return {
        f"{model}.{figure}{suffix}": value
        for model, figures in comparison.items()
        for figure, found in figures.items()
        for suffix, value in (("", found.value), (".low", found.low), (".high", found.high))
        if np.isfinite(value)
    }


def describe_distribution(train: Examples, probability: Floats) -> Reference:
    """Take quantiles of the training features, and of the scores of the validation blocks."""
    features: dict[str, tuple[float | None, ...]] = {}
    missing: dict[str, float] = {}
    for name, column in zip(train.schema.feature_names, train.vectors.T, strict=True):
        there = column[~np.isnan(column)]
        missing[name] = 1.0 - len(there) / len(column)
        features[name] = tuple(np.quantile(there, LEVELS).tolist()) if len(there) else (None,) * len(LEVELS)
    score = tuple(np.quantile(probability, LEVELS).tolist())
    return Reference(levels=LEVELS, features=features, missing=missing, score=score)


def describe(settings: TrainSettings, split: Split, fitted: Fitted) -> dict[str, Any]:
    """List what the run was made with."""
    validation = fitted.validation
    periods: dict[str, Examples] = {"train": split.train, "test": split.test}
    card = fitted.model.card
    return {
        **settings.model_dump(mode="json", include=_LOGGED),
        **fitted.choice.parameters,
        **{f"{name}_rows": len(period) for name, period in periods.items()},
        **{f"{name}_frauds": int(period.is_fraud.sum()) for name, period in periods.items()},
        "as_of": split.as_of.isoformat(),
        "balance": fitted.choice.balance,
        "scale_pos_weight": fraud_weight(split.train.is_fraud, fitted.choice.balance),
        "trials_run": len(fitted.choice.trials),
        "validation_pr_auc": validation.mean,
        "trees": fitted.booster.num_trees(),
        "calibration": card.calibration.kind,
        "review_threshold": card.thresholds.review,
        "decline_threshold": card.thresholds.decline,
        "features_version": card.features_version,
    }


_LOGGED: Final = {
    "label_gap_days",
    "validation_share",
    "folds",
    "monotone",
    "review_cost",
    "wrong_decline_cost",
    "fraud_cost_share",
    "review_capacity",
    "seed",
}
