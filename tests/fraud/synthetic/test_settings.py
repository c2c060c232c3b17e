"""Wrong settings are refused at the start, by name."""

import pytest
from pydantic import ValidationError

from fraud.errors import BadConfig
from fraud.synthetic.settings import GeneratorSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("users", 0),
        ("users", -1),
        ("merchants", 0),
        ("transactions", 0),
        ("transactions", "many"),
        ("fraud_rate", 0.51),
        ("fraud_rate", -0.01),
        ("fraud_rate", float("nan")),
        ("seed", -1),
        ("days", 0),
        ("start", "1990-01-01T00:00:00Z"),
        ("start", "2026-01-01T00:00:00"),
        ("start", "2099-12-01T00:00:00Z"),
        ("cardholders", 5),
    ],
)
def test_a_wrong_setting_is_named(name, value):
    with pytest.raises(BadConfig, match=name):
        GeneratorSettings(**{name: value})


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        GeneratorSettings().users = 5
