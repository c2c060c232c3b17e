"""Rules and dashboards: each alert fires when it should, and none looks at what nothing exports."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from fraud.cli import COMMANDS
from fraud.decide.engine import NO_RULES
from fraud.http import server as _server  # noqa: F401  registers
from fraud.model import metrics as _model  # noqa: F401  registers
from fraud.rules.effects import Costs, RuleEffects
from fraud.runtime import threads as _threads  # noqa: F401
from fraud.tools.dashboards.boards import BOARDS
from fraud.tools.dashboards.run import FOLDER
from fraud.tools.dashboards.run import render as render_boards
from jobs.drift import report as drift
from jobs.drift.judge import Day
from jobs.parity import report as parity
from jobs.parity.compare import Parity
from jobs.performance import figures as performance_figures
from jobs.performance import summary as performance
from jobs.rules import guard
from jobs.stream import metrics as _stream  # noqa: F401
from jobs.stream.tasks.scored import FORGED_RECORD
from services.console import metrics as _console  # noqa: F401
from services.predictor import metrics as _predictor  # noqa: F401
from services.scoring import metrics as _scoring  # noqa: F401
from tests.charts.conftest import objects, render
from tests.charts.test_settings import unknown
from tests.edges import parsed

CHART = Path(__file__).parents[2] / "charts" / "monitoring"
RULES = sorted((CHART / "rules").glob("*.yaml"))
CASES = sorted(Path(__file__).parent.glob("*.test.yaml"))
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
EXPERIMENT = Path(__file__).parents[2] / "jobs" / "experiment" / "report.py"
NAMES = re.compile(r"\bfraud_[a-z0-9_]+\b")
BOUNDED = {
    *("arm", "bin", "entity", "event", "is_fast", "model", "operation", "outcome", "part", "path", "reason"),
    *("rule", "stage", "status", "version", "features_version", "page", "topic", "label"),
    "shard",  # of the feature store, by number
    "thread",  # the names that the code gives its threads
    "url",  # of the one canary that a machine has
}
"""Labels whose values are few: of the code, of the configuration, or of the models served by one process."""


def exported() -> set[str]:
    """Names of the samples that the platform's parts export."""
    jobs = ("parity", "drift", "experiment", "performance", "rules")
    names = {f"fraud_{job}_last_run_timestamp_seconds" for job in jobs}
    registries = (
        REGISTRY,
        parity.as_gauges(Parity()),
        drift.as_gauges(drift.DriftReport("fraud", "1", [Day(0, 0, ())], {})),
        performance_figures.as_gauges(performance.Performance(datetime.now(UTC), (), (), (), ())),
        guard.as_gauges(NO_RULES, RuleEffects("", {}, Costs(), datetime.now(UTC)), [], ()),
    )
    for registry in registries:
        names |= set(_samples(registry))
    for node in ast.walk(parsed(EXPERIMENT)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "gauge":
            assert isinstance(node.args[0], ast.Constant)
            names.add(f"fraud_experiment_{node.args[0].value}")
    return names


def _samples(registry: CollectorRegistry) -> Iterator[str]:
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    for family in registry.collect():
        for suffix in suffixes.get(family.type, ("",)):
            yield family.name + suffix


@cache
def rules() -> list[dict[str, Any]]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def expressions() -> Iterator[tuple[str, str]]:
    """Every query of a rule or a panel: (where it stands, PromQL)."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for board in BOARDS:
        for _, panels in board.rows:
            for panel in panels:
                for expression, _ in panel.queries:
                    yield f"{board.title}: {panel.title}", expression


def test_no_rule_and_no_panel_looks_at_what_nothing_exports() -> None:
    known = exported()
    used = [(where, name) for where, expression in expressions() for name in NAMES.findall(expression)]
    assert len(used) > 50
    assert [(where, name) for where, name in used if name not in known] == []


def test_a_rare_event_has_its_series_before_it_happens() -> None:
    """The step from nothing to 1 is no increase."""
    for reason in ("unknown_transaction", "invalid_label"):
        found = REGISTRY.get_sample_value("fraud_scoring_labels_expired_total", {"reason": reason})
        assert found is not None
    forged = REGISTRY.get_sample_value("fraud_stream_dead_letters_total", {"reason": FORGED_RECORD})
    assert forged == 0


def test_labels_have_few_values() -> None:
    found = {
        (collector._name, label)
        for collector in REGISTRY._collector_to_names
        if isinstance(collector, MetricWrapperBase) and collector._name.startswith("fraud_")
        for label in collector._labelnames
    }
    assert found
    assert {(name, label) for name, label in found if label not in BOUNDED} == set()


def test_metrics_are_named_by_their_part() -> None:
    parts = {"console", "drift", "parity", "performance", "predictor", "rules", "scoring", "simulator"}
    parts |= {"stream", "thread", "http"}  # of every service: fraud.runtime.threads, fraud.http.server
    ours = [name for name in exported() if name.startswith("fraud_") and "experiment" not in name]
    assert {name.split("_")[1] for name in ours} <= parts


def test_every_alert_fires_when_it_should_and_is_silent_otherwise(tmp_path: Path) -> None:
    for file in (*RULES, *CASES):
        shutil.copy(file, tmp_path)
    tested: dict[str, set[bool]] = {}
    for cases in CASES:
        command = ["promtool", "test", "rules", cases.name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for case in yaml.safe_load(cases.read_text())["tests"]:
            for one in case["alert_rule_test"]:
                tested.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    assert tested == {name: {True, False} for name in alerts()}


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {file.stem: file.read_text() for file in RUNBOOKS.glob("*.md")}
    index = pages.pop("README")
    assert set(pages) == set(alerts())
    assert re.findall(r"^- \[(\w+)\]\(\1\.md\)", index, re.MULTILINE) == list(alerts())
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n"), name
        assert f"Severity: {alerts()[name]['labels']['severity']}." in text, name
        assert re.search(r"## Look\n```sh\n.+\n```\n\n## Repair\n- ", text, re.DOTALL), name


def test_a_runbook_names_commands_and_settings_that_there_are() -> None:
    for file in RUNBOOKS.glob("*.md"):
        text = file.read_text()
        commands = re.findall(r"(?:^|`)fraud ([a-z]+)", text, re.MULTILINE)
        assert set(commands) <= set(COMMANDS), file.name
        assert unknown(set(re.findall(r"FRAUD_[A-Z_]+", text))) == set(), file.name
        given = {f"FRAUD_STREAM_{name}" for name in re.findall(r"stream\.settings\.([A-Z_]+)", text)}
        assert unknown(given) == set(), file.name


def test_an_alert_of_a_release_links_to_that_releases_runbook() -> None:
    text = render("monitoring", "values", "rules.runbooks=https://git.example.org/fraud/blob/v1/")
    urls = re.findall(r"runbook_url: (\S+)", text)
    assert urls == [f"https://git.example.org/fraud/blob/v1/docs/runbooks/{name}.md" for name in alerts()]


def test_the_rules_look_at_the_releases_own_namespace() -> None:
    text = render("monitoring", "values", namespace="payments")
    assert 'namespace="fraud"' not in text
    assert 'redis_up{namespace="payments"}' in text


def test_who_is_to_be_scraped_shows_the_port_that_its_monitor_names() -> None:
    """With metrics on, the pod that a monitor selects shows the monitor's port, and lets Prometheus in."""
    monitors = {
        obj["metadata"]["name"]: obj["spec"]
        for obj in objects("monitoring", "values")
        if obj["kind"] == "PodMonitor"
    }
    for chart, port, number in (
        ("feature-store", "metrics", 9121),
        ("airflow", "metrics", 9102),
        ("airflow", "metrics", 9187),
    ):
        found = [obj for obj in yaml.safe_load_all(render(chart, "values", "metrics.enabled=true")) if obj]
        (monitor,) = [one for name, one in monitors.items() if name == f"monitoring-{chart}"]
        shown = {
            (one["name"], one["containerPort"])
            for obj in found
            if obj["kind"] in {"StatefulSet", "Deployment"}
            and monitor["selector"]["matchLabels"].items()
            <= obj["spec"]["template"]["metadata"]["labels"].items()
            for container in obj["spec"]["template"]["spec"]["containers"]
            for one in container.get("ports", [])
        }
        assert (port, number) in shown
        assert {one["port"] for one in monitor["podMetricsEndpoints"]} == {port}
        policies = json.dumps(
            [
                obj["spec"]["ingress"]
                for obj in found
                if obj["kind"] == "NetworkPolicy" and "ingress" in obj["spec"]
            ]
        )
        assert '"kubernetes.io/metadata.name": "monitoring"' in policies


def test_the_dashboards_are_what_the_code_builds() -> None:
    """`python -m fraud.tools.dashboards.main` writes them again."""
    assert {file.name: file.read_text() for file in FOLDER.glob("*.json")} == render_boards()


def test_a_dashboard_shows_every_panel_with_its_queries() -> None:
    for board in BOARDS:
        panels = json.loads((FOLDER / f"{board.uid}.json").read_text())["panels"]
        shown = {panel["title"]: panel for panel in panels if panel["type"] != "row"}
        for _, row in board.rows:
            for panel in row:
                queries = [target["expr"] for target in shown[panel.title]["targets"]]
                assert queries == [expression for expression, _ in panel.queries]
