"""The gate: whether a challenger may take the champion's place, with every reason why not.

Pure: models and a labelled period in, a decision out. The period must be later than what either model was
trained on.
"""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import numpy as np

from fraud.learn.baselines import Rules
from fraud.learn.examples import Examples
from fraud.learn.segments import by_segment, calibration_error
from fraud.learn.settings import GateSettings
from fraud.model.card import Floats, ScoringModel
from fraud.watch.bootstrap import NAMES, Scored, resample

PR_AUC: Final = NAMES.index("pr_auc")
TIMED: Final = 300
"""Single transactions that are scored to measure the latency."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate decided."""

    is_accepted: bool
    reasons: tuple[str, ...]
    """Why it was refused, or in one line why it was accepted."""
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """``accepted`` or ``refused``."""
        return "accepted" if self.is_accepted else "refused"


def judge(
    challenger: ScoringModel, champion: ScoringModel | None, period: Examples, settings: GateSettings
) -> GateDecision:
    """Judge a challenger on the newest matured labels.

    Parameters
    ----------
    challenger
        The model to judge.
    champion
        The model in place; None: the fallback rules are what the challenger has to beat.
    period
        Labelled transactions later than the training of either.
    settings
        The limits.
    """
    frauds = int(period.is_fraud.sum())
    if frauds < settings.min_frauds or frauds == len(period):
        reason = f"{frauds} frauds in the period, at least {settings.min_frauds} are needed for a judgement"
        return GateDecision(is_accepted=False, reasons=(reason,))
    new = challenger.predict(period.vectors)
    old = (
        champion.predict(period.vectors)
        if champion
        else Rules(period.schema).predict_proba(period.vectors)[:, 1]
    )
    figures = {**_gain(new, old, period, settings), **_calibration(new, period)}
    figures["latency_p99_ms"] = latency_ms(challenger, period.vectors)
    reasons = _refusals(figures, settings, "the champion" if champion else "the fallback rules")
    if champion:
        reasons += _collapses(challenger, champion, new, old, period=period, settings=settings)
    if reasons:
        return GateDecision(is_accepted=False, reasons=tuple(reasons), figures=figures)
    words = f"PR-AUC {figures['pr_auc']:.4f} against {figures['pr_auc_before']:.4f}, all limits kept"
    return GateDecision(is_accepted=True, reasons=(words,), figures=figures)


def latency_ms(model: ScoringModel, vectors: Floats) -> float:
    """Measure the 99th percentile of scoring one transaction, milliseconds."""
    single = model.with_threads(1)
    rows = vectors[np.linspace(0, len(vectors) - 1, TIMED).astype(int)]
    single.predict(rows[:1])
    times = []
    for row in rows:
        started = perf_counter()
        single.predict(row[None, :])
        times.append(perf_counter() - started)
    return float(np.percentile(times, 99) * 1000.0)


def _gain(new: Floats, old: Floats, period: Examples, settings: GateSettings) -> dict[str, float]:
    scored = {"new": Scored(new, np.inf), "old": Scored(old, np.inf)}
    found = resample(scored, period, settings.resamples, settings.seed)
    difference = found["new"][:, PR_AUC] - found["old"][:, PR_AUC]
    return {
        "pr_auc": float(found["new"][0, PR_AUC]),
        "pr_auc_before": float(found["old"][0, PR_AUC]),
        "pr_auc_gain": float(difference[0]),
        "pr_auc_gain_bound": float(np.quantile(difference[1:], 1.0 - settings.confidence)),
    }


def _calibration(new: Floats, period: Examples) -> dict[str, float]:
    return {
        "calibration_error": calibration_error(new, period.is_fraud),
        "calibration_bias": float(new.sum() / period.is_fraud.sum()),
    }


def _refusals(figures: dict[str, float], settings: GateSettings, other: str) -> list[str]:
    reasons = []
    if figures["pr_auc_gain_bound"] <= settings.min_gain:
        reasons.append(
            f"PR-AUC {figures['pr_auc']:.4f} against {figures['pr_auc_before']:.4f} of {other}: with "
            f"{settings.confidence:.0%} confidence the gain is at least {figures['pr_auc_gain_bound']:+.4f}, "
            f"which is not above {settings.min_gain:+.4f}"
        )
    if figures["calibration_error"] > settings.max_calibration_error:
        reasons.append(
            f"calibration error {figures['calibration_error']:.4f} above {settings.max_calibration_error:.4f}"
        )
    bias = figures["calibration_bias"]
    if not 1.0 / settings.max_bias <= bias <= settings.max_bias:
        reasons.append(f"the probabilities add up to {bias:.2f} times the frauds that came")
    if figures["latency_p99_ms"] > settings.max_latency_ms:
        reasons.append(
            f"scoring one transaction takes {figures['latency_p99_ms']:.1f} ms at p99, above "
            f"{settings.max_latency_ms:g} ms"
        )
    return reasons


def _collapses(
    challenger: ScoringModel,
    champion: ScoringModel,
    new: Floats,
    old: Floats,
    *,
    period: Examples,
    settings: GateSettings,
) -> list[str]:
    """Name the segments in which the challenger falls far behind the champion."""
    now = by_segment(period, new, challenger.card.thresholds.review)
    before = by_segment(period, old, champion.card.thresholds.review)
    return [
        f"segment {a.kind} {a.name}: PR-AUC {a.pr_auc:.3f} against {b.pr_auc:.3f} of the champion"
        for a, b in zip(now, before, strict=True)
        if a.frauds >= settings.segment_frauds and a.pr_auc < b.pr_auc - settings.segment_drop
    ]
