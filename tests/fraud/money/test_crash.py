"""Kills at random moments change nothing, with all that money, results and profiles bring."""

from pathlib import Path
from typing import Any

import pytest

from tests.own_process import play

KILLS, LEAST_KILLS = 40, 10
"""A process is killed within about one micro-batch of its begin; how far it comes, chance decides."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("crash")
    return play(
        "tests.fraud.money.crash",
        str(folder),
        "--kills",
        str(KILLS),
        FRAUD_SCHEMA_FILE=str(Path(__file__).with_name("everything.yaml")),
        FRAUD_RATES_FILE=str(folder / "rates.csv"),
    )


def test_killed_processes_leave_the_same_states_and_tables(found: dict[str, Any]) -> None:
    assert found["calm_kills"] == 0
    assert LEAST_KILLS <= found["kills"] <= KILLS
    assert found["states"] > 15
    assert found["states_differ"] == found["lost"] == found["doubled"] == 0
    assert found["differ"] == []


def test_every_record_ends_in_one_table_and_every_decision_is_published(found: dict[str, Any]) -> None:
    ends = ("transactions", "labels", "results", "profiles", "dead_letters")
    assert sum(found["rows"][name] for name in ends) == found["in"]
    assert found["rows"]["transactions"] == found["rows"]["features"] == found["rows"]["decisions"]
    assert found["published"] == found["rows"]["decisions"]
    assert found["decisions_lost"] == 0


def test_the_world_has_rates_that_change_refunds_and_what_is_refused(found: dict[str, Any]) -> None:
    assert found["rates"] > 20
    assert found["refunds"] > 30
    assert {"duplicate", "unknown_currency", "invalid_field", "future_event_time"} <= set(found["reasons"])


def test_the_world_has_clocks_that_are_wrong_within_the_bound_of_their_source(found: dict[str, Any]) -> None:
    assert set(found["far_ahead"]) == {"batch_file"}
    assert found["far_ahead"]["batch_file"] > 3
