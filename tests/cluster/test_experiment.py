"""An experiment on a cluster: it begins with its ConfigMap and ends by its stop record, without a restart."""

import json
import re

import pytest
import yaml

from tests.cluster.conftest import in_pod, kubectl, proxied, smoke, start_job, until
from tests.cluster.test_airflow import aliases
from tests.cluster.test_platform import DRIVER

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(3600)]

NAME = "fraud-experiment"
DEFINITION = {
    "id": "on-a-cluster",
    "salt": "saltsaltsalt",
    "start": "2026-01-01T00:00:00Z",
    "stop": "2099-01-01T00:00:00Z",
    "arms": [
        {"name": "control", "weight": 0.5, "alias": "champion", "shadow": "challenger"},
        {"name": "treatment", "weight": 0.5, "alias": "challenger"},
    ],
    "effect": 0.2,
    "maturity_days": 0,
}
_ARMS = """
import json
from deltalake import DeltaTable
log = DeltaTable("/var/lib/fraud/delta/decisions")
rows = log.to_pyarrow_table(filters=[("experiment", "=", "on-a-cluster")]).to_pylist()
print(json.dumps(sorted({(row["arm"], row["model_version"]) for row in rows})))
"""


@pytest.fixture
def _experiment():
    kubectl("delete", "configmap", NAME, "--ignore-not-found")
    versions = aliases()
    if versions.get("challenger") in {None, versions["champion"]}:
        other = "1" if versions["champion"] != "1" else "2"
        body = {"name": "fraud", "alias": "challenger", "version": other}
        proxied("services/http:mlflow:5000", "/api/2.0/mlflow/registered-models/alias", body)
    kubectl("create", "configmap", NAME, f"--from-literal=experiment.yaml={yaml.safe_dump(DEFINITION)}")
    yield
    kubectl("delete", "configmap", NAME, "--ignore-not-found")


@pytest.mark.usefixtures("_experiment")
def test_both_models_decide_until_the_stop_record_and_then_the_champion_alone():
    started = kubectl("get", "pod", DRIVER, "-o", "jsonpath={.status.startTime}")
    until(lambda: _sees("experiment.yaml"), "the driver does not see the definition")
    assert smoke("smoke-experiment", TRANSACTIONS="300").end()["decided"] == 300
    versions = aliases()
    both = [["control", versions["champion"]], ["treatment", versions["challenger"]]]
    until(
        lambda: json.loads(in_pod(f"pod/{DRIVER}", _ARMS).splitlines()[-1]) == both, "the arms do not decide"
    )
    start_job("experiment", "experiment", "report").succeed()
    start_job("experiment", "experiment", "stop", "--reason", "a test").succeed()
    record = json.loads(
        kubectl("get", "configmap", NAME, "-o", "jsonpath={.data.experiment\\.yaml\\.stopped}")
    )
    assert (record["experiment"], record["reason"]) == ("on-a-cluster", "a test")
    until(lambda: _sees("experiment.yaml.stopped"), "the driver does not see the stop record")
    smoke(
        "smoke-between", TRANSACTIONS="100"
    ).end()  # micro-batches that began with the experiment have ended
    before = _in_arms()
    assert before >= 300
    assert smoke("smoke-stopped", TRANSACTIONS="300").end()["decided"] == 300
    assert _in_arms() == before
    assert kubectl("get", "pod", DRIVER, "-o", "jsonpath={.status.startTime}") == started


def _in_arms() -> float:
    """Transactions that the driver has decided in an experiment."""
    text = proxied(f"pods/{DRIVER}:9404", "/metrics")
    return sum(map(float, re.findall(r"^fraud_stream_arms_total{.*} (\S+)$", text, re.MULTILINE)))


def _sees(file: str) -> bool:
    program = f"import os; print(os.path.exists('/etc/fraud/experiment/{file}'))"
    return in_pod(f"pod/{DRIVER}", program).split()[-1] == "True"
