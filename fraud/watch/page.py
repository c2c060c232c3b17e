"""A report as one HTML page: one style, pictures inside, nothing to fetch.

A report with a template extends ``page``::

    TEMPLATE = ENVIRONMENT.from_string("{% extends 'page' %}{% block body %}<h1>...</h1>{% endblock %}")
    TEMPLATE.render(title="Drift", ...)

One that puts its body together itself calls :func:`page`.
"""

from typing import Final

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
ENVIRONMENT: Final = jinja2.Environment(
    autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=jinja2.DictLoader({"page": _PAGE})
)
"""Templates of reports; what they print is escaped."""


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
