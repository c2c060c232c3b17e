"""The summary of a performance run: as JSON, and as a page with its plot."""

import json
import math
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from fraud.watch.page import ENVIRONMENT
from fraud.watch.pictures import figure_source, image_source
from jobs.performance.measure import METRICS, Quality
from jobs.performance.summary import Performance, VersionQuality

JSON_FILE: Final = "performance.json"
PLOT_FILE: Final = "performance.png"
REPORT_FILE: Final = "report.html"
WORDS: Final = {
    "precision": "precision",
    "recall": "recall",
    "pr_auc": "PR-AUC",
    "amount_caught": "amount caught",
}
SHOWN: Final = (*METRICS, "caught", "lost", "frauds")
_COLOURS: Final = ("#d4720b", "#1a7f37", "#8250df", "#cf222e")
_BLUE: Final = "#0969da"


def write_report(summary: Performance, folder: Path, currency: str = "") -> list[Path]:
    """Write ``performance.json``, ``performance.png`` and ``report.html``; the folder is made if missing.

    Parameters
    ----------
    currency
        Of the amounts; empty where all are in one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, plot, page = (folder / name for name in (JSON_FILE, PLOT_FILE, REPORT_FILE))
    data.write_text(json.dumps(_plain(asdict(summary)), indent=1) + "\n", encoding="utf-8")
    with mpl.rc_context({"font.size": 9}):
        draw(summary).savefig(plot, dpi=100)
    image = image_source(plot.read_bytes())
    lines = [(line, line.truth, line.expected.mean if line.expected else None) for line in summary.lines]
    types = figure_source(draw_types(summary), dpi=100) if summary.types else ""
    title = f"Performance on {summary.as_of:%Y-%m-%d}"
    pictures = {"image": image, "types": types}
    text = _PAGE.render(title=title, summary=summary, lines=lines, words=WORDS, currency=currency, **pictures)
    page.write_text(text, encoding="utf-8")
    return [data, plot, page]


def draw(summary: Performance) -> Figure:
    """Draw estimate and truth over the days, a picture a figure."""
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    grid: Any = figure.subplots(2, 2, sharex=True)
    points = summary.points
    days: list[Any] = [point.until for point in points]
    windows = sorted({window for point in points for window in point.truths})
    for axes, metric in zip(grid.flat, METRICS, strict=True):
        low, mean, high = (
            [getattr(getattr(point.expected, which), metric) for point in points]
            for which in ("low", "mean", "high")
        )
        axes.fill_between(days, low, high, color=_BLUE, alpha=0.15, lw=0)
        axes.plot(days, mean, color=_BLUE, label="estimate, 95 %")
        for window, colour in zip(windows, _COLOURS, strict=False):
            known = [(point.until, point.truths[window]) for point in points if window in point.truths]
            x: list[Any] = [until for until, _ in known]
            y = [getattr(truth, metric) for _, truth in known]
            axes.plot(x, y, color=colour, lw=1.2, marker=".", ms=4, label=f"truth after {window} days")
        axes.set_title(WORDS[metric])
        axes.set_ylim(-0.02, 1.02)
    grid.flat[0].legend(frameon=False, fontsize=8)
    figure.autofmt_xdate()
    return figure


def draw_types(summary: Performance) -> Figure:
    """Draw the known frauds by week and kind."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes: Any = figure.subplots()
    days: list[Any] = [week.until for week in summary.weeks]
    bottom = [0] * len(days)
    for one in summary.types:
        counts = [week.frauds.get(one.fraud_type, 0) for week in summary.weeks]
        axes.bar(days, counts, width=5.0, bottom=bottom, label=one.fraud_type)
        bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
    axes.set_title("Frauds by week and type")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.autofmt_xdate()
    return figure


def in_words(line: VersionQuality) -> str:
    """Name a line's stretch.

    Examples
    --------
    >>> from datetime import UTC
    >>> day = datetime(2026, 3, 1, tzinfo=UTC)
    >>> in_words(VersionQuality("7", 14, day, day.replace(day=29), None, None))
    '14 days, to 29 Mar'
    """
    window = "estimate," if line.window_days is None else f"{line.window_days} days,"
    return f"{window} to {line.until.day} {line.until:%b}"


def number(quality: Quality | None, name: str) -> str:
    """Write a figure; a dash where there is none."""
    value = math.nan if quality is None else float(getattr(quality, name))
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if name in METRICS else f"{value:,.0f}"


def _plain(value: Any) -> Any:
    """Turn into what JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


_PAGE: Final = ENVIRONMENT.from_string(
    """{% extends "page" %}
{% block body %}
<h1>Performance, as known on {{ summary.as_of.strftime("%Y-%m-%d %H:%M") }} UTC</h1>
{% for one in summary.fallen %}
<p class="alarm">{{ words[one.metric] }} has fallen, by {{ one.basis }} figures:
{{ "%.3f" % one.now }}, was {{ "%.3f" % one.earlier }}.</p>{% endfor %}
{% if summary.falls and not summary.fallen %}<p>Nothing has fallen.</p>{% endif %}
{% for note in summary.notes %}<p>{{ note }}</p>{% endfor %}
{% if currency %}<p>Amounts are in {{ currency }}.</p>{% endif %}
<p>A transaction is judged by the label that it had so many days later; one without a label by then counts
as honest. <small>In blue: what the scores of the same transactions let expect.</small></p>
<table><tr><th>window</th><th>version</th>{% for name in words.values() %}<th>{{ name }}</th>{% endfor %}
<th>caught</th><th>lost</th><th>frauds</th><th>transactions</th></tr>
{% for line, truth, expected in lines %}<tr><td>{{ in_words(line) }}</td><td>{{ line.version }}</td>
{% for name in shown %}<td>{% if truth %}{{ number(truth, name) }}<br>{% endif %}
<small>{{ number(expected, name) }}</small></td>{% endfor %}
<td>{{ number(truth or expected, "rows") }}</td></tr>
{% endfor %}</table>
<p>Each point tells of the seven days before it.</p>
<img alt="Estimate and truth over the days" src="{{ image }}">
{% if summary.types %}<h2>By type of fraud</h2>
{% set first = summary.types[0] %}
<p>Frauds from {{ first.since.strftime("%Y-%m-%d") }} to {{ first.until.strftime("%Y-%m-%d") }},
by the labels of {{ first.window_days }} days.</p>
<table><tr><th>type</th><th>frauds</th><th>recall</th><th>amount caught</th><th>lost</th></tr>
{% for one in summary.types %}<tr><td>{{ one.fraud_type }}</td><td>{{ one.frauds }}</td>
<td>{{ "%.3f" % one.recall }}</td><td>{{ "%.3f" % one.amount_caught }}</td>
<td>{{ "{:,.0f}".format(one.lost) }}</td></tr>
{% endfor %}</table>
<img alt="Frauds by week and type" src="{{ types }}">{% endif %}{% endblock %}
""",
    globals={"number": number, "in_words": in_words, "shown": SHOWN},
)
