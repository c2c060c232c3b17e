"""Reads, judges, measures and writes the report."""

from collections.abc import Mapping

import numpy as np

from fraud.errors import BadInput, Unavailable
from fraud.learn.examples import to_micros
from fraud.model.registry import ModelVersions, open_registry
from fraud.settings.base import parse_time
from fraud.settings.stream import LakeSettings
from jobs.whatif.cases import list_cases
from jobs.whatif.measure import Measured, parts_of
from jobs.whatif.read import HELD, NO_MODEL, History, judge, read_history
from jobs.whatif.report import WhatIf, write_report
from jobs.whatif.settings import WhatIfSettings


def run(settings: WhatIfSettings) -> WhatIf:
    """Make the report of the log's decisions.

    Raises
    ------
    BadInput
        When there is nothing to judge; says what to do.
    Unavailable
        When the registry does not say when the models were trained.
    """
    stream = LakeSettings()
    delta = settings.delta or stream.delta_path
    history = read_history(delta, stream.delta_options, settings.since)
    found = make(history, settings, moments_of_training(history, settings))
    write_report(found, settings.out)
    return found


def make(history: History, settings: WhatIfSettings, trained: Mapping[str, int | None]) -> WhatIf:
    """Judge a history and measure it; ``trained`` says when each version was trained, microseconds."""
    judged = judge(history, settings, trained)
    kept = judged.history
    measured = Measured(kept, settings)
    curve = measured.curve(kept.score, measured.thresholds(), kept.days)
    level, threshold, way = kept.level, HELD, "By what was decided"
    if settings.reviews_per_day is None:
        chosen = measured.decided(kept.days)
    else:
        level, threshold = kept.score, measured.threshold_for(settings.reviews_per_day, kept.days)
        (chosen,) = measured.curve(level, [threshold], kept.days)
        way = f"With {settings.reviews_per_day:g} reviews a day (scores from {threshold:.4f})"
    frauds = kept.take(kept.is_fraud)
    at = {"threshold": threshold, "days": kept.days}
    has_types = len(np.unique(frauds.fraud_type.astype(str))) > 1
    has_segments = len(np.unique(kept.segment.astype(str))) > 1
    return WhatIf(
        history=kept,
        way=way,
        is_stopped=level >= threshold,
        chosen=chosen,
        curve=curve,
        cases=list_cases(kept, measured.cases, level, threshold),
        types=parts_of(frauds, frauds.fraud_type, settings, level=level[kept.is_fraud], **at)
        if has_types
        else (),
        segments=parts_of(kept, kept.segment, settings, level=level, **at) if has_segments else (),
        notes=judged.left_out,
    )


def moments_of_training(history: History, settings: WhatIfSettings) -> dict[str, int | None]:
    """Tell when each version that decided had been trained, microseconds; None where it is unknown.

    Raises
    ------
    Unavailable
        When the registry does not answer.
    """
    versions = sorted({str(one) for one in history.version} - {NO_MODEL})
    if settings.trained_until is not None:
        return dict.fromkeys(versions, to_micros(settings.trained_until))
    found: dict[str, int | None] = {}
    try:
        with open_registry(settings.mlflow_uri, "", settings.registry_uri):
            registry = ModelVersions(settings.model_name)
            for version in versions:
                try:
                    moment = registry.tags(version).get("as_of")
                except BadInput:  # no such version in this registry
                    moment = None
                found[version] = to_micros(parse_time(moment)) if moment else None
    except Unavailable as error:
        raise Unavailable(
            f"{error}. The report must know when the model was trained: give --mlflow-uri, or say it with "
            "--trained-until TIME"
        ) from error
    return found
