"""What the locks promise of every machine that runs our images."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parent.parent
MACHINES = ("x86_64", "aarch64")
PYTHON = (3, 11)
"""Of the images' base."""
FROM_SOURCE = {"pyspark"}
"""Published as source alone; pure Python and Java."""
IMAGES = [
    *((".", group) for group in ("serving", "jobs", "stream", "mlflow", "embedded")),
    ("services/airflow", None),
]


def environment(machine: str) -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{PYTHON[0]}.{PYTHON[1]}.0",
        "python_version": f"{PYTHON[0]}.{PYTHON[1]}",
        "sys_platform": "linux",
    }


def installed(lock: dict[str, Any], group: str | None, machine: str) -> Iterator[dict[str, Any]]:
    """Packages that an image installs on a machine: our own dependencies and those of its group."""
    here = environment(machine)
    packages: dict[str, list[dict[str, Any]]] = {}
    for one in lock["package"]:
        packages.setdefault(one["name"], []).append(one)
    (root,) = [one for one in lock["package"] if {"editable", "virtual"} & set(one["source"])]
    waiting = [*root.get("dependencies", []), *(root["dev-dependencies"][group] if group else [])]
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    while waiting:
        wanted = waiting.pop()
        if "marker" in wanted and not Marker(wanted["marker"]).evaluate(here):
            continue
        (found,) = [
            one for one in packages[wanted["name"]] if wanted.get("version", one["version"]) == one["version"]
        ]
        extras = tuple(wanted.get("extra", ()))
        if (key := (found["name"], found["version"], extras)) in seen:
            continue
        seen.add(key)
        waiting += found.get("dependencies", [])
        waiting += [one for extra in extras for one in found["optional-dependencies"].get(extra, [])]
        yield found


def tags(machine: str) -> set[Tag]:
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 4, -1)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    return {
        *cpython_tags(PYTHON, platforms=platforms),
        *compatible_tags(PYTHON, interpreter="cp311", platforms=platforms),
    }


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("folder", "group"), IMAGES, ids=str)
def test_every_package_of_an_image_has_a_wheel(folder: str, group: str | None, machine: str) -> None:
    lock = tomllib.loads((ROOT / folder / "uv.lock").read_text())
    wanted = tags(machine)
    found = list(installed(lock, group, machine))
    assert len(found) > 10 or group == "embedded"
    missing = {
        f"{one['name']} {one['version']}"
        for one in found
        if not any(
            parse_wheel_filename(wheel["url"].rpartition("/")[2])[3] & wanted
            for wheel in one.get("wheels", [])
        )
    }
    assert {name for name in missing if name.split()[0] not in FROM_SOURCE} == set()


def test_the_groups_are_those_of_the_project() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert {group for folder, group in IMAGES if folder == "."} == set(groups) - {"dev", "docs"}
