"""A record that is right but for one odd value ends in one place, on every topic and path, in any schema."""

from pathlib import Path
from typing import Any

from tests.jobs.stream import odd_records
from tests.own_process import play

SCHEMA = """\
format: 1
name: odd
money: {base: USD, unknown: decide}
fields:
  card: {type: key, required: true, examples: [c1]}
  account: {type: key, examples: [u1]}
  merchant_id: {type: key, required: true, examples: [m1]}
  zone: {type: zone, examples: [Europe/Berlin]}
  opened: {type: time, examples: ["2024-05-01T00:00:00Z"]}
  online: {type: flag, examples: [true]}
  weight: {type: number, scale: 2, examples: [1.5]}
  place: {type: place, columns: [latitude, longitude], examples: [52.0, 13.0]}
results: [authorised, declined, reversed]
profiles:
  card:
    credit_limit: {type: number, scale: 2, examples: [5000]}
    issued: {type: time, examples: ["2024-05-01T00:00:00Z"]}
    home: {type: place, examples: [52.52, 13.405]}
entities:
  card: {key: card, primary: true, place: place}
  account: {key: account}
  merchant: {key: merchant_id}
features:
  - amount
  - hour
  - {statistic: [count, sum], entity: card, window: 1h}
  - {statistic: count, entity: account, window: 1h}
  - {statistic: count, entity: merchant, window: 1h}
  - {statistic: profile_share, entity: card, profile: credit_limit}
  - {statistic: profile_age, entity: card, profile: issued}
  - {statistic: profile_distance, entity: card, profile: home}
"""
"""A field of each type, money that decides unknown currencies, results, profiles."""


def check(found: dict[str, Any], topics: set[str]) -> None:
    assert found.keys() == topics | {"answers"}
    for topic, one in found.items():
        assert one["is_each_once"], (topic, one)
        assert one["first"] is None, f"the right record of {topic} is refused: {one['first']}"
        assert not [status for status in one.get("statuses", ()) if int(status) >= 500], (topic, one)
    assert found["answers"]["reasons"].keys() == {"taken"}, "what the API takes, the stream takes"


def test_records_of_the_default_schema(tmp_path: Path) -> None:
    check(odd_records.see(tmp_path), {"transactions", "labels", "scored"})


def test_records_of_a_schema_with_money_results_and_profiles(tmp_path: Path) -> None:
    schema = tmp_path / "odd.yaml"
    schema.write_text(SCHEMA)
    found = play("tests.jobs.stream.odd_records", str(tmp_path / "world"), FRAUD_SCHEMA_FILE=str(schema))
    check(found, {"transactions", "labels", "results", "profiles", "scored"})
