"""``fraud features suggest``: a planted sign is found, noise is not, budget and file are kept."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import yaml

from fraud.learn.settings import TrainSettings
from fraud.learn.tables import Tables, fingerprint, with_keys
from fraud.schema.arrow import TIME
from fraud.schema.reading import DEFAULT, default_schema, parse_schema
from fraud.schema.schema import Schema
from jobs.features.candidates import candidates, extended, line_text, with_lines
from jobs.features.suggest import suggest
from tests.deployed import SCHEMA

START = datetime(2025, 1, 1, tzinfo=UTC)
ROWS, USERS = 9_000, 150


def small() -> Schema:
    """The packaged schema with three features."""
    content = yaml.safe_load(DEFAULT.read_bytes())
    content["features"] = ["amount", "hour", {"statistic": "count", "entity": "merchant", "window": "24h"}]
    content |= {"fallback": [], "new": None, "segments": []}
    return parse_schema(yaml.safe_dump(content, sort_keys=False).encode(), "small")


def world(*, planted: bool) -> Tables:
    """Transactions of 90 days; planted: the third and further of a user within ten minutes are fraud."""
    rng = np.random.default_rng(4)
    minutes = np.sort(rng.integers(0, 90 * 1440, ROWS))
    users = rng.integers(0, USERS, ROWS)
    for at in rng.choice(ROWS - 6, 120, replace=False):  # bursts
        users[at : at + 6], minutes[at : at + 6] = users[at], minutes[at] + np.arange(6)
    order = np.argsort(minutes, kind="stable")
    minutes, users = minutes[order], users[order]
    is_fraud = rng.random(ROWS) < 0.04
    if planted:
        earlier = [
            sum(
                users[at - back] == users[at] and minutes[at] - minutes[at - back] < 10
                for back in range(1, 12)
                if at >= back
            )
            for at in range(ROWS)
        ]
        is_fraud = np.asarray(earlier) >= 2
    times = [START + timedelta(minutes=int(minute)) for minute in minutes]
    ids = [f"t{at}" for at in range(ROWS)]
    transactions = pa.table(
        {
            "transaction_id": ids,
            "event_time": pa.array(times, TIME),
            "user_id": [f"u{user}" for user in users],
            "merchant_id": [f"m{rng.integers(0, 40)}" for _ in range(ROWS)],
            "amount": np.round(rng.lognormal(3, 1, ROWS), 2),
        }
    )
    labels = pa.table(
        {
            "transaction_id": ids,
            "user_id": transactions["user_id"],
            "label_time": pa.array([time + timedelta(days=1) for time in times], TIME),
            "is_fraud": is_fraud,
        }
    )
    labels = with_keys(labels, transactions, print, SCHEMA)
    return Tables(transactions, labels, fingerprint(transactions, labels))


SETTINGS = TrainSettings(label_gap_days=1.0, folds=3)


def test_a_planted_sign_is_found_by_its_entity_and_window() -> None:
    found = suggest(world(planted=True), small(), SETTINGS, most=1)
    (one,) = found.chosen
    assert (one.line["entity"], one.line["window"]) == ("user", "10m")
    assert one.line["statistic"] in {"count", "sum"}
    assert one.gain > 0.5
    assert found.after > 0.9 > found.before
    assert one.state_bytes != 0.0  # the states of that window are others


def test_nothing_is_suggested_where_labels_are_drawn_at_random() -> None:
    assert suggest(world(planted=False), small(), SETTINGS).chosen == ()


def test_after_the_budget_no_further_candidate_is_tried() -> None:
    ticks = iter(range(0, 10_000, 50))
    found = suggest(world(planted=True), small(), SETTINGS, budget_s=60.0, clock=lambda: next(ticks))
    assert found.tried == 1
    assert found.ranked > found.tried


@pytest.mark.parametrize("schema", [small(), default_schema()], ids=["small", "packaged"])
def test_candidates_are_new_and_each_line_gives_its_feature(schema: Schema) -> None:
    found = candidates(schema)
    assert len(found) > 50
    assert not set(found) & set(schema.feature_names)
    assert set(extended(schema, list(found.values())).feature_names) == {*schema.feature_names, *found}


def test_lines_are_added_to_the_file_and_its_comments_stay() -> None:
    text = with_lines(default_schema(), [{"statistic": "count", "entity": "user", "window": "90d"}])
    before = DEFAULT.read_text().splitlines()
    added = [line for line in text.splitlines() if line not in before]
    assert added == ["  - {statistic: count, entity: user, window: 90d}"]
    assert len(text.splitlines()) == len(before) + 1
    assert "count_90d_by_user" in parse_schema(text.encode(), "new").feature_names
    assert line_text({"statistic": "count"}) == "- {statistic: count}"
