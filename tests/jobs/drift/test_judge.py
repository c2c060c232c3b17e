"""Laws of the judgement: ordinary days pass, a shifted column is named, empty days are told in words."""

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest

from fraud.watch.profile import DAY_US, Profile, Tally, number_column, text_column
from jobs.drift.judge import VOLUME, Judge
from jobs.drift.settings import Limits

ROWS, TRAINED, LIVE = 600, 42, 20
NAMES = [f"feature_{number:02}" for number in range(20)]


def draw(seed: int, days: range, shift: dict[int, float] | None = None):
    """Draw clustered rows: a day has its weather; counting rows alone would call every day different."""
    rng = np.random.default_rng(seed)
    rows = {day: ROWS + int(rng.integers(-60, 60)) for day in days}
    event_us = np.concatenate([day * DAY_US + rng.integers(0, DAY_US, n) for day, n in rows.items()])
    weather = {day: rng.normal(0.0, 0.1, len(NAMES)) for day in days}
    values = np.concatenate([rng.normal(0.0, 1.0, (n, len(NAMES))) + weather[day] for day, n in rows.items()])
    for day, by in (shift or {}).items():
        values[event_us // DAY_US == day, 3] += by
    channel = rng.choice(["chip", "online"], len(event_us), p=[0.7, 0.3])
    return event_us, values, channel


def count(tally: Tally, drawn) -> Tally:
    event_us, values, channel = drawn
    tally.add_times(event_us)
    tally.add(event_us, {name: values[:, at] for at, name in enumerate(NAMES)})
    tally.add(event_us, {"channel": pa.array(channel)})
    return tally


def profile_of(seed: int) -> Profile:
    drawn = draw(seed, range(TRAINED))
    columns = [number_column(name, drawn[1][:, at]) for at, name in enumerate(NAMES)]
    columns.append(text_column("channel", pa.array(drawn[2])))
    return count(Tally(columns, range(TRAINED)), drawn).profile()


@pytest.fixture(scope="module")
def profile() -> Profile:
    return profile_of(1)


def judge(profile: Profile, drawn) -> Judge:
    return Judge(profile, count(Tally(profile.columns, range(TRAINED, TRAINED + LIVE)), drawn), Limits())


LAST = TRAINED + LIVE - 1
LIVE_DAYS = range(TRAINED, TRAINED + LIVE)


def test_without_drift_p_values_are_no_smaller_than_they_may_be():
    """Over 120 days: nothing alarms, and days with a flag are no more than the rate allows."""
    judges = [judge(profile_of(seed), draw(100 + seed, LIVE_DAYS)) for seed in range(6)]
    worlds = [[found.day(day) for day in LIVE_DAYS] for found in judges]
    adjusted = np.array([one.p_value for days in worlds for day in days for one in day.findings])
    assert len(adjusted) == 6 * LIVE * (len(NAMES) + 2)
    assert np.mean(adjusted <= 0.01) <= 0.001
    assert sum(bool(day.flagged) for days in worlds for day in days) <= 1
    for found, days in zip(judges, worlds, strict=True):
        assert all(found.alarms(days[at : at + 3]) == {} for at in range(LIVE - 2))


def test_a_shifted_column_is_named_and_alarms_on_the_second_day(profile):
    found = judge(profile, draw(2, LIVE_DAYS, {LAST - 1: 1.0, LAST: 1.0}))
    days = [found.day(day) for day in (LAST - 2, LAST - 1, LAST)]
    assert [day.flagged for day in days] == [frozenset(), {NAMES[3]}, {NAMES[3]}]
    assert found.alarms(days[:2]) == {}
    assert found.alarms(days) == {NAMES[3]: 2}


def test_the_order_and_the_parts_of_the_rows_change_nothing(profile):
    event_us, values, channel = draw(2, LIVE_DAYS, {LAST: 1.0})
    order = np.random.default_rng(0).permutation(len(event_us))
    whole = judge(profile, (event_us, values, channel))
    tally = Tally(profile.columns, LIVE_DAYS)
    for part in np.array_split(order, 7):
        count(tally, (event_us[part], values[part], channel[part]))
    assert Judge(profile, tally, Limits()).day(LAST) == whole.day(LAST)


def test_new_values_and_missing_ones_are_named(profile):
    event_us, values, channel = draw(2, LIVE_DAYS)
    is_last = event_us // DAY_US == LAST
    channel = np.where(is_last & (channel == "online"), "app", channel)
    values[is_last & (values[:, 0] > 0.5), 5] = np.nan
    causes = {one.name: one.cause for one in judge(profile, (event_us, values, channel)).day(LAST).findings}
    assert "had not seen" in causes["channel"]
    assert "app" in causes["channel"]
    assert causes[NAMES[5]].startswith("missing: ")


def test_a_thin_days_findings_are_what_json_knows(profile):
    event_us, values, channel = draw(2, LIVE_DAYS, {LAST: 1.0})
    keep = (event_us // DAY_US != LAST) | (np.arange(len(event_us)) % 2 == 0)
    day = judge(profile, (event_us[keep], values[keep], channel[keep])).day(LAST)
    assert NAMES[3] in day.flagged
    assert json.loads(json.dumps([asdict(one) for one in day.findings]))[0]["name"] == VOLUME


def test_an_empty_day_is_told_in_words_and_is_a_change_of_volume(profile):
    event_us, values, channel = draw(2, LIVE_DAYS)
    keep = event_us // DAY_US != LAST
    day = judge(profile, (event_us[keep], values[keep], channel[keep])).day(LAST)
    assert day.rows == 0
    assert any("no transaction" in note for note in day.notes)
    assert day.flagged == {VOLUME}


def test_a_profile_survives_its_file(profile):
    assert Profile.model_validate_json(profile.model_dump_json()) == profile
