"""One folder, one image, one word: Dockerfiles, skaffold, charts and DAGs name the same images."""

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from sqlalchemy.engine import make_url

from fraud.cli import COMMANDS
from tests.charts.conftest import CHARTS, ROOT, cases, charts, objects, pod_specs

FOLDERS = {file.parent.name: file.parent for file in sorted(ROOT.glob("[js]*/*/Dockerfile"))}
CODE = ("fraud", "services", "jobs")
THIRD_PARTY = {"redis", "postgres", "valkey/valkey"}
SKAFFOLD = ROOT / "skaffold.yaml"


def configs() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in yaml.safe_load_all(SKAFFOLD.read_text())}


def releases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = configs()["platform"]["deploy"]["helm"]["releases"]
    return found


def test_skaffold_would_read_its_file() -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "skaffold_v4beta13.json").read_text())
    for name, config in configs().items():
        problems = [
            f"{name}: {e.json_path}: {e.message[:300]}" for e in Draft7Validator(schema).iter_errors(config)
        ]
        assert problems == []


def test_skaffold_builds_every_folder_that_is_an_image_and_no_other() -> None:
    artifacts = configs()["platform"]["build"]["artifacts"]
    made = {one["image"]: ROOT / one["docker"]["dockerfile"] for one in artifacts}
    assert made == {name: folder / "Dockerfile" for name, folder in FOLDERS.items()}


def test_skaffold_installs_every_chart() -> None:
    patches = [patch for one in configs()["platform"]["profiles"] for patch in one.get("patches", [])]
    added = [patch["value"] for patch in patches if isinstance(patch.get("value"), dict)]
    assert {one["chartPath"] for one in [*releases(), *added]} == {f"charts/{chart}" for chart in charts()}


def test_the_namespaces_are_there_before_an_operators_chart_needs_them() -> None:
    """Within a module skaffold installs Helm's releases first; required modules come before it."""
    modules = configs()
    named = {name for name, one in modules.items() if one.get("manifests", {}).get("rawYaml")}
    assert named == {"namespaces"}
    assert "helm" not in modules["namespaces"]["deploy"]
    assert modules["operators"]["requires"] == [{"configs": ["namespaces"]}]
    made = {
        one["metadata"]["name"]
        for one in yaml.safe_load_all((ROOT / "manifests" / "namespaces.yaml").read_text())
    }
    watched = set()
    for release in modules["operators"]["deploy"]["helm"]["releases"]:
        values = release.get("setValues", {})
        watched |= {*values.get("watchNamespaces", []), *values.get("spark.jobNamespaces", [])}
    assert watched
    assert watched <= made


def test_removing_the_platform_leaves_the_namespaces() -> None:
    assert "requires" not in configs()["platform"]  # a required module is removed with the one that needs it


def test_the_readme_gives_commands_that_skaffold_and_helm_can_do() -> None:
    """`skaffold verify` builds nothing and would look for an image that no registry has."""
    section = (ROOT / "README.md").read_text().partition("## On kind")[2].partition("### Production")[0]
    modules = re.findall(r"skaffold \w+ -m (\w+)", section)
    assert set(modules) == {"operators", "platform"}
    assert "skaffold verify" not in section
    assert not any("verify" in one for one in configs().values())
    (tested,) = set(re.findall(r"helm -n fraud test (\w+)", section))
    hooks = [
        obj["metadata"].get("annotations", {}).get("helm.sh/hook") for obj in objects(tested, "values-kind")
    ]
    assert "test" in hooks


def test_files_that_skaffold_names_are_there() -> None:
    named = re.findall(r"(?:charts|manifests)/[\w./-]+\.yaml", SKAFFOLD.read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_profiles_patch_the_release_that_they_mean() -> None:
    names = [one["name"] for one in releases()]
    for profile in configs()["platform"]["profiles"]:
        for patch in profile.get("patches", []):
            found = re.fullmatch(r"/deploy/helm/releases/(\d+)/valuesFiles", patch["path"])
            if found is not None:
                chart = names[int(found[1])]
                assert patch["value"] == [f"charts/{chart}/values-{profile['name']}.yaml"]


def test_production_gets_no_synthetic_traffic() -> None:
    platform = configs()["platform"]
    (production,) = [one for one in platform["profiles"] if one["name"] == "production"]
    removed = [patch["path"] for patch in production["patches"] if patch["op"] == "remove"]
    simulator = [one["name"] for one in releases()].index("simulator")
    assert removed == [f"/deploy/helm/releases/{simulator}"]


@pytest.mark.parametrize(("chart", "values"), cases())
def test_every_image_in_a_chart_is_one_of_ours_or_known(chart: str, values: str) -> None:
    for obj in objects(chart, values):
        images = {obj["spec"]["image"]} if obj["kind"] == "SparkApplication" else set()
        for _, spec in pod_specs(obj):
            containers = [*spec["containers"], *spec.get("initContainers", [])]
            images |= {one["image"] for one in containers if "image" in one}
        names = {re.sub(r"(:[^/]+|@.+)$", "", image) for image in images}
        assert names <= set(FOLDERS) | THIRD_PARTY, f"{obj['kind']} {obj['metadata']['name']}"


def test_every_job_of_a_dag_is_an_image_and_has_its_place_in_the_plan() -> None:
    jobs = set()
    for file in sorted((ROOT / "dags").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id == "run_job" and isinstance(node.args[0], ast.Constant):
                jobs.add(node.args[0].value)
    planned = yaml.safe_load((CHARTS / "airflow" / "values.yaml").read_text())["jobs"]["images"]
    assert jobs
    assert jobs <= set(planned)
    assert jobs <= set(FOLDERS)
    assert {name: image["repository"] for name, image in planned.items()} == {name: name for name in planned}
    given = next(one for one in releases() if one["name"] == "airflow")["setValueTemplates"]
    places = {"image": "airflow", **{f"jobs.images.{name}": name for name in planned}}
    assert given == {
        f"{place}.{part}": f"{{{{.IMAGE_{word}_{name}}}}}"
        for place, name in places.items()
        for part, word in (("repository", "REPO"), ("tag", "TAG"))
    }


def test_skaffold_names_the_images_of_hooks_which_helm_hides_from_it() -> None:
    hooked: dict[str, set[str]] = {}
    for chart in charts():
        for obj in objects(chart, "values"):
            if "helm.sh/hook" in obj["metadata"].get("annotations", {}):
                for _, spec in pod_specs(obj):
                    containers = [*spec["containers"], *spec.get("initContainers", [])]
                    hooked.setdefault(chart, set()).update(one["image"] for one in containers)
    assert hooked
    for chart, images in hooked.items():
        given = next(one for one in releases() if one["name"] == chart)["setValueTemplates"].values()
        assert {f"{{{{.IMAGE_TAG_{image}}}}}" for image in images} <= set(given)


@pytest.mark.parametrize("name", FOLDERS)
def test_an_image_holds_all_the_code_that_its_program_imports(name: str) -> None:
    text = (FOLDERS[name] / "Dockerfile").read_text()
    final = text[text.rindex("\nFROM ") :]
    copied = {words[1] for words in (line.split() for line in final.splitlines()) if words[:1] == ["COPY"]}
    modules = re.findall(r"\"-m\", \"((?:services|jobs)[\w.]+)\"", final)
    commands = re.findall(r"\"-m\", \"fraud\", \"(\w+)\"", final)
    for module in [*modules, *(COMMANDS[command][0].partition(":")[0] for command in commands)]:
        folders = {file.parent.as_posix() for file in _imported(module) if file.parts[0] != "fraud"}
        assert {folder for folder in folders if "/" in folder} <= copied
        assert "fraud" in copied


@pytest.mark.parametrize("name", FOLDERS)
def test_an_image_starts_from_the_lock_on_one_base_without_root(name: str) -> None:
    text = (FOLDERS[name] / "Dockerfile").read_text()
    bases = {line.split()[1] for line in text.splitlines() if line.startswith("FROM ")}
    assert bases - {"lock", "packages", "kernels", "java", "jars"} == {"python:3.11-slim-bookworm"}
    assert "--require-hashes" in text
    assert text.rindex("USER 10001:10001") > text.rindex("RUN ")


def test_the_registrys_image_has_the_driver_of_the_url_that_its_chart_describes() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert "`postgresql://user:password@host/mlflow`" in (CHARTS / "mlflow" / "values.yaml").read_text()
    driver = make_url("postgresql://user:password@host/mlflow").get_dialect().driver
    assert driver in {re.split(r"[\[<>=]", one)[0] for one in groups["mlflow"]}


def test_every_image_is_installed_by_one_version_of_uv() -> None:
    texts = [(folder / "Dockerfile").read_text() for folder in FOLDERS.values()]
    versions = {version for text in texts for version in re.findall(r"uv==([\d.]+)", text)}
    assert len(versions) == 1


def _imported(entry: str) -> set[Path]:
    """Files of ours that a module imports, directly or not, relative to the root."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        path = Path(*waiting.pop().split("."))
        if path.parts[0] not in CODE:
            continue
        file = path.with_suffix(".py") if (ROOT / path.with_suffix(".py")).exists() else path / "__init__.py"
        if file in found or not (ROOT / file).exists():
            continue
        found.add(file)
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found
