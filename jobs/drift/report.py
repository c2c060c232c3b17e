"""The report of a drift run: as JSON, as an HTML page, and for Prometheus."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

from fraud.watch.page import ENVIRONMENT
from jobs.drift.judge import VOLUME, Day

JSON_FILE: Final = "drift.json"
REPORT_FILE: Final = "report.html"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What a run found."""

    model: str
    version: str
    days: list[Day]
    """The judged days; the last one is what the figures describe."""
    alarms: dict[str, int]
    """Column: on how many of the days it is flagged."""


def write_report(report: DriftReport, folder: Path, pictures: Mapping[str, str]) -> list[Path]:
    """Write ``drift.json`` and ``report.html`` into a folder, made where it is missing.

    Parameters
    ----------
    pictures
        Title: image, as a page's source of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / JSON_FILE
    content = {
        "model": report.model,
        "version": report.version,
        "alarms": report.alarms,
        "days": [_day(day) for day in report.days],
    }
    data.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    page = folder / REPORT_FILE
    last = report.days[-1]
    ordered = sorted(last.findings, key=lambda one: (not one.is_flagged, -one.psi))
    text = _TEMPLATE.render(
        title=f"Drift on {last.date}", report=report, last=last, findings=ordered, pictures=pictures
    )
    page.write_text(text, encoding="utf-8")
    return [data, page]


def as_gauges(report: DriftReport) -> CollectorRegistry:
    """Lay the last day out for Prometheus; labels are the columns of the feature table."""
    registry = CollectorRegistry()
    last = report.days[-1]
    measures = {
        "psi": "Population stability index of the last whole day against the training.",
        "ks": "Kolmogorov-Smirnov distance of the last whole day against the training.",
        "js": "Jensen-Shannon distance of the last whole day against the training.",
        "missing": "Share of missing values on the last whole day.",
    }
    for measure, text in measures.items():
        gauge = Gauge(f"fraud_drift_{measure}_ratio", text, ["feature"], registry=registry)
        for one in last.findings:
            if one.name != VOLUME:
                gauge.labels(one.name).set(getattr(one, measure))
    alarm = Gauge(
        "fraud_drift_alarm", "1 where a column has drifted for days.", ["feature"], registry=registry
    )
    for one in last.findings:
        alarm.labels(one.name).set(one.name in report.alarms)
    for name, text, value in (
        ("alarms", "Columns that have drifted for days.", len(report.alarms)),
        ("day_transactions", "Transactions of the last whole day.", last.rows),
        ("day_timestamp_seconds", "Beginning of the last whole day, Unix time.", last.day * 86_400),
    ):
        Gauge(f"fraud_drift_{name}", text, registry=registry).set(value)
    return registry


def _day(day: Day) -> dict[str, Any]:
    found = [
        {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(one).items()
        }
        for one in day.findings
    ]
    return {"date": day.date, "transactions": day.rows, "notes": list(day.notes), "columns": found}


_TEMPLATE: Final = ENVIRONMENT.from_string("""{% extends "page" %}
{% block body %}
<h1>Drift on {{ last.date }}</h1>
<p>{{ report.model }} version {{ report.version }}; {{ "{:,}".format(last.rows) }} transactions.
{% if report.alarms %}Drifted for days: {{ report.alarms | join(", ") }}.{% else %}No alarm.{% endif %}</p>
{% for day in report.days %}
{% for note in day.notes %}<p>{{ day.date }}: {{ note }}</p>{% endfor %}{% endfor %}
{% for title, image in pictures.items() %}<h2>{{ title }}</h2>
<img alt="{{ title }}" src="{{ image }}">{% endfor %}
<h2>All columns</h2>
<table><tr><th>column</th><th>PSI</th><th>KS</th><th>Jensen-Shannon</th><th>PSI, weeks before</th>
<th>missing</th><th>adjusted p</th><th>cause</th></tr>
{% for one in findings %}<tr{% if one.is_flagged %} class="flag"{% endif %}><td>{{ one.name }}</td>
<td>{{ "%.3f" % one.psi }}</td><td>{{ "%.3f" % one.ks }}</td><td>{{ "%.3f" % one.js }}</td>
<td>{{ "%.3f" % one.psi_recent }}</td><td>{{ "%.1f%%" % (100 * one.missing) }}</td>
<td>{{ "%.2g" % one.p_value }}</td><td>{{ one.cause }}</td></tr>
{% endfor %}</table>{% endblock %}
""")
