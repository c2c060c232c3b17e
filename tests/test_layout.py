"""The rules of this tree."""

import ast
import subprocess
from pathlib import Path

import pytest

from fraud.cli import COMMANDS

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {
    "charts",
    "dags",
    "fraud",
    "jobs",
    "manifests",
    "notebooks",
    "services",
    "tests",
}
FORBIDDEN = {"utils", "helpers", "common", "misc", "manager"}


def tracked() -> list[Path]:
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(line) for line in found.splitlines()]


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_there_is_no_other_top_level_folder() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    assert {name for name in folders if not name.startswith(".")} <= TOP_LEVEL


def test_the_library_imports_no_engine() -> None:
    engines = {"pyspark", "airflow", "mlflow", "delta"}
    found = {
        (path, name)
        for path in python_files("fraud")
        for name in imports_of(path)
        if name.split(".")[0] in engines
    }
    assert found == set()


def test_the_library_imports_no_service_and_no_job() -> None:
    above = {"services", "jobs"}
    found = {
        (path, name)
        for path in python_files("fraud")
        for name in imports_of(path)
        if name.split(".")[0] in above
    }
    assert found == set()


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in tracked() if path.stem in FORBIDDEN or FORBIDDEN & set(path.parts)] == []


@pytest.mark.parametrize(
    "path", python_files("fraud", "services", "jobs"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_names_a_module_that_is_there(name: str) -> None:
    module, _ = COMMANDS[name][0].split(":")
    path = ROOT / Path(*module.split("."))
    assert path.with_suffix(".py").exists(), f"{name}: no {module}"


def test_no_file_over_five_megabytes_is_tracked() -> None:
    assert [
        path for path in tracked() if (ROOT / path).exists() and (ROOT / path).stat().st_size > 5_000_000
    ] == []
