"""Each pattern leaves the traces that its description promises."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from fraud.synthetic.places import distance_km

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@dataclass(frozen=True)
class Story:
    """A fraudulent transaction and what its user did before it."""

    row: dict
    before: list[dict]


@pytest.fixture(scope="module")
def stories(data_set) -> dict[str, list[Story]]:
    patterns = dict(
        zip(
            data_set.patterns["transaction_id"].to_pylist(),
            data_set.patterns["pattern"].to_pylist(),
            strict=True,
        )
    )
    table = data_set.transactions.append_column(
        "at_us", data_set.transactions["event_time"].cast(pa.int64())
    ).drop_columns(["event_time"])
    past: dict[str, list[dict]] = defaultdict(list)
    found: dict[str, list[Story]] = defaultdict(list)
    for row in table.to_pylist():
        pattern = patterns.get(row["transaction_id"])
        before = past[row["user_id"]]
        if pattern is not None:
            found[pattern].append(Story(row, list(before)))
        found["all"].append(Story(row, before[-30:]))
        before.append(row)
    return found


def within(story: Story, span_us: int) -> list[dict]:
    return [row for row in story.before if row["at_us"] > story.row["at_us"] - span_us]


def share(stories: list[Story], holds) -> float:
    return float(np.mean([holds(story) for story in stories]))


def ratios(stories: list[Story]) -> np.ndarray:
    """Amount over the median of the user's earlier amounts."""
    known = [story for story in stories if len(story.before) >= 5]
    return np.array(
        [story.row["amount"] / np.median([row["amount"] for row in story.before]) for story in known]
    )


def kmh(story: Story) -> float:
    """Greatest speed that this purchase and an earlier one in a shop imply."""
    row = story.row
    speeds = [0.0]
    for other in within(story, 3 * HOUR_US):
        if None not in (row["latitude"], other["latitude"]) and other["channel"] != "online":
            places = (row["latitude"], row["longitude"], other["latitude"], other["longitude"])
            far_km = distance_km(*(np.array([value]) for value in places))[0]
            speeds.append(far_km / max((row["at_us"] - other["at_us"]) / HOUR_US, 1 / 60))
    return max(speeds)


def test_card_testing_is_a_burst_of_small_online_amounts_and_a_large_one(stories):
    found = stories["card_testing"]
    amounts = np.array([story.row["amount"] for story in found])
    assert {story.row["channel"] for story in found} <= {"online", None}
    assert np.median(amounts) < 6.0
    assert np.quantile(amounts, 0.95) > 40.0
    assert share(found, lambda story: len(within(story, HOUR_US)) >= 2) > 0.5


def test_account_takeover_comes_from_a_device_never_seen_with_amounts_above_habit(stories):
    named = [story for story in stories["account_takeover"] if story.row["device_id"]]
    first = [story for story in named if not within(story, DAY_US)]
    assert (
        share(first, lambda story: story.row["device_id"] not in {row["device_id"] for row in story.before})
        > 0.7
    )
    assert np.median(ratios(stories["account_takeover"])) > 2.0


def test_compromised_merchants_victims_shopped_there_weeks_before(stories):
    victims = {story.row["user_id"]: story for story in stories["compromised_merchant"]}
    seen_at: dict[str, set[str]] = defaultdict(set)
    for story in victims.values():
        for row in within(story, 27 * DAY_US):
            if row["channel"] != "online":
                seen_at[row["merchant_id"]].add(story.row["user_id"])
    shared = max(len(users) for users in seen_at.values())
    assert shared >= 4


def test_velocity_spree_goes_from_shop_to_shop(stories):
    found = stories["velocity_spree"]
    assert np.median([len(within(story, HOUR_US)) for story in found]) >= 3
    assert max(story.row["amount"] for story in found) <= 110.0
    assert "online" not in {story.row["channel"] for story in found}
    assert share(stories["all"], lambda story: len(within(story, HOUR_US)) >= 3) < 0.05


def test_mule_ring_returns_to_merchants_that_have_just_opened(stories, data_set):
    opened = dict(
        zip(
            data_set.merchants["merchant_id"].to_pylist(),
            data_set.merchants["opened_at"].cast(pa.int64()).to_pylist(),
            strict=True,
        )
    )
    for story in stories["mule_ring"]:
        opened_us = opened[story.row["merchant_id"]]
        assert opened_us is not None
        assert opened_us <= story.row["at_us"] <= opened_us + 30 * DAY_US
    shops = {story.row["merchant_id"] for story in stories["mule_ring"]}
    assert len(shops) < len(stories["mule_ring"]) / 4


def test_new_merchant_high_is_far_above_habit_at_a_first_visit(stories):
    found = stories["new_merchant_high"]
    assert np.median(ratios(found)) > 3.0
    assert (
        share(
            found, lambda story: story.row["merchant_id"] not in {row["merchant_id"] for row in story.before}
        )
        > 0.7
    )


def test_impossible_travel_is_faster_than_an_airliner(stories):
    assert share(stories["impossible_travel"], lambda story: kmh(story) > 900.0) > 0.7
    assert share(stories["all"], lambda story: kmh(story) > 900.0) < 0.05


def test_quiet_misuse_looks_honest(stories):
    assert 0.5 < np.median(ratios(stories["quiet_misuse"])) < 2.0
    assert share(stories["quiet_misuse"], lambda story: kmh(story) > 900.0) < 0.15


def test_honest_people_do_odd_things_too(stories, data_set):
    frauds = set(data_set.patterns["transaction_id"].to_pylist())
    honest = [story for story in stories["all"] if story.row["transaction_id"] not in frauds]
    assert (ratios(honest) > 5.0).sum() > len(frauds) / 4
    assert share(honest, lambda story: len(within(story, HOUR_US)) >= 2) > 0.002
    assert share(honest, lambda story: kmh(story) > 900.0) > 0.0005
