"""The generated pages of the reference: place on the site, and the function that writes it.

Reads the code's own declarations and the rules of ``charts/monitoring``.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import REGISTRY
from pydantic import BaseModel

from fraud.contracts import DeadLetter, contracts_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.reading import DEFAULT
from fraud.tools.docs import charts
from fraud.tools.docs import commands_page as commands
from fraud.tools.docs import settings_page as settings
from fraud.tools.docs.markdown import code, table
from services.scoring.api import openapi
from services.scoring.api.routes import routes_of

__all__ = ["PAGES"]

_ROOT: Final = Path(__file__).parents[3]
_CHARTS: Final = _ROOT / "charts"


def alerts() -> str:
    """Write the page of the alerts."""
    parts = ["# Alerts\nGenerated from `charts/monitoring/rules`.\n"]
    for file in sorted((_CHARTS / "monitoring/rules").glob("*.yaml")):
        for rule in [one for group in yaml.safe_load(file.read_text())["groups"] for one in group["rules"]]:
            if "alert" in rule:
                said = rule["annotations"]
                after = f", after {rule['for']}" if "for" in rule else ""
                severity = rule["labels"]["severity"]
                query = f"```promql\n{rule['expr'].strip()}\n```\n"
                parts.append(
                    f"## {rule['alert']}\n**{_plain(said['summary'])}** ({severity}{after})\n\n"
                    f"{_plain(said['description'])} [Runbook](../runbooks/{rule['alert']}.md)\n\n{query}"
                )
    return "\n".join(parts)


def _plain(text: str) -> str:
    """Say what Prometheus puts in: the alert's number, a label."""
    return re.sub(r"{{ \$value[^}]*}}", "*N*", re.sub(r"{{ \$labels\.(\w+) }}", r"*\1*", text))


def metrics() -> str:
    """Write the page of the metrics that the running programs export."""
    for file in [
        *_ROOT.glob("*/*/metrics.py"),
        _ROOT / "fraud/runtime/threads.py",
        _ROOT / "fraud/http/server.py",
    ]:
        importlib.import_module(".".join(file.relative_to(_ROOT).with_suffix("").parts))
    declared: Any = REGISTRY
    labels = {
        name: getattr(one, "_labelnames", ())
        for one, names in declared._collector_to_names.items()  # noqa: SLF001  (no public way to labels)
        for name in names
    }
    rows = [
        (code(name), family.type, ", ".join(map(code, labels.get(name, ()))), family.documentation)
        for family in sorted(REGISTRY.collect(), key=lambda one: one.name)
        if (name := family.name + ("_total" if family.type == "counter" else "")).startswith("fraud_")
    ]
    head = "# Metrics\nMetrics of the running programs, generated from their declarations. "
    jobs = "Jobs that end leave theirs in the Delta table `figures`, and the stream shows them.\n\n"
    return head + jobs + table(["metric", "type", "labels", "meaning"], rows)


def api() -> str:
    """Write the page of the scoring service's endpoints."""
    document = openapi.document(routes_of(deployed_schema()))
    parts = [f"# Scoring API\n{document['info']['description']} The whole document: `GET /openapi.json`.\n"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            rows = [(code(status), one["description"]) for status, one in operation["responses"].items()]
            parts.append(f"## {method.upper()} {path}\n{operation['summary']}.\n")
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            parts += [f"Takes {code(_named(body['schema']))}.\n"] if body.get("schema") else []
            parts.append(table(["status", "meaning"], rows))
    return "\n".join(parts)


def _named(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", schema.get("title", schema.get("type", "")))).rpartition("/")[2]


def records() -> str:
    """Write the page of the records on the wire, of the packaged schema."""
    found = contracts_of(deployed_schema())
    parts = ["# Contracts\nRecords of the packaged schema, generated from their models.\n"]
    for model in (found.transaction, found.label, found.decision, found.scored, DeadLetter):
        parts += [f"## {model.__name__}\n{inspect.getdoc(model)}\n", _fields(model)]
    return "\n".join(parts)


def _fields(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    rows = [
        (
            code(name),
            _kind(one),
            "yes" if name in schema.get("required", ()) else "",
            one.get("description", ""),
        )
        for name, one in schema["properties"].items()
    ]
    return table(["field", "type", "required", "meaning"], rows)


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or _named(schema))


def packaged_schema() -> str:
    """Write the page of the packaged schema."""
    head = "# The packaged schema\n[Own fields](../schema.md) says what each part means.\n"
    return f"{head}```yaml\n{DEFAULT.read_text()}```\n"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/commands.md": commands.page,
    "reference/settings.md": settings.page,
    "reference/metrics.md": metrics,
    "reference/alerts.md": alerts,
    "reference/api.md": api,
    "reference/contracts.md": records,
    "reference/schema.md": packaged_schema,
    "reference/charts.md": charts.page,
}
"""Where a page stands on the site: what writes it."""
