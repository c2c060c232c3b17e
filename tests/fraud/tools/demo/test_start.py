"""The demo's world is in the past whatever the machine's clock says, as the platform refuses the future."""

import doctest
from datetime import UTC, datetime, timedelta

import pytest

from fraud.synthetic.generate import generate
from fraud.synthetic.settings import GeneratorSettings
from fraud.tools.demo import run
from fraud.tools.demo.run import LABELS_LAST, past_start


@pytest.mark.parametrize(
    "now", [datetime(year, month, 9, tzinfo=UTC) for year in (2024, 2026, 2030) for month in (1, 6)]
)
def test_all_of_the_world_has_happened_and_begins_on_the_same_day_of_the_week(now: datetime) -> None:
    default = GeneratorSettings()
    start = past_start(now)
    assert start + timedelta(days=default.days) + LABELS_LAST <= now
    assert (default.start - start) % timedelta(weeks=52) == timedelta()
    later = start + timedelta(weeks=52)
    assert start == default.start or later + timedelta(days=default.days) + LABELS_LAST > now


def test_no_label_comes_later_than_the_demo_expects() -> None:
    made = GeneratorSettings(transactions=3_000, users=200, merchants=100)
    last = max(generate(made).labels["label_time"].to_pylist())
    assert last <= made.start + timedelta(days=made.days) + LABELS_LAST


def test_the_examples_run() -> None:
    found = doctest.testmod(run)
    assert (found.attempted > 0, found.failed) == (True, 0)
