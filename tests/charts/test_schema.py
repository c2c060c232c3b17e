"""The deployment's own schema reaches every pod that runs our code, and a changed one rolls them."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fraud.schema.reading import read_schema
from tests.charts.conftest import CHARTS, ROOT, cases, helm, pod_specs, render

FILE = ROOT / "docs" / "examples" / "shop.yaml"
OURS = ("serving", "jobs", "stream")
"""Images that carry the library."""
READERS = ("airflow", "console", "serving", "simulator", "streaming")
"""Charts whose pods, or whose DAGs' pods, run them."""
MOUNTED = "/etc/fraud/schema/schema.yaml"
BY_FILE = f"--set-file=schema.file={FILE}"
BY_NAME = "schema.existingConfigMap=fraud-schema"


def rendered(chart: str, values: str, *given: str) -> list[dict[str, Any]]:
    return [obj for obj in yaml.safe_load_all(render(chart, values, *given)) if obj]


def pods(found: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every container that runs our code, but those of `helm test`: (whose, pod's spec, container)."""
    for obj in found:
        if obj["metadata"].get("annotations", {}).get("helm.sh/hook") == "test":
            continue
        for name, spec in pod_specs(obj):
            for one in [*spec.get("containers", []), *spec.get("initContainers", [])]:
                image = one.get("image", "stream")  # a SparkApplication names it once
                if image.split(":")[0] in OURS and one.get("args", [None])[0] != "cp":
                    yield f"{name} {one['name']}", spec, one


def annotations(obj: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Annotations of the pods that an object makes."""
    spec = obj.get("spec", {})
    match obj["kind"]:
        case "SparkApplication":
            yield from (
                spec[role]["template"].get("metadata", {}).get("annotations", {})
                for role in ("driver", "executor")
            )
        case "InferenceService":
            yield from (
                spec[part].get("annotations", {}) for part in ("predictor", "transformer") if part in spec
            )
        case "Deployment" | "StatefulSet" | "Job":
            yield spec["template"]["metadata"].get("annotations", {})


@pytest.mark.parametrize("given", [BY_FILE, BY_NAME], ids=["file", "name"])
@pytest.mark.parametrize(("chart", "values"), [case for case in cases() if case[0] in READERS])
def test_every_pod_of_ours_reads_the_deployments_schema(chart: str, values: str, given: str) -> None:
    found = rendered(chart, values, given)
    made = {obj["metadata"]["name"]: obj for obj in found if obj["kind"] == "ConfigMap"}
    for name, spec, container in pods(found):
        env = {one["name"]: one.get("value") for one in container.get("env", [])}
        assert env.get("FRAUD_SCHEMA_FILE") == MOUNTED, name
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert mounts["schema"] == str(Path(MOUNTED).parent), name
        (volume,) = [one["configMap"] for one in spec["volumes"] if one["name"] == "schema"]
        assert "optional" not in volume, "a pod without its schema must not start with the packaged one"
        assert volume["items"] == [{"key": "schema.yaml", "path": "schema.yaml"}]
        assert volume["name"] in made if given == BY_FILE else volume["name"] == "fraud-schema", name


@pytest.mark.parametrize("given", [BY_FILE, BY_NAME], ids=["file", "name"])
@pytest.mark.parametrize("values", ["values", "values-official"])
def test_every_job_of_a_dag_reads_the_deployments_schema(values: str, given: str) -> None:
    made = {
        obj["metadata"]["name"]: obj
        for obj in rendered("airflow", values, given)
        if obj["kind"] == "ConfigMap"
    }
    (plan,) = [
        yaml.safe_load(obj["data"]["plan.yaml"]) for name, obj in made.items() if name.endswith("-plan")
    ]
    (volume,) = [one for one in plan["volumes"] if one["name"] == "schema"]
    assert volume["required"] is True
    assert (volume["configMap"] in made) == (given == BY_FILE)
    assert made[plan["configMaps"][0]]["data"]["FRAUD_SCHEMA_FILE"] == f"{volume['path']}/schema.yaml"


@pytest.mark.parametrize("chart", READERS)
def test_the_file_arrives_as_it_is(chart: str, tmp_path: Path) -> None:
    (made,) = [
        obj["data"]["schema.yaml"]
        for obj in rendered(chart, "values", BY_FILE)
        if obj["kind"] == "ConfigMap" and "schema.yaml" in obj["data"]
    ]
    assert made == FILE.read_text()
    (tmp_path / "schema.yaml").write_text(made)
    assert read_schema(tmp_path / "schema.yaml").version == read_schema(FILE).version


@pytest.mark.parametrize("chart", [chart for chart in READERS if chart != "airflow"])
def test_pods_roll_when_the_schema_changes_and_only_then(chart: str) -> None:
    def sums(*given: str) -> list[str | None]:
        found = rendered(chart, "values", *given)
        return [one.get("checksum/schema") for obj in found for one in annotations(obj)]

    other = f"--set-file=schema.file={FILE.with_name('issuer.yaml')}"
    first, second = sums(BY_FILE), sums(other)
    assert first
    assert None not in first
    assert len({*first, *second}) == 2
    assert set(sums()) == {None}


@pytest.mark.parametrize("chart", READERS)
def test_two_sources_of_the_schema_are_refused_with_words(chart: str) -> None:
    command = [
        helm(),
        "template",
        chart,
        CHARTS / chart,
        "--kube-version=1.34.0",
        BY_FILE,
        f"--set={BY_NAME}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "give `schema.file` or `schema.existingConfigMap`, not both" in done.stderr


def test_the_templates_of_the_schema_are_one() -> None:
    assert len({(CHARTS / chart / "templates" / "schema.yaml").read_text() for chart in READERS}) == 1
    with_one = {
        file.parent.name
        for file in CHARTS.glob("*/values.yaml")
        if re.search(r"^schema:$", file.read_text(), re.MULTILINE)
    }
    assert with_one == set(READERS)
