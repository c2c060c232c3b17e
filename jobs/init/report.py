"""The data report: one HTML page about a table, before any model."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from fraud.schema.schema import Schema
from fraud.watch.page import ENVIRONMENT, cell
from jobs.init import labels, measure
from jobs.init.pictures import draw_all
from jobs.init.table_data import DAY_US, Data, in_order


def write_report(
    table: pa.Table, schema: Schema, path: Path, name: str, left_out: Mapping[str, str] | None = None
) -> list[str]:
    """Write the report of a table.

    Parameters
    ----------
    table
        Under our names, with ``is_fraud`` and ``label_time`` where there are such.
    schema
        Whose columns they are.
    path
        HTML file to write.
    name
        Of the table, for people.
    left_out
        Columns that are not read, and why.

    Returns
    -------
    list[str]
        What the figures let expect, in words.
    """
    data = in_order(table, schema)
    tables = {
        "Repeats": measure.repeats(data),
        "Times without transactions": measure.gaps(data),
        "Labels": labels.labels(data),
        "Columns": measure.columns(data),
        "Times after the transaction (share of the rows)": labels.later(data),
        "Entities, and values that come again": measure.entities(data),
        "By week": measure.weeks(data),
        "Not read": [{"column": column, "because": why} for column, why in (left_out or {}).items()],
    }
    rows = {
        "columns": tables["Columns"],
        "entities": tables["Entities, and values that come again"],
        "later": tables["Times after the transaction (share of the rows)"],
    }
    said = measure.suggestions(data, rows)
    html = _TEMPLATE.render(
        title=f"Data report: {name}",
        facts=_facts(data),
        said=said,
        tables={title: rows for title, rows in tables.items() if rows},
        pictures=draw_all(data, tables["Columns"]),
        cell=partial(cell, decimals=3),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return said


def _facts(data: Data) -> dict[str, str]:
    amount, unit = data.amount, data.schema.base_currency and f" {data.schema.base_currency}"
    days = (data.times[-1] - data.times[0]) / DAY_US
    return {
        "transactions": f"{data.table.num_rows:,}, {data.table.num_rows / max(days, 1 / 24):,.0f} a day",
        "period (UTC)": f"{_moment(data.times[0])} to {_moment(data.times[-1])}, {days:,.1f} days",
        "amount": f"{amount.sum():,.0f}{unit} in all; of the frauds {amount[data.is_fraud].sum():,.0f}{unit}",
        "schema": f"{data.schema.name}, version {data.schema.version}",
    }


def _moment(micros: int) -> str:
    return str(np.datetime64(int(micros), "us").astype("datetime64[s]")).replace("T", " ")


_TEMPLATE: Final = ENVIRONMENT.from_string("""{% extends "page" %}
{% block body %}
{% include "facts" %}
{% if said %}
<h2>What to look at</h2>
<ul>{% for words in said %}<li>{{ words }}</li>{% endfor %}</ul>
{% endif %}
<h2>Pictures</h2>
{% for name, data in pictures %}
<figure><figcaption>{{ name }}</figcaption><img alt="{{ name }}" src="{{ data }}"></figure>
{% endfor %}
{% include "tables" %}
<p><small>A column tells fraud alone: area under the curve of that column, 0.5 is nothing, 1 all.
Moved: population stability index between the first and the last third of the time; above 0.2 much.
Frauds in the 30 days before count what happened, not what was known then.</small></p>
{% endblock %}
""")
