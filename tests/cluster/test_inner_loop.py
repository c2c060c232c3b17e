"""An edit's way into a pod: what `skaffold dev` copies runs seconds later, and nothing is built."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cluster.conftest import (
    NAMESPACE,
    ROOT,
    helm,
    in_pod,
    kubectl,
    run,
    until,
    wait_until_served,
)

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("platform"), pytest.mark.timeout(1800)]

EDITED = Path("fraud/http/problems.py")
TITLE = "The API key is missing or wrong"
AIM_S = 30.0
SCORING = "serving.kserve.io/inferenceservice=fraud,component=transformer"
_ASK = "import httpx; print(httpx.get('http://fraud-transformer/v1/decisions/none', timeout=20).text)"


@pytest.fixture
def pod() -> Iterator[str]:
    """A scoring pod as the profile ``dev`` makes it; afterwards it is as before."""
    _synced(is_on=True)
    yield kubectl("get", "pods", f"--selector={SCORING}", "-o", "name").strip()
    _synced(is_on=False)


def test_an_edit_runs_in_the_scoring_pod_within_half_a_minute(pod: str) -> None:
    said = f"no key {uuid4().hex}"
    text = (ROOT / EDITED).read_text()
    assert text.count(TITLE) == 1
    content = base64.b64encode(text.replace(TITLE, said).encode()).decode()
    before = kubectl("get", pod, "-o", "jsonpath={.metadata.uid}")
    program = (
        f"import base64, pathlib; pathlib.Path('/app/{EDITED}').write_bytes(base64.b64decode('{content}'))"
    )
    started = time.monotonic()
    kubectl("exec", pod, "-c", "kserve-container", "--", "python", "-c", program)
    until(lambda: said in _answer(), "the edit does not run", 120)
    took = time.monotonic() - started
    assert took < AIM_S
    assert kubectl("get", pod, "-o", "jsonpath={.metadata.uid}") == before


def _answer() -> str:
    try:
        return in_pod("deployment/simulator", _ASK)
    except AssertionError:  # the program is starting
        return ""


def _synced(*, is_on: bool) -> None:
    given = ["--reuse-values", f"--set=synced={str(is_on).lower()}"]
    run(helm(), "upgrade", "serving", str(ROOT / "charts" / "serving"), "--namespace", NAMESPACE, *given)
    for part in ("predictor", "transformer"):  # KServe changes them after Helm has ended
        until(lambda part=part: _watches(part) == is_on, f"KServe has not changed the {part}")
        kubectl("rollout", "status", f"deployment/fraud-{part}", "--timeout=600s")
    until(
        lambda: len(kubectl("get", "pods", f"--selector={SCORING}", "-o", "name").split()) == 1,
        "the old scoring pod has not ended",
    )
    wait_until_served()


def _watches(part: str) -> bool:
    path = "{.spec.template.spec.containers[0].args}"
    return "watchfiles" in kubectl("get", f"deployment/fraud-{part}", "-o", f"jsonpath={path}")
