"""The examples in the docstrings of the console."""

import doctest

import pytest

from services.console import sessions, views


@pytest.mark.parametrize("module", [sessions, views])
def test_examples_run(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0
