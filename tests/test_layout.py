"""The rules of this tree."""

import ast
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from fraud.cli import COMMANDS
from tests.edges import edges, imports_of, modules, our_imports, room_of

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {
    "charts",
    "dags",
    "docs",
    "fraud",
    "jobs",
    "manifests",
    "notebooks",
    "services",
    "tests",
}
LAYERS = (
    {"fraud.errors"},
    {"fraud.programs", "fraud.settings", "fraud.runtime"},
    {"fraud.schema"},
    {"fraud.contracts"},
    {"fraud.features", "fraud.kafka", "fraud.http", "fraud.synthetic", "fraud.local", "fraud.tables"},
    {"fraud.store", "fraud.spark", "fraud.model"},
    {"fraud.log", "fraud.decide"},
    {"fraud.watch", "fraud.rollout"},
    {"fraud.learn"},
    {"fraud.tools"},
    {"fraud.cli"},
    {"fraud.__main__"},
)
"""The rooms of the library, lowest first."""
LAYER = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
ENGINES = {
    "pyspark": {"fraud.spark", "fraud.tools", "jobs.stream", "jobs.features"},
    "delta": set[str](),
    "mlflow": {"fraud.model"},
    "airflow": set[str](),
}
"""Heavy libraries, and the rooms that may import them: an image without one must not need it."""
FORBIDDEN = {"utils", "helpers", "common", "misc", "manager"}


def tracked() -> list[Path]:
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(line) for line in found.splitlines()]


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_there_is_no_other_top_level_folder() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    assert {name for name in folders if not name.startswith(".")} <= TOP_LEVEL


def test_the_library_forms_layers() -> None:
    wrong = [
        (one.module, one.imported)
        for (room, imported), found in edges().items()
        if room in LAYER and imported in LAYER and LAYER[imported] >= LAYER[room]
        for one in found
    ]
    assert wrong == [], "a room may import only rooms of lower layers"


def test_every_room_of_the_library_has_a_layer() -> None:
    assert {room_of(module) for module in modules() if module.startswith("fraud.")} == set(LAYER)


def test_the_library_imports_no_program_but_from_its_tools() -> None:
    wrong = [
        (one.module, one.imported)
        for (room, imported), found in edges().items()
        if room.startswith("fraud.") and room != "fraud.tools" and not imported.startswith("fraud")
        for one in found
    ]
    assert wrong == []


def test_a_program_imports_only_the_library_and_itself() -> None:
    wrong = [
        (one.module, one.imported)
        for (room, imported), found in edges().items()
        if room.split(".")[0] in {"jobs", "services"}
        and (imported.split(".")[0] != "fraud" or imported == "fraud.tools")
        for one in found
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    order = TopologicalSorter[str]()
    for one in our_imports():
        order.add(one.module, one.imported)
    order.prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(("engine", "rooms"), ENGINES.items())
def test_an_engine_is_imported_in_the_named_places_alone(engine: str, rooms: set[str]) -> None:
    found = {
        room_of(module)
        for module, path in modules().items()
        for name in imports_of(path)
        if name.split(".")[0] == engine
    }
    assert found <= rooms


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


def test_the_architecture_names_files_that_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:fraud|jobs|services|tests|charts)/[^`* ]+)`", text))
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_architecture_names_every_room_of_the_library() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {room.removeprefix("fraud.") for room in LAYER} - {"__main__"}
    assert [room for room in rooms if f"`{room}`" not in text] == []


def test_no_file_over_five_megabytes_is_tracked() -> None:
    assert [
        path for path in tracked() if (ROOT / path).exists() and (ROOT / path).stat().st_size > 5_000_000
    ] == []
