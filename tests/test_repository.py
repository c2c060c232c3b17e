"""Licence, workflows and make targets: what the repository promises beside its code."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.conftest import CHARTS, charts, helm

ROOT = Path(__file__).parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"
OURS = ("airflow", "jobs", "mlflow", "serving", "stream")


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())
    return found


def artifacts() -> dict[str, dict[str, Any]]:
    modules = yaml.safe_load_all((ROOT / "skaffold.yaml").read_text())
    (platform,) = [one for one in modules if one["metadata"]["name"] == "platform"]
    return {one["image"]: one["docker"] for one in platform["build"]["artifacts"]}


def commands(name: str) -> str:
    done = subprocess.run([".ci/readme", name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_licence_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "LICENSE").read_text()
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert re.search(r"Apache License\s+Version 2\.0, January 2004", text)
    assert re.findall(r"^   (\d)\. ", text, re.MULTILINE) == [str(n) for n in range(1, 10)]


def test_actionlint_finds_nothing_in_the_workflows() -> None:
    built = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fraud" / "bin" / "actionlint"
    program = shutil.which("actionlint") or (str(built) if built.exists() else None)
    if program is None:
        pytest.fail("actionlint is neither on the PATH nor built: run .ci/tools")
    # shellcheck and pyflakes only where they happen to be: elsewhere the result must be the same.
    command = [program, "-shellcheck=", "-pyflakes=", *map(str, sorted(WORKFLOWS.glob("*.yml")))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_workflow_may_do_no_more_than_it_says() -> None:
    for file in WORKFLOWS.glob("*.yml"):
        assert yaml.safe_load(file.read_text())["permissions"] == {"contents": "read"}, file.name
        for name, job in yaml.safe_load(file.read_text())["jobs"].items():
            assert job["timeout-minutes"], f"{file.name}: {name}"


def test_the_images_of_a_release_are_built_as_skaffold_builds_them() -> None:
    jobs = workflow("images")["jobs"]
    matrix = jobs["build"]["strategy"]["matrix"]
    assert set(matrix["image"]) == set(jobs["publish"]["strategy"]["matrix"]["image"]) == set(artifacts())
    assert set(matrix["platform"]) == {"amd64", "arm64"}
    given = {one["image"]: one for one in matrix["include"] if "image" in one}
    for image, docker in artifacts().items():
        arguments = dict(line.split("=") for line in given[image].get("arguments", "").splitlines())
        assert arguments == docker.get("buildArgs", {}), image
        assert given[image]["dockerfile"] == docker.get("dockerfile", "Dockerfile"), image


def test_every_image_has_a_bill_of_materials_a_scan_and_a_signature() -> None:
    jobs = workflow("images")["jobs"]
    (build,) = [one["with"] for one in jobs["build"]["steps"] if "build-push" in one.get("uses", "")]
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    used = " ".join(one.get("uses", one.get("run", "")) for one in jobs["publish"]["steps"])
    assert used.index("imagetools create") < used.index("scan-action") < used.index("cosign sign")


def test_the_kind_workflow_runs_the_readmes_commands() -> None:
    runs = [one.get("run", "") for one in workflow("kind")["jobs"]["smoke"]["steps"]]
    assert ".ci/readme kind | bash -euo pipefail -x" in runs
    assert commands("kind").splitlines()[0] == "kind create cluster --config kind-config.yaml"
    versions = workflow("kind")["jobs"]["smoke"]["env"]
    assert (
        f"skaffold.dev) {versions['SKAFFOLD'].removeprefix('v').rpartition('.')[0]}"
        in (ROOT / "docs" / "start.md").read_text()
    )


@pytest.mark.parametrize("name", ["demo", "test", "kind"])
def test_a_mark_of_the_readme_has_commands(name: str) -> None:
    assert commands(name).strip()


def test_a_mark_that_is_not_there_is_an_error() -> None:
    done = subprocess.run([".ci/readme", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "neither README.md nor docs/*.md has commands under <!-- nothing -->\n"


def test_make_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^  (\w+) +\S", listed, re.MULTILINE) == targets
    phony = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    assert phony == targets


def test_the_devcontainer_makes_what_make_makes() -> None:
    found = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert found["postCreateCommand"] == "make setup"
    assert {int(port) for port in found["portsAttributes"]} == set(found["forwardPorts"])


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    path = f"{Path(helm()).parent}:{os.environ['PATH']}"
    command = [ROOT / ".ci" / "package-charts", "1.2.3", "ghcr.io/owner/name", folder]
    subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, check=True)
    return folder


@pytest.mark.parametrize("chart", charts())
def test_a_published_chart_names_the_images_of_its_release(chart: str, packages: Path) -> None:
    package = packages / f"{chart}-1.2.3.tgz"
    done = subprocess.run(
        [helm(), "template", chart, package, "--kube-version", "1.34.0"],
        capture_output=True,
        text=True,
        check=True,
    )
    used = set(re.findall(r"image: \"?([^\s\"]+)", done.stdout))
    mine = {one for one in used if one.rpartition("/")[2].split(":")[0] in OURS}
    assert mine == {one for one in used if re.fullmatch(r"ghcr\.io/owner/name/\w+:1\.2\.3", one)}
    assert mine or chart in {"feature-store", "kafka", "monitoring"}


def test_a_package_holds_what_the_chart_holds(packages: Path) -> None:
    with tarfile.open(packages / "monitoring-1.2.3.tgz") as package:
        names = set(package.getnames())
    assert {"monitoring/rules/fraud.yaml", "monitoring/values.schema.json"} <= names
    assert (CHARTS / "monitoring" / "rules" / "fraud.yaml").exists()


def test_renovate_finds_every_version_that_it_is_to_keep() -> None:
    found: dict[str, set[str]] = {}
    for manager in json.loads((ROOT / ".github" / "renovate.json").read_text())["customManagers"]:
        (pattern,) = manager["managerFilePatterns"]
        files = [ROOT / name for name in tracked() if re.search(pattern.strip("/"), name)]
        assert files, pattern
        for text in manager["matchStrings"]:
            of_python = re.sub(r"\(\?<(\w+)>", r"(?P<\1>", text)
            for file in files:
                for one in re.finditer(of_python, file.read_text()):
                    name = one.groupdict().get("depName") or manager["depNameTemplate"]
                    found.setdefault(name, set()).add(one["currentValue"])
    modules = {
        one["metadata"]["name"]: one for one in yaml.safe_load_all((ROOT / "skaffold.yaml").read_text())
    }
    releases = modules["operators"]["deploy"]["helm"]["releases"]
    more = [patch["value"] for profile in modules["operators"]["profiles"] for patch in profile["patches"]]
    wanted = {one["remoteChart"].removeprefix("oci://"): one["version"] for one in [*releases, *more]}
    assert {name: found[name] for name in wanted} == {name: {version} for name, version in wanted.items()}
    assert {"uv", "helm.sh/helm/v3", "github.com/rhysd/actionlint", "kindest/node"} <= set(found)


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def operators_charts(folder: Path, *, without: str = "") -> None:
    """A chart for each release of skaffold's module `operators`, which knows our values, except one."""
    configs = yaml.safe_load_all((ROOT / "skaffold.yaml").read_text())
    (module,) = [one for one in configs if one["metadata"]["name"] == "operators"]
    added = [patch["value"] for profile in module["profiles"] for patch in profile["patches"]]
    for release in [*module["deploy"]["helm"]["releases"], *added]:
        chart = folder / release["name"]
        chart.mkdir(parents=True)
        (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {release['name']}\nversion: 0.1.0\n")
        values: dict[str, Any] = {"more": 1}
        for path, value in release.get("setValues", {}).items():
            *parents, last = path.split(".")
            place = values
            for name in parents:
                place = place.setdefault(name, {"more": 1})
            if path != without:
                place[last] = value
        (chart / "values.yaml").write_text(yaml.safe_dump(values))


@pytest.mark.parametrize("without", ["", "kserve.controller.deploymentMode"])
def test_a_value_that_an_operators_chart_does_not_know_is_found(tmp_path: Path, without: str) -> None:
    operators_charts(tmp_path, without=without)
    command = [sys.executable, ".ci/operators", str(tmp_path)]
    path = f"{Path(helm()).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    wrong = [line for line in done.stdout.splitlines() if not line.endswith(": ok")]
    assert wrong == ([f"kserve v0.17.0: the chart knows no value {without}"] if without else []), done.stderr
    assert done.returncode == len(wrong)
