"""The clouds' identities, secrets kept elsewhere, and charts that other programs render repeatedly."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.charts.conftest import CHARTS, KUBERNETES, ROOT, helm, render

SCHEMAS = Path(__file__).parent / "schemas"
EXAMPLES = ROOT / "docs" / "examples" / "cluster"
ASKS_A_CLOUD = ("airflow", "console", "mlflow", "serving", "simulator", "streaming")
AGENTS = {
    "aws": {("169.254.170.23/32", 80)},
    "gcp": {("169.254.169.254/32", 80), ("169.254.169.252/32", 988)},
    "azure": set(),
}
"""Cloud: address and port of what gives a pod its identity, beside port 443 of the cloud's API."""


def policies(chart: str, *given: str) -> dict[str, list[dict[str, Any]]]:
    """Egress rules by the name of their policy."""
    found = [obj for obj in yaml.safe_load_all(render(chart, "values", *given)) if obj]
    return {
        obj["metadata"]["name"]: obj["spec"]["egress"]
        for obj in found
        if obj["kind"] == "NetworkPolicy" and "egress" in obj["spec"]
    }


@pytest.mark.parametrize("cloud", AGENTS)
@pytest.mark.parametrize("chart", ASKS_A_CLOUD)
def test_a_clouds_preset_lets_pods_reach_its_api_and_their_identity(chart: str, cloud: str) -> None:
    before = policies(chart)
    for name, rules in policies(chart, f"networkPolicy.cloud={cloud}").items():
        added = [rule for rule in rules if rule not in before[name]]
        reached = {
            (peer["ipBlock"]["cidr"], port["port"])
            for rule in added
            for peer in rule.get("to", [])
            for port in rule["ports"]
        }
        assert reached == AGENTS[cloud], name
        assert {"ports": [{"protocol": "TCP", "port": 443}]} in rules or name == "airflow-postgres"


@pytest.mark.parametrize("chart", ASKS_A_CLOUD)
def test_another_cloud_is_refused_with_the_names_that_there_are(chart: str) -> None:
    command = [helm(), "template", chart, CHARTS / chart, "--kube-version", KUBERNETES]
    done = subprocess.run(
        [*command, "--set=networkPolicy.cloud=amazon"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "value must be one of '', 'aws', 'gcp', 'azure'" in done.stderr


@pytest.mark.parametrize("chart", ASKS_A_CLOUD)
def test_further_ways_out_are_open_to_every_pod_of_a_chart(chart: str) -> None:
    """An object store or a registry on a port of its own; also for the pods that Airflow starts."""
    opened = policies(chart, "networkPolicy.egress[0].ports[0].port=9000")
    assert {"airflow", "airflow-jobs"} <= set(opened) if chart == "airflow" else opened
    for name, rules in opened.items():
        assert {"ports": [{"port": 9000}]} in rules, name


def example(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / file).read_text()))


@pytest.mark.parametrize("file", ["external-secrets.yaml", "secret-stores.yaml"])
def test_the_operator_of_external_secrets_would_take_the_examples(file: str) -> None:
    for obj in example(file):
        group, _, version = obj["apiVersion"].partition("/")
        schema = json.loads((SCHEMAS / f"{group}_{version}_{obj['kind']}.json").read_text())
        problems = [f"{one.json_path}: {one.message}" for one in Draft7Validator(schema).iter_errors(obj)]
        assert problems == [], obj["metadata"]


def test_there_is_an_example_for_every_secret_and_key_of_production() -> None:
    page = (ROOT / "docs" / "platform-engineer.md").read_text()
    section = page.partition("\n## Production\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    wanted = {}
    for names, keys in rows:
        said = set(re.findall(r"`([\w.-]+)`(?:[:,;]|$)", keys.partition(", as ")[0].strip()))
        wanted.update(dict.fromkeys(re.findall(r"`([\w-]+)`", names), said))
    made = {}
    for obj in example("external-secrets.yaml"):
        spec = obj["spec"]
        taken = {one["secretKey"] for one in spec.get("data", [])}
        made[obj["metadata"]["name"]] = taken | set(
            spec.get("target", {}).get("template", {}).get("data", ())
        )
    assert set(made) == set(wanted)
    assert {name: keys for name, keys in made.items() if keys} == {
        name: keys for name, keys in wanted.items() if name != "object-store"
    }


def test_the_stores_url_of_the_example_is_the_one_of_the_page() -> None:
    (store,) = [obj for obj in example("external-secrets.yaml") if obj["metadata"]["name"] == "feature-store"]
    url = store["spec"]["target"]["template"]["data"]["url"].replace("{{ .password }}", "PASSWORD")
    assert f"\n{url}\n" in (ROOT / "docs" / "platform-engineer.md").read_text()


@pytest.mark.parametrize(
    "file", sorted(CHARTS.glob("*/values-production.yaml")), ids=lambda file: file.parent.name
)
def test_production_renders_the_same_each_time(file: Path) -> None:
    """Argo CD renders repeatedly, without the cluster: a random secret would be an endless change."""
    command = [helm(), "template", "one", file.parent, "--kube-version", KUBERNETES, "--values", file]
    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert found[0] == found[1]
