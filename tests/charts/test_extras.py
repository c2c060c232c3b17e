"""What a cluster has of its own reaches every pod: priority, nodes, zones, environment, volumes, identity."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator
from prometheus_client import REGISTRY

from services.predictor import metrics as _predictor  # noqa: F401  registers
from services.scoring import metrics as _scoring  # noqa: F401  registers
from tests.charts.conftest import CHARTS, KUBERNETES, helm, pod_specs, render

SCHEMAS = Path(__file__).parent / "schemas"
CHARTS_WITH_PODS = ("airflow", "console", "feature-store", "mlflow", "serving", "simulator", "streaming")
DOORS = {
    "airflow": ("airflow", 8080),
    "console": ("console", 80),
    "mlflow": ("mlflow", 5000),
    "serving": ("fraud-transformer", 80),
}
"""Chart: Service and port that callers from outside reach."""
SPREAD = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
PLACED: dict[str, Any] = {
    "priorityClassName": "fraud-high",
    "nodeSelector": {"pool": "fraud"},
    "tolerations": [{"key": "fraud", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [SPREAD],
}
ADDED: dict[str, Any] = {
    "podAnnotations": {"example.org/owner": "risk"},
    "podLabels": {"example.org/team": "risk"},
    "extraEnv": [{"name": "FRAUD_LOG_FORMAT", "value": "json"}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
}
OF_OTHERS = {"exporter", "postgres", "code", "passwords", "dags", "server", "test"}
"""Containers that take no environment of ours: other people's programs, copies of files, one question."""


def values_of(chart: str) -> dict[str, Any]:
    placed = (
        {"predictor": PLACED, "transformer": {**PLACED, "enabled": True}} if chart == "serving" else PLACED
    )
    added = {
        key: value for key, value in ADDED.items() if chart != "feature-store" or not key.startswith("extra")
    }
    return {**placed, **added}


def with_values(chart: str, values: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    file = folder / "values.yaml"
    file.write_text(json.dumps(values))
    return [obj for obj in yaml.safe_load_all(render(chart, "values", f"--values={file}")) if obj]


def refusals(obj: dict[str, Any]) -> list[str]:
    """What the API server would say of an object."""
    group, _, version = obj["apiVersion"].rpartition("/")
    if ("." in group and not group.endswith(".k8s.io")) or group == "sparkoperator.k8s.io":
        schema = json.loads((SCHEMAS / f"{group}_{version}_{obj['kind']}.json").read_text())
        return [
            f"{error.json_path}: {error.message[:200]}" for error in Draft7Validator(schema).iter_errors(obj)
        ]
    try:
        kubernetes_validate.validate(obj, KUBERNETES.rsplit(".", 1)[0], strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error)]
    return []


def service_with(*given: str) -> dict[str, Any]:
    more = ("transformer.enabled=true", "predictor.maxReplicas=4", "transformer.maxReplicas=4", *given)
    found = [obj for obj in yaml.safe_load_all(render("serving", "values", *more)) if obj]
    (service,) = [obj for obj in found if obj["kind"] == "InferenceService"]
    assert refusals(service) == []
    return service


def test_replicas_are_added_by_requests_in_flight_where_that_is_asked_for() -> None:
    service = service_with("autoscaling.by=inFlight")
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
    for part, metric in (("predictor", "fraud_predictor"), ("transformer", "fraud_scoring")):
        (scaled,) = service["spec"][part]["autoScaling"]["metrics"]
        query = scaled["external"]["metric"]["query"]
        assert f'rate({metric}_request_seconds_sum{{namespace="fraud"}}[1m])' in query
        names = set(re.findall(r"fraud_\w+", query))
        assert names <= {sample for family in REGISTRY.collect() for sample in names_of(family)}, query
        assert scaled["external"]["target"] == {"type": "Value", "value": "4"}
        assert "scaleMetric" not in service["spec"][part]


@pytest.mark.parametrize(
    ("part", "refused"),
    [("predictor", "fraud_predictor_refused_requests_total"), ("transformer", "fraud_scoring_shed_total")],
)
def test_requests_in_flight_are_known_before_any_was_refused(part: str, refused: str, tmp_path: Path) -> None:
    """A reason's series begins with its first refusal; until then the load is what is in flight."""
    (scaled,) = service_with("autoscaling.by=inFlight")["spec"][part]["autoScaling"]["metrics"]
    query = scaled["external"]["metric"]["query"]
    (busy,) = re.findall(r"fraud_\w+_seconds_sum", query)
    seconds = {"series": f'{busy}{{namespace="fraud"}}', "values": "0+30x10"}
    shed = {"series": f'{refused}{{namespace="fraud",reason="busy"}}', "values": "0+60x10"}
    cases = [
        {
            "interval": "15s",
            "input_series": series,
            "promql_expr_test": [
                {"expr": query, "eval_time": "2m", "exp_samples": [{"labels": "{}", "value": load}]}
            ],
        }
        for series, load in (([seconds], 2), ([seconds, shed], 6))
    ]
    (tmp_path / "scaling.yaml").write_text(json.dumps({"rule_files": [], "tests": cases}))
    done = subprocess.run(
        ["promtool", "test", "rules", "scaling.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def names_of(family: Any) -> list[str]:
    return {"counter": [f"{family.name}_total"], "histogram": [f"{family.name}_sum"]}.get(family.type, [])


def test_replicas_are_added_by_processor_use_else() -> None:
    service = service_with()
    assert "serving.kserve.io/autoscalerClass" not in service["metadata"]["annotations"]
    for part in ("predictor", "transformer"):
        assert (service["spec"][part]["scaleMetric"], service["spec"][part]["scaleTarget"]) == ("cpu", 70)


def metadata(obj: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Labels and annotations of the pods that an object makes."""
    spec = obj.get("spec", {})
    match obj["kind"]:
        case "SparkApplication":
            yield from (spec[role]["template"]["metadata"] for role in ("driver", "executor"))
        case "InferenceService":
            yield from (spec[part] for part in ("predictor", "transformer"))
        case "Deployment" | "StatefulSet" | "Job":
            yield spec["template"]["metadata"]


@pytest.mark.parametrize("chart", CHARTS_WITH_PODS)
def test_every_pod_runs_where_the_values_say(chart: str, tmp_path: Path) -> None:
    found = [pod for obj in with_values(chart, values_of(chart), tmp_path) for pod in pod_specs(obj)]
    assert found
    for name, spec in found:
        for key, value in PLACED.items():
            if key != "topologySpreadConstraints":
                assert spec[key] == value, f"{name}: {key}"


@pytest.mark.parametrize("chart", CHARTS_WITH_PODS)
def test_a_spread_means_the_pods_themselves(chart: str, tmp_path: Path) -> None:
    for obj in with_values(chart, values_of(chart), tmp_path):
        for (name, spec), pod in zip(pod_specs(obj), metadata(obj), strict=False):
            for one in spec.get("topologySpreadConstraints", []):
                selector = one["labelSelector"]["matchLabels"]
                assert {**one, "labelSelector": None} == {**SPREAD, "labelSelector": None}
                assert selector.items() <= pod["labels"].items(), name


@pytest.mark.parametrize("chart", [chart for chart in CHARTS_WITH_PODS if chart != "feature-store"])
def test_every_container_of_ours_gets_the_environment_and_the_volumes(chart: str, tmp_path: Path) -> None:
    for obj in with_values(chart, values_of(chart), tmp_path):
        for name, spec in pod_specs(obj):
            for one in [*spec["containers"], *spec.get("initContainers", [])]:
                if one["name"] in OF_OTHERS:
                    continue
                assert ADDED["extraEnv"][0] in one["env"], f"{name}: {one['name']}"
                assert ADDED["extraVolumeMounts"][0] in one["volumeMounts"], f"{name}: {one['name']}"
                assert ADDED["extraVolumes"][0] in spec["volumes"], name


@pytest.mark.parametrize("chart", CHARTS_WITH_PODS)
def test_every_pod_carries_the_labels_and_the_annotations(chart: str, tmp_path: Path) -> None:
    for obj in with_values(chart, values_of(chart), tmp_path):
        for pod in metadata(obj):
            assert ADDED["podLabels"].items() <= pod["labels"].items()
            assert ADDED["podAnnotations"].items() <= pod.get("annotations", {}).items(), obj["metadata"][
                "name"
            ]


@pytest.mark.parametrize("chart", CHARTS_WITH_PODS)
def test_the_api_server_would_take_it_with_everything(chart: str, tmp_path: Path) -> None:
    values = {**values_of(chart), **(OPEN if chart in DOORS else {})}
    for obj in with_values(chart, values, tmp_path):
        if obj["kind"] != "HTTPRoute":
            assert refusals(obj) == [], obj["metadata"]["name"]


OPEN: dict[str, Any] = {
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"example.org/limit": "1"},
        "hosts": ["fraud.example.org"],
        "tls": [{"secretName": "fraud-tls", "hosts": ["fraud.example.org"]}],
    },
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["fraud.example.org"],
    },
}


@pytest.mark.parametrize("chart", DOORS)
def test_the_doors_lead_to_the_service(chart: str, tmp_path: Path) -> None:
    more = {"transformer": {"enabled": True}} if chart == "serving" else {}
    found = {obj["kind"]: obj for obj in with_values(chart, {**OPEN, **more}, tmp_path)}
    service, port = DOORS[chart]
    (rule,) = found["Ingress"]["spec"]["rules"]
    assert rule["host"] == "fraud.example.org"
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": service, "port": {"number": port}}
    assert found["Ingress"]["spec"]["tls"] == OPEN["ingress"]["tls"]
    assert found["HTTPRoute"]["spec"]["rules"] == [{"backendRefs": [{"name": service, "port": port}]}]
    assert found["HTTPRoute"]["spec"]["parentRefs"] == OPEN["httpRoute"]["parentRefs"]


@pytest.mark.parametrize("chart", DOORS)
def test_the_controllers_namespace_can_be_let_in(chart: str, tmp_path: Path) -> None:
    """A door that the chart's own network policy keeps closed leads nowhere."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
    named = {"clients": [peer]} if chart in {"airflow", "console"} else {"namespaces": ["ingress"]}
    more = {"transformer": {"enabled": True}} if chart == "serving" else {}
    found = with_values(chart, {**OPEN, **more, "networkPolicy": named}, tmp_path)
    peers = [
        one
        for obj in found
        if obj["kind"] == "NetworkPolicy"
        for rule in obj["spec"].get("ingress", [])
        for one in rule.get("from", [])
    ]
    assert peer in peers


def test_the_registry_answers_to_the_names_of_its_doors(tmp_path: Path) -> None:
    """MLflow refuses a Host header that it does not know."""
    doors = {"ingress": {"enabled": True, "hosts": ["a.example.org"]}}
    doors["httpRoute"] = {**OPEN["httpRoute"], "hostnames": ["b.example.org"]}
    (pod,) = [
        spec
        for obj in with_values("mlflow", doors, tmp_path)
        if obj["kind"] == "Deployment"
        for _, spec in pod_specs(obj)
    ]
    (allowed,) = [one for one in pod["containers"][0]["args"] if one.startswith("--allowed-hosts=")]
    assert {"a.example.org", "b.example.org", "mlflow", "localhost:*"} <= set(
        allowed.partition("=")[2].split(",")
    )


@pytest.mark.parametrize("values", ["values", "values-production"])
def test_kafkas_pods_carry_the_labels_and_the_annotations_whatever_their_pool_has(values: str) -> None:
    """A pool's template takes the place of the cluster's."""
    given = ("podLabels.team=risk", "podAnnotations.owner=risk", "metrics.exporter=true")
    found = [obj for obj in yaml.safe_load_all(render("kafka", values, *given)) if obj]
    (kafka,) = [obj["spec"] for obj in found if obj["kind"] == "Kafka"]
    pools = [obj["spec"] for obj in found if obj["kind"] == "KafkaNodePool"]
    for part in (*pools, kafka["entityOperator"], kafka["kafkaExporter"]):
        metadata = part["template"]["pod"]["metadata"]
        assert metadata == {"labels": {"team": "risk"}, "annotations": {"owner": "risk"}}
    assert ["affinity" in pool["template"]["pod"] for pool in pools] == [values != "values"] * len(pools)
    assert [refusals(obj) for obj in found if obj["kind"].startswith("Kafka")] == [[]] * len(
        [obj for obj in found if obj["kind"].startswith("Kafka")]
    )


@pytest.mark.parametrize("chart", DOORS)
@pytest.mark.parametrize(("door", "missing"), [("ingress", "hosts"), ("httpRoute", "parentRefs")])
def test_a_door_to_nowhere_is_refused_with_what_to_write(chart: str, door: str, missing: str) -> None:
    command = [helm(), "template", chart, CHARTS / chart, f"--kube-version={KUBERNETES}"]
    opened = [
        f"--set={door}.enabled=true",
        *(["--set=transformer.enabled=true"] if chart == "serving" else []),
    ]
    done = subprocess.run([*command, *opened], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{chart}: {door}.{missing} is empty; name the" in done.stderr


@pytest.mark.parametrize("chart", CHARTS_WITH_PODS)
def test_every_pod_has_an_account_of_its_own_that_the_values_annotate(chart: str, tmp_path: Path) -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/fraud"}
    values: dict[str, Any] = {
        "serviceAccount": {"annotations": role},
        **({"transformer": {"enabled": True}} if chart == "serving" else {}),
    }
    if chart == "airflow":
        values["jobs"] = {"serviceAccount": {"annotations": role}}
    found = with_values(chart, values, tmp_path)
    accounts = {obj["metadata"]["name"]: obj for obj in found if obj["kind"] == "ServiceAccount"}
    for obj in found:
        for name, spec in pod_specs(obj):
            if name.endswith("executor"):  # Spark gives it none
                continue
            account = (
                obj["spec"]["driver"]["serviceAccount"]
                if name.endswith("driver")
                else spec["serviceAccountName"]
            )
            assert accounts[account]["metadata"]["annotations"] == role, name
    if chart == "airflow":
        plan = next(
            yaml.safe_load(obj["data"]["plan.yaml"])
            for obj in found
            if obj["metadata"]["name"] == "airflow-plan"
        )
        for job, account in plan["serviceAccounts"].items():
            assert accounts[account]["metadata"]["annotations"] == role, job
        assert set(plan["serviceAccounts"]) == {"default", "rollout", "experiment"}


@pytest.mark.parametrize(
    ("settings", "is_read_only"),
    [
        ([], True),
        (["settings.RULES_COPIES=true"], False),
        (["settings.RULES_COPIES=true", "delta.uri=s3://b/f"], True),
    ],
    ids=["alone", "copies", "copies in an object store"],
)
def test_the_console_writes_to_the_streams_volume_only_where_the_audits_table_is(
    settings: list[str], *, is_read_only: bool
) -> None:
    objs = yaml.safe_load_all(render("console", "values", *settings))
    (pod,) = [spec for obj in objs if obj["kind"] == "Deployment" for _, spec in pod_specs(obj)]
    mounts = {one["name"]: one for one in pod["containers"][0]["volumeMounts"]}
    assert mounts["stream"]["readOnly"] is is_read_only
