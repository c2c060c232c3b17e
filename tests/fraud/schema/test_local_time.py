"""Whose clocks hours and weekdays are of: the record's zone, else the schema's, else UTC."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fraud.contracts import contracts_of
from fraud.errors import BadConfig
from fraud.features.batch import fold_passes
from fraud.features.events import events_of, stack_events
from fraud.features.passes import feature_names, passes_of_schema
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import parse_schema
from fraud.schema.schema import Schema

TEXT = """\
format: 1
name: local
fields:
  card: {type: key, required: true}
  zone: {type: zone}
entities:
  card: {key: card, primary: true}
features:
  - hour
  - weekday
  - {statistic: hour_deviation, entity: card, window: 7d}
"""


def schema_of(default: str = "") -> Schema:
    given = f"{{type: zone, default: {default}}}" if default else "{type: zone}"
    return parse_schema(TEXT.replace("{type: zone}", given).encode(), "local.yaml")


PLAIN, BERLIN = schema_of(), schema_of("Europe/Berlin")
TIMES = {
    "winter": (datetime(2026, 1, 15, 22, 30, tzinfo=UTC), 23.5, 3.0),
    "summer": (datetime(2026, 7, 15, 22, 30, tzinfo=UTC), 0.5, 3.0),
    "a minute before the clocks go forward": (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), 1 + 59 / 60, 6.0),
    "when they do": (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), 3.0, 6.0),
    "the hour that comes twice": (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 2.5, 6.0),
    "and again": (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 2.5, 6.0),
}


def rows_of(schema: Schema, zones: list[str | None], times: list[datetime]) -> np.ndarray:
    model, writer = contracts_of(schema).transaction, events_of(schema)
    told = [
        {"transaction_id": f"t{at}", "event_time": time, "card": "c", "amount": 5.0, "zone": zone}
        for at, (zone, time) in enumerate(zip(zones, times, strict=True))
    ]
    rows = stack_events([writer.of_transaction(model(**one)) for one in told], writer.layout.width)
    table = pa.Table.from_pylist(told).set_column(1, "event_time", pa.array(times, pa.timestamp("us", "UTC")))
    if zones == [None] * len(zones):
        table = table.drop_columns(["zone"])
    np.testing.assert_array_equal(writer.of_transactions(table), rows)
    return rows


def served(schema: Schema, zones: list[str | None], times: list[datetime]) -> list[dict[str, Any]]:
    passes = passes_of_schema(schema)
    vectors = fold_passes(rows_of(schema, zones, times), passes=passes).vectors
    return [dict(zip(feature_names(passes), vector, strict=True)) for vector in vectors.tolist()]


@pytest.mark.parametrize("moment", TIMES)
def test_a_record_without_a_zone_shows_the_clocks_of_the_schema_with_daylight_saving(moment: str) -> None:
    time, hour, weekday = TIMES[moment]
    (found,) = served(BERLIN, [None], [time])
    assert found["hour_of_day"] == pytest.approx(hour)
    assert found["day_of_week"] == weekday


def test_the_records_own_zone_comes_first_and_without_a_default_it_is_utc() -> None:
    time = TIMES["winter"][0]
    zones = ["Asia/Kathmandu", "-03:30", "Z", None]
    assert [one["hour_of_day"] for one in served(BERLIN, zones, [time] * 4)] == [4.25, 19.0, 22.5, 23.5]
    assert [one["hour_of_day"] for one in served(PLAIN, zones, [time] * 4)] == [4.25, 19.0, 22.5, 22.5]


def test_habits_are_by_the_same_clocks() -> None:
    """Noon in Berlin, in winter and in summer, is one habit there and two in UTC."""
    times = [datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in ((28, 11), (29, 10))]
    assert served(BERLIN, [None] * 2, times)[1]["hour_deviation_7d_by_card"] == 0.0
    assert served(PLAIN, [None] * 2, times)[1]["hour_deviation_7d_by_card"] == 1.0


def test_another_default_is_another_feature_and_another_state() -> None:
    assert len({one.features_version for one in (PLAIN, BERLIN, schema_of("Europe/London"))}) == 3
    plans = [passes_of_schema(one)[0].plan for one in (PLAIN, BERLIN, schema_of("Europe/London"))]
    assert len({plan.layout for plan in plans}) == 3
    assert "local time (zone, else Europe/Berlin)" in BERLIN.features[0].description
    changes = [(one.what, one.effect) for one in compare(PLAIN, BERLIN)]
    assert ("records without zone show the clocks of Europe/Berlin, not of UTC", Effect.REBUILD) in changes


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{type: zone}", "{type: zone, default: Europe/Munich}", "no zone 'Europe/Munich'"),
        ("card: {type: key,", "card: {type: key, default: UTC,", "a key has no default; leave it out"),
    ],
)
def test_a_wrong_default_is_refused_with_its_place(old: str, new: str, words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        parse_schema(TEXT.replace(old, new).encode(), "local.yaml")
