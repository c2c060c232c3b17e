"""Results on every path: stream, service, log, parity, rebuild and training see the same."""

from pathlib import Path
from typing import Any

import pytest

from tests.own_process import play

SCHEMA = Path(__file__).parents[3] / "docs" / "examples" / "card-testing.yaml"
FEW = (
    ("reversed, declined_by_us]", "reversed, refunded, declined_by_us]"),
    ("primary: true, remember", "primary: true, events: 20, remember"),
    ("{key: card, uncount", "{key: card, events: 16, uncount"),
    ("{key: merchant_id}", "{key: merchant_id, events: 16}"),
    ("events: 128", "events: 16"),
    ("fields:\n", "fields:\n  zone: {type: zone}\n"),
)
"""Few kept events, so that results also speak of what lies in tiles, and of what a card has forgotten."""


OF_PROFILES = """\
  - {statistic: profile_value, entity: card, profile: credit_limit}
  - {statistic: profile_share, entity: card, profile: credit_limit}
  - {statistic: profile_since, entity: card, profile: address}
  - {statistic: profile_changed, entity: card, profile: address, window: 7d}
  - {statistic: profile_bucket, entity: merchant, profile: risk}
  - {statistic: hour_deviation, entity: card, window: 7d}
  - {statistic: hour_deviation, entity: merchant, window: 7d}
profiles:
  card: {credit_limit: {type: number, scale: 2}, address: {type: category}, lives_in: {type: zone}}
  merchant: {risk: {type: category}}
"""


def world(folder: Path, *options: str) -> dict[str, Any]:
    text = SCHEMA.read_text()
    for old, new in FEW:
        assert old in text
        text = text.replace(old, new)
    schema = folder / "card-testing.yaml"
    schema.write_text(text.replace("fallback:\n", OF_PROFILES + "fallback:\n"))
    return play("tests.fraud.results.world", str(folder / "world"), *options, FRAUD_SCHEMA_FILE=str(schema))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return world(tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return world(tmp_path_factory.mktemp("alone"), "--stream-alone")


def test_parity_is_0_and_a_rebuild_gives_the_same_bytes(asked: dict[str, Any], alone: dict[str, Any]) -> None:
    for found in (asked, alone):
        assert found["parity"] == []
        assert found["waiting"] == 0
        assert found["compared"] == found["rebuilt"] == found["log"] > 400
        assert found["unlike"] == 0
        assert found["greatest"]["count_7d_by_card_where_no_funds"] > 1.0


def test_training_on_the_archive_counts_results_as_they_arrived(alone: dict[str, Any]) -> None:
    assert alone["trained_differently"] == 0


def test_every_record_ends_in_one_place(asked: dict[str, Any], alone: dict[str, Any]) -> None:
    for found in (asked, alone):
        assert found["in"] == found["out"] == sum(found["kinds"].values())
        assert found["kinds"]["2"] == sum(found["reasons"].values())
        assert found["kinds"]["5"] == sum(found["results"].values())
        assert found["kinds"]["6"] == sum(found["profiles"].values())


def test_a_wrong_result_becomes_a_dead_letter_with_words(alone: dict[str, Any]) -> None:
    once = {"duplicate", "future_result_time", "future_profile_time"}
    assert {name for name, n in alone["reasons"].items() if n == 14} == once
    assert (alone["reasons"]["invalid_field"], alone["reasons"]["missing_field"]) == (112, 28)
    for words in (
        "those that the schema takes: authorised, declined, reversed, refunded, declined_by_us",
        "amount: only a result refunded has an amount, not declined",
        "amount: an amount has 2 digits, got 3",
        "card: Field required",
        "result_time: Field required",
        "entity: must be one of those that have a profile: card, merchant",
        "profile.street: the profile has no such value; write one of credit_limit, address, lives_in",
        "profile.lives_in: must be a zone such as Europe/Berlin, or an offset such as +02:00",
        "record: card is the key of the entity card and must be given",
    ):
        assert any(detail.endswith(words) for detail in alone["details"])


def test_a_result_that_cannot_be_taken_becomes_one_dead_letter_that_says_what_to_do(
    asked: dict[str, Any], alone: dict[str, Any]
) -> None:
    """80 results wait for transactions of one card that never come; some of it wait already."""
    for found in (asked, alone):
        assert 80 - 64 <= found["reasons"]["too_many_results_wait"] < 80
        assert found["reasons"]["transaction_not_kept"] > 10
        never = [detail for detail in found["details"] if "does not know transaction_id never-79," in detail]
        (words,) = never
        assert "keeps results of 64 other transactions that have not come, the limit" in words
        assert any(
            "is older than the 20 that this card keeps one by one" in detail for detail in found["details"]
        )


def test_refunds_with_amounts_are_in_the_log_and_their_flag_counts(alone: dict[str, Any]) -> None:
    """Parity, rebuild and training, above, are over sums that they leave."""
    assert alone["results"]["refunded"] > 20
    assert alone["refunded"] > 100.0


def test_the_log_knows_whose_a_result_is_although_it_names_the_card_alone(alone: dict[str, Any]) -> None:
    assert alone["completed"] == sum(alone["results"].values())


def test_the_stream_tells_its_own_declines_and_they_count(alone: dict[str, Any]) -> None:
    assert alone["sources"]["fraud"] == alone["results"]["declined_by_us"] > 30
    assert alone["greatest"]["count_24h_by_card_where_declined_by_us"] >= 1.0


def test_the_service_takes_results_of_what_it_decided_and_keeps_those_of_what_nobody_knows(
    asked: dict[str, Any],
) -> None:
    statuses = asked["statuses"]
    assert statuses["200 /v1/score"] == 56
    assert statuses["200 /v1/results accepted"] == 56 + 14
    assert statuses["200 /v1/results pending"] == 14
    assert statuses["422 /v1/results 422"] == 2 * 14
    assert any("result_time: must be given with an amount" in words for words in asked["problems"])
    assert any("must be one of those that the schema takes" in words for words in asked["problems"])
    assert asked["buried"] == {"results unknown_transaction": 14}


def test_profiles_count_on_every_path_also_of_what_has_no_transaction_yet(
    asked: dict[str, Any], alone: dict[str, Any]
) -> None:
    """Parity and training, above, are over their features too."""
    for found in (asked, alone):
        assert min(found["profiles"][name] for name in ("card", "merchant")) > 30
        assert found["greatest"]["address_changed_7d_of_card"] == 1.0
        assert found["greatest"]["credit_limit_of_card"] == 1_000.5
        assert found["greatest"]["risk_bucket_of_merchant"] > 0.0
    statuses = asked["statuses"]
    assert statuses["200 /v1/profiles accepted"] == statuses["422 /v1/profiles 422"] == asked["of_api"] == 14


def test_an_older_copy_of_the_store_is_folded_forward_to_the_same_bytes(alone: dict[str, Any]) -> None:
    found = alone["caught_up"]
    assert not found["was_anew"]
    assert found["micro_batches"] > 5
    assert found["unlike"] == 0
