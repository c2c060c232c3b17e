"""The HTML report of the demo: one file with its plots, which fetches nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from sklearn.metrics import precision_recall_curve

from fraud.contracts import Decision
from fraud.features.kernel import Floats
from fraud.tools.demo.ledger import Ledger
from fraud.tools.demo.quality import Outcomes
from fraud.watch.page import page
from fraud.watch.pictures import figure_source

mpl.use("Agg")
from matplotlib import pyplot as plt


@dataclass(frozen=True, slots=True)
class DemoResults:
    """The results that the report shows."""

    machine: str
    ledger: Ledger
    outcomes: Outcomes
    model: dict[str, float]
    """Metrics of the training's temporal test."""
    best_column: tuple[str, float]
    """The raw column that tells most by itself, and its PR-AUC."""
    latencies_ms: Floats
    model_call_ms: dict[str, float]
    decisions: Sequence[Decision]
    patterns: dict[str, tuple[int, int]]
    """Fraud pattern: flagged, all."""
    links: dict[str, str]


def write_report(story: DemoResults, path: Path) -> None:
    """Write the report."""
    errors = story.ledger.errors()
    checks = (
        "<p class=good>All counts add up.</p>"
        if not errors
        else "".join(f"<p class=bad>{e}</p>" for e in errors)
    )
    body = (
        f"<h1>Fraud detection demo</h1><p>{escape(story.machine)}</p>{checks}"
        + _section("Counts", _table(story.ledger.as_dict()))
        + _section(
            "Decisions online, against labels that came later", _table(story.outcomes.quality.as_dict())
        )
        + _section("Precision and recall", _image(_draw_curve(story)))
        + _section("Frauds stopped, by pattern", _image(_draw_patterns(story.patterns)))
        + _section(
            "Latency of the stream", _table(latency_table(story.latencies_ms)) + _image(_draw_latency(story))
        )
        + _section("Latency of the model call", _table(story.model_call_ms))
        + _section("Decisions and scores", _image(_draw_scores(story)))
        + _section("Why transactions were stopped", _image(_draw_reasons(story.decisions)))
        + _section("The model on its temporal test", _table(story.model))
        + _section("Where to look", _links(story.links))
    )
    path.write_text(page("Fraud detection demo", body), encoding="utf-8")


def latency_table(latencies_ms: Floats) -> dict[str, float]:
    """Percentiles in ms."""
    return {f"p{q:g} (ms)": float(np.percentile(latencies_ms, q)) for q in (50, 90, 99, 99.9)}


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}"


def _table(values: dict[str, Any]) -> str:
    cells = (
        f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{value:,.4g}</td></tr>"
        if isinstance(value, float)
        else f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{value:,}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{''.join(cells)}</table>"


def _links(links: dict[str, str]) -> str:
    return (
        "<ul>"
        + "".join(f"<li>{escape(k)}: <code>{escape(v)}</code></li>" for k, v in links.items())
        + "</ul>"
    )


def _image(figure: Any) -> str:
    source = figure_source(figure, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return f'<img alt="" src="{source}">'


def _draw_curve(story: DemoResults) -> Any:
    figure, axes = plt.subplots(figsize=(6, 4))
    precision, recall, _ = precision_recall_curve(story.outcomes.is_fraud, story.outcomes.score)
    axes.plot(recall, precision, label=f"served scores (PR-AUC {story.outcomes.quality.pr_auc:.3f})")
    name, area = story.best_column
    axes.axhline(
        area, linestyle="--", color="grey", label=f"PR-AUC of the best raw column, {name} ({area:.3f})"
    )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return figure


def _draw_patterns(patterns: dict[str, tuple[int, int]]) -> Any:
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(patterns) + 1))
    names = sorted(patterns)
    axes.barh(names, [patterns[name][1] for name in names], color="#d0d7de", label="all")
    axes.barh(names, [patterns[name][0] for name in names], color="#1f6feb", label="stopped")
    axes.set(xlabel="frauds")
    axes.legend()
    return figure


def _draw_latency(story: DemoResults) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3.5))
    axes.plot(story.latencies_ms, linewidth=0.4)
    axes.set(xlabel="decision, in order", ylabel="ms from append to decision", ylim=(0, None))
    return figure


def _draw_scores(story: DemoResults) -> Any:
    figure, axes = plt.subplots(figsize=(7, 3.5))
    bins = np.linspace(0, 1, 41).tolist()
    truth = story.outcomes.is_fraud
    axes.hist(
        [story.outcomes.score[~truth], story.outcomes.score[truth]], bins, label=["honest", "fraud"], log=True
    )
    axes.set(xlabel="score", ylabel="transactions")
    axes.legend()
    return figure


def _draw_reasons(decisions: Sequence[Decision]) -> Any:
    counts = Counter(reason.code for decision in decisions for reason in decision.reasons).most_common(12)
    figure, axes = plt.subplots(figsize=(7, 0.35 * len(counts) + 1))
    axes.barh([name for name, _ in reversed(counts)], [n for _, n in reversed(counts)])
    axes.set(xlabel="decisions that name it")
    return figure
