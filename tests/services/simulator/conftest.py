"""A broker inside this process."""

from collections.abc import Iterator

import pytest

from tests.fraud.kafka.broker import Broker
from tests.fraud.synthetic.conftest import data_set, settings  # noqa: F401  fixtures


@pytest.fixture
def broker() -> Iterator[Broker]:
    found = Broker()
    yield found
    found.stop()
