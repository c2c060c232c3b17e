"""A cluster that KUBECONFIG names, with the operators and our images; the platform comes by its charts.

Run by hand: ``uv run pytest -m cluster``. What `skaffold run` has installed is taken as it is; a missing
release is installed with the values of skaffold's profile ``kind``, its images named as their folders.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NAMESPACE = "fraud"
PATIENCE_S = 900.0
POLL_S = 2.0
_RUNNING = "status.phase!=Succeeded,status.phase!=Failed"
"""Pods of `helm test` stay when they have ended."""


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
    """Look repeatedly until something is so; returns it."""
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


def helm() -> str:
    """Find helm: on the PATH, or where `.ci/tools` has built it."""
    return shutil.which("helm") or str(Path.home() / ".cache" / "fraud" / "bin" / "helm")


def install(release: str, *options: str) -> None:
    """Install a release of skaffold's module ``platform`` with its values for kind, if it is not there."""
    found = run(helm(), "list", "--namespace", NAMESPACE, "--filter", f"^{release}$", "--deployed", "--short")
    if found.split() != [release]:
        upgrade(release, *options)


def upgrade(release: str, *options: str, charts: Path = ROOT / "charts") -> None:
    """Install or upgrade a release with its values for kind, as skaffold does."""
    chart = charts / Path(_releases()[release]["chartPath"]).name
    values = chart / "values-kind.yaml"
    files = ["--values", str(values)] if values.exists() else []
    target = [release, str(chart), "--namespace", NAMESPACE]
    run(helm(), "upgrade", "--install", *target, *files, "--timeout", f"{int(PATIENCE_S)}s", *options)


def uninstall(*releases: str) -> None:
    """Remove releases, and wait until their pods have ended."""
    for release in releases:
        run(helm(), "uninstall", release, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")
    for release in releases:
        of = [f"--selector=app.kubernetes.io/instance={release}", f"--field-selector={_RUNNING}"]
        until(lambda of=of: not kubectl("get", "pods", *of, "-o", "name").strip(), f"{release} has pods")


def image(release: str) -> list[str]:
    """Options of helm that keep the image with which a release of ours runs now."""
    found = yaml.safe_load_all(run(helm(), "get", "manifest", release, "--namespace", NAMESPACE))
    used = {name for obj in found if obj for name in _images(obj)}
    (name,) = used
    repository, colon, tag = name.rpartition(":")
    return [f"--set=image.repository={repository}", f"--set=image.tag={tag}"] if colon else []


def _images(node: Any) -> Iterator[str]:
    match node:
        case dict():
            for key, value in node.items():
                yield from [value] if key == "image" and isinstance(value, str) else _images(value)
        case list():
            for value in node:
                yield from _images(value)


@dataclass(frozen=True, slots=True)
class Job:
    """A Kubernetes Job that was started."""

    name: str

    def succeed(self) -> str:
        """Wait for its end, and return what it said."""
        status = until(self._ended, f"job {self.name} has not ended")
        log = kubectl("logs", f"job/{self.name}")
        assert status.get("succeeded"), log
        return log

    def end(self) -> dict[str, Any]:
        """Wait for the end of a smoke test, whichever, and return its account."""
        until(self._ended, f"job {self.name} has not ended")
        log = kubectl("logs", f"job/{self.name}")
        lines = [line for line in log.splitlines() if line.startswith("{")]
        assert lines, log
        account: dict[str, Any] = json.loads(lines[-1])
        return account

    def _ended(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(kubectl("get", "job", self.name, "-o", "json"))["status"]
        return status if status.get("succeeded") or status.get("failed") else {}


def smoke(name: str, **settings: str) -> Job:
    """Run the chart's smoke test as a Job of this name, with settings of its own."""
    hooks = yaml.safe_load_all(run(helm(), "get", "hooks", "simulator", "--namespace", NAMESPACE))
    pod = next(one for one in hooks if one and one["kind"] == "Pod")
    container = pod["spec"]["containers"][0]
    given = {f"FRAUD_SMOKE_{key}": value for key, value in settings.items()}
    container["env"] = [one for one in container["env"] if one["name"] not in given]
    container["env"] += [{"name": key, "value": value} for key, value in given.items()]
    labels = pod["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    return _start(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {"backoffLimit": 0, "template": template},
        }
    )


def start_job(folder: str, *arguments: str) -> Job:
    """Start a job of ``jobs/`` by its command, with image, settings, volumes and rights of the DAGs' plan."""
    plan = yaml.safe_load(kubectl("get", "configmap", "airflow-plan", "-o", "jsonpath={.data.plan\\.yaml}"))
    volumes, mounts = [{"name": "tmp", "emptyDir": {}}], [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    for one in plan["volumes"]:
        kind = (
            {"persistentVolumeClaim": {"claimName": one["claim"]}}
            if "claim" in one
            else {"configMap": {"name": one["configMap"], "optional": True}}
        )
        volumes.append({"name": one["name"], **kind})
        mounts.append({"name": one["name"], "mountPath": one["path"]})
    container = {
        "name": folder,
        "image": plan["image"],
        "imagePullPolicy": "IfNotPresent",
        "args": ["python", "-m", "fraud", *arguments],
        "envFrom": [{"configMapRef": {"name": name}} for name in plan["configMaps"]],
        "resources": plan["resources"]["default"],
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": plan["serviceAccounts"].get(folder, "default"),
        "automountServiceAccountToken": folder in plan["serviceAccounts"],
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    labels = {
        "app.kubernetes.io/name": folder,
        "app.kubernetes.io/component": "job",
        "app.kubernetes.io/managed-by": "airflow",
    }
    return _start(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"test-{folder}"},
            "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
        }
    )


def _start(job: dict[str, Any]) -> Job:
    name = job["metadata"]["name"]
    kubectl("delete", "job", name, "--ignore-not-found", "--wait")
    kubectl("create", "-f", "-", given=json.dumps(job))
    return Job(name)


@pytest.fixture(scope="session")
def platform() -> None:
    """Kafka, store, registry, first model, model server, scoring service, stream: installed and ready.

    It stays: whoever ran the tests may want to look, and the next run continues from there.
    """
    assert os.environ.get("KUBECONFIG"), "KUBECONFIG must name the cluster"
    run("kubectl", "apply", "-f", str(ROOT / "manifests" / "namespaces.yaml"))
    for release in ("kafka", "feature-store", "mlflow"):
        install(release)
    wait_for("condition=Ready", "kafka/fraud")
    wait_for("condition=Available", "deployment/mlflow")
    for release in ("simulator", "serving", "streaming", "console"):  # the first one trains the first model
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
