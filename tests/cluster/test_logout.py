"""A logout at one replica of the console ends the session at the other, too."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import NAMESPACE, ROOT, helm, in_pod, kubectl, run, until
from tests.cluster.test_platform import _key

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(1800)]

OF_CONSOLE = "app.kubernetes.io/name=console,app.kubernetes.io/instance=console"
_LOGOUT = """
import httpx, json, re, time
first, second = ({addresses!r})
def at(address):
    return httpx.Client(base_url=address, headers={{"origin": address}}, timeout=60)
with at(first) as one, at(second) as other:
    assert one.post("/login", data={{"key": {key!r}}}).status_code == 303
    cookies = dict(one.cookies)
    for name, value in cookies.items():
        other.cookies.set(name, value)
    before = [one.get("/model").status_code, other.get("/model").status_code]
    token, = set(re.findall('name="token" value="([^"]+)"', one.get("/model").text))
    one.post("/logout", data={{"token": token}})
    for name, value in cookies.items():
        one.cookies.set(name, value)
    left, after = time.monotonic(), []
    while time.monotonic() - left < 30:
        after = [one.get("/model").status_code, other.get("/model").status_code]
        if 200 not in after:
            break
        time.sleep(0.1)
    print(json.dumps([before, after, round(time.monotonic() - left, 2)]))
"""


@pytest.fixture
def addresses() -> Iterator[list[str]]:
    """Two replicas of the console; afterwards as many as before."""
    _scale(2)
    pods = json.loads(kubectl("get", "pods", f"--selector={OF_CONSOLE}", "-o", "json"))["items"]
    yield [f"http://{pod['status']['podIP']}:8070" for pod in pods]
    _scale(1)


def test_who_logs_out_at_one_replica_is_out_at_the_other(addresses: list[str]) -> None:
    program = _LOGOUT.format(addresses=addresses, key=_key("analyst-key"))
    before, after, took_s = json.loads(in_pod("deployment/simulator", program).splitlines()[-1])
    assert before == [200, 200]
    assert 200 not in after
    assert took_s < 10.0


def _scale(replicas: int) -> None:
    given = ["--reuse-values", f"--set=replicas={replicas}"]
    run(helm(), "upgrade", "console", str(ROOT / "charts" / "console"), "--namespace", NAMESPACE, *given)
    kubectl("rollout", "status", "deployment/console", "--timeout=600s")
    until(
        lambda: len(kubectl("get", "pods", f"--selector={OF_CONSOLE}", "-o", "name").split()) == replicas,
        f"not {replicas} pods of the console",
    )
