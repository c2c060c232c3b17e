"""Money, kinds and local time on every path: what was decided by is recorded, and everybody else takes it."""

from pathlib import Path
from typing import Any

import pytest

from fraud.schema.kinds import KINDS
from tests.own_process import play

SCHEMA = Path(__file__).with_name("payments.yaml")


def world(folder: Path, unknown: str, *options: str) -> dict[str, Any]:
    schema = folder / "payments.yaml"
    schema.write_text(SCHEMA.read_text().replace("unknown: refuse", f"unknown: {unknown}"))
    settings = {"FRAUD_SCHEMA_FILE": str(schema), "FRAUD_RATES_FILE": str(folder / "rates.csv")}
    return play("tests.fraud.money.world", str(folder / "world"), *options, **settings)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return world(tmp_path_factory.mktemp("refusing"), "refuse")


@pytest.fixture(scope="module")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return world(tmp_path_factory.mktemp("deciding"), "decide", "--stream-alone")


def test_parity_is_0_and_a_rebuild_goes_through_whatever_the_rates_say_later(refusing, deciding) -> None:
    for found in (refusing, deciding):
        assert found["parity"] == []
        assert found["compared"] == found["rebuilt"] == found["log"] > 300
        assert found["run_again"] > 3  # by the same rates, although they changed between
        assert set(found["states"]) == {"user", "merchant", "merchant_returns", "user_currency"}


def test_training_on_the_archive_takes_the_recorded_amounts(deciding) -> None:
    assert deciding["trained_differently"] == 0


def test_every_record_ends_in_one_place(refusing, deciding) -> None:
    for found in (refusing, deciding):
        assert found["in"] == found["out"] == sum(found["kinds"].values())
        assert found["kinds"]["2"] == sum(found["reasons"].values())
        assert set(found["of_kinds"]) == set(KINDS)


def test_a_currency_without_a_rate_is_refused_or_decided_without_its_amount(refusing, deciding) -> None:
    assert refusing["reasons"]["unknown_currency"] > 20
    assert "CHF" not in refusing["currencies"]
    assert refusing["unpriced"] == 0
    assert "unknown_currency" not in deciding["reasons"]
    assert deciding["unpriced"] == deciding["currencies"]["CHF"] > 20


def test_the_service_refuses_what_the_stream_refuses_with_the_same_words(refusing) -> None:
    assert refusing["statuses"]["200"] > 30
    for words in ("digits, got", "is for kind verification alone", "no rate of CHF to USD is effective"):
        assert any(words in detail for detail in refusing["details"])
        assert any(words in problem for problem in refusing["problems"])
