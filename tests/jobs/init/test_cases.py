"""``fraud init`` on the small tables that went wrong once: the right values, or a question."""

from datetime import datetime
from pathlib import Path

import pytest

from jobs.init.run import check_whole, guess_all
from jobs.init.sample import read_sample

CASES = Path(__file__).parents[2] / "fraud/tables/cases"


@pytest.mark.parametrize(
    ("name", "first", "amounts", "frauds"),
    [
        ("day_first.csv", "2025-01-02T10:00Z", [10.5, 11.5], 1),
        ("month_first.csv", "2025-01-02T10:00Z", [10.5, 11.5], 1),
        ("epoch_s.csv", "2025-01-01T00:00Z", [10.5, 11.5], 1),
        ("epoch_ms.csv", "2025-01-01T00:00Z", [10.5, 11.5], 1),
        ("epoch_us.csv", "2025-01-01T00:00Z", [10.5, 11.5], 1),
        ("epoch_ns.csv", "2025-01-01T00:00Z", [10.5, 11.5], 1),
        ("dollars.csv", "2025-01-01T00:00Z", [1234.5, 7.5], 1),
        ("decimal_comma.csv", "2025-01-01T00:00Z", [1234.5, 7.5], 1),
        ("semicolons.csv", "2025-01-01T00:00Z", [1234.5, 7.5], 1),
        ("latin_1.csv", "2025-01-01T00:00Z", [10.5, 11.5], 1),
        ("yes_and_no.csv", "2025-01-01T00:00Z", [10.5, 11.5], 1),
        ("text_like_missing.csv", "2025-01-01T00:00Z", [10.5, 11.5], 1),
        ("simulated_layout.csv", "2025-01-01T00:00:36Z", [82.83, 67.5], 1),
    ],
)
def test_a_table_is_read_as_meant(name: str, first: str, amounts: list[float], frauds: int) -> None:
    guess = guess_all(read_sample(str(CASES / name)), {})
    assert guess.questions == []
    read = check_whole(guess, lambda _: None)
    assert read.period[0] == datetime.fromisoformat(first)
    assert read.table["amount"].to_pylist() == amounts
    assert read.frauds == frauds


def test_text_that_looks_missing_is_text() -> None:
    read = check_whole(guess_all(read_sample(str(CASES / "text_like_missing.csv")), {}), lambda _: None)
    assert read.table["user_id"].to_pylist() == ["NA", "u1"]
    assert read.table["country"].to_pylist() == ["NA", "DE"]
    assert read.table["category"].to_pylist() == ["null", "nan"]


def test_both_halves_of_a_place_are_taken_and_half_of_one_is_no_place() -> None:
    both = guess_all(read_sample(str(CASES / "lat_and_long.csv")), {}).found
    assert (both["latitude"].text, both["longitude"].text) == ("number(lat)", "number(long)")
    assert "latitude" not in guess_all(read_sample(str(CASES / "lat_alone.csv")), {}).found
    simulated = guess_all(read_sample(str(CASES / "simulated_layout.csv")), {}).found
    assert (simulated["latitude"].text, simulated["home_latitude"].text) == (
        "number(merch_lat)",
        "number(lat)",
    )


@pytest.mark.parametrize(
    ("name", "our", "flags"),
    [
        ("either_day.csv", "event_time", "time(event_time, 'day-first')"),
        ("either_decimal.csv", "amount", "number(amount, 'comma')"),
        ("labels_0_1_2.csv", "is_fraud", "'2' = null"),
        ("two_amounts.csv", "amount", "--column amount=amt"),
        ("one_id_two_users.csv", "transaction_id", "transaction_id=row()"),
    ],
)
def test_what_has_two_meanings_is_asked(name: str, our: str, flags: str) -> None:
    (question,) = guess_all(read_sample(str(CASES / name)), {}).questions
    assert question.our == our
    assert any(flags in choice for choice, _ in question.choices)
