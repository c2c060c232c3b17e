"""Local time by the zone of a profile: the record's own, else what was told by then, else the schema's."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import contracts_of, parse_record
from fraud.contracts.zones import offset_us
from fraud.errors import BadConfig, BadRecord
from fraud.features.batch import fold_passes
from fraud.features.clocks import clocks, zone_number
from fraud.features.events import events_of, stack_events
from fraud.features.passes import feature_names, passes_of_schema
from fraud.features.profiles import profiles_of
from fraud.schema.diff import Effect, compare
from fraud.schema.reading import parse_schema

TEXT = """\
format: 1
name: told
fields:
  card: {type: key, required: true}
  shop: {type: key}
  zone: {type: zone}
profiles:
  card: {limit: {type: number}, lives_in: {type: zone}}
entities:
  card: {key: card, primary: true}
  shop: {key: shop}
features:
  - hour
  - weekday
  - {statistic: hour_deviation, entity: card, window: 7d}
  - {statistic: hour_deviation, entity: shop, window: 7d}
  - {statistic: profile_changed, entity: card, profile: lives_in, window: 7d}
"""
SCHEMA = parse_schema(TEXT.encode(), "told.yaml")
BERLIN = parse_schema(
    TEXT.replace("zone: {type: zone}", "zone: {type: zone, default: Europe/Berlin}", 1).encode(), "b"
)
START = datetime(2026, 7, 1, 12, tzinfo=UTC)
NAMED = [name for name in sorted(available_timezones()) if zone_number(name) > 0.0]
Told = tuple[str, dict[str, Any]]


def purchase(time: datetime, zone: str | None = None) -> Told:
    return "transaction", {"event_time": time, "zone": zone}


def told(**profile: Any) -> Told:
    return "profile", profile


def served(given: list[Told], schema: Any = SCHEMA, parts: int = 1) -> list[dict[str, float]]:
    """Fold records of one card at one shop in micro-batches; the vectors of the transactions."""
    contracts, passes = contracts_of(schema), passes_of_schema(schema)
    rows: list[tuple[float, ...]] = []
    for at, (kind, values) in enumerate(given):
        if kind == "profile":
            record = {"entity": "card", "card": "c", "profile": values, "profile_time": START.isoformat()}
            read = parse_record(contracts.profile, json.dumps(record).encode())  # type: ignore[arg-type]
            rows.append(profiles_of(schema).of_profile(read))
        else:
            one = contracts.transaction(transaction_id=f"t{at}", card="c", shop="s", amount=5.0, **values)
            rows.append(events_of(schema).of_transaction(one))
    events = stack_events(rows, events_of(schema).layout.width)
    states: dict[str, Any] = {one.name: {} for one in passes}
    found = []
    for part in np.array_split(events, parts):
        folded = fold_passes(part, states, passes=passes)
        states = {name: {**states[name], **of} for name, of in folded.states.items()}
        found.append(folded.vectors)
    vectors = np.concatenate(found)[[kind == "transaction" for kind, _ in given]]
    return [dict(zip(feature_names(passes), vector, strict=True)) for vector in vectors.tolist()]


def hours(given: list[Told], schema: Any = SCHEMA) -> list[float]:
    return [one["hour_of_day"] for one in served(given, schema)]


def offset_in_table(zone: str, time_us: int) -> float:
    table = clocks()
    at = int(np.searchsorted(table.names, zone_number(zone)))
    first, end = table.spans[at]
    return float(table.offsets[first + np.searchsorted(table.times[first:end], time_us, "right") - 1])


@settings(max_examples=400)
@given(
    st.sampled_from(NAMED),
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)),  # noqa: DTZ001
)
def test_the_table_shows_what_the_database_does(zone: str, moment: datetime) -> None:
    time = moment.replace(tzinfo=UTC)
    assert offset_in_table(zone, round(time.timestamp() * 1e6)) == offset_us(zone, time)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Africa/Casablanca", "Asia/Gaza", "Australia/Lord_Howe"])
def test_every_change_of_the_clocks_is_in_the_table_to_the_second(zone: str) -> None:
    """Also those of a rule, long after the last one that the file names."""
    table = clocks()
    first, end = table.spans[int(np.searchsorted(table.names, zone_number(zone)))]
    assert end - first > 100
    for time_us, offset in zip(table.times[first + 1 : end], table.offsets[first + 1 : end], strict=True):
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=float(time_us))
        assert offset_us(zone, time) == offset
        assert offset_us(zone, time - timedelta(minutes=1)) != offset


def test_the_records_own_zone_comes_first_then_the_profiles_then_the_schemas() -> None:
    given = [
        purchase(START),
        told(lives_in="Asia/Kathmandu"),
        purchase(START),
        purchase(START, "-03:30"),
        told(lives_in="+01:00", limit=5.0),
        purchase(START),
        told(limit=6.0),
        purchase(START),
        told(lives_in=None),
        purchase(START),
    ]
    assert hours(given) == [12.0, 17.75, 8.5, 13.0, 13.0, 12.0]
    assert hours(given, BERLIN) == [14.0, 17.75, 8.5, 13.0, 13.0, 14.0]


def test_a_profiles_zone_has_daylight_saving() -> None:
    times = [datetime(2026, 3, 29, 0, 59), datetime(2026, 3, 29, 1, 0), datetime(2026, 10, 25, 0, 30)]  # noqa: DTZ001
    given = [told(lives_in="Europe/Berlin"), *(purchase(time.replace(tzinfo=UTC)) for time in times)]
    assert hours(given) == [pytest.approx(1 + 59 / 60), 3.0, 2.5]
    (late,) = served([told(lives_in="Europe/Berlin"), purchase(datetime(2026, 1, 15, 23, 30, tzinfo=UTC))])
    assert (late["hour_of_day"], late["day_of_week"]) == (0.5, 4.0), "it is Friday there"


def test_the_other_entities_habits_are_by_the_same_clocks_and_keep_what_they_were() -> None:
    """Noon of the clocks at home, before and after a move, is one habit of the card and of the shop."""
    given = [
        told(lives_in="+02:00"),
        purchase(START),
        told(lives_in="-04:00"),
        purchase(START + timedelta(hours=6)),
    ]
    last = served(given)[-1]
    assert (last["hour_deviation_7d_by_card"], last["hour_deviation_7d_by_shop"]) == (0.0, 0.0)
    utc = served([one for one in given if one[0] == "transaction"])[-1]
    assert (utc["hour_deviation_7d_by_card"], utc["hour_deviation_7d_by_shop"]) == (6.0, 6.0)


def test_a_zone_is_forgotten_with_the_entity() -> None:
    later = START + timedelta(days=181)
    assert hours([told(lives_in="+02:00"), purchase(START), purchase(later), purchase(later)]) == [
        14.0,
        12.0,
        12.0,
    ]


@settings(max_examples=30)
@given(
    st.lists(
        st.one_of(
            st.builds(lambda zone: told(lives_in=zone), st.sampled_from([*NAMED[::40], "+05:45", None])),
            st.builds(
                lambda hours, zone: purchase(START + timedelta(hours=hours), zone),
                st.integers(-5_000, 5_000),
                st.sampled_from([None, None, "America/New_York"]),
            ),
        ),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 25),
)
def test_micro_batches_change_no_bit(given_: list[Told], parts: int) -> None:
    assert repr(served(given_, BERLIN, parts)) == repr(served(given_, BERLIN))


def test_a_table_makes_the_rows_of_its_records() -> None:
    zones = ["Europe/London", None, "+02:00", None]
    rows = [
        {"transaction_id": f"t{at}", "event_time": START, "card": "c", "amount": 5.0, "zone": zone}
        for at, zone in enumerate(zones)
    ]
    for schema in (SCHEMA, BERLIN):
        writer, model = events_of(schema), contracts_of(schema).transaction
        expected = stack_events([writer.of_transaction(model(**one)) for one in rows], writer.layout.width)
        assert np.isnan(expected[:, writer.layout.column("zone")]).tolist() == [False, True, False, True]
        table = pa.Table.from_pylist(rows)
        table = table.set_column(1, "event_time", pa.array([START] * 4, pa.timestamp("us", "UTC")))
        np.testing.assert_array_equal(writer.of_transactions(table), expected)
        without = writer.of_transactions(table.drop_columns(["zone"]))
        assert np.isnan(without[:, writer.layout.column("zone")]).all()


@pytest.mark.parametrize("zone", ["Europe/Munich", "posix/Europe/Berlin", "+25:00", "", 7])
def test_what_is_no_zone_is_a_dead_letter(zone: object) -> None:
    record = {"entity": "card", "card": "c", "profile": {"lives_in": zone}, "profile_time": START.isoformat()}
    with pytest.raises(BadRecord) as found:
        parse_record(contracts_of(SCHEMA).profile, json.dumps(record).encode())  # type: ignore[arg-type]
    assert "lives_in" in str(found.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "profiles:\n  card: {",
            "profiles:\n  shop: {",
            "shop is not the primary entity; only its profile",
        ),
        (
            "limit: {type: number}",
            "other: {type: zone}",
            "other is the profile's zone already; leave one out",
        ),
        ("  zone: {type: zone}\n", "", "the transactions have no zone; write a field of type zone"),
    ],
)
def test_a_zone_that_no_transaction_could_get_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        parse_schema(TEXT.replace(old, new).encode(), "wrong.yaml")


def test_a_zone_of_the_profile_is_another_feature_and_needs_the_states_anew() -> None:
    plain = parse_schema(
        TEXT.replace(", lives_in: {type: zone}", "").replace("profile: lives_in", "profile: limit").encode(),
        "p",
    )
    assert "local time (zone, else the profile's lives_in), with fractions" in SCHEMA.features[0].description
    assert "(zone, else the profile's lives_in, else Europe/Berlin)" in BERLIN.features[0].description
    assert plain.features_version != SCHEMA.features_version
    plans = zip(passes_of_schema(plain), passes_of_schema(SCHEMA), strict=True)
    assert all(one.plan.layout != other.plan.layout for one, other in plans)
    assert Effect.REBUILD in {change.effect for change in compare(plain, SCHEMA)}
