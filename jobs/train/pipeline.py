"""The training from end to end: read, features, split, fit, calibrate, thresholds, measure, register."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import lightgbm
import numpy as np

from fraud.contracts import Thresholds
from fraud.features import FEATURE_NAMES, FEATURES_VERSION
from fraud.model import Floats, ModelCard, Reference, ScoringModel
from jobs.train import flavor
from jobs.train.calibrate import calibrate
from jobs.train.data import Split, build_examples, choose_as_of, read_tables, split_by_time
from jobs.train.fit import PARAMETERS, balance, fit_trees, margins
from jobs.train.measure import Metrics, measure
from jobs.train.plots import draw_all
from jobs.train.publish import Report, open_registry, publish
from jobs.train.settings import TrainSettings
from jobs.train.thresholds import Costs, choose_thresholds

LEVELS: Final = tuple(np.linspace(0.0, 1.0, 21).round(2).tolist())
"""Quantile levels of the training reference."""
EXAMPLE_ROWS: Final = 5

OnStep = Callable[[str], None]


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


def train(settings: TrainSettings, on_step: OnStep = lambda _: None) -> TrainedModel:
    """Train, evaluate and register one model.

    Parameters
    ----------
    settings
        Data, moment, costs and registry.
    on_step
        Told, in words, what begins.

    Raises
    ------
    BadInput
        When the data or the moment do not allow a training; says what to mend.
    Unavailable
        When MLflow does not answer.
    """
    started = perf_counter()
    with open_registry(settings.mlflow_uri, settings.experiment):
        on_step("reading the tables")
        tables = read_tables(settings.data)
        on_step(f"computing {len(FEATURE_NAMES)} features of {tables.transactions.num_rows:,} transactions")
        examples = build_examples(tables)
        as_of = settings.as_of or choose_as_of(examples.event_us, settings.test_share)
        gap = timedelta(days=settings.label_gap_days)
        split = split_by_time(examples, as_of, gap, settings.validation_share)
        on_step(f"fitting trees to {len(split.train):,} transactions")
        booster = fit_trees(split.train, split.validation, seed=settings.seed, threads=settings.threads)
        on_step("calibrating and choosing thresholds")
        model = assemble(booster, split, settings)
        on_step(f"measuring on {len(split.test):,} later transactions")
        probability = model.predict(split.test.vectors)
        metrics = measure(probability, split.test.is_fraud, split.test.amount, model.card.thresholds)
        tags = {
            "features_version": FEATURES_VERSION,
            "data_fingerprint": tables.fingerprint,
            "as_of": as_of.isoformat(),
        }
        parameters = describe(settings, split, booster, model.card)
        with TemporaryDirectory(prefix="train-") as folder:
            on_step("drawing")
            importance = booster.feature_importance("gain")
            files = draw_all(Path(folder), model, importance, split.test, probability)
            files.append(Path(folder) / "metrics.json")
            files[-1].write_text(json.dumps({**tags, **metrics.as_dict()}, indent=1) + "\n", encoding="utf-8")
            on_step("registering")
            example = split.validation.vectors[:EXAMPLE_ROWS]
            report = Report(
                booster.model_to_string(), model.card, example, parameters, metrics.as_dict(), tags, files
            )
            registered = publish(report, settings.data, settings.model_name, settings.alias)
    return TrainedModel(
        name=settings.model_name,
        version=registered.version,
        run_id=registered.run_id,
        as_of=as_of.isoformat(),
        metrics=metrics,
        thresholds=model.card.thresholds,
        features_version=FEATURES_VERSION,
        seconds=perf_counter() - started,
    )


def assemble(booster: lightgbm.Booster, split: Split, settings: TrainSettings) -> ScoringModel:
    """Add calibration, thresholds and reference, all three from validation and training, to the trees."""
    held = split.validation
    margin = margins(booster, held.vectors, settings.threads)
    calibration = calibrate(margin, held.is_fraud)
    probability = calibration.apply(margin)
    costs = Costs(settings.review_cost, settings.wrong_decline_cost, settings.review_capacity)
    card = ModelCard(
        features_version=FEATURES_VERSION,
        feature_names=FEATURE_NAMES,
        calibration=calibration,
        thresholds=choose_thresholds(probability, held.is_fraud, held.amount, costs),
        reference=describe_distribution(split.train.vectors, probability),
        signature=flavor.make_signature().to_dict(),
    )
    return ScoringModel(booster, card, settings.threads)


def describe_distribution(vectors: Floats, probability: Floats) -> Reference:
    """Take quantiles of the training features, and of the scores of the validation period."""
    features: dict[str, tuple[float | None, ...]] = {}
    missing: dict[str, float] = {}
    for name, column in zip(FEATURE_NAMES, vectors.T, strict=True):
        there = column[~np.isnan(column)]
        missing[name] = 1.0 - len(there) / len(column)
        features[name] = tuple(np.quantile(there, LEVELS).tolist()) if len(there) else (None,) * len(LEVELS)
    score = tuple(np.quantile(probability, LEVELS).tolist())
    return Reference(levels=LEVELS, features=features, missing=missing, score=score)


def describe(
    settings: TrainSettings, split: Split, booster: lightgbm.Booster, card: ModelCard
) -> dict[str, Any]:
    """List what the run was made with."""
    own = settings.model_dump(mode="json", include=_LOGGED)
    periods = {"train": split.train, "validation": split.validation, "test": split.test}
    rows = {f"{name}_rows": len(period) for name, period in periods.items()}
    frauds = {f"{name}_frauds": int(period.is_fraud.sum()) for name, period in periods.items()}
    return {
        **own,
        **PARAMETERS,
        **rows,
        **frauds,
        "as_of": split.as_of.isoformat(),
        "scale_pos_weight": balance(split.train),
        "trees": booster.num_trees(),
        "calibration": card.calibration.kind,
        "review_threshold": card.thresholds.review,
        "decline_threshold": card.thresholds.decline,
        "features_version": FEATURES_VERSION,
    }


_LOGGED: Final = {
    "label_gap_days",
    "validation_share",
    "review_cost",
    "wrong_decline_cost",
    "review_capacity",
    "seed",
}
