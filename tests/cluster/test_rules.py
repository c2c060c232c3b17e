"""Two people publish rules in the console; stream and scoring service follow the topic, without a restart."""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.cluster.conftest import image, in_pod, kubectl, until, upgrade, wait_for, wait_until_served
from tests.cluster.test_platform import DRIVER, SCORE, TRANSACTION, _headers

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(3600)]

PEOPLE = {"ana": "[read, label, rules]", "ben": "[read, rules]"}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "rules"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
}
# Values of docs/fraud-lead.md.
VALUES: dict[str, dict[str, Any]] = {
    "console": {
        "keys": {"existingSecret": "people"},
        "settings": {"RULES_FILE": "/rules/rules.yaml", "RULES_COPIES": "true"},
        "extraVolumes": [{"name": "rules", "persistentVolumeClaim": {"claimName": "rules"}}],
        "extraVolumeMounts": [{"name": "rules", "mountPath": "/rules"}],
    },
    "streaming": {
        "stream": {"settings": {"RULES_PUBLISHED": "true", "RULES_FILE": "/var/lib/fraud/published.yaml"}}
    },
    "serving": {
        "transformer": {"settings": {"RULES_PUBLISHED": "true", "RULES_FILE": "/tmp/rules.yaml"}}  # noqa: S108
    },
}
_FORM = """
import httpx, re
with httpx.Client(base_url="http://console", follow_redirects=True, timeout=120) as browser:
    browser.headers["origin"] = "http://console"
    browser.post("/login", data={{"key": {key!r}}}).raise_for_status()
    page = browser.get("/rules").text
    token, = set(re.findall('name="token" value="([^"]+)"', page))
    found = dict(number=max(map(int, re.findall('data-proposal="([0-9]+)"', page)), default=0))
    done = browser.post({path!r}, data={{"token": token, **{form!r}, **found}})
    print(done.status_code)
"""
_SEEN = """
from deltalake import DeltaTable
from pyarrow.dataset import field
import pyarrow.compute as pc
rows = DeltaTable("/var/lib/fraud/delta/decisions").to_pyarrow_dataset()
print(rows.count_rows(filter=pc.match_substring(field("shadow_rules"), "{rule}")))
"""
_TROUBLES = """
import os
from pathlib import Path
from fraud.rules.audit_table import TableCopy
from fraud.rules.audit_topic import TopicCopy
from fraud.rules.publishing import Publishing
given = os.environ
copies = TopicCopy(given["FRAUD_CONSOLE_KAFKA_BOOTSTRAP"], {}), TableCopy(given["FRAUD_CONSOLE_DELTA"], {})
print(Publishing(Path("/rules/rules.yaml"), "test", copies=copies).troubles())
"""


@pytest.fixture
def keys() -> Iterator[dict[str, str]]:
    """Console, stream and scoring service as the docs publish in the console; afterwards as before."""
    keys = {person: uuid4().hex for person in PEOPLE}
    lines = [
        f"{who}: {{sha256: {sha256(keys[who].encode()).hexdigest()}, scopes: {scopes}}}\n"
        for who, scopes in PEOPLE.items()
    ]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "people"}}
    kubectl("apply", "-f", "-", given=json.dumps({**secret, "stringData": {"keys.yaml": "".join(lines)}}))
    kubectl("apply", "-f", "-", given=json.dumps(CLAIM))
    images = {release: image(release) for release in VALUES}
    for release, values in VALUES.items():
        given = [f"--set-json={name}={json.dumps(value)}" for name, value in values.items()]
        if release == "serving":  # beside those of values-kind.yaml
            given = [
                f"--set-string=transformer.settings.{name}={value}"
                for name, value in values["transformer"]["settings"].items()
            ]
        upgrade(release, *images[release], *given)
    _settled()
    yield keys
    for release in VALUES:
        upgrade(release, *images[release])
    kubectl("delete", "secret/people", "pvc/rules", "--wait=false")
    _settled()


def test_what_two_people_publish_decides_in_stream_and_scoring_service(keys: dict[str, str]) -> None:
    version = f"test_{uuid4().hex[:8]}"
    live = {"name": "giant", "when": "amount >= 5000000.0", "then": "decline", "reason": "giant"}
    shadow = {"name": version, "when": "amount >= 0.0", "then": "review", "reason": "all", "state": "shadow"}
    content = yaml.safe_dump({"version": version, "rules": [live, shadow]})
    started = _started()
    assert not _declined_by_rule()
    _act(keys["ana"], "/rules/propose", content=content, note="a test")
    _act(keys["ben"], "/rules/approve", note="seen")
    published = time.monotonic()
    until(_declined_by_rule, "the scoring service does not know the rules", 60)
    assert time.monotonic() - published < 30
    until(
        lambda: int(in_pod(f"pod/{DRIVER}", _SEEN.format(rule=version)).split()[-1]) > 0,
        "the stream does not decide by the rules",
        300,
    )
    assert in_pod("deployment/console", _TROUBLES).splitlines()[-1] == "[]"
    _act(keys["ben"], "/rules/undo", note="enough")
    until(lambda: not _declined_by_rule(), "the scoring service keeps rules that were undone", 60)
    assert _started() == started


def _act(key: str, path: str, **form: str) -> None:
    said = in_pod("deployment/simulator", _FORM.format(key=key, path=path, form=form))
    assert said.split()[-1] == "200", said


def _declined_by_rule() -> bool:
    transaction = TRANSACTION | {"transaction_id": uuid4().hex, "amount": 6_000_000.0}
    call = f"httpx.post({SCORE!r}, json={transaction!r}, headers={_headers()!r}, timeout=30)"
    answer = json.loads(in_pod("deployment/simulator", f"import httpx; print({call}.text)"))
    return "giant" in {one["code"] for one in answer["reasons"]}


def _started() -> tuple[str, ...]:
    """When the pods that follow the topic began."""
    of = "serving.kserve.io/inferenceservice=fraud,component=transformer"
    times = "jsonpath={.items[*].metadata.uid}"
    return kubectl("get", "pod", DRIVER, "-o", "jsonpath={.metadata.uid}"), kubectl(
        "get", "pods", f"--selector={of}", "-o", times
    )


def _settled() -> None:
    kubectl("rollout", "status", "deployment/console", "--timeout=600s")
    until(lambda: _one("serving.kserve.io/inferenceservice=fraud,component=transformer"), "two scoring pods")
    wait_until_served()
    until(lambda: _one("spark-role=driver"), "no driver")
    wait_for("condition=Ready", f"pod/{DRIVER}")


def _one(selector: str) -> bool:
    return len(kubectl("get", "pods", f"--selector={selector}", "-o", "name").split()) == 1
