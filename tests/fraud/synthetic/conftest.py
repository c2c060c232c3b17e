"""A data set, drawn once."""

import pytest

from fraud.synthetic.data_set import DataSet
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings

SETTINGS = GeneratorSettings(transactions=50_000, users=5_000, merchants=2_500, seed=5)


@pytest.fixture(scope="session")
def settings() -> GeneratorSettings:
    return SETTINGS


@pytest.fixture(scope="session")
def data_set(settings) -> DataSet:
    return generate(settings)
