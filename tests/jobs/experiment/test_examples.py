"""The examples in the docstrings of the analysis and of the definition."""

import doctest

import pytest

from fraud.decide import experiment
from fraud.model import client as model_client
from jobs.experiment import sequential


@pytest.mark.parametrize("module", [sequential, experiment, model_client])
def test_examples_run(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0
