"""A rollout by its own job: a canary with pods of its own gets its share, and the stream follows."""

import json

import pytest
import yaml

from tests.cluster.conftest import kubectl, proxied, run, smoke, until
from tests.cluster.test_airflow import aliases

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(5400)]


def served() -> list[str]:
    """Versions that the champion's model server answers with."""
    return json.loads(proxied("services/http:fraud-predictor:80", "/v2/models/fraud"))["versions"]


def job(version: str) -> dict:
    plan = yaml.safe_load(kubectl("get", "configmap", "airflow-plan", "-o", "jsonpath={.data.plan\\.yaml}"))
    locked = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = {
        "app.kubernetes.io/name": "rollout",
        "app.kubernetes.io/component": "job",
        "app.kubernetes.io/managed-by": "airflow",
    }
    container = {
        "name": "rollout",
        "image": plan["images"]["rollout"],
        "imagePullPolicy": "IfNotPresent",
        "args": ["python", "-m", "fraud", "rollout", version, "--force", "a test"],
        "envFrom": [{"configMapRef": {"name": name}} for name in plan["configMaps"]],
        "securityContext": locked,
        "resources": plan["resources"]["default"],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  (a volume of the pod's own)
    }
    pod = {
        "serviceAccountName": plan["serviceAccounts"]["rollout"],
        "automountServiceAccountToken": True,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "rollout-test"},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def ended() -> dict:
    status = json.loads(kubectl("get", "job", "rollout-test", "-o", "json"))["status"]
    return status if status.get("succeeded") or status.get("failed") else {}


def test_a_canary_gets_its_share_and_becomes_what_the_stream_decides_with():
    before = aliases()
    version = "1" if before["champion"] != "1" else before["challenger"]
    kubectl("delete", "job", "rollout-test", "--ignore-not-found", "--wait")
    kubectl("create", "-f", "-", given=json.dumps(job(version)))
    until(lambda: aliases().get("canary") == version, "the canary gets nothing")
    ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    assert kubectl("get", "inferenceservice", "fraud-canary", "-o", ready) == "True"
    during = smoke("smoke-rollout", TRANSACTIONS="600").end()
    assert during["decided"] == during["sent"]
    until(ended, "the rollout has not ended")
    log = kubectl("logs", "job/rollout-test")
    assert ended().get("succeeded"), log
    assert aliases()["champion"] == version
    assert served() == [version]
    assert "canary" not in aliases()
    gone = run("kubectl", "--namespace", "fraud", "get", "inferenceservice", "-o", "name").split()
    assert gone == ["inferenceservice.serving.kserve.io/fraud"]
