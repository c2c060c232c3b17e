"""A world can be in the past whatever the machine's clock says, as the platform refuses the future."""

import doctest
from datetime import UTC, datetime, timedelta

import pytest

from fraud.synthetic import settings
from fraud.synthetic.generate import generate
from fraud.synthetic.settings import LABELS_LAST, GeneratorSettings, past_start


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


@pytest.mark.parametrize("days", [60, 552, 900])
def test_a_longer_world_begins_earlier(days: int) -> None:
    now = datetime(2026, 11, 29, tzinfo=UTC)
    start = past_start(now, days)
    assert start + timedelta(days=days) + LABELS_LAST <= now
    assert (GeneratorSettings().start - start) % timedelta(weeks=52) == timedelta()


def test_no_label_comes_later_than_a_past_world_expects() -> None:
    made = GeneratorSettings(transactions=3_000, users=200, merchants=100)
    last = max(generate(made).labels["label_time"].to_pylist())
    assert last <= made.start + timedelta(days=made.days) + LABELS_LAST


def test_the_example_runs() -> None:
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(past_start, globs=vars(settings).copy()):
        runner.run(example)
    assert (runner.tries > 0, runner.failures) == (True, 0)
