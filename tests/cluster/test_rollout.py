"""A rollout by its own job: a canary with pods of its own gets its share, and the stream follows."""

import json

import pytest

from tests.cluster.conftest import kubectl, proxied, run, smoke, start_job, until
from tests.cluster.test_airflow import aliases, canary

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(5400)]


def served() -> list[str]:
    """Versions that the champion's model server answers with."""
    return json.loads(proxied("services/http:fraud-predictor:80", "/v2/models/fraud"))["versions"]


def test_a_canary_gets_its_share_and_becomes_what_the_stream_decides_with():
    before = aliases()
    version = "1" if before["champion"] != "1" else before["challenger"]
    rollout = start_job("rollout", "rollout", version, "--force", "a test")
    until(lambda: canary() == version, "the canary gets nothing")
    ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    assert kubectl("get", "inferenceservice", "fraud-canary", "-o", ready) == "True"
    during = smoke("smoke-rollout", TRANSACTIONS="600").end()
    assert during["decided"] == during["sent"]
    rollout.succeed()
    assert aliases()["champion"] == version
    assert served() == [version]
    assert "canary" not in aliases()
    gone = run("kubectl", "--namespace", "fraud", "get", "inferenceservice", "-o", "name").split()
    assert gone == ["inferenceservice.serving.kserve.io/fraud"]
