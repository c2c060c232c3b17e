"""The table says of every feature what it means, and the reference says the same."""

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.errors import BadConfig, BadInput
from fraud.features.commands import app
from fraud.features.describe import as_markdown, as_records, describe, find_feature, of_family
from fraud.schema.reading import parse_schema
from fraud.schema.reading.features import settings_of
from fraud.schema.schema import Schema
from fraud.schema.statistics import STATISTICS, Family
from tests.deployed import FEATURE_NAMES, FEATURES, SCHEMA

REFERENCE = Path(__file__).parents[3] / "fraud" / "features" / "FEATURES.md"
ENTITIES = ("user", "merchant")
WIDE = """format: 1
name: wide
fields:
  card: {type: key, required: true}
  merchant_id: {type: key}
  mail: {type: key}
  opened: {type: time}
  items: {type: number, scale: 0}
  place: {type: place, columns: [latitude, longitude]}
  home: {type: place, columns: [home_latitude, home_longitude]}
filters: {many: items >= 3}
entities: {card: {key: card, primary: true, place: place}}
profiles:
  card:
    home: {type: place}
    since: {type: time}
    limit: {type: number}
    town: {type: key}
features:
  - {statistic: count, entity: card, window: [1h, 24h]}
"""
WANTED = {
    "volume": [
        f"{name}_{window}_by_{entity}"
        for name in ("count", "amount_sum", "amount_mean", "amount_std", "amount_max")
        for window in ("1h", "24h", "7d")
        for entity in ENTITIES
    ],
    "velocity": [f"velocity_1h_7d_by_{entity}" for entity in ENTITIES],
    "zscore": [f"amount_zscore_7d_by_{entity}" for entity in ENTITIES],
    "recency": [f"seconds_since_last_by_{entity}" for entity in ENTITIES],
    "place": ["distance_from_home", "distance_from_last_by_user", "speed_from_last_by_user"],
    "distinct": [
        f"{column}_distinct_{window}_by_user"
        for column in ("merchant", "category", "country")
        for window in ("24h", "7d")
    ],
    "first_time": [f"{column}_is_first_by_user" for column in ("merchant", "category", "device")],
    "habit": ["hour_deviation_30d_by_user"],
    "risk": [
        f"{name}_by_{entity}"
        for name in (
            "fraud_share_7d",
            "fraud_share_30d",
            "fraud_share_14d_ripe_7d",
            "fraud_share_30d_ripe_7d",
        )
        for entity in ENTITIES
    ],
}


@pytest.mark.parametrize("family", WANTED)
def test_every_promised_family_is_whole(family):
    assert set(WANTED[family]) <= {feature.name for feature in of_family(family, SCHEMA)}


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURE_NAMES)
def test_every_feature_is_described(feature):
    of = describe(feature)
    assert of.formula
    assert of.unit
    assert of.default
    assert of.missing
    assert of.exactness.startswith("event-exact")
    assert "{" not in "".join(as_records([feature])[0].values())
    if math.isnan(feature.default) and feature.entity:
        assert feature.missing, "missing by default, but not said what that means"


def test_names_are_unique():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


def test_the_reference_is_up_to_date():
    assert REFERENCE.read_text() == as_markdown(SCHEMA), (
        "run: fraud features docs --out fraud/features/FEATURES.md"
    )


def test_the_list_as_json_holds_every_feature_in_the_vectors_order():
    printed = CliRunner().invoke(app, ["list", "--json"])
    assert [record["name"] for record in json.loads(printed.output)] == list(FEATURE_NAMES)


@pytest.mark.parametrize("family", [one for one in Family if one not in {Family.COMBINED, Family.PROFILE}])
def test_a_family_can_be_listed_alone(family):
    printed = CliRunner().invoke(app, ["list", "--json", "--family", family])
    assert {record["family"] for record in json.loads(printed.output)} == {family}


def test_an_explanation_says_how_exact_a_feature_is():
    printed = CliRunner().invoke(app, ["explain", "count_1h_by_merchant"]).output
    assert "latest 256 transactions; beyond, 1h reaches up to 5 min further back" in printed
    assert "1h, each (t - length, t]" in printed


def test_an_explanation_says_where_the_window_of_ripe_transactions_ends():
    printed = CliRunner().invoke(app, ["explain", "fraud_share_14d_ripe_7d_by_merchant"]).output
    assert "(t - 14d, t - 7d]\n" in printed


def test_an_unknown_feature_names_its_neighbours():
    with pytest.raises(BadInput, match=r"did you mean amount_mean_24h_by_user"):
        find_feature("amount_mean_24h_by_usr", SCHEMA)
    with pytest.raises(BadInput, match="fraud features list"):
        find_feature("zzz", SCHEMA)
    with pytest.raises(BadInput, match="volume"):
        of_family("sizes", SCHEMA)


def test_every_statistic_is_listed_with_what_a_line_needs_and_a_line_of_just_that_is_read() -> None:
    printed = CliRunner().invoke(app, ["statistics"], env={"COLUMNS": "240"}).output
    for name, one in STATISTICS.items():
        assert f"│ {name} " in printed, name
        assert "{" not in one.meaning
    assert "entity, window, field" in " ".join(printed.split())


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_line_with_what_its_statistic_needs_is_read_and_without_one_of_them_refused(statistic: str) -> None:
    needs, takes = settings_of(statistic)
    of = {"of": "[count_1h_by_card, count_24h_by_card]", "field": "opened" if statistic == "age" else "mail"}
    given = {
        "entity": "card",
        "window": "7d",
        "base": "1h",
        "value": "items",
        "where": "many",
        "equals": "vip",
    } | of
    given["profile"] = {"profile_distance": "home", "profile_age": "since", "profile_share": "limit"}.get(
        statistic, "limit" if statistic == "profile_value" else "town"
    )
    if statistic in {"velocity", "trend", "deviations"}:
        given["base"] = "30d"
    if statistic == "profile_same":
        given["field"] = "mail"

    def line(names: list[str]) -> Schema:
        words = "".join(f", {name}: {given[name]}" for name in names)
        return parse_schema(f"{WIDE}  - {{statistic: {statistic}{words}}}\n".encode(), "s.yaml")

    assert line(needs).feature_names
    assert line([*needs, *takes]).feature_names
    for name in needs:
        with pytest.raises(BadConfig, match=f"{statistic} needs {name}"):
            line([one for one in needs if one != name])
