"""The DAGs as Airflow sees them: its own environment, made from its own lock, runs ``airflow_side.py``."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

from jobs.retrain.steps import STEPS
from tests.charts.conftest import objects, render

ROOT = Path(__file__).parents[2]
LOCKED = ROOT / "services" / "airflow"
SNAPSHOT = Path(__file__).parent / "structure.json"
TASKS = [
    *(f"retrain_model.{step}" for step in ("validate", "features", "train", "evaluate", "gate", "register")),
    "retrain_model.rollout",
    *(
        f"watch_model.{task}"
        for task in ("performance", "evaluate", "drift", "parity", "experiment", "rules")
    ),
    "learn_online.learn",
    "compact_tables.compact",
]


def in_airflow(script: str, home: Path, environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """Run a script of this folder in Airflow's own environment; returns what its last line says."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fraud" / "airflow"
    cleared = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "FRAUD_"))
    }
    of_uv = {"UV_PROJECT_ENVIRONMENT": str(cache), "VIRTUAL_ENV": ""}
    command = ["uv", "run", "--project", str(LOCKED), "--locked", "--quiet", "python"]
    done = subprocess.run(
        [*command, str(Path(__file__).parent / script), *arguments],
        env={
            **cleared,
            **of_uv,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            **environment,
            "AIRFLOW_HOME": str(home),
        },
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_airflow_says_which_dags_run_failed_to_the_exporter_beside_the_scheduler(tmp_path: Path) -> None:
    """As statsd_exporter takes it, which makes `airflow_dagrun_duration_failed_count{dag_id}` of it."""
    (given,) = [
        obj["data"]
        for obj in yaml.safe_load_all(render("airflow", "values", "metrics.enabled=true"))
        if obj and obj["kind"] == "ConfigMap" and obj["metadata"]["name"] == "airflow"
    ]
    environment = {name: value for name, value in given.items() if "__METRICS__" in name}
    sent = in_airflow("metrics_side.py", tmp_path, environment)["sent"]
    assert [one.partition(":")[0] for one in sent] == [
        "airflow.dagrun.duration.failed,dag_id=compact_tables,run_type=scheduled",
        "airflow.dagrun.duration.success,dag_id=compact_tables,run_type=scheduled",
        "airflow.scheduler_heartbeat",
    ]


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow makes of the DAGs, with the plan that the chart writes by default."""
    environment = {
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(
            {"conn_type": "kubernetes", "extra": {"xcom_sidecar_container_image": "airflow"}}
        ),
        "FRAUD_DAGS_PLAN": str(Path(__file__).parent / "plan.yaml"),
    }
    return in_airflow("airflow_side.py", tmp_path_factory.mktemp("airflow"), environment, str(ROOT / "dags"))


def test_every_file_is_imported_without_an_error(seen):
    assert seen["errors"] == {}
    files = {path.stem for path in (ROOT / "dags").glob("*.py")} - {"pods"}
    assert set(seen["dags"]) == files


def test_the_structure_is_that_of_the_snapshot(seen):
    if os.environ.get("FRAUD_UPDATE_GOLDEN"):
        SNAPSHOT.write_text(json.dumps(seen["dags"], indent=1, sort_keys=True) + "\n")
    assert seen["dags"] == json.loads(SNAPSHOT.read_text()), "write it anew with FRAUD_UPDATE_GOLDEN=1"


def test_the_templates_name_the_runs_own_interval_and_version(seen):
    arguments = {name: pod["spec"]["containers"][0]["args"] for name, pod in seen["pods"].items()}
    interval = "2026-03-19T00:00:00+00:00/2026-03-26T00:00:00+00:00"
    retrain = ["python", "-m", "fraud", "retrain", "--interval", interval, "--step"]
    for step in ("validate", "features", "train", "evaluate", "gate", "register"):
        assert arguments[f"retrain_model.{step}"] == [*retrain, step]
    assert arguments["retrain_model.rollout"] == ["python", "-m", "fraud", "rollout", "7"]


def test_the_steps_are_those_of_the_retraining():
    ours = [name.partition(".")[2] for name in TASKS if name.startswith("retrain_model.")]
    assert ours == list(STEPS)


@pytest.mark.parametrize("name", TASKS)
def test_a_pod_is_one_that_kubernetes_takes(seen, name):
    validate(seen["pods"][name], "1.34", strict=True)


@pytest.mark.parametrize("name", TASKS)
def test_a_pod_keeps_the_restricted_standard(seen, name):
    spec = seen["pods"][name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > 0
    asks_kubernetes = name in {"retrain_model.rollout", "watch_model.experiment"}
    assert spec["automountServiceAccountToken"] is asks_kubernetes
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_only_the_registration_leaves_a_record(seen):
    sidecars = {name for name, pod in seen["pods"].items() if len(pod["spec"]["containers"]) > 1}
    assert sidecars == {"retrain_model.register"}


def test_the_deployments_plan_reaches_every_pod(seen):
    for name, pod in seen["pods"].items():
        container = pod["spec"]["containers"][0]
        assert container["image"].endswith(":planned"), name
        assert {"configMapRef": {"name": "airflow-jobs"}} in container["envFrom"]
        claims = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        }
        assert claims == {"airflow-work", "streaming"}
        maps = [one["configMap"] for one in pod["spec"]["volumes"] if "configMap" in one]
        is_optional = {one["name"]: one["optional"] for one in maps}
        assert is_optional == {"fraud-experiment": True, "fraud-schema": False}, name


def test_a_job_runs_where_the_plan_says_as_whom_it_says(seen):
    plan = yaml.safe_load((Path(__file__).parent / "plan.yaml").read_text())
    accounts = {"retrain_model.rollout": "airflow-rollout", "watch_model.experiment": "airflow-experiment"}
    for name, pod in seen["pods"].items():
        spec, given = pod["spec"], plan["pod"]
        for key in ("priorityClassName", "nodeSelector", "tolerations", "affinity"):
            assert spec[key] == given[key], f"{name}: {key}"
        assert given["annotations"].items() <= pod["metadata"]["annotations"].items()
        labels = pod["metadata"]["labels"]
        assert labels["example.org/team"] == "risk"
        assert labels["app.kubernetes.io/component"] == "job", "network policies know the pods by it"
        assert spec["serviceAccountName"] == accounts.get(name, "airflow-jobs"), name


def test_in_production_people_sign_in_as_users_of_the_database(tmp_path):
    configs = [obj for obj in objects("airflow", "values-production") if obj["kind"] == "ConfigMap"]
    (given,) = [obj["data"] for obj in configs if "AIRFLOW__CORE__EXECUTOR" in obj["data"]]
    secrets = dict.fromkeys(("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY"), "s" * 64)
    found = in_airflow("sign_in_side.py", tmp_path, given | secrets)
    assert found == {"right": {"token": 201, "dags": 200}, "wrong": {"token": 401, "dags": 403}}
