"""The evaluation of a model on a labelled period: pictures, tables, and one HTML file that holds them all."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from fraud.features.reasons import reason_text
from fraud.learn.examples import Examples, in_words
from fraud.learn.measure import Metrics
from fraud.learn.pictures import draw_all
from fraud.learn.segments import (
    CARDS_A_DAY,
    amount_by_capacity,
    by_segment,
    by_week,
    calibration_error,
    card_precision,
    recalls_at,
)
from fraud.learn.thresholds import Costs, cost_of
from fraud.model.card import Floats, ScoringModel
from fraud.watch.bootstrap import Interval
from fraud.watch.page import ENVIRONMENT, cell
from fraud.watch.pictures import image_source

REPORT_FILE: Final = "report.html"
METRICS_FILE: Final = "metrics.json"
EXPLAINED: Final = 12
"""Transactions whose reasons are spelt out: the highest scores."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a report tells."""

    title: str
    facts: Mapping[str, str]
    """Where model and data come from."""
    model: ScoringModel
    examples: Examples
    """The labelled period."""
    probability: Floats
    metrics: Metrics
    costs: Costs
    comparison: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    """Model: figure: value with interval."""


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write pictures, ``metrics.json`` and ``report.html`` into a folder that exists.

    Returns
    -------
    list[Path]
        All files.
    """
    examples, probability = evaluation.examples, evaluation.probability
    pictures = draw_all(folder, evaluation.model, examples, probability)
    tables = tabulate(evaluation)
    metrics = folder / METRICS_FILE
    content = {**evaluation.facts, **evaluation.metrics.as_dict(), "tables": tables}
    metrics.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    report = folder / REPORT_FILE
    html = _TEMPLATE.render(
        cell=cell,
        title=evaluation.title,
        facts={
            **evaluation.facts,
            "period": f"{in_words(int(examples.event_us.min()))} to {in_words(int(examples.event_us.max()))}",
            "transactions": f"{len(examples):,}, {int(examples.is_fraud.sum()):,} of them frauds",
        },
        tables=tables,
        pictures=[(path.stem.replace("_", " "), image_source(path.read_bytes())) for path in pictures],
        explained=explain(evaluation),
    )
    report.write_text(html, encoding="utf-8")
    return [*pictures, metrics, report]


def tabulate(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """Make every table of the report; the first row's keys are its columns."""
    examples, probability = evaluation.examples, evaluation.probability
    thresholds = evaluation.model.card.thresholds
    recalls = recalls_at(examples, probability)
    tables: dict[str, list[dict[str, Any]]] = {
        "Models compared (95% intervals over users)": [
            {"model": name.replace("_", " "), **{figure: str(found) for figure, found in figures.items()}}
            for name, figures in evaluation.comparison.items()
        ],
        "Figures": [
            *_pairs(evaluation.metrics.as_dict().items()),
            {
                "figure": f"card precision at {CARDS_A_DAY} a day",
                "value": card_precision(examples, probability),
            },
            {
                "figure": "expected calibration error",
                "value": calibration_error(probability, examples.is_fraud),
            },
        ],
        "At fixed false-positive rates": [
            {"false positives": f"{rate:.1%}", "recall": recall, "fraud amount caught": amount}
            for rate, (recall, amount) in recalls.items()
        ],
        "At a review capacity": [
            {"capacity": f"{capacity:.1%}", "fraud amount caught": amount}
            for capacity, amount in amount_by_capacity(examples, probability).items()
        ],
        "Thresholds and their cost": _costs(evaluation),
        "By segment": [_segment(s) for s in by_segment(examples, probability, thresholds.review)],
        "Over time": [_segment(s) for s in by_week(examples, probability, thresholds.review)],
    }
    return {name: rows for name, rows in tables.items() if rows}


def explain(evaluation: Evaluation, count: int = EXPLAINED) -> list[dict[str, Any]]:
    """Give the reasons of the highest scores in words."""
    top = np.argsort(-evaluation.probability, kind="stable")[:count]
    vectors, schema = evaluation.examples.vectors[top], evaluation.examples.schema
    names = schema.feature_names
    index, _ = evaluation.model.reasons(vectors, np.ones(len(top), bool))
    return [
        {
            "time": in_words(int(evaluation.examples.event_us[row])),
            "amount": f"{evaluation.examples.amount[row]:,.2f}",
            "probability": f"{evaluation.probability[row]:.3f}",
            "truth": "fraud" if evaluation.examples.is_fraud[row] else "honest",
            "reasons": [
                reason_text(names[feature], float(vectors[n, feature]), vectors[n], schema)
                for feature in index[n]
                if feature >= 0
            ],
        }
        for n, row in enumerate(top)
    ]


def _costs(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Compare what the chosen thresholds cost with doing nothing and with reviewing everything flagged."""
    examples, thresholds = evaluation.examples, evaluation.model.card.thresholds
    arguments = (evaluation.probability, examples.is_fraud, examples.amount, evaluation.costs)
    ways = {
        f"review from {thresholds.review:.4f}, decline from {thresholds.decline:.4f}": (
            thresholds.review,
            thresholds.decline,
        ),
        "decline nothing": (thresholds.review, np.inf),
        "approve everything": (np.inf, np.inf),
    }
    rows, money = [], examples.schema.money
    unit = money.base if money else "currency units"
    for name, (review, decline) in ways.items():
        cost = cost_of(*arguments, review=review, decline=decline)
        share = float(((evaluation.probability >= review) & (evaluation.probability < decline)).mean())
        rows.append({"way": name, f"cost ({unit})": f"{cost:,.0f}", "reviewed": f"{share:.2%}"})
    return rows


def _pairs(items: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"figure": name.replace("_", " "), "value": value} for name, value in items]


def _segment(segment: Any) -> dict[str, Any]:
    names = ("kind", "name", "rows", "frauds", "pr_auc", "roc_auc", "recall", "precision")
    return {name.replace("_", "-"): getattr(segment, name) for name in names}


_TEMPLATE: Final = ENVIRONMENT.from_string("""{% extends "page" %}
{% block body %}
{% include "facts" %}
{% include "tables" %}
<h2>Pictures</h2>
{% for name, data in pictures %}
<figure><img alt="{{ name }}" src="{{ data }}"></figure>
{% endfor %}
<h2>The highest scores, and why</h2>
<table><tr><th>time</th><th>amount</th><th>probability</th><th>truth</th><th>reasons</th></tr>
{% for row in explained %}
<tr><td>{{ row.time }}</td><td>{{ row.amount }}</td><td>{{ row.probability }}</td><td>{{ row.truth }}</td>
<td>{% for reason in row.reasons %}{{ reason }}<br>{% endfor %}</td></tr>
{% endfor %}
</table>
{% endblock %}
""")
