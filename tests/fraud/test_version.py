"""One version."""

import tomllib
from pathlib import Path

import fraud


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == fraud.__version__
