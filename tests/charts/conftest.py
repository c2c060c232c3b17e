"""Charts as helm renders them, with every file of values that they bring."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
KUBERNETES = "1.34.0"


def helm() -> str:
    """Find helm: on the PATH, or where `.ci/tools` has built it."""
    built = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fraud" / "bin" / "helm"
    found = shutil.which("helm") or (str(built) if built.exists() else None)
    if found is None:
        pytest.fail("helm is neither on the PATH nor built: run .ci/tools")
    return found


def charts() -> list[str]:
    return sorted(path.parent.name for path in CHARTS.glob("*/Chart.yaml"))


def cases() -> list[tuple[str, str]]:
    """Every chart with every file of values: (chart, values)."""
    return [
        (chart, file.stem) for chart in charts() for file in sorted((CHARTS / chart).glob("values*.yaml"))
    ]


@cache
def render(chart: str, values: str, *given: str, namespace: str = "fraud") -> str:
    """Render a chart, with values for `--set`, or options of helm; random secrets become a constant."""
    files = [] if values == "values" else ["--values", str(CHARTS / chart / f"{values}.yaml")]
    command = [helm(), "template", chart, str(CHARTS / chart), "--namespace", namespace]
    done = subprocess.run(
        [
            *command,
            "--kube-version",
            KUBERNETES,
            *files,
            *(one if one.startswith("--") else f"--set={one}" for one in given),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return "---\n".join(_mask(text) for text in re.split(r"^---\n", done.stdout, flags=re.MULTILINE))


def objects(chart: str, values: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(render(chart, values)) if found]


def pod_specs(obj: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods that an object makes: (what, pod's spec)."""
    name, spec = f"{obj['kind']} {obj['metadata']['name']}", obj.get("spec", {})
    match obj["kind"]:
        case "Deployment" | "StatefulSet" | "Job" | "DaemonSet":
            yield name, spec["template"]["spec"]
        case "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
        case "Pod":
            yield name, spec
        case "SparkApplication":
            for role in ("driver", "executor"):
                yield f"{name} {role}", spec[role]["template"]["spec"]
        case "InferenceService":
            for component in ("predictor", "transformer"):
                if "containers" in spec.get(component, {}):
                    yield f"{name} {component}", spec[component]
        case "ServingRuntime":
            yield name, spec


def anew() -> list[str]:
    """What docs/start.md deletes to start from scratch over kept volumes, as kubectl names it."""
    (command,) = re.findall(
        r"`kubectl -n fraud delete ([^`]*pvc/[^`]*)`", (ROOT / "docs" / "start.md").read_text()
    )
    return str(command).split()


def _mask(document: str) -> str:
    if not re.search(r"^kind: Secret$", document, re.MULTILINE):
        return document
    head, _, data = document.partition("\ndata:\n")
    return f"{head}\ndata:\n" + re.sub(r"^(  [\w.-]+): .+$", r"\1: UkFORE9N", data, flags=re.MULTILINE)
