"""What helm makes of the charts: as committed, as the API server takes it, as our own rules want it.

``FRAUD_UPDATE_GOLDEN=1`` writes the golden renderings anew; the diff is then for the reviewer.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator

from fraud.contracts import TOPICS
from tests.charts.conftest import CHARTS, KUBERNETES, cases, charts, helm, objects, pod_specs, render

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = Path(__file__).parent / "schemas"
GIB = 2**30


@pytest.mark.parametrize(("chart", "values"), cases())
def test_a_rendering_is_the_one_committed(chart: str, values: str) -> None:
    file = GOLDEN / f"{chart}.{values}.yaml"
    if os.environ.get("FRAUD_UPDATE_GOLDEN"):
        file.write_text(render(chart, values))
    assert file.exists(), f"no {file.name}: write it with FRAUD_UPDATE_GOLDEN=1"
    assert render(chart, values).splitlines() == file.read_text().splitlines()


def test_no_golden_rendering_is_left_over() -> None:
    expected = {f"{chart}.{values}.yaml" for chart, values in cases()}
    assert {file.name for file in GOLDEN.glob("*.yaml")} == expected


@pytest.mark.parametrize(("chart", "values"), cases())
def test_the_api_server_would_take_every_object(chart: str, values: str) -> None:
    for obj in objects(chart, values):
        group, _, version = obj["apiVersion"].rpartition("/")
        if ("." in group and not group.endswith(".k8s.io")) or group == "sparkoperator.k8s.io":
            schema = json.loads((SCHEMAS / f"{group}_{version}_{obj['kind']}.json").read_text())
            problems = [
                f"{obj['kind']}/{obj['metadata']['name']}: {error.json_path}: {error.message[:300]}"
                for error in Draft7Validator(schema).iter_errors(obj)
            ]
            assert problems == []
        else:
            kubernetes_validate.validate(obj, KUBERNETES.rsplit(".", 1)[0], strict=True)


@pytest.mark.parametrize(("chart", "values"), cases())
def test_every_object_has_the_standard_labels(chart: str, values: str) -> None:
    for obj in objects(chart, values):
        labels = obj["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == chart
        assert labels["app.kubernetes.io/part-of"] == "fraud"
        assert {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"} <= set(labels)


@pytest.mark.parametrize(("chart", "values"), cases())
def test_every_pod_keeps_the_restricted_standard(chart: str, values: str) -> None:
    for obj in objects(chart, values):
        for name, spec in pod_specs(obj):
            inherited = obj["kind"] == "ServingRuntime"  # the InferenceService brings the pod's own
            pod = spec.get("securityContext", {})
            assert inherited or pod["runAsNonRoot"] is True, name
            assert inherited or pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
            for container in [*spec["containers"], *spec.get("initContainers", [])]:
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False, name
                assert context["capabilities"] == {"drop": ["ALL"]}, name
                assert context["readOnlyRootFilesystem"] is True, name


@pytest.mark.parametrize(("chart", "values"), cases())
def test_every_running_container_is_probed_and_says_what_it_needs(chart: str, values: str) -> None:
    for obj in objects(chart, values):
        for name, spec in pod_specs(obj):
            sized = [] if obj["kind"] == "SparkApplication" else spec["containers"]  # which says it elsewhere
            for container in [*sized, *spec.get("initContainers", [])]:
                assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
                assert "memory" in container["resources"]["limits"], name
            for container in spec["containers"]:
                ends = obj["kind"] in {"Job", "CronJob", "Pod"} or name.endswith("executor")
                assert ends or "livenessProbe" in container, name


def called(chart: str, values: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every object, and whether a Service sends calls to its pods."""
    found = objects(chart, values)
    selectors = [obj["spec"]["selector"] for obj in found if obj["kind"] == "Service"]
    for obj in found:
        labels = obj.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        yield obj, any(selector.items() <= labels.items() for selector in selectors)


@pytest.mark.parametrize(("chart", "values"), cases())
def test_who_is_called_says_when_it_is_ready(chart: str, values: str) -> None:
    for obj, is_called in called(chart, values):
        for name, spec in pod_specs(obj):
            if is_called or obj["kind"] == "InferenceService" or name.endswith("driver"):
                assert all("readinessProbe" in container for container in spec["containers"]), name


@pytest.mark.parametrize(("chart", "values"), cases())
def test_who_is_called_answers_until_nobody_calls_any_more(chart: str, values: str) -> None:
    for obj, is_called in called(chart, values):
        is_one_of_many = is_called and obj["kind"] == "Deployment"  # unlike what a StatefulSet keeps
        if is_one_of_many or obj["kind"] in {"InferenceService", "ServingRuntime"}:
            for name, spec in pod_specs(obj):
                for container in spec["containers"]:
                    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
                    inherited = obj["kind"] == "ServingRuntime"
                    assert inherited or spec["terminationGracePeriodSeconds"] >= waits + 30, name


@pytest.mark.parametrize(("chart", "values"), cases())
def test_no_password_stands_in_an_environment(chart: str, values: str) -> None:
    for obj in objects(chart, values):
        for name, spec in pod_specs(obj):
            for container in [*spec["containers"], *spec.get("initContainers", [])]:
                for one in container.get("env", []):
                    is_secret = re.search(r"PASSWORD|TOKEN|_KEY$|STORE_URL|BACKEND_URI", one["name"])
                    plain = one.get("value", "$(")
                    assert not is_secret or plain.startswith("$("), f"{name}: {one['name']}"


@pytest.mark.parametrize("chart", charts())
def test_every_value_is_described_or_named_by_its_schema(chart: str) -> None:
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
    assert set(values) <= set(schema["properties"])


@pytest.mark.parametrize("chart", charts())
def test_a_value_of_no_meaning_is_refused(chart: str) -> None:
    command = [helm(), "template", chart, str(CHARTS / chart), "--kube-version", KUBERNETES]
    done = subprocess.run([*command, "--set", "nonsense=1"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nonsense" in done.stderr


def test_the_template_of_names_is_one() -> None:
    texts = {file.read_text() for file in CHARTS.glob("*/templates/_names.tpl")}
    assert len(texts) == 1


def test_the_topics_are_those_of_the_contracts() -> None:
    for values in ("values", "values-kind", "values-production"):
        made = {obj["metadata"]["name"] for obj in objects("kafka", values) if obj["kind"] == "KafkaTopic"}
        assert made == set(TOPICS)
        for obj in objects("kafka", values):
            if obj["kind"] == "KafkaTopic":
                assert obj["spec"]["config"]["message.timestamp.type"] == "LogAppendTime"


def test_in_production_a_record_survives_a_broker() -> None:
    found = {obj["kind"]: obj for obj in objects("kafka", "values-production")}
    config = found["Kafka"]["spec"]["kafka"]["config"]
    assert config["min.insync.replicas"] == 2
    topics = [obj for obj in objects("kafka", "values-production") if obj["kind"] == "KafkaTopic"]
    assert {topic["spec"]["replicas"] for topic in topics} == {3}
    pools = [obj for obj in objects("kafka", "values-production") if obj["kind"] == "KafkaNodePool"]
    assert sum(pool["spec"]["replicas"] for pool in pools if "broker" in pool["spec"]["roles"]) == 3
    for pool in pools:
        affinity = pool["spec"]["template"]["pod"]["affinity"]["podAntiAffinity"]
        (apart,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        assert apart["topologyKey"] == "kubernetes.io/hostname"
        assert apart["labelSelector"]["matchLabels"] == {"strimzi.io/pool-name": pool["metadata"]["name"]}


@pytest.mark.parametrize("values", ["values", "values-production"])
def test_the_registrys_schema_is_brought_up_to_date_before_its_server_starts(values: str) -> None:
    (pod,) = [spec for obj in objects("mlflow", values) for _, spec in pod_specs(obj)]
    (migrate,), (server,) = pod["initContainers"], pod["containers"]
    stores = [arg.partition("=")[2] for arg in server["args"] if arg.startswith("--backend-store-uri=")]
    assert migrate["command"] == ["mlflow", "db", "upgrade", *stores]
    for part in ("image", "env", "volumeMounts"):
        assert migrate.get(part) == server.get(part)


def test_the_official_airflow_chart_finds_what_the_dags_need() -> None:
    found = objects("airflow", "values-official")
    assert not any(list(pod_specs(obj)) for obj in found)
    made = {obj["metadata"]["name"]: obj.get("data", {}) for obj in found if obj["kind"] == "ConfigMap"}
    theirs = yaml.safe_load((CHARTS / "airflow" / "official-chart.yaml").read_text())
    named = yaml.safe_load(theirs["extraEnvFrom"])[0]["configMapRef"]["name"]
    assert set(made[named]) == {"FRAUD_DAGS_PLAN", "AIRFLOW_CONN_KUBERNETES_DEFAULT"}
    folder, file = made[named]["FRAUD_DAGS_PLAN"].rsplit("/", 1)
    mounted = {one["name"]: one["mountPath"] for one in theirs["volumeMounts"]}
    volume = next(one for one in theirs["volumes"] if mounted[one["name"]] == folder)
    assert file in made[volume["configMap"]["name"]]


def test_the_kind_profile_fits_a_laptop() -> None:
    cores, memory = 0.0, 0
    for chart, values in cases():
        if values != "values-kind" and (chart, values) != ("airflow", "values"):
            continue
        if (CHARTS / chart / "values-kind.yaml").exists() and values != "values-kind":
            continue
        for obj in objects(chart, values):
            for asked, copies in _requests(obj):
                cores += copies * _cores(asked["cpu"])
                memory += copies * _bytes(asked["memory"])
    assert cores < 2.0
    assert memory < 8 * GIB


def _requests(obj: dict[str, Any]) -> list[tuple[dict[str, str], int]]:
    """What an object's pods ask for all the time: (requests, copies)."""
    spec = obj.get("spec", {})
    match obj["kind"]:
        case "KafkaNodePool":
            return [(spec["resources"]["requests"], spec["replicas"])]
        case "Kafka":
            operators = [one for one in spec["entityOperator"].values() if "resources" in one]
            return [(one["resources"]["requests"], 1) for one in operators]
        case "SparkApplication":
            asked = []
            for role in ("driver", "executor"):
                is_driver = role == "driver"
                if is_driver or "spark.kubernetes.driver.master" not in spec["sparkConf"]:
                    of = spec[role]
                    size = _bytes(of["memory"]) + _bytes(of["memoryOverhead"])
                    copies = 1 if is_driver else of["instances"]
                    asked.append(({"cpu": of["coreRequest"], "memory": str(size)}, copies))
            return asked
        case "InferenceService":
            return [
                (container["resources"]["requests"], spec[component]["minReplicas"])
                for component in ("predictor", "transformer")
                for container in spec.get(component, {}).get("containers", [])
            ]
        case "Deployment" | "StatefulSet":
            containers = spec["template"]["spec"]["containers"]
            return [(container["resources"]["requests"], spec["replicas"]) for container in containers]
    return []


def _cores(text: str) -> float:
    return float(text[:-1]) / 1000 if str(text).endswith("m") else float(text)


def _bytes(text: str) -> int:
    units = {"m": 2**20, "g": 2**30, "Mi": 2**20, "Gi": 2**30, "Ki": 2**10}
    found = re.fullmatch(r"(\d+)([A-Za-z]*)", str(text))
    assert found is not None, text
    return int(found[1]) * units.get(found[2], 1)


def test_the_registry_lets_in_every_job_that_airflow_points_to_it() -> None:
    given = yaml.safe_load((CHARTS / "airflow" / "values.yaml").read_text())["jobs"]["env"]
    asking = {name.split("_")[1].lower() for name in given if name.endswith("_MLFLOW_URI")}
    assert {"train", "online"} <= asking
    values = yaml.safe_load((CHARTS / "mlflow" / "values.yaml").read_text())
    assert asking - set(values["networkPolicy"]["clients"]) == set()


def test_the_readme_names_every_secret_that_production_takes() -> None:
    taken: set[str] = set()
    made = {"fraud-cluster-ca-cert"}  # by Strimzi, as those of its users
    for chart, values in cases():
        if values == "values-production":
            for obj in objects(chart, values):
                if obj["kind"] in {"Secret", "KafkaUser"}:
                    made.add(obj["metadata"]["name"])
                taken |= set(_secrets(obj))
                if obj["metadata"]["name"] == "airflow-plan":
                    taken |= set(yaml.safe_load(obj["data"]["plan.yaml"])["secrets"])
    readme = (CHARTS.parent / "README.md").read_text()
    section = readme.partition("\n### Production\n")[2].partition("\n### ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} == taken - made


def _secrets(node: Any) -> Iterator[str]:
    """Names of secrets anywhere in an object."""
    match node:
        case {"secretKeyRef": {"name": name}} | {"secretRef": {"name": name}} | {"secret": {"name": name}}:
            yield name
        case {"secretName": name}:
            yield name
        case dict():
            for value in node.values():
                yield from _secrets(value)
        case list():
            for value in node:
                yield from _secrets(value)
