"""Few images, one word for each: Dockerfiles, skaffold, charts and DAGs name the same ones."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from sqlalchemy.engine import make_url

from fraud.cli import COMMANDS
from fraud.programs import PROGRAMS, command_of
from tests.charts.conftest import CHARTS, ROOT, cases, charts, objects, pod_specs, render
from tests.edges import parsed

CODE = ("fraud", "services", "jobs")
MOST_IMAGES = 6
COMMANDS_OF_THE_SYSTEM = {"python", "cp"}
THIRD_PARTY = {
    *("redis", "postgres", "valkey/valkey"),
    *("oliver006/redis_exporter", "prom/statsd-exporter", "quay.io/prometheuscommunity/postgres-exporter"),
}
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


def images() -> dict[str, dict[str, str]]:
    """Every image that skaffold builds, with the build arguments of our programs' Dockerfile."""
    made = {one["image"]: one["docker"] for one in configs()["platform"]["build"]["artifacts"]}
    return {name: docker.get("buildArgs", {}) for name, docker in made.items()}


def dockerfiles() -> dict[str, Path]:
    artifacts = configs()["platform"]["build"]["artifacts"]
    return {one["image"]: ROOT / one["docker"].get("dockerfile", "Dockerfile") for one in artifacts}


def folders_of(image: str) -> set[str]:
    """Top-level folders of code in an image."""
    programs = images()[image].get("PROGRAMS")
    return set(CODE) if programs == "." else {"fraud", programs} if programs else set()


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every container of the charts with every file of values: (whose, container)."""
    for chart, values in cases():
        for obj in objects(chart, values):
            for name, spec in pod_specs(obj):
                for one in [*spec["containers"], *spec.get("initContainers", [])]:
                    if "image" in one:
                        yield f"{chart} {values} {name}", one


def name_of(image: str) -> str:
    return re.sub(r"(:[^/]+|@.+)$", "", image)


def test_there_are_few_images_and_no_dockerfile_that_skaffold_does_not_build() -> None:
    assert len(images()) <= MOST_IMAGES
    ours = {file for file in ROOT.rglob("Dockerfile") if ".venv" not in file.parts}
    assert ours == set(dockerfiles().values())


def test_an_image_of_our_programs_installs_the_group_of_its_name() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    ours = {name: given for name, given in images().items() if given}
    assert {name: given["IMAGE"] for name, given in ours.items()} == {name: name for name in ours}
    assert set(groups) == {*ours, "mlflow", "embedded", "dev", "docs"}
    (exported,) = re.findall(r"for group in ([\w ]+);", (ROOT / "Dockerfile").read_text())
    assert set(exported.split()) == {*ours, "embedded"}


def test_an_edit_of_our_code_builds_no_server_of_others() -> None:
    for name in set(images()) - {name for name in images() if folders_of(name)}:
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfiles()[name].read_text(), re.MULTILINE)
        assert not any(word.split("/")[0] in {"fraud", "jobs"} for line in copied for word in line.split()), (
            name
        )


def test_the_code_comes_last_so_that_an_edit_makes_one_small_layer() -> None:
    text = (ROOT / "Dockerfile").read_text()
    final = text[text.rindex("\nFROM ") :]
    assert not re.search(r"pip|apt-get|uv ", final[final.index("COPY fraud fraud") :])


def test_skaffold_installs_every_chart() -> None:
    patches = [patch for one in configs()["platform"]["profiles"] for patch in one.get("patches", [])]
    added = [patch["value"] for patch in patches if "chartPath" in (patch.get("value") or ())]
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
    section = (ROOT / "docs" / "start.md").read_text().partition("## 30 minutes: kind")[2]
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
        used = {obj["spec"]["image"]} if obj["kind"] == "SparkApplication" else set()
        for _, spec in pod_specs(obj):
            both = [*spec["containers"], *spec.get("initContainers", [])]
            used |= {one["image"] for one in both if "image" in one}
        names = {name_of(image) for image in used}
        assert names <= set(images()) | THIRD_PARTY, f"{obj['kind']} {obj['metadata']['name']}"


def dag_arguments() -> Iterator[tuple[str, list[str]]]:
    """Every job that a DAG runs, with its command where that is constant."""
    for file in sorted((ROOT / "dags").glob("*.py")):
        for node in ast.walk(parsed(file)):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id == "run_job" and isinstance(node.args[0], ast.Constant):
                given = node.args[2]
                elements = given.elts if isinstance(given, ast.List) else []
                is_whole = all(isinstance(one, ast.Constant) for one in elements)
                words = [one.value for one in elements if isinstance(one, ast.Constant)] if is_whole else []
                yield node.args[0].value, words


def test_every_job_of_a_dag_runs_in_the_image_of_the_plan() -> None:
    called = list(dag_arguments())
    assert called
    assert all((ROOT / "jobs" / job).is_dir() for job, _ in called)
    named = {words[0] for _, words in called if len(words) == 1}
    assert named
    assert named <= set(PROGRAMS)
    planned = yaml.safe_load((CHARTS / "airflow" / "values.yaml").read_text())["jobs"]["image"]
    assert planned["repository"] == "jobs"
    given = next(one for one in releases() if one["name"] == "airflow")["setValueTemplates"]
    places = {"image": "airflow", "jobs.image": "jobs"}
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
                    both = [*spec["containers"], *spec.get("initContainers", [])]
                    ours = {one["image"] for one in both} & set(images())
                    hooked.setdefault(chart, set()).update(ours)
    assert set(hooked) == {"airflow", "console", "feature-store", "mlflow", "serving", "simulator"}
    for chart, used in hooked.items():
        given = next(one for one in releases() if one["name"] == chart).get("setValueTemplates", {}).values()
        assert {f"{{{{.IMAGE_TAG_{image}}}}}" for image in used} <= set(given)


def test_every_container_of_ours_says_which_program_it_runs() -> None:
    """An image has no program of its own, so that a missing name would start nothing."""
    for whose, one in containers():
        if name_of(one["image"]) in {name for name in images() if folders_of(name)}:
            words = one.get("args", [])
            assert words, whose
            assert words[0] in PROGRAMS or words[0] in COMMANDS_OF_THE_SYSTEM, f"{whose}: {words}"


def programs_of_images() -> dict[str, set[str]]:
    """Modules that each image of ours is started with, by charts and DAGs."""
    needed = {"stream": {PROGRAMS["stream"]}, "jobs": {"fraud.cli"}}
    for _, one in containers():
        words = one.get("args", [])
        if words and words[0] in PROGRAMS:
            needed.setdefault(name_of(one["image"]), set()).add(PROGRAMS[words[0]])
    commands = [words[3] for _, words in dag_arguments() if words[:3] == ["python", "-m", "fraud"]]
    commands += ["retrain", "rollout", "generate"]
    needed["jobs"] |= {COMMANDS[command][0].partition(":")[0] for command in commands}
    return needed


def test_an_image_holds_all_the_code_that_its_programs_import() -> None:
    for image, modules in programs_of_images().items():
        for module in modules:
            assert (ROOT / Path(*module.split("."))).with_suffix(".py").exists(), module
            assert {file.parts[0] for file in _imported(module)} <= folders_of(image), f"{image}: {module}"


def test_an_image_has_every_package_that_its_programs_import() -> None:
    """Each has the library's packages and those of its group; a developer's machine has all."""
    of = packages_distributions()
    for image, modules in programs_of_images().items():
        installed = packages_of(image)
        for module in modules:
            for name, file in sorted(_packages(module)):
                names = {one.lower().replace("_", "-") for one in of.get(name, ())}
                assert not names or names & installed, f"{image}: {file} imports {name}"


def packages_of(image: str) -> set[str]:
    """Names of the packages that an image installs, as its Dockerfile exports them."""
    command = [
        "uv",
        "export",
        "--quiet",
        "--frozen",
        "--no-default-groups",
        "--no-emit-project",
        "--no-hashes",
    ]
    done = subprocess.run(
        [*command, f"--group={image}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", done.stdout, re.MULTILINE))


def _packages(entry: str) -> Iterator[tuple[str, Path]]:
    """Packages of others that importing a module imports: (name, the file that does)."""
    for file in _imported(entry, is_deep=False):
        for node in _import_statements(file, is_deep=False):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if node.module and not node.level else []
            for name in names:
                top = name.partition(".")[0]
                if top not in CODE and top not in sys.stdlib_module_names:
                    yield top, file


@cache
def _import_statements(file: Path, *, is_deep: bool) -> tuple[ast.Import | ast.ImportFrom, ...]:
    tree = parsed(ROOT / file)
    found = ast.walk(tree) if is_deep else _at_import(tree)
    return tuple(node for node in found if isinstance(node, ast.Import | ast.ImportFrom))


def _at_import(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run when a module is imported: none in functions, none for the type checker."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _at_import(child)


def test_every_program_is_a_module_that_runs() -> None:
    for name, module in PROGRAMS.items():
        file = (ROOT / Path(*module.split("."))).with_suffix(".py")
        assert file.exists(), name
        assert '__name__ == "__main__"' in file.read_text(), name


def test_an_image_starts_what_its_arguments_name() -> None:
    assert command_of(["scoring", "--http_port", "1"])[1:] == ["-m", PROGRAMS["scoring"], "--http_port", "1"]
    assert command_of(["python", "-m", "fraud", "drift"]) == ["python", "-m", "fraud", "drift"]
    assert command_of(["executor"]) == ["sh", "/app/jobs/stream/entrypoint.sh", "executor"]
    with pytest.raises(SystemExit, match="give the name of a program: scoring"):
        command_of([])


def bootstraps(values: str, *given: str) -> list[dict[str, Any]]:
    found = [one for one in yaml.safe_load_all(render("simulator", values, *given)) if one]
    return [one for one in found if one["kind"] == "Job"]


def test_the_first_training_holds_no_helm_and_is_tried_again() -> None:
    """Helm gives a hook five minutes and runs it at the first installation alone."""
    (job,) = bootstraps("values-kind")
    assert "annotations" not in job["metadata"]
    assert job["spec"]["backoffLimit"] >= 100
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "OnFailure"
    assert "--keep" in pod["initContainers"][0]["args"]
    assert {"name": "FRAUD_TRAIN_ONLY_FIRST", "value": "true"} in pod["containers"][0]["env"]


def test_another_image_makes_another_job_because_a_job_cannot_be_changed() -> None:
    (one,), (same,) = bootstraps("values-kind"), bootstraps("values-kind", "traffic.ratePerS=7")
    (other,) = bootstraps("values-kind", "image.tag=other")
    assert one["metadata"]["name"] == same["metadata"]["name"]
    assert one["metadata"]["name"] != other["metadata"]["name"]
    (denied,) = configs()["platform"]["resourceSelector"]["deny"]
    assert denied == {"groupKind": "Job.batch", "image": [".*"], "labels": [".*"]}


def test_sparks_entry_is_the_streams_program() -> None:
    (stream,) = [obj for obj in objects("streaming", "values") if obj["kind"] == "SparkApplication"]
    entry = stream["spec"]["mainApplicationFile"].removeprefix("local:///app/")
    assert entry == PROGRAMS["stream"].replace(".", "/") + ".py"
    folder = Path(entry).parent
    assert command_of(["driver"])[1] == f"/app/{folder}/entrypoint.sh"
    assert (ROOT / folder / "entrypoint.sh").exists()


@pytest.mark.parametrize(
    "file", sorted(set(dockerfiles().values())), ids=lambda file: str(file.relative_to(ROOT))
)
def test_an_image_starts_from_the_lock_on_one_base_without_root(file: Path) -> None:
    text = file.read_text()
    stages = set(re.findall(r" AS (\w+)$", text, re.MULTILINE)) | {"${RUNTIME}"}
    bases = {line.split()[1] for line in text.splitlines() if line.startswith("FROM ")}
    assert bases - stages == {"python:3.11-slim-bookworm"}
    assert "--require-hashes" in text
    assert text.rindex("USER 10001:10001") > text.rindex("RUN ")


def test_the_registrys_image_has_the_driver_of_the_url_that_its_chart_describes() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert "`postgresql://user:password@host/mlflow`" in (CHARTS / "mlflow" / "values.yaml").read_text()
    driver = make_url("postgresql://user:password@host/mlflow").get_dialect().driver
    assert driver in {re.split(r"[\[<>=]", one)[0] for one in groups["mlflow"]}


def test_what_dev_syncs_goes_where_the_pods_take_it_from() -> None:
    platform = configs()["platform"]
    (dev,) = [one for one in platform["profiles"] if one["name"] == "dev"]
    assert dev["activation"] == [{"kubeContext": "kind-fraud", "command": "dev"}]
    image, *charted = dev["patches"]
    index = int(re.fullmatch(r"/build/artifacts/(\d+)/sync", image["path"])[1])
    artifact = platform["build"]["artifacts"][index]["image"]
    synced = {one["src"].split("/")[0] for one in image["value"]["manual"]}
    assert synced == folders_of(artifact)
    for patch in charted:
        chart = releases()[int(re.fullmatch(r"/deploy/helm/releases/(\d+)/setValues", patch["path"])[1])][
            "name"
        ]
        assert patch["value"] == {"synced": True}
        pods = [
            spec
            for text in yaml.safe_load_all(render(chart, "values-kind", "synced=true"))
            if text and text["kind"] != "Pod"  # that of `helm test` runs no code of ours
            for _, spec in pod_specs(text)
        ]
        ours = [one for spec in pods for one in spec["containers"] if name_of(one["image"]) == artifact]
        assert ours
        for one in ours:
            assert {"name": "code", "mountPath": "/app"} in one["volumeMounts"]
            assert "watchfiles" in one["args"][0] or one["args"][2].startswith("exec watchfiles")
            # KServe adds options that it does not find among the transformer's arguments, each as a word.
            assert "scoring" not in str(one["args"]) or "--model_name" in one["args"]
        copies = [one for spec in pods for one in spec["initContainers"] if one["name"] == "code"]
        for one in copies:  # the volume itself belongs to root: who copies `/app/.` may not set its times
            *_, target = one["args"]
            assert target == "/code"
            assert set(one["args"][3:-1]) == {f"/app/{folder}" for folder in folders_of(artifact)}
        assert copies
    uses = {whose.split()[0] for whose, one in containers() if name_of(one["image"]) == artifact}
    patched = {releases()[int(re.findall(r"\d+", patch["path"])[0])]["name"] for patch in charted}
    assert uses == patched


def test_every_image_is_installed_by_one_version_of_uv() -> None:
    texts = [file.read_text() for file in dockerfiles().values()]
    versions = {version for text in texts for version in re.findall(r"uv==([\d.]+)", text)}
    assert len(versions) == 1


def _imported(entry: str, *, is_deep: bool = True) -> set[Path]:
    """Files of ours that a module imports, directly or not, relative to the root; deep: in functions too."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        path = Path(*name.split("."))
        if path.parts[0] not in CODE:
            continue
        if path.parent.parts:
            waiting.append(".".join(path.parent.parts))
        file = path.with_suffix(".py") if (ROOT / path.with_suffix(".py")).exists() else path / "__init__.py"
        if file in found or not (ROOT / file).exists():
            continue
        found.add(file)
        for node in _import_statements(file, is_deep=is_deep):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def stages() -> dict[str, str]:
    """Name and text of each stage of our programs' Dockerfile."""
    parts = re.split(r"^FROM \S+", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return {found[1]: part for part in parts if (found := re.match(r" AS (\S+)", part))}


@pytest.mark.parametrize("stage", ["kernels", "jars"])
def test_a_stage_copies_all_the_code_that_it_runs(stage: str, tmp_path: Path) -> None:
    text = stages()[stage]
    for line in re.findall(r"^COPY (fraud.*)$", text, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / target)
            else:
                (tmp_path / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, tmp_path / target)
    modules = re.findall(r"python -m (fraud\S+)|from (fraud\S+) import", text)
    assert modules
    for name in {a or b for a, b in modules}:
        command = [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {name}",
        ]
        subprocess.run(command, cwd=tmp_path, check=True)
