"""A report as one HTML page: one style, pictures inside, nothing to fetch.

A report with a template extends ``page``::

    TEMPLATE = ENVIRONMENT.from_string("{% extends 'page' %}{% block body %}<h1>...</h1>{% endblock %}")
    TEMPLATE.render(title="Drift", ...)

One that puts its body together itself calls :func:`page`.
"""

from math import isnan
from typing import Any, Final

import jinja2
from markupsafe import Markup

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
td,th{padding:.25rem .8rem;border-bottom:1px solid #d8dee4;text-align:left;vertical-align:top}
figure{display:inline-block;margin:.5rem;max-width:34rem}img{max-width:100%}small{color:#0969da}
.good{color:#116329}.bad,.alarm{border-left:4px solid #cf222e;background:#fff0ee;padding:.6rem 1rem}
.result{font-size:1.15rem;padding:.8rem 1rem;border-left:4px solid #0969da;background:#f0f6fc}
.flag{background:#fff0e0}
</style>
{% block body %}{{ body }}{% endblock %}</html>
"""
_FACTS: Final = """<h1>{{ title }}</h1>
<table>{% for name, value in facts.items() %}
<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
"""
_TABLES: Final = """{% for name, rows in tables.items() %}
<h2>{{ name }}</h2>
<table><tr>{% for column in rows[0] %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr>{% for value in row.values() %}<td>{{ cell(value) }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endfor %}
"""
ENVIRONMENT: Final = jinja2.Environment(
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    loader=jinja2.DictLoader({"page": _PAGE, "facts": _FACTS, "tables": _TABLES}),
)
"""Templates of reports; what they print is escaped. ``facts`` and ``tables`` are parts to include: a title
with a table of names and values; and tables by title, lists of rows, each value written by ``cell``."""


def cell(value: Any, decimals: int = 4) -> str:
    """Write a value of a table; a number that is missing is empty.

    Examples
    --------
    >>> cell(0.25), cell(1234), cell(float("nan")), cell("food")
    ('0.2500', '1,234', '', 'food')
    """
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:,.{decimals}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def page(title: str, body: str) -> str:
    """Lay a body out as a page.

    Parameters
    ----------
    title
        Plain text.
    body
        HTML, with whatever came from outside escaped.
    """
    return ENVIRONMENT.get_template("page").render(title=title, body=Markup(body))  # noqa: S704  ours
