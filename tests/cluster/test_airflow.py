"""The retraining, asked for through Airflow's API: its pods succeed, and a new version is registered."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from fraud.model.aliases import CANARY as ALIAS
from fraud.model.canary import PERCENT
from tests.cluster.conftest import in_pod, install, kubectl, proxied, smoke, until, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(5400)]

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
INTERVAL = ("2026-03-19T00:00:00Z", "2026-03-26T00:00:00Z")
PATIENCE_S = 3600.0
_CALL = """
import json, urllib.request
from pathlib import Path
def ask(path, body=None, headers={{}}):
    data = None if body is None else json.dumps(body).encode()
    headers = {{"content-type": "application/json", **headers}}
    request = urllib.request.Request("http://127.0.0.1:8080" + path, data, headers)
    return json.load(urllib.request.urlopen(request, timeout=60))
password = json.loads(Path("/tmp/passwords.json").read_text())["admin"]
token = ask("/auth/token", {{"username": "admin", "password": password}})["access_token"]
print(json.dumps(ask({path!r}, {body!r}, {{"authorization": "Bearer " + token}})))
"""


def airflow(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask Airflow's REST API, as a user with a password."""
    found: dict[str, Any] = json.loads(
        in_pod("deployment/airflow-api-server", _CALL.format(path=path, body=body)).splitlines()[-1]
    )
    return found


def aliases() -> dict[str, str]:
    path = "/api/2.0/mlflow/registered-models/get?name=fraud"
    found = json.loads(proxied("services/http:mlflow:5000", path))["registered_model"]["aliases"]
    return {one["alias"]: str(one["version"]) for one in found}


def canary() -> str | None:
    """The version that gets a share of the requests as a canary."""
    version = aliases().get(ALIAS)
    if version is None:
        return None
    path = f"/api/2.0/mlflow/model-versions/get?name=fraud&version={version}"
    tags = json.loads(proxied("services/http:mlflow:5000", path))["model_version"]["tags"]
    return version if {"key": PERCENT, "value": "0"} not in tags else None


def trigger(dag: str) -> str:
    """Start a run of a DAG over the interval; returns its path."""
    run = airflow(
        f"/api/v2/dags/{dag}/dagRuns",
        {
            "dag_run_id": f"test-{time.time():.0f}",
            "logical_date": datetime.now(UTC).isoformat(),
            "data_interval_start": INTERVAL[0],
            "data_interval_end": INTERVAL[1],
        },
    )
    return f"/api/v2/dags/{dag}/dagRuns/{run['dag_run_id']}"


def states(path: str) -> dict[str, str]:
    """Wait for the end of a run, and tell what became of its tasks."""
    until(lambda: _has_ended(path), "the run has not ended", PATIENCE_S)
    tasks = airflow(f"{path}/taskInstances")["task_instances"]
    return {one["task_id"]: one["state"] for one in tasks}


def _has_ended(path: str) -> bool:
    return airflow(path)["state"] in {"success", "failed"}


@pytest.fixture(scope="module", autouse=True)
def _running() -> None:
    """Airflow, installed and ready."""
    install("airflow")
    for component in COMPONENTS:
        wait_for("condition=Available", f"deployment/airflow-{component}")
    wait_for("jsonpath={.status.succeeded}=1", "jobs", "--selector=app.kubernetes.io/component=migrate")
    until(lambda: airflow("/api/v2/dags")["total_entries"] == 4, "the DAGs are not there")


@pytest.fixture(scope="module")
def retraining() -> dict[str, Any]:
    """One run of the DAG over a data interval, ended."""
    path = trigger("retrain_model")
    until(lambda: canary() or _has_ended(path), "no canary, and no end", PATIENCE_S)
    if not _has_ended(path):
        smoke("smoke-canary", TRANSACTIONS="600").end()  # a canary that sees nothing is not judged
    found = states(path)
    record = airflow(f"{path}/taskInstances/register/xcomEntries/return_value")
    return {"path": path, "states": found, "record": record["value"]}


def test_every_step_succeeds_or_is_rightly_skipped(retraining):
    steps = ("validate", "features", "train", "evaluate", "gate", "register")
    assert {step: retraining["states"][step] for step in steps} == dict.fromkeys(steps, "success")
    assert retraining["states"]["rollout"] == "success"


def test_the_version_of_the_interval_is_registered(retraining):
    version = retraining["record"]["version"]
    path = f"/api/2.0/mlflow/model-versions/get?name=fraud&version={version}"
    found = json.loads(proxied("services/http:mlflow:5000", path))["model_version"]
    tags = {one["key"]: one["value"] for one in found["tags"]}
    assert tags["interval"] == "20260319T000000-20260326T000000"
    assert tags["gate"] == "accepted"


def test_the_rollout_reached_the_model_server(retraining):
    version = retraining["record"]["version"]
    assert aliases()["champion"] == version
    served = json.loads(proxied("services/http:fraud-predictor:80", "/v2/models/fraud"))
    assert served["versions"] == [version]


@pytest.mark.usefixtures("retraining")
def test_the_champion_is_watched_and_no_experiment_is_none():
    kubectl("delete", "configmap", "fraud-experiment", "--ignore-not-found")
    found = states(trigger("watch_model"))
    watched = ("performance", "evaluate", "drift", "parity", "rules")
    assert found == {**dict.fromkeys(watched, "success"), "experiment": "skipped"}


@pytest.mark.usefixtures("retraining")
def test_the_tables_are_compacted():
    assert states(trigger("compact_tables")) == {"compact": "success"}


@pytest.mark.usefixtures("retraining")
def test_new_labels_make_a_challenger():
    champion = aliases()["champion"]
    assert states(trigger("learn_online")) == {"learn": "success"}
    assert aliases()["champion"] == champion
    assert aliases()["challenger"] != champion


@pytest.mark.usefixtures("retraining")
def test_no_pod_of_a_step_is_left():
    left = kubectl("get", "pods", "--selector=app.kubernetes.io/managed-by=airflow", "--output=name")
    assert left.split() == []
