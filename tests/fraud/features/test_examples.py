"""The examples in the docstrings run."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    *(
        f"fraud.features.{name}"
        for name in ("combine", "describe", "hashing", "layout", "passes", "plan", "reasons")
    ),
    "fraud.features.kernel.grouping",
    *(f"fraud.schema.{name}" for name in ("arrow", "entities", "features", "fields", "filters", "windows")),
    "fraud.contracts.models",
    "fraud.tools.bench.machine",
    "fraud.tools.bench.plain",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    found = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert found.failed == 0
