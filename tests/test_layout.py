"""The rules of this tree."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from fraud.cli import COMMANDS
from tests.edges import OURS, edges, imports_of, modules, our_imports, parsed, room_of

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {
    "charts",
    "dags",
    "docs",
    "examples",
    "fraud",
    "jobs",
    "manifests",
    "notebooks",
    "services",
    "tests",
}
AT_THE_ROOT = {
    *(
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "DECISIONS.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
    ),
    *("Dockerfile", "Makefile", "compose.yaml", "kind-config.yaml", "mkdocs.yml", "skaffold.yaml"),
    *("pyproject.toml", "uv.lock"),
}
"""Files beside the folders: what tools and habits look for there."""
LAYERS = (
    {"fraud.errors"},
    {"fraud.programs", "fraud.settings"},
    {"fraud.runtime"},
    {"fraud.money"},
    {"fraud.schema"},
    {"fraud.contracts"},
    {"fraud.kafka"},
    {"fraud.features", "fraud.http", "fraud.synthetic", "fraud.local", "fraud.tables"},
    {"fraud.store", "fraud.spark", "fraud.model"},
    {"fraud.log", "fraud.decide"},
    {"fraud.watch", "fraud.rollout", "fraud.rules"},
    {"fraud.learn"},
    {"fraud.tools"},
    {"fraud.cli"},
    {"fraud.__main__"},
)
"""The rooms of the library, lowest first."""
ASKS_FOR_THE_SCHEMA = 3
"""Calls of functions that ask for the deployed schema, where a caller could hand one down."""
LAYER = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
ENGINES = {
    "pyspark": {"fraud.spark", "fraud.tools", "jobs.stream", "jobs.features"},
    "delta": set[str](),
    "mlflow": {"fraud.model"},
    "airflow": set[str](),
    "duckdb": {"fraud.log", "jobs.sql"},
    # fraud.local makes the topics of its broker; jobs.stream reads what Spark cannot, by the client's errors.
    "confluent_kafka": {"fraud.kafka", "fraud.local", "jobs.stream"},
}
"""Libraries, and the rooms that may import them: an image without one must not need it, one way to each."""
PATCHED: dict[str, str] = {}
"""Test files that replace a part of the code under test, and why they cannot be given it instead."""
MOST_MODULES = 25
"""Of a package; a larger one is parted."""
MOST_LINES = 450
LONG = {"fraud/schema/statistics.py": "one table, a statistic after the other"}
"""Modules that may be longer, and why."""
OPENING = {
    "main.py": "Entry of ",
    "settings.py": "Settings of ",
    "metrics.py": "What .* counts",
    "commands.py": "The (command|commands|family) ",
    "pictures.py": "Pictures of ",
}
"""How a program's file of that name says what it is: a name means the same in every program."""
BESIDE_THE_TREE = {"tests/fraud/results"}
"""Folders of tests without a package: what results change, along all paths."""
OTHER_NAMES = {"cli": "commands", "config": "settings", "pipeline": "run", "plots": "pictures"}
"""Names that would be second ones for what has one."""
FORBIDDEN = {"utils", "helpers", "common", "misc", "manager"}


def tracked() -> list[Path]:
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(line) for line in found.splitlines()]


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_there_is_no_other_top_level_folder() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    assert {name for name in folders if not name.startswith(".")} <= TOP_LEVEL


def test_at_the_root_stands_what_tools_and_habits_look_for() -> None:
    files = {path.parts[0] for path in tracked() if len(path.parts) == 1}
    assert {name for name in files if not name.startswith(".")} <= AT_THE_ROOT


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


def test_tests_mirror_the_tree() -> None:
    folders = {str(path.parent) for path in tracked() if path.parts[0] == "tests" and path.suffix == ".py"}
    ours = {folder for folder in folders if folder.split("/")[1:2] and folder.split("/")[1] in OURS}
    alone = {folder for folder in ours if not (ROOT / folder.removeprefix("tests/") / "__init__.py").exists()}
    assert alone == BESIDE_THE_TREE


@pytest.mark.parametrize(
    "path", python_files("services", "jobs", "fraud/tools"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_file_name_means_the_same_in_every_program(path: Path) -> None:
    assert path.stem not in OTHER_NAMES, f"call it {OTHER_NAMES[path.stem]}.py"
    opening = OPENING.get(path.name, "")
    assert re.match(opening, ast.get_docstring(parsed(path)) or ""), f"it begins with: {opening}"


@pytest.mark.parametrize(
    "path", python_files("fraud", "services", "jobs"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


def test_no_package_is_a_heap_of_modules() -> None:
    folders = Counter(path.parent for path in python_files("fraud", "jobs", "services"))
    assert {str(folder) for folder, count in folders.items() if count > MOST_MODULES + 1} == set()


def test_a_long_module_has_its_reason() -> None:
    lines = {
        str(path.relative_to(ROOT)): path.read_text().count("\n")
        for path in python_files("fraud", "jobs", "services")
    }
    assert {name for name, count in lines.items() if count > MOST_LINES} == set(LONG)


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


def patches_of(tree: ast.AST) -> list[str]:
    """List what replaces a part of the code under test behind its back; the environment may be set."""
    found = []
    ours = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).split(".")[0] in OURS
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            is_patch = any(name.split(".")[0] == "mock" or name == "unittest.mock" for name in names)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_patch = name in {"setattr", "delattr", "__setattr__", "patch"}
        elif isinstance(node, ast.arg):
            is_patch = node.arg == "mocker"
        else:
            is_stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
            owner = ast.unparse(node.value) if is_stored else "self"
            is_private = is_stored and node.attr.startswith("_") and owner not in {"self", "cls"}
            is_patch = is_private or owner.split(".")[0] in ours
        if is_patch:
            found.append(f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", python_files("tests"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_gives_the_code_its_parts_and_patches_none(path: Path) -> None:
    found = patches_of(parsed(path))
    assert bool(found) == (str(path.relative_to(ROOT)) in PATCHED), found


@pytest.mark.parametrize(
    "text",
    [
        "monkeypatch.setattr(module, 'NAME', 1)",
        "monkeypatch.delattr('module.name')",
        "setattr(module, 'NAME', 1)",
        "from unittest import mock",
        "from unittest.mock import patch",
        "import unittest.mock as m",
        "def test(mocker): ...",
        "service._kafka = 1",
        "service.a._b, x = 1, 2",
        "del service._kafka",
        "from fraud.local import platform\nplatform.PARTS = ()",
        "from services.scoring.scorer import Scorer\nScorer.score = None",
        "object.__setattr__(service, 'kafka', 1)",
    ],
)
def test_a_patch_is_found(text: str) -> None:
    assert patches_of(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    ["monkeypatch.setenv('A', '1')", "monkeypatch.chdir(path)", "self._calls = []", "server.fails = True"],
)
def test_what_is_no_patch_is_allowed(text: str) -> None:
    assert patches_of(ast.parse(text)) == []


def test_no_file_over_five_megabytes_is_tracked() -> None:
    assert [
        path for path in tracked() if (ROOT / path).exists() and (ROOT / path).stat().st_size > 5_000_000
    ] == []


def at_import(tree: ast.Module, name: str) -> list[int]:
    """Find the lines that call a function at import: outside functions, or in their defaults."""
    found, ahead = [], list[ast.AST](tree.body)
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            ahead += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
            found.append(node.lineno)
        if not isinstance(node, ast.Lambda):
            ahead += ast.iter_child_nodes(node)
    return sorted(found)


def asks(tree: ast.AST, name: str) -> list[int]:
    """Find the lines in functions that call a function, but for ``given or name()``: a default."""
    defaults = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
        for value in node.values[1:]
    }
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] == name
        and id(node) not in defaults
    )


def test_no_name_is_made_of_the_deployed_schema_at_import() -> None:
    """A program reads its schema once and hands it down: two schemas can live in one process."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files(*OURS)
        for line in at_import(parsed(path), "deployed_schema")
    ]
    assert found == []


def test_modules_are_imported_without_the_deployed_schema(tmp_path: Path) -> None:
    """Nor through a function: where the schema's file is not there, every module is imported all the same."""
    names = sorted(name for name in modules() if not name.endswith("__main__"))
    script = f"import importlib\nfor name in {names}:\n    importlib.import_module(name)"
    environment = {**os.environ, "FRAUD_SCHEMA_FILE": str(tmp_path / "none.yaml")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]


def test_few_functions_of_the_library_ask_for_the_deployed_schema() -> None:
    """What is no program is handed the schema. Lower the number with each that no longer asks."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files("fraud")
        if not {"commands", "tools"} & {path.stem, *path.relative_to(ROOT).parts}
        for line in asks(parsed(path), "deployed_schema")
    ]
    assert len(found) <= ASKS_FOR_THE_SCHEMA, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("def f():\n    return deployed_schema().money", [2]),
        ("def f(schema=None):\n    schema = schema or deployed_schema()", []),
        ("def f(schema=None):\n    g(schema or schema.deployed_schema())", []),
        ("def f(schema=None):\n    return deployed_schema() or schema", [2]),
    ],
)
def test_a_question_for_the_schema_is_found(text: str, lines: list[int]) -> None:
    assert asks(ast.parse(text), "deployed_schema") == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A = deployed_schema().fallback", [1]),
        ("class A:\n    b = c(schema.deployed_schema())", [2]),
        ("def f(a=deployed_schema()):\n    pass", [1]),
        ("def f():\n    return deployed_schema()", []),
        ("f = lambda: deployed_schema()", []),
    ],
)
def test_a_call_at_import_is_found(text: str, lines: list[int]) -> None:
    assert at_import(ast.parse(text), "deployed_schema") == lines
