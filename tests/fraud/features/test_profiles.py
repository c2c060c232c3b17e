"""Profiles: what is told of an entity changes what follows, in the order of arrival, and nothing else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fraud.contracts import Profile, Transaction, contracts_of, parse_record
from fraud.errors import BadInput, BadRecord
from fraud.features.batch import FoldedPasses, fold_passes
from fraud.features.codec import newest_us
from fraud.features.events import events_of, stack_events
from fraud.features.passes import feature_names, passes_of_schema
from fraud.features.profiles import profiles_of
from fraud.features.snapshot import read_snapshot
from fraud.schema.reading import parse_schema

SCHEMA = parse_schema(
    b"""\
format: 1
name: profiles
fields:
  card: {type: key, required: true}
  shop: {type: key}
  country: {type: category}
  spot: {type: place}
profiles:
  card:
    limit: {type: number, scale: 2}
    gold: {type: flag}
    segment: {type: category}
    address: {type: category}
    home: {type: place}
    since: {type: time}
  shop:
    land: {type: category}
    risk: {type: number}
entities:
  card: {key: card, primary: true, events: 64}
  again: {key: card, events: 64}
  shop: {key: shop, events: 64}
  both: {key: [card, shop], events: 64}
features:
  - {statistic: [count, sum], entity: card, window: [1h, 7d]}
  - {statistic: count, entity: again, window: 1h}
  - {statistic: count, entity: both, window: 1h}
  - {statistic: [count, mean], entity: shop, window: 7d}
  - {statistic: is_first, entity: card, field: shop}
  - {statistic: profile_value, entity: card, profile: [limit, gold]}
  - {statistic: profile_bucket, entity: card, profile: segment}
  - {statistic: profile_is, entity: card, profile: segment, equals: [x, "y z"]}
  - {statistic: profile_age, entity: card, profile: since}
  - {statistic: profile_since, entity: card, profile: [address, home]}
  - {statistic: profile_changed, entity: card, profile: [address, home], window: 24h}
  - {statistic: profile_share, entity: card, profile: limit}
  - {statistic: profile_distance, entity: card, profile: home}
  - {statistic: profile_same, entity: shop, profile: land, field: country}
  - {statistic: profile_value, entity: shop, profile: risk}
""",
    "profiles.yaml",
)
PASSES = passes_of_schema(SCHEMA)
NAMES = feature_names(PASSES)
OF_PROFILE = [
    name
    for name, feature in zip(NAMES, SCHEMA.features, strict=True)
    if feature.statistic.startswith("profile_")
]
CONTRACTS = contracts_of(SCHEMA)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY_S = 86_400.0
Records = list[Transaction | Profile]


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def bought(days: float, **fields: Any) -> Transaction:
    given = {"card": "c", "shop": "s", "amount": 25.0, "event_time": at(days), "country": "DE"}
    return CONTRACTS.transaction(transaction_id=f"t{days}", **given | fields)


def told(days: float, entity: str = "card", key: str = "c", **profile: Any) -> Profile:
    assert CONTRACTS.profile is not None
    return CONTRACTS.profile(entity=entity, **{entity: key}, profile_time=at(days), profile=profile)


def fold(records: Records) -> FoldedPasses:
    writer, profiles = events_of(SCHEMA), profiles_of(SCHEMA)
    rows = [profiles.of_profile(r) if isinstance(r, Profile) else writer.of_transaction(r) for r in records]
    return fold_passes(stack_events(rows, writer.layout.width), passes=PASSES)


def last(*records: Transaction | Profile) -> dict[str, float]:
    return dict(zip(NAMES, fold(list(records)).vectors[-1].tolist(), strict=True))


def test_a_transaction_without_a_profile_has_missing_values_and_all_others() -> None:
    found = last(bought(0), bought(0.01))
    assert all(np.isnan(found[name]) for name in OF_PROFILE)
    assert found["count_1h_by_card"] == found["count_7d_by_shop"] == 1.0


def test_what_is_told_counts_from_its_arrival_on() -> None:
    profile = told(0, limit=100.0, gold=True, since="2026-02-27T12:00:00Z", segment="x")
    found = last(bought(-1), profile, bought(0.5))
    assert (found["limit_of_card"], found["gold_of_card"]) == (100.0, 1.0)
    assert found["amount_over_limit_of_card"] == 0.25
    assert found["since_age_of_card"] == 2.5 * DAY_S
    assert found["count_7d_by_card"] == 1.0
    assert np.isnan(last(bought(-1), bought(0.5))["limit_of_card"])
    assert np.isnan(fold([bought(-1), bought(0.5), profile]).vectors[1]).any()


def test_a_changed_address_shows_for_its_window_and_a_first_one_is_no_change() -> None:
    first, second = told(0, address="old"), told(2, address="new")
    assert last(first, bought(0.1))["address_changed_24h_of_card"] == 0.0
    soon, later = last(first, second, bought(2.5)), last(first, second, bought(3.5))
    assert (soon["address_changed_24h_of_card"], later["address_changed_24h_of_card"]) == (1.0, 0.0)
    assert later["seconds_since_address_of_card"] == 1.5 * DAY_S


def test_the_same_profile_again_changes_nothing_and_the_same_values_leave_their_age() -> None:
    first = told(0, address="old", limit=5.0)
    assert fold([first, first]).states == fold([first]).states
    again = last(first, told(3, address="old", limit=5.0), bought(4))
    assert again["seconds_since_address_of_card"] == 4 * DAY_S
    assert again["address_changed_24h_of_card"] == 0.0


def test_an_older_profile_that_arrives_later_changes_only_what_it_alone_tells() -> None:
    new, old = told(5, address="new"), told(2, address="old", limit=7.0)
    found = last(new, old, bought(5.5))
    assert found["seconds_since_address_of_card"] == 0.5 * DAY_S
    assert found["address_changed_24h_of_card"] == 0.0
    assert found["limit_of_card"] == 7.0


def test_what_is_not_told_stays_and_null_takes_a_value_back() -> None:
    found = last(told(0, limit=5.0, gold=True), told(1, limit=None), bought(1.5))
    assert np.isnan(found["limit_of_card"])
    assert found["gold_of_card"] == 1.0


def test_distance_and_equality_look_at_the_transaction() -> None:
    home = told(0, home_latitude=48.0, home_longitude=11.0)
    found = last(home, bought(1, spot_latitude=48.0, spot_longitude=11.0))
    assert found["distance_from_home_of_card"] == 0.0
    assert np.isnan(last(home, bought(1))["distance_from_home_of_card"])
    land = told(0, "shop", "s", land="DE", risk=3.0)
    assert last(land, bought(1))["country_is_land_of_shop"] == 1.0
    assert last(land, bought(1, country="FR"))["country_is_land_of_shop"] == 0.0
    assert np.isnan(last(land, bought(1, country=None))["country_is_land_of_shop"])


def test_a_word_of_a_profile_is_compared_whole_and_is_unknown_where_it_is_not_told() -> None:
    names = ["segment_is_x_of_card", "segment_is_y_z_of_card"]

    def found(*records: Transaction | Profile) -> list[float]:
        values = last(*records, bought(1))
        return [values[name] for name in names]

    assert found(told(0, segment="x")) == [1.0, 0.0]
    assert found(told(0, segment="x"), told(0.5, segment="y z")) == [0.0, 1.0]
    assert found(told(0, segment="y")) == [0.0, 0.0]
    assert np.isnan(found(told(0, segment="x"), told(0.5, segment=None))).all()
    assert np.isnan(found(told(0, limit=5.0))).all()


def test_a_profile_speaks_of_its_entity_alone_also_of_one_over_the_same_key() -> None:
    states = fold([told(0, limit=5.0), told(0, "shop", "s", risk=1.0)]).states
    assert {name: len(of) for name, of in states.items()} == {"card": 1, "again": 0, "shop": 1, "both": 0}


def test_a_profile_alone_keeps_its_state_as_young_as_its_arrival() -> None:
    (state,) = fold([told(3, limit=5.0)]).states["card"].values()
    assert newest_us(state) == at(3).timestamp() * 1e6


def test_history_that_is_played_after_a_profile_counts_as_if_there_were_none() -> None:
    """The profile is of today, the transactions are a year old: they are not late."""
    days = (-400, -399.99, -399.98)
    of_profile = np.isin(NAMES, OF_PROFILE)
    plain = fold([bought(d) for d in days]).vectors[:, ~of_profile]
    after = fold([told(0, limit=5.0), *(bought(d) for d in days)]).vectors[1:, ~of_profile]
    assert after.tobytes() == plain.tobytes()


@pytest.mark.parametrize(("days", "is_known"), [(179.0, True), (181.0, False)])
def test_an_entity_that_is_silent_for_180_days_is_forgotten_with_its_profile(
    days: float, is_known: bool
) -> None:
    records: Records = [bought(0), told(100, limit=5.0)]
    found = last(*records, bought(100 + days))
    assert (found["limit_of_card"] == 5.0) == is_known
    assert (found["shop_is_first_by_card"] == 0.0) == is_known


def test_micro_batches_give_the_same_states_and_vectors() -> None:
    records: Records = []
    for n in range(40):
        records.append(bought(n / 3, card=f"c{n % 3}"))
        if n % 2:
            records.append(told(n / 3, key=f"c{n % 3}", limit=float(n % 5), address=f"a{n % 4}"))
        if n % 5 == 0:
            records.append(told(n / 3, "shop", "s", risk=float(n)))
    rows = [
        profiles_of(SCHEMA).of_profile(r) if isinstance(r, Profile) else events_of(SCHEMA).of_transaction(r)
        for r in records
    ]
    events = stack_events(rows, events_of(SCHEMA).layout.width)
    whole = fold_passes(events, passes=PASSES)
    states: dict[str, dict[float, bytes]] = {one.name: {} for one in PASSES}
    parts = []
    for first in range(0, len(events), 7):
        found = fold_passes(events[first : first + 7], states, passes=PASSES)
        parts.append(found.vectors)
        for name, of in found.states.items():
            states[name].update(of)
    assert np.vstack(parts).tobytes() == whole.vectors.tobytes()
    assert states == whole.states


def table_of(*records: Profile) -> pa.Table:
    found = [record.model_dump(exclude={"schema_version"}) for record in records]
    table = pa.Table.from_pylist(found)
    keys = [pa.field(name, pa.string()) for name in ("card", "shop")]
    return (
        table.select([n for n in table.column_names if n not in ("card", "shop")])
        .append_column(keys[0], table["card"].cast(pa.string()))
        .append_column(keys[1], table["shop"].cast(pa.string()))
    )


def test_a_table_of_profiles_gives_the_rows_of_its_records() -> None:
    records = [
        told(0, limit=5.25, home_latitude=48.0, home_longitude=11.0, segment=None),
        told(1, "shop", "s", land="DE"),
    ]
    writer = profiles_of(SCHEMA)
    expected = stack_events([writer.of_profile(r) for r in records], events_of(SCHEMA).layout.width)
    np.testing.assert_array_equal(writer.of_profiles(table_of(*records)), expected)
    arrived = table_of(*records).append_column(
        "received_at", pa.array([at(9), at(9)], pa.timestamp("us", tz="UTC"))
    )
    assert (writer.of_profiles(arrived)[:, 7] == at(9).timestamp() * 1e6).all()


def test_a_table_that_tells_of_no_entity_is_refused_with_words() -> None:
    whole = table_of(told(0, limit=5.0))
    for name, value, words in (
        ("entity", "user", "the entity 'user' has no profile; these have: card, shop"),
        ("card", None, "a profile of the entity card lacks its key, card"),
        ("profile", '{"limit": "much"}', "a profile of the entity card cannot be read"),
    ):
        place = whole.column_names.index(name)
        with pytest.raises(BadInput, match=words):
            profiles_of(SCHEMA).of_profiles(whole.set_column(place, name, pa.array([value], pa.string())))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"entity": "user"}, "entity: must be one of those that have a profile: card, shop"),
        ({"profile": {"limits": 5}}, "profile.limits: the profile has no such value; did you mean limit?"),
        ({"profile": {"limit": "5"}}, "profile.limit: Input should be a valid number"),
        ({"profile": {}}, "profile: has no value; give at least one"),
        ({"profile": {"home_latitude": 1.0}}, "home_latitude and home_longitude must be given together"),
        ({"card": None}, "card is the key of the entity card and must be given"),
        ({"shop": "s"}, "shop is no key of the entity card, which card names"),
    ],
)
def test_a_wrong_profile_is_refused_with_words(record: dict[str, Any], words: str) -> None:
    good = {"entity": "card", "card": "c", "profile_time": START.isoformat(), "profile": {"limit": 5}}
    assert CONTRACTS.profile is not None
    parse_record(CONTRACTS.profile, json.dumps(good).encode())
    with pytest.raises(BadRecord) as raised:
        parse_record(CONTRACTS.profile, json.dumps(good | record).encode())
    assert words in str(raised.value)


def test_a_state_shows_what_was_told_and_the_newest_transaction() -> None:
    records: Records = [bought(0), told(3, limit=5.0, home_latitude=48.0, home_longitude=11.0)]
    (state,) = fold([*records, told(4, limit=7.0)]).states["card"].values()
    found = read_snapshot(PASSES[0].plan, state)
    assert found.newest_event == at(0)
    assert {name: (one.value, one.since) for name, one in found.profile.items()} == {
        "limit": (7.0, at(4)),
        "home": ((48.0, 11.0), at(3)),
    }
