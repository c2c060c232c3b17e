"""The platform on a cluster: every part in its place, every transaction decided, also when pods die."""

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.cluster.conftest import in_pod, kubectl, proxied, smoke, until, wait_for, wait_until_served

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(3600)]

DRIVER = "streaming-driver"
SCORE = "http://fraud-transformer/v1/score"
TRANSACTION = {
    "schema_version": 1,
    "event_time": "2026-04-01T12:00:00Z",
    "user_id": "u-cluster-test",
    "merchant_id": "m-cluster-test",
    "amount": 12.5,
}
_CONSOLE = """
import json, re, httpx
with httpx.Client(base_url="http://console", follow_redirects=True, timeout=60) as browser:
    origin = {{"origin": "http://console"}}
    refused = browser.post("/login", data={{"key": "wrong"}}, headers=origin).status_code
    browser.post("/login", data={{"key": "{key}"}}, headers=origin).raise_for_status()
    first = browser.get("/", params={{"show": "all"}})
    case = browser.get("/cases/" + re.findall(r'data-id="([^"]+)"', first.text)[0])
    found = {{"/": first.status_code, "/cases": case.status_code}}
    found.update((path, browser.get(path).status_code) for path in ("/model", "/experiment"))
print(json.dumps({{**found, "without a key": refused}}))
"""
_CALLS = """
import json, pathlib, time, uuid, httpx
folder, answers = pathlib.Path("{folder}"), {{}}
folder.mkdir()
with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=30) as caller:
    while not (folder / "stop").exists():
        transaction = {transaction} | {{"transaction_id": uuid.uuid4().hex}}
        try:
            found = caller.post("{url}", json=transaction, headers={headers}).status_code
        except httpx.TransportError as error:
            found = type(error).__name__
        answers[found] = answers.get(found, 0) + 1
        (folder / "begun").touch()
        time.sleep(0.05)
print(json.dumps(answers))
"""


def test_kafka_and_its_topics_are_ready() -> None:
    wait_for("condition=Ready", "kafka/fraud")
    wait_for("condition=Ready", "kafkatopic", "--selector=strimzi.io/cluster=fraud")


def test_the_stream_runs() -> None:
    wait_for("jsonpath={.status.applicationState.state}=RUNNING", "sparkapplication/streaming")
    wait_for("condition=Ready", f"pod/{DRIVER}")


def test_the_registry_has_a_champion_and_the_model_server_serves_it() -> None:
    wait_until_served()
    assert _served() == [_champion()]


def test_the_model_server_answers_v2() -> None:
    service = "services/http:fraud-predictor:80"
    tensor = json.loads(proxied(service, "/v2/models/fraud"))["inputs"][0]
    width = tensor["shape"][1]
    request = {
        "inputs": [
            {"name": tensor["name"], "datatype": "FP64", "shape": [2, width], "data": [0.0] * 2 * width}
        ]
    }
    answer = json.loads(proxied(service, "/v2/models/fraud/infer", request))
    scores = next(one for one in answer["outputs"] if one["name"] == "probability")
    assert scores["shape"] == [2]
    assert all(0.0 <= score <= 1.0 for score in scores["data"])
    assert answer["model_version"] == _champion()


def test_every_transaction_is_decided_by_the_model() -> None:
    account = smoke("smoke-all", TRANSACTIONS="300").end()
    assert account["sent"] == account["decided"] == 300
    assert account["fallbacks"] == 0


def test_the_scoring_service_decides_at_once() -> None:
    transaction = TRANSACTION | {"transaction_id": "cluster-test"}
    call = f"httpx.post({SCORE!r}, json={transaction!r}, headers={_headers()!r}, timeout=30)"
    program = f"import httpx; print({call}.text)"
    answer = json.loads(in_pod("deployment/simulator", program))
    assert answer["transaction_id"] == "cluster-test"
    assert answer["outcome"] in {"approve", "review", "decline"}
    assert answer["is_fallback"] is False


@pytest.mark.parametrize("component", ["transformer", "predictor"])
def test_a_rolling_restart_refuses_no_call(component: str) -> None:
    folder = f"/tmp/calls-{uuid4().hex}"  # noqa: S108  in the pod
    program = _CALLS.format(folder=folder, url=SCORE, transaction=TRANSACTION, headers=_headers())
    with ThreadPoolExecutor(1) as side:
        calls = side.submit(in_pod, "deployment/simulator", program)
        try:
            until(lambda: calls.done() or _has_file(f"{folder}/begun"), "no call was answered")
            kubectl("rollout", "restart", f"deployment/fraud-{component}")
            kubectl("rollout", "status", f"deployment/fraud-{component}", "--timeout=600s")
            of_old = f"serving.kserve.io/inferenceservice=fraud,component={component}"
            until(lambda: len(_pods(of_old)) == 1, f"the old {component} has not ended")
        finally:
            kubectl("exec", "deployment/simulator", "--", "touch", f"{folder}/stop")
        answers = json.loads(calls.result().splitlines()[-1])
    assert set(answers) == {"200"}, answers


def test_the_console_shows_a_case_to_who_has_a_key() -> None:
    wait_for("condition=Available", "deployment/console")
    pages = json.loads(
        in_pod("deployment/simulator", _CONSOLE.format(key=_key("analyst-key"))).splitlines()[-1]
    )
    assert pages == {"/": 200, "/cases": 200, "/model": 200, "/experiment": 200, "without a key": 401}


@pytest.mark.parametrize(
    ("part", "victim"),
    [
        ("driver", "spark-role=driver"),
        ("predictor", "serving.kserve.io/inferenceservice=fraud,component=predictor"),
        ("broker", "strimzi.io/cluster=fraud,strimzi.io/kind=Kafka"),
    ],
)
def test_a_killed_pod_loses_nothing(part: str, victim: str) -> None:
    before = _decided()
    job = smoke(f"smoke-{part}", TRANSACTIONS="900", RATE_PER_S="15", NEEDS_MODEL="false", WAIT_S="600")
    until(lambda: _decided() >= before + 100, "no transaction was decided")
    kubectl("delete", "pod", f"--selector={victim}", "--grace-period=0", "--force", "--wait=false")
    account = job.end()
    assert account["sent"] == account["decided"] == 900
    wait_for("condition=Ready", "kafka/fraud")
    wait_until_served()
    wait_for("condition=Ready", f"pod/{DRIVER}")


def test_the_log_holds_every_decision_once() -> None:
    program = (
        "import json; from deltalake import DeltaTable; import pyarrow.compute as pc;"
        "log = DeltaTable('/var/lib/fraud/delta/decisions').to_pyarrow_table(columns=['transaction_id']);"
        "print(json.dumps([log.num_rows, pc.count_distinct(log['transaction_id']).as_py()]))"
    )
    rows, distinct = json.loads(in_pod(f"pod/{DRIVER}", program).splitlines()[-1])
    assert rows == distinct > 0


def _decided() -> float:
    """Transactions that the present driver has decided; 0 while there is none."""
    try:
        text = proxied(f"pods/{DRIVER}:9404", "/metrics")
    except AssertionError:  # the driver is starting
        return 0.0
    found = re.search(r"^fraud_stream_transactions_total (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _has_file(path: str) -> bool:
    return path in kubectl("exec", "deployment/simulator", "--", "sh", "-c", f"ls {path} || true")


def _pods(selector: str) -> list[str]:
    return kubectl("get", "pods", f"--selector={selector}", "-o", "name").split()


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {_key()}"}


def _key(name: str = "key") -> str:
    return base64.b64decode(
        kubectl("get", "secret", "fraud-keys", "-o", f"jsonpath={{.data.{name}}}")
    ).decode()


def _served() -> Any:
    return json.loads(proxied("services/http:fraud-predictor:80", "/v2/models/fraud"))["versions"]


def _champion() -> str:
    url = "http://mlflow:5000/api/2.0/mlflow/registered-models/alias?name=fraud&alias=champion"
    answer = in_pod("deployment/simulator", f"import httpx; print(httpx.get({url!r}, timeout=30).text)")
    return str(json.loads(answer)["model_version"]["version"])
