"""Evaluating a registered model on a labelled table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fraud.errors import BadInput
from fraud.learn.examples import (
    NEVER,
    Examples,
    build_examples,
    check_classes,
    in_words,
    ripe_until,
    to_micros,
)
from fraud.learn.measure import Metrics, measure
from fraud.learn.report import REPORT_FILE, Evaluation, write_report
from fraud.learn.settings import EvaluateSettings
from fraud.learn.tables import read_tables
from fraud.learn.thresholds import costs_of
from fraud.model.card import ScoringModel
from fraud.model.publish import record_evaluation
from fraud.model.registry import ModelVersions, open_registry
from fraud.settings.base import parse_time
from fraud.watch.bootstrap import NAMES, Interval, Scored, interval, resample


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation that is written and logged."""

    version: str
    run_id: str
    report: Path
    metrics: Metrics
    comparison: Mapping[str, Mapping[str, Interval]]


def evaluate(settings: EvaluateSettings, on_step: Callable[[str], None] = lambda _: None) -> Evaluated:
    """Evaluate a registered version: report into a folder, and the same files as a run's artifacts.

    Raises
    ------
    BadInput
        When the version, the table or labels of the period are missing.
    BadModel
        When the version does not fit this build's feature table.
    """
    with open_registry(settings.mlflow_uri, settings.experiment, settings.registry_uri):
        versions = ModelVersions(settings.model_name)
        version = versions.resolve(settings.model)
        on_step(f"loading {settings.model_name} version {version}")
        model, tags = versions.load(version), versions.tags(version)
        on_step("reading the table and computing features")
        tables = read_tables(settings, on_step)
        start = settings.test_from or (parse_time(tags["as_of"]) if "as_of" in tags else None)
        period = labelled(
            build_examples(tables, vectors=settings.vectors, gap_days=settings.label_gap_days),
            start,
            settings.test_until,
            settings.label_gap_days,
        )
        on_step(f"measuring on {len(period):,} transactions")
        facts = {**tags, "table_fingerprint": tables.fingerprint}
        evaluation = assess(model, period, settings, f"{settings.model_name} version {version}", facts)
        settings.out.mkdir(parents=True, exist_ok=True)
        files = write_report(evaluation, settings.out)
        run_tags = {
            "evaluated": version,
            "model": settings.model_name,
            "data_fingerprint": tables.fingerprint,
        }
        run_id = record_evaluation(version, evaluation.metrics.as_dict(), run_tags, files)
    return Evaluated(version, run_id, settings.out / REPORT_FILE, evaluation.metrics, evaluation.comparison)


def labelled(examples: Examples, start: datetime | None, end: datetime | None, gap_days: float) -> Examples:
    """Take the transactions of a period that have labels and have had ``gap_days`` for them.

    Raises
    ------
    BadInput
        When there are none, or of one kind alone.
    """
    first = to_micros(start) if start else int(examples.event_us.min())
    ripe = ripe_until(examples, gap_days) + 1
    last = min(to_micros(end), ripe) if end else ripe
    rows = (examples.event_us >= first) & (examples.event_us < last) & (examples.label_us < NEVER)
    if not rows.any():
        raise BadInput(
            f"no labelled transaction from {in_words(first)} on is {gap_days:g} days old (label_gap_days); "
            f"only those before {in_words(ripe)} are. Give newer data, or an earlier test_from (the model "
            "may have been trained on earlier transactions)"
        )
    found = examples.take(rows)
    check_classes(found, f"evaluated (from {in_words(first)} to {in_words(last)})")
    return found


def assess(
    model: ScoringModel, period: Examples, settings: EvaluateSettings, title: str, facts: Mapping[str, str]
) -> Evaluation:
    """Measure a model on a period; ``facts`` stand at the head of the report."""
    probability = model.predict(period.vectors)
    scored = {title: Scored(probability, model.card.thresholds.review)}
    found = resample(scored, period, settings.bootstrap, settings.seed)
    return Evaluation(
        title=f"Evaluation of {title}",
        facts=facts,
        model=model,
        examples=period,
        probability=probability,
        metrics=measure(probability, period.is_fraud, period.amount, model.card.thresholds),
        costs=costs_of(settings),
        comparison={
            name: {figure: interval(values[:, i]) for i, figure in enumerate(NAMES)}
            for name, values in found.items()
        },
    )
