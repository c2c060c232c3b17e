"""What helm makes of the charts: as committed, as the API server takes it, as our own rules want it.

``FRAUD_UPDATE_GOLDEN=1`` writes the golden renderings again; the diff is then for the reviewer.
"""

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator

from fraud.contracts import TOPICS
from fraud.tools.docs.charts import readmes
from tests.charts.conftest import CHARTS, KUBERNETES, cases, charts, helm, objects, pod_specs, render

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = Path(__file__).parent / "schemas"
GIB = 2**30
PLAIN = {
    *("resources", "kafka", "mlflow", "service", "nodeSelector", "tolerations", "affinity"),
    *("extraVolumeMounts", "driver", "executors", "database", "components", "migrations"),
}
"""Values that their own names explain, or those below them."""


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


def pods_of_helm_test(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods of `helm test`."""
    return [obj for obj in found if obj["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]


@pytest.mark.parametrize(("chart", "values"), cases())
def test_the_pod_of_helm_test_gets_no_calls_and_may_ask(chart: str, values: str) -> None:
    """A pod under test that a Service took for one of its own would be sent calls."""
    found = objects(chart, values)
    services = [obj["spec"]["selector"] for obj in found if obj["kind"] == "Service"]
    policies = [obj["spec"] for obj in found if obj["kind"] == "NetworkPolicy"]
    for test in pods_of_helm_test(found):
        labels = test["metadata"]["labels"]
        assert not any(selector.items() <= labels.items() for selector in services)
        asked = [
            one["podSelector"]
            for policy in policies
            for rule in policy.get("ingress", [])
            for one in rule.get("from", [{"podSelector": {}}])
            if "podSelector" in one
        ]
        assert not services or any(_selects(selector, labels) for selector in asked)
    assert pods_of_helm_test(found) or not services, f"`helm test {chart}` has nothing to run"


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    by_names = all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))
    return by_names and selector.get("matchLabels", {}).items() <= labels.items()


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
    served = [obj for obj in objects("mlflow", values) if obj["kind"] == "Deployment"]
    (pod,) = [spec for obj in served for _, spec in pod_specs(obj)]
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


CONTROL_PLANE = [
    ("kube-apiserver", "250m", "0"),
    ("kube-controller-manager", "200m", "0"),
    ("kube-scheduler", "100m", "0"),
    ("etcd", "100m", "100Mi"),
    ("coredns", "200m", "140Mi"),
    ("kindnet", "100m", "50Mi"),
]
"""What kubeadm's and kind's own pods ask for on one node: (pods, cores, memory)."""
MEMORY_OF_THE_NODE = 2 * GIB
"""Beside what pods ask for: system, kubelet, and the page cache that Kafka and the stream live on."""


def test_the_readme_names_the_minimum_that_holds_everything() -> None:
    asked = [(name, _cores(cores), _bytes(memory)) for name, cores, memory in CONTROL_PLANE]
    asked += [(name, cores, memory) for name, cores, memory in _operators()]
    asked += list(_platform("values-kind"))
    running = sum(cores for _, cores, _ in asked), sum(memory for _, _, memory in asked)
    most = _most_that_comes_and_goes()
    cores, memory = running[0] + most[0], running[1] + most[1] + MEMORY_OF_THE_NODE
    text = (CHARTS.parent / "docs" / "start.md").read_text()
    (said,) = re.findall(r"at least (\d+) cores and (\d+) GiB", text)
    assert (int(said[0]), int(said[1])) == (math.ceil(cores), math.ceil(memory / GIB)), (cores, memory / GIB)


def _platform(values: str) -> Iterator[tuple[str, float, int]]:
    """What the charts' pods ask for all the time with values of this name, where a chart has them."""
    for chart in charts():
        own = values if (CHARTS / chart / f"{values}.yaml").exists() else "values"
        for obj in objects(chart, own):
            for asked, copies in _requests(obj):
                yield chart, copies * _cores(asked["cpu"]), copies * _bytes(asked["memory"])


def _operators() -> Iterator[tuple[str, float, int]]:
    """What skaffold's module `operators` lets its pods ask for."""
    modules = {
        one["metadata"]["name"]: one
        for one in yaml.safe_load_all((CHARTS.parent / "skaffold.yaml").read_text())
    }
    for release in modules["operators"]["deploy"]["helm"]["releases"]:
        given = release.get("setValues", {})
        found = [value for key, value in given.items() if key.endswith("resources.requests")]
        found += [given["resources"]["requests"]] if "resources" in given else []
        assert found or release["name"] == "kserve-crd", f"{release['name']} asks for what its chart says"
        for asked in found:
            yield release["name"], _cores(asked["cpu"]), _bytes(asked["memory"])


def _most_that_comes_and_goes() -> tuple[float, int]:
    """The first training beside nothing else, or as many jobs of DAGs as run at once, beside a canary."""
    training = [
        one for obj in objects("simulator", "values-kind") if obj["kind"] == "Job" for one in _of_job(obj)
    ]
    values = yaml.safe_load((CHARTS / "airflow" / "values-kind.yaml").read_text())
    job = values["jobs"]["resources"]["default"]["requests"]
    canary = yaml.safe_load((CHARTS / "serving" / "values-kind.yaml").read_text())["predictor"]["resources"][
        "requests"
    ]
    n = values["parallelism"]
    dags = (
        n * _cores(job["cpu"]) + _cores(canary["cpu"]),
        n * _bytes(job["memory"]) + _bytes(canary["memory"]),
    )
    return max(dags[0], training[0][0]), max(dags[1], training[0][1])


def _of_job(obj: dict[str, Any]) -> list[tuple[float, int]]:
    spec = obj["spec"]["template"]["spec"]
    both = [one["resources"]["requests"] for one in [*spec["containers"], *spec["initContainers"]]]
    return [(max(_cores(one["cpu"]) for one in both), max(_bytes(one["memory"]) for one in both))]


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
    page = (CHARTS.parent / "docs" / "platform-engineer.md").read_text()
    section = page.partition("\n## Production\n")[2].partition("\n## ")[0]
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


def notes(chart: str, values: str, folder: Path, *given: str) -> str:
    """What Helm says after an installation: made an object here, because `helm template` leaves it out."""
    copy = folder / chart
    shutil.copytree(CHARTS / chart, copy, dirs_exist_ok=True)
    text = (CHARTS / chart / "templates" / "NOTES.txt").read_text()
    defined = f'{{{{- define "notes" -}}}}{text}{{{{- end -}}}}\n'
    (copy / "templates" / "notes.yaml").write_text(f'{defined}text: {{{{ include "notes" . | quote }}}}\n')
    files = [] if values == "values" else ["--values", str(CHARTS / chart / f"{values}.yaml")]
    command = [
        helm(),
        "template",
        chart,
        str(copy),
        "--namespace=payments",
        f"--kube-version={KUBERNETES}",
        *files,
    ]
    shown = [*command, "--show-only=templates/notes.yaml", *(f"--set={one}" for one in given)]
    done = subprocess.run(shown, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: str = yaml.safe_load(done.stdout)["text"]
    return found


@pytest.mark.parametrize(("chart", "values"), cases())
def test_after_an_installation_helm_says_where_to_look(chart: str, values: str, tmp_path: Path) -> None:
    said = notes(chart, values, tmp_path)
    assert "<no value>" not in said
    assert "  kubectl -n payments " in said or chart in {"airflow", "feature-store", "serving"}
    assert "-n fraud " not in said


def test_the_streams_notes_give_the_order_of_a_new_schema(tmp_path: Path) -> None:
    assert "fraud-schema" not in notes("streaming", "values", tmp_path)
    said = notes("streaming", "values", tmp_path, "schema.existingConfigMap=fraud-schema")
    assert re.search(
        r"upgrade airflow, then stop this job.*then upgrade\s+serving and this chart", said, re.DOTALL
    )


def test_the_readme_of_a_chart_is_what_its_values_make() -> None:
    """`make generated` writes them again."""
    made = readmes()
    assert {path.parent.name for path in made} == set(charts())
    assert {path: path.read_text() for path in made} == made


@pytest.mark.parametrize("chart", charts())
def test_every_value_of_a_chart_stands_in_its_readme_or_is_a_size_or_a_place(chart: str) -> None:
    readme = (CHARTS / chart / "README.md").read_text()
    described = {name.split(".")[0] for name in re.findall(r"^\| `([\w.-]+)`", readme, re.MULTILINE)}
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    assert set(values) - described <= PLAIN


@pytest.mark.parametrize(
    ("chart", "value", "setting"),
    [
        ("streaming", "rules.configMap", "FRAUD_STREAM_RULES_FILE"),
        ("serving", "transformer.rules.configMap", "FRAUD_SCORING_RULES_FILE"),
    ],
)
def test_named_rules_are_mounted_where_the_program_looks(chart: str, value: str, setting: str) -> None:
    text = render(chart, "values-kind", f"{value}=fraud-rules")
    mounted = [obj for obj in yaml.safe_load_all(text) if obj and setting in json.dumps(obj)]
    assert len(mounted) == 1
    described = json.dumps(mounted[0])
    assert '"mountPath": "/etc/fraud/rules"' in described
    assert '"configMap": {"name": "fraud-rules"}' in described
    assert setting not in render(chart, "values-kind"), "no rules where none are named"


@pytest.mark.parametrize("chart", ["serving", "streaming"])
def test_traces_reach_the_programs_where_they_are_on(chart: str) -> None:
    on = ("traces.mode=otlp", "traces.endpoint=http://c:4318", "traces.settings.TRACES_SAMPLER=always_off")
    text = render(chart, "values-kind", *on)
    for line in (
        "{name: FRAUD_TRACES_MODE, value: otlp}",
        '{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://c:4318"}',
        '{name: OTEL_TRACES_SAMPLER, value: "always_off"}',
    ):
        assert line in text
    assert "TRACES" not in render(chart, "values-kind"), "off by default"
