"""The what-if report: one HTML page, the same figures as JSON, and every case as CSV."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from fraud.schema.deployed import deployed_schema
from fraud.watch.bootstrap import Interval
from fraud.watch.page import ENVIRONMENT
from jobs.whatif.cases import Case
from jobs.whatif.measure import Part, Point
from jobs.whatif.pictures import draw_all
from jobs.whatif.read import Bools, History

REPORT_FILE: Final = "whatif.html"
DATA_FILE: Final = "whatif.json"
CASES_FILE: Final = "cases.csv"
SHOWN_CASES: Final = 50
LOADS: Final = 12
"""Lines of the curve in the report's table."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a report tells."""

    history: History
    way: str
    """What stops a transaction, in words."""
    is_stopped: Bools
    chosen: Point
    curve: Sequence[Point]
    cases: Sequence[Case]
    types: Sequence[Part]
    segments: Sequence[Part]
    notes: Sequence[str]
    """What was left out, and why."""


def unit() -> str:
    """Name the unit of amounts."""
    money = deployed_schema().money
    return money.base if money else "currency units"


def write_report(found: WhatIf, folder: Path) -> list[Path]:
    """Write the three files; the folder is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data, cases = (folder / name for name in (REPORT_FILE, DATA_FILE, CASES_FILE))
    page.write_text(_html(found), encoding="utf-8")
    data.write_text(json.dumps(_plain(found), indent=1) + "\n", encoding="utf-8")
    pa_csv.write_csv(_case_table(found.cases), cases)
    return [page, data, cases]


def _case_table(cases: Sequence[Case]) -> pa.Table:
    rows = [asdict(case) for case in cases]
    for row in rows:
        for name in ("first_fraud", "stopped_at"):
            row[name] = row[name].isoformat() if row[name] else None
    return pa.Table.from_pylist(rows)


def _plain(found: WhatIf) -> dict[str, Any]:
    history = found.history
    return {
        "way": found.way,
        "transactions": len(history),
        "frauds": int(history.is_fraud.sum()),
        "cases": len(found.cases),
        "days": history.days,
        "notes": list(found.notes),
        "chosen": asdict(found.chosen),
        "curve": [asdict(point) for point in found.curve],
        "types": [asdict(part) for part in found.types],
        "segments": [asdict(part) for part in found.segments],
    }


def thinned(curve: Sequence[Point]) -> list[Point]:
    """Choose the lines of the curve for a table, evenly."""
    lines = min(LOADS, len(curve))
    return [curve[at * (len(curve) - 1) // max(lines - 1, 1)] for at in range(lines)]


def minutes(value: float | None) -> str:
    """Write how long a case ran.

    Examples
    --------
    >>> minutes(0.0), minutes(12.4), minutes(180.0), minutes(5000.0), minutes(None)
    ('0 min', '12 min', '3.0 h', '3.5 days', 'never')
    """
    if value is None:
        return "never"
    if value < 100.0:
        return f"{value:.0f} min"
    return f"{value / 60:.1f} h" if value < 2_880.0 else f"{value / 1440:.1f} days"


def _html(found: WhatIf) -> str:
    history = found.history
    stops = [case for case in found.cases if case.stopped_at is not None]
    waits = sorted(case.minutes_to_stop or 0.0 for case in stops)
    return _PAGE.render(
        title="What if",
        found=found,
        history=history,
        frauds=int(history.is_fraud.sum()),
        fraud_amount=float(history.amount[history.is_fraud].sum()),
        without_score=int((history.score < 0.0).sum()),
        stops=len(stops),
        at_once=sum(case.minutes_to_stop == 0.0 for case in stops),
        median=minutes(waits[len(waits) // 2]) if waits else "never",
        before=sum(case.amount_before for case in stops),
        curve=thinned(found.curve),
        shown=found.cases[:SHOWN_CASES],
        pictures=draw_all(
            history,
            found.is_stopped,
            curve=found.curve,
            chosen=found.chosen,
            cases=found.cases,
            unit=unit(),
        ),
        unit=unit(),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == 0 else f"{value:.1f}"


def share(value: Interval) -> str:
    """Write a share with its interval; empty where there is none."""
    return "" if isnan(value.value) else f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%})"


def money(value: Interval) -> str:
    """Write an amount with its interval."""
    return f"{value.value:,.0f} ({value.low:,.0f} to {value.high:,.0f})"


_PAGE: Final = ENVIRONMENT.from_string(
    """{% extends "page" %}
{% macro line(point) %}<td>{{ number(point.stopped_a_day) }}</td><td>{{ share(point.recall) }}</td>
<td>{{ share(point.cases) }}</td><td>{{ share(point.first) }}</td><td>{{ money(point.saved) }}</td>
<td>{{ money(point.net) }}</td>{% endmacro %}
{% block body %}
<h1>What would have been stopped</h1>
{% for note in found.notes %}<p class="alarm">{{ note }}.</p>{% endfor %}
{% set chosen = found.chosen %}
<p class="result">{{ found.way }}: {{ share(chosen.recall) }} of {{ "{:,}".format(frauds) }} frauds and
{{ share(chosen.cases) }} of {{ "{:,}".format(found.cases | length) }} cases are stopped, at
{{ number(chosen.stopped_a_day) }} stopped transactions a day, of which {{ share(chosen.precision) }} are
fraud.
{{ money(chosen.saved) }} {{ unit }} of {{ "{:,.0f}".format(fraud_amount) }} are saved,
{{ money(chosen.saved_if_blocked) }} if the card is blocked at its first stop.
Less reviews and wrong declines: {{ money(chosen.net) }} {{ unit }}.</p>
<p>{{ "{:,}".format(history | length) }} decisions in {{ "%.1f" % history.days }} days.
{{ "{:,.0f}".format(chosen.honest_stopped) }} honest transactions of
{{ "{:,.0f}".format(chosen.honest_amount) }} {{ unit }} are stopped too. The models that decided had been
trained before. In brackets: 95 % over cards.
{% if without_score %}{{ "{:,}".format(without_score) }} decisions have no score (the fallback decided them);
no threshold stops them.{% endif %}</p>
<h2>When</h2>
<p>{{ "{:,}".format(at_once) }} cases are stopped at their first fraud, {{ "{:,}".format(stops - at_once) }}
later; half of the stopped ones within {{ median }} of it. {{ "{:,.0f}".format(before) }} {{ unit }}
were approved
before the first stop. A case is the frauds of one card that follow each other closely.</p>
{% for name, source in pictures.items() %}
<figure><img alt="{{ name }}" src="{{ source }}"></figure>
{% endfor %}
<h2>By review load</h2>
<p>As if every transaction from a threshold on were reviewed, and every reviewed fraud stopped.</p>
<table><tr><th>threshold</th><th>stopped a day</th><th>of the frauds</th><th>of the cases</th>
<th>at the first fraud</th><th>saved</th><th>saved less costs</th></tr>
{% for point in curve %}<tr><td>{{ "%.4f" % point.threshold }}</td>{{ line(point) }}</tr>
{% endfor %}</table>
{% for title, parts in (("type of fraud", found.types), ("segment", found.segments)) if parts %}
<h2>By {{ title }}</h2>
<table><tr><th>{{ title }}</th><th>frauds</th><th>amount</th><th>stopped a day</th><th>of the frauds</th>
<th>of the cases</th><th>at the first fraud</th><th>saved</th><th>saved less reviews</th></tr>
{% for part in parts %}<tr><td>{{ part.name }}</td><td>{{ "{:,}".format(part.frauds) }}</td>
<td>{{ "{:,.0f}".format(part.amount) }}</td>{{ line(part.point) }}</tr>
{% endfor %}</table>
{% endfor %}
<h2>Cases</h2>
<p>Those with the greatest amounts; all of them stand in cases.csv.</p>
<table><tr><th>card</th><th>type</th><th>first fraud</th><th>frauds</th><th>amount</th><th>stopped after</th>
<th>approved before</th><th>amount approved before</th><th>highest score</th></tr>
{% for case in shown %}<tr><td>{{ case.card }}</td><td>{{ case.fraud_type }}</td>
<td>{{ case.first_fraud.strftime("%Y-%m-%d %H:%M") }}</td><td>{{ case.frauds }}</td>
<td>{{ "{:,.2f}".format(case.amount) }}</td><td>{{ minutes(case.minutes_to_stop) }}</td>
<td>{{ case.frauds_before }}</td><td>{{ "{:,.2f}".format(case.amount_before) }}</td>
<td>{% if case.highest_score >= 0 %}{{ "%.3f" % case.highest_score }}{% endif %}</td></tr>
{% endfor %}</table>
{% endblock %}
""",
    globals={"number": _number, "share": share, "money": money, "minutes": minutes},
)
