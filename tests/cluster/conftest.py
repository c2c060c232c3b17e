"""A cluster that KUBECONFIG names, with the operators and our images; the platform comes by its charts.

Run by hand: ``uv run pytest -m cluster``. Releases and their values are those of skaffold's profile ``kind``.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NAMESPACE = "fraud"
PATIENCE_S = 900.0
POLL_S = 2.0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out unless they are asked for by their marker."""
    if "cluster" in config.getoption("markexpr"):
        return
    ours = [item for item in items if item.get_closest_marker("cluster")]
    items[:] = [item for item in items if item not in ours]
    config.hook.pytest_deselected(items=ours)


def run(*command: str, given: str | None = None) -> str:
    """Run a program and return what it says; what it complains of fails the test."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def kubectl(*arguments: str, given: str | None = None) -> str:
    return run("kubectl", "--namespace", NAMESPACE, *arguments, given=given)


def wait_for(condition: str, *what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition, or for ``jsonpath=...``, of objects that may not be there yet."""
    until(lambda: _is_there(*what), f"no {' '.join(what)}", timeout_s)
    kubectl("wait", f"--for={condition}", f"--timeout={int(timeout_s)}s", *what)


def wait_until_served() -> None:
    """Wait for the InferenceService; KServe leaves its generation behind, which ``condition=`` compares."""
    wait_for('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', "inferenceservice/fraud")


def until(is_so: Callable[[], Any], otherwise: str, timeout_s: float = PATIENCE_S) -> Any:
    """Look again and again until something is so; returns it."""
    give_up = time.monotonic() + timeout_s
    while True:
        found = is_so()
        if found:
            return found
        if time.monotonic() > give_up:
            pytest.fail(f"{otherwise} after {timeout_s:.0f} s")
        time.sleep(POLL_S)


def proxied(resource: str, path: str, body: dict[str, Any] | None = None) -> str:
    """Ask a service (``services/http:NAME:PORT``) or a pod (``pods/NAME:PORT``) through the API server."""
    url = f"/api/v1/namespaces/{NAMESPACE}/{resource}/proxy{path}"
    if body is None:
        return kubectl("get", "--raw", url)
    return kubectl("create", "--raw", url, "-f", "-", given=json.dumps(body))


def in_pod(pod: str, program: str) -> str:
    """Run a Python program in a pod of ours."""
    return kubectl("exec", pod, "--", "python", "-c", program)


def install(release: str, *options: str) -> None:
    """Install or upgrade a release of skaffold's module ``platform``, with its values for kind."""
    helm = shutil.which("helm") or str(Path.home() / ".cache" / "fraud" / "bin" / "helm")
    chart = ROOT / _releases()[release]["chartPath"]
    values = chart / "values-kind.yaml"
    files = ["--values", str(values)] if values.exists() else []
    target = [release, str(chart), "--namespace", NAMESPACE]
    run(helm, "upgrade", "--install", *target, *files, "--timeout", f"{int(PATIENCE_S)}s", *options)


@dataclass(frozen=True, slots=True)
class Smoke:
    """One run of ``jobs/smoke`` on the cluster."""

    name: str

    def end(self) -> dict[str, Any]:
        """Wait for its end, whichever, and return its account."""
        until(self._has_ended, f"job {self.name} has not ended")
        log = kubectl("logs", f"job/{self.name}", "--container", "smoke")
        lines = [line for line in log.splitlines() if line.startswith("{")]
        assert lines, log
        account: dict[str, Any] = json.loads(lines[-1])
        return account

    def _has_ended(self) -> bool:
        status = json.loads(kubectl("get", "job", self.name, "-o", "json"))["status"]
        return bool(status.get("succeeded") or status.get("failed"))


def smoke(name: str, **settings: str) -> Smoke:
    """Start ``manifests/smoke.yaml`` under another name, with settings of its own."""
    job = yaml.safe_load((ROOT / "manifests" / "smoke.yaml").read_text())
    job["metadata"]["name"] = name
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["env"] += [{"name": f"FRAUD_SMOKE_{key}", "value": value} for key, value in settings.items()]
    kubectl("delete", "job", name, "--ignore-not-found", "--wait")
    kubectl("create", "-f", "-", given=json.dumps(job))
    return Smoke(name)


@pytest.fixture(scope="session")
def platform() -> None:
    """Kafka, store, registry, first model, model server, scoring service, stream: installed and ready.

    It stays: whoever ran the tests may want to look, and the next run goes on from there.
    """
    assert os.environ.get("KUBECONFIG"), "KUBECONFIG must name the cluster"
    run("kubectl", "apply", "-f", str(ROOT / "manifests" / "namespaces.yaml"))
    for release in ("kafka", "feature-store", "mlflow"):
        install(release)
    wait_for("condition=Ready", "kafka/fraud")
    wait_for("condition=Available", "deployment/mlflow")
    for release in ("simulator", "serving", "streaming"):  # the first one trains the first model
        install(release)
    wait_until_served()
    wait_for("condition=Ready", "pod/streaming-driver")


def _releases() -> dict[str, dict[str, Any]]:
    configs = {
        one["metadata"]["name"]: one for one in yaml.safe_load_all((ROOT / "skaffold.yaml").read_text())
    }
    return {one["name"]: one for one in configs["platform"]["deploy"]["helm"]["releases"]}


def _is_there(*what: str) -> bool:
    command = ["kubectl", "--namespace", NAMESPACE, "get", *what, "--output=name"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and bool(done.stdout.strip())
