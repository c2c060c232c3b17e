"""The report of an experiment: one HTML file, plots inside, nothing to fetch; and figures for Prometheus."""

import math
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from prometheus_client import CollectorRegistry, Gauge

from fraud.decide.experiment import Stop
from fraud.watch.page import page
from fraud.watch.pictures import figure_source
from jobs.experiment.analysis import Analysis, Series
from jobs.experiment.sequential import RATIO_ALPHA

_BLUE, _GREY = "#0969da", "#6e7781"


def write_html(analysis: Analysis, stop: Stop | None) -> str:
    """Write the report."""
    experiment = analysis.experiment
    conclusion = (
        f"stopped by its {stop.by.replace('_', ' ')}: {stop.reason}" if stop else analysis.conclusion()
    )
    arms = "".join(
        f"<tr><td>{arm.name}<td>{arm.alias}<td>{arm.shadow or ''}<td>{arm.weight:.0%}<td>{users:,}"
        for arm, users in zip(experiment.arms, analysis.users[-1], strict=True)
    )
    counts = (
        f"{len(analysis.outcomes.user):,} transactions with matured labels, {analysis.outcomes.immature:,} "
        f"wait for theirs ({experiment.maturity_days:g} days)"
    )
    parts = [
        f"<h1>Experiment {escape(experiment.id)}</h1>",
        f"<p class='{'alarm' if stop else 'result'}'>{escape(conclusion)}</p>",
        f"<p>{counts}. One false alarm in all looks at all metrics: {experiment.alpha:.0%} at most.</p>",
        f"<table><tr><th>arm<th>decides<th>shadow<th>share<th>users{arms}</table>",
    ]
    for series in analysis.series:
        parts += [
            f"<h2>{analysis.name_of(series.metric)}</h2>",
            _numbers(series),
            _image(_draw_series(analysis, series)),
        ]
    parts += ["<h2>Users by arm</h2>", _image(_draw_ratio(analysis))]
    if np.isfinite(analysis.outcomes.shadow_score).any():
        parts += ["<h2>Shadow scores</h2>", _image(_draw_shadow(analysis))]
    return page(f"Experiment {experiment.id}", "".join(parts))


def figures_of(analysis: Analysis, stop: Stop | None) -> CollectorRegistry:
    """Make the gauges for Prometheus."""
    registry = CollectorRegistry()

    def gauge(name: str, words: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"fraud_experiment_{name}", words, labels, registry=registry)

    bounds = {
        "difference": gauge("difference", "Treatment minus control, per transaction.", ("metric",)),
        "lower": gauge("difference_lower", "Lower bound of the difference.", ("metric",)),
        "upper": gauge("difference_upper", "Upper bound of the difference.", ("metric",)),
    }
    p_value = gauge("p_value", "Always-valid p-value of no difference.", ("metric",))
    for series in analysis.series:
        for name, one in bounds.items():
            one.labels(series.metric).set(getattr(series.looks[-1], name))
        p_value.labels(series.metric).set(min(x.p_value for x in series.looks))
    users = gauge("users", "Users seen, by arm.", ("arm",))
    for arm, count in zip(analysis.experiment.arms, analysis.users[-1], strict=True):
        users.labels(arm.name).set(count)
    gauge("sample_ratio_p_value", "p-value of the hypothesis that users fall into arms as designed.").set(
        min(analysis.ratio_p_values)
    )
    gauge("is_stopped", "1 if the experiment is stopped.").set(stop is not None)
    return registry


def _numbers(series: Series) -> str:
    last = series.looks[-1]
    bound = f"; limit {series.guardrail.at_most:g}" if series.guardrail else ""
    interval = f"{last.lower:.4g} to {last.upper:.4g}" if math.isfinite(last.lower) else "too little is known"
    return (
        "<table><tr><th>control<th>treatment<th>difference<th>bounds, valid at every look"
        "<th>p-value, always valid"
        f"<tr><td>{last.control:.4g}<td>{last.treatment:.4g}<td>{last.difference:.4g}<td>{interval}"
        f"<td>{min(x.p_value for x in series.looks):.3g}</table><p>per transaction{bound}</p>"
    )


def _draw_series(analysis: Analysis, series: Series) -> Figure:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes: Any = figure.subplots()
    days: Any = analysis.days
    kept = [at for at, one in enumerate(series.looks) if math.isfinite(one.lower)]
    x, shown = [days[at] for at in kept], [series.looks[at] for at in kept]
    axes.fill_between(x, [one.lower for one in shown], [one.upper for one in shown], color=_BLUE, alpha=0.18)
    axes.plot(x, [one.difference for one in shown], color=_BLUE, label="difference")
    axes.axhline(0.0, color=_GREY, lw=1)
    if series.guardrail:
        axes.axhline(series.guardrail.at_most, color="#cf222e", ls="--", label="guardrail")
    axes.set_ylabel("treatment - control")
    axes.legend(loc="upper right", frameon=False)
    figure.autofmt_xdate()
    return figure


def _draw_ratio(analysis: Analysis) -> Figure:
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes: Any = figure.subplots()
    axes.semilogy(analysis.days, np.maximum(analysis.ratio_p_values, 1e-12), color=_BLUE)
    axes.axhline(RATIO_ALPHA, color="#cf222e", ls="--", label="alarm")
    axes.set_ylabel("p-value of the design")
    axes.legend(frameon=False)
    figure.autofmt_xdate()
    return figure


def _draw_shadow(analysis: Analysis) -> Figure:
    figure = Figure(figsize=(4.2, 4), layout="constrained")
    axes: Any = figure.subplots()
    outcomes = analysis.outcomes
    known = np.flatnonzero(np.isfinite(outcomes.shadow_score) & np.isfinite(outcomes.score))
    known = known[:: max(1, len(known) // 3000)]
    colours = np.where(outcomes.is_fraud[known], "#cf222e", "#8c959f")
    axes.scatter(outcomes.score[known], outcomes.shadow_score[known], s=6, c=colours, alpha=0.6)
    axes.set_xlabel("score that decided")
    axes.set_ylabel("shadow score (red: fraud)")
    return figure


def _image(figure: Figure) -> str:
    with mpl.rc_context({"font.size": 9}):
        return f"<img alt='' src='{figure_source(figure, dpi=110)}'>"
