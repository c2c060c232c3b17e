"""``fraud init`` on values written in a way of their own: the right value, a question, or a refusal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fraud.errors import BadInput
from jobs.init.guess import Guess, Question
from tests.jobs.init.test_init import FIRST, ROWS, Line, checked, found, made_of, table_of

HEAD = "id,time,card,amount,label"
CLOCKED = "id,date,time,card,amount,label"
DAYS = FIRST.replace(day=25, hour=13, minute=5, second=9)
"""A day above 12, in the afternoon: read in one way alone."""


def label(at: int) -> int:
    return int(at % 20 == 3)


def of_time(write: str) -> Line:
    """Write a line whose time is written in one way."""

    def line(i: int, at: datetime) -> str:
        when = at + (DAYS - FIRST)
        return f"t{i},{when.strftime(write)},c{i % 9},{i + 1}.5,{label(i)}"

    return line


def of_amount(write: str, odd: str = "") -> Line:
    """Write a line whose amount is written in one way; that of the sixth is ``odd`` where one is given."""

    def line(i: int, at: datetime) -> str:
        amount = odd if odd and i == 5 else write.format(i + 1)
        return f't{i},{at:%Y-%m-%d %H:%M},c{i % 9},"{amount}",{label(i)}'

    return line


def question(guess: Guess) -> Question:
    (only,) = guess.questions
    return only


@pytest.mark.parametrize(
    ("head", "write", "text", "seconds"),
    [
        (HEAD, "%m/%d/%Y %I:%M:%S %p", "time(time, 'month-first')", 9),
        (HEAD, "%d/%m/%y %H:%M", "time(time, '%d/%m/%y %H:%M')", 0),
        (HEAD, "%d-%b-%Y %H:%M:%S", "time(time, '%d-%b-%Y %H:%M:%S')", 9),
        (HEAD, "%d%b%Y:%H:%M:%S", "time(time, '%d%b%Y:%H:%M:%S')", 9),
        (HEAD, "%Y%m%d%H%M%S", "time(time, '%Y%m%d%H%M%S')", 9),
        (CLOCKED, "%Y-%m-%d,%I:%M %p", "time(join(date, ' ', time), '%Y-%m-%d %I:%M %p', 'UTC')", 0),
        (CLOCKED, "%m/%d/%Y,%I:%M:%S %p", "time(join(date, ' ', time), 'month-first')", 9),
        (CLOCKED, "%Y%m%d,%-H%M%S", "time(join(date, ' ', pad(time, 6)), '%Y%m%d %H%M%S', 'UTC')", 9),
        (CLOCKED, "%d/%m/%Y,%H%M", "time(join(date, ' ', pad(time, 4)), '%d/%m/%Y %H%M', 'UTC')", 0),
        (CLOCKED, "%Y/%m/%d,%H:%M:%S", "time(join(date, ' ', time))", 9),
    ],
)
def test_a_time_is_read_to_the_second_however_it_is_written(
    tmp_path: Path, head: str, write: str, text: str, seconds: int
) -> None:
    path = table_of(tmp_path / "t.csv", head, of_time(write))
    assert made_of(found(path))["event_time"] == text
    first = DAYS.replace(second=seconds)
    assert checked(path).period == (first, first + timedelta(hours=7 * (ROWS - 1)))


def test_hours_beside_a_date_are_its_clock_and_a_zone_holds_for_both(tmp_path: Path) -> None:
    path = table_of(tmp_path / "t.csv", "id,date,hour,card,amount,label", of_time("%Y-%m-%d,%-H"))
    read = checked(path, how=["zone=Europe/Berlin"])
    assert read.period[0] == datetime(2025, 1, 25, 12, tzinfo=UTC)
    assert "time(join(date, ' ', pad(hour, 2)), '%Y-%m-%d %H', 'Europe/Berlin')" in read.text


@pytest.mark.parametrize(
    ("head", "write", "words", "flags"),
    [
        (HEAD, "%Y-%m-%d %H:%M:%S EST", "is not read as a time; say how it is written", []),
        (CLOCKED, "%Y-%m-%d,h%H", "time may be the time of the day, but", ["the days alone"]),
        (HEAD, "0%d/0%m/%y", "is not read as a time", []),
    ],
)
def test_a_column_called_time_that_cannot_be_read_is_asked_about_by_name(
    tmp_path: Path, head: str, write: str, words: str, flags: list[str]
) -> None:
    asked = question(found(table_of(tmp_path / "t.csv", head, of_time(write))))
    assert asked.our == "event_time"
    assert words in asked.words
    assert [meaning for _, meaning in asked.choices] == flags


def test_days_with_two_digits_of_the_year_are_asked_about_where_two_ways_fit(tmp_path: Path) -> None:
    path = table_of(
        tmp_path / "t.csv", HEAD, lambda i, _: f"t{i},0{i % 9 + 1}/02/25 10:00,c{i % 9},1.5,{label(i)}"
    )
    assert [flags for flags, _ in question(found(path)).choices] == [
        """--column "event_time=time(time, '%d/%m/%y %H:%M')\"""",
        """--column "event_time=time(time, '%m/%d/%y %H:%M')\"""",
    ]


def test_a_word_for_missing_among_the_times_is_asked_about_and_the_answer_counts_the_rows(
    tmp_path: Path,
) -> None:
    path = table_of(
        tmp_path / "t.csv",
        HEAD,
        lambda i, at: f"t{i},{'NULL' if i == 5 else f'{at:%Y-%m-%d %H:%M:%S}'},c{i % 9},1.5,{label(i)}",
    )
    asked = question(found(path))
    assert asked.words == "time holds 'NULL' in 1.7% of the rows"
    assert asked.choices[0][0].endswith(" --read invalid=skip")
    text = "time(missing(time, 'NULL'), '%Y-%m-%d %H:%M:%S')"
    assert checked(path, {"event_time": text}, ["invalid=skip"]).table.num_rows == ROWS - 1


def test_days_of_a_spreadsheet_are_offered_first(tmp_path: Path) -> None:
    path = table_of(tmp_path / "t.csv", HEAD, lambda i, _: f"t{i},{45659.5 + i / 4},c{i % 9},1.5,{label(i)}")
    flags, meaning = question(found(path)).choices[0]
    assert (flags, meaning) == (
        """--column "event_time=steps(time, '1d', '1899-12-30')\"""",
        "days as a spreadsheet counts them",
    )
    read = checked(path, {"event_time": "steps(time, '1d', '1899-12-30')"})
    assert read.period[0] == datetime(2025, 1, 2, 12, tzinfo=UTC)


def test_times_of_which_some_name_an_offset_are_asked_about(tmp_path: Path) -> None:
    path = table_of(
        tmp_path / "t.csv",
        HEAD,
        lambda i, at: f"t{i},{at:%Y-%m-%dT%H:%M:%S}{'Z' if i % 2 else ''},c{i % 9},1.5,{label(i)}",
    )
    assert question(found(path)).words == "50% of time name no offset, the others do"
    read = checked(path, how=["zone=Europe/Berlin"])
    assert read.table["event_time"].to_pylist()[:2] == [
        FIRST - timedelta(hours=1),
        FIRST + timedelta(hours=7),
    ]


@pytest.mark.parametrize(
    ("write", "text", "first"),
    [
        ("USD {}.50", "number(amount)", 1.5),
        ("{}.50 EUR", "number(amount)", 1.5),
        ("{}'234.50", "number(amount, 'point')", 1234.5),
        ("{} 234,50 €", "number(amount, 'comma')", 1234.5),
        ("₹{},234.50", "number(amount, 'point')", 1234.5),
    ],
)
def test_an_amount_is_read_without_its_currency(tmp_path: Path, write: str, text: str, first: float) -> None:
    path = table_of(tmp_path / "t.csv", HEAD, of_amount(write))
    assert made_of(found(path))["amount"] == text
    assert checked(path).table["amount"][0].as_py() == first


@pytest.mark.parametrize("word", ["minor", "cents", "pence"])
def test_amounts_in_hundredths_are_told_by_their_name(tmp_path: Path, word: str) -> None:
    path = table_of(tmp_path / "t.csv", HEAD.replace("amount", f"amount_{word}"), of_amount("{}50"))
    assert checked(path).table["amount"].to_pylist()[:2] == [1.5, 2.5]


@pytest.mark.parametrize(
    ("line", "words", "flags"),
    [
        (of_amount("{}.100"), "can be read with decimal point or comma", "amount=number(amount, 'comma')"),
        (of_amount("${}.50", "€7.50"), "mixes currencies: $, €; sums would add them up", "number(amount)"),
        (of_amount("{}.50", "N/A"), "holds 'N/A', which is not read as a number (1 rows", "'N/A'))"),
        (of_amount("{}.50", "($3.00)"), "holds '($3.00)', which is not read as a number", "'($3.00)'))"),
        (of_amount("{}.50", "3.00-"), "holds '3.00-', which is not read as a number", "'3.00-'))"),
    ],
)
def test_an_amount_of_two_meanings_is_asked_about(tmp_path: Path, line: Line, words: str, flags: str) -> None:
    asked = question(found(table_of(tmp_path / "t.csv", HEAD, line)))
    assert asked.our == "amount"
    assert words in asked.words
    assert flags in asked.choices[0][0]


def test_rows_whose_amount_is_no_number_are_left_out_counted(tmp_path: Path) -> None:
    path = table_of(tmp_path / "t.csv", HEAD, of_amount("{}.50", "N/A"))
    told = checked(path, {"amount": "number(missing(amount, 'N/A'))"}, ["invalid=skip"])
    assert told.table.num_rows == ROWS - 1


def test_card_numbers_that_a_spreadsheet_has_cut_are_asked_about(tmp_path: Path) -> None:
    path = table_of(
        tmp_path / "t.csv", HEAD, lambda i, at: f"t{i},{at:%Y-%m-%d %H:%M},4.52E+15,1.5,{label(i)}"
    )
    asked = question(found(path))
    assert (asked.our, asked.choices[0][0]) == ("user_id", "--column user_id=card")
    assert "4.52E+15: a spreadsheet has cut the numbers off" in asked.words


def test_labels_with_a_decimal_point_are_counted_and_a_reversed_one_is_asked_about(tmp_path: Path) -> None:
    def table(name: str, fraud: str, honest: str) -> Path:
        return table_of(
            tmp_path / name,
            HEAD,
            lambda i, at: f"t{i},{at:%Y-%m-%d %H:%M},c{i % 9},1.5,{fraud if label(i) else honest}",
        )

    assert found(table("a.csv", "1.0", "0.0")).found["is_fraud"].why == "5.00% fraud of 0.0, 1.0"
    assert question(found(table("b.csv", "0.0", "1.0"))).words == "95% of label would be fraud"


def test_a_date_of_chargebacks_alone_can_be_the_label(tmp_path: Path) -> None:
    path = table_of(
        tmp_path / "t.csv",
        "id,time,card,amount,chargeback_date",
        lambda i, at: (
            f"t{i},{at:%Y-%m-%d %H:%M},c{i % 9},1.5,"
            f"{(at + timedelta(days=9)).date().isoformat() if label(i) else ''}"
        ),
    )
    assert question(found(path)).choices[0][0].startswith('--column "is_fraud=when(coalesce(chargeback_date')
    read = checked(path, {"is_fraud": "when(coalesce(chargeback_date, '') == '', false, true)"})
    assert (read.frauds, read.honest) == (3, 57)


def test_labels_that_came_before_their_transaction_are_asked_about(tmp_path: Path) -> None:
    path = table_of(
        tmp_path / "t.csv",
        HEAD + ",chargeback_date",
        lambda i, at: (
            f"t{i},{at:%Y-%m-%d %H:%M},c{i % 9},1.5,{label(i)},{at - timedelta(days=9):%Y-%m-%d %H:%M}"
        ),
    )
    asked = question(found(path))
    assert asked.words == "chargeback_date lies before the transaction in 100% of the rows that have it"
    assert asked.choices[0][0] == "--column label_time=null"
    assert "label_time" not in checked(path, {"label_time": "null"}).table.column_names


def test_columns_that_know_the_future_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    path = table_of(
        tmp_path / "t.csv",
        HEAD + ",delivery_date,signup_date,settlement_code,balance_after",
        lambda i, at: (
            f"t{i},{at:%Y-%m-%d %H:%M},c{i % 9},1.5,{label(i)},{at + timedelta(days=2):%Y-%m-%d},"
            f"{at - timedelta(days=200):%Y-%m-%d},k{i % 3},{i}"
        ),
    )
    guess = found(path)
    assert guess.left_out == {
        "delivery_date": "lies after the transaction in 100% of the rows: known only afterwards (a leak)?",
        "settlement_code": "by its name it is known only after the decision (a leak)?",
        "balance_after": "by its name it is known only after the decision (a leak)?",
    }
    assert guess.found["signup_date"].text == "time(signup_date)"
    kept = found(path, {"delivery_date": "time(delivery_date)"})
    assert kept.found["delivery_date"].why == "as --column says"


def test_a_file_without_names_is_refused_and_one_with_lines_above_them_says_what_to_do(
    tmp_path: Path,
) -> None:
    rows = table_of(tmp_path / "a.csv", "t,2025-01-01 10:00:00,c1,1.50,0", of_amount("{}.50"))
    with pytest.raises(BadInput, match=r"the first line holds values \(2025-01-01 10:00:00\) and no names"):
        found(rows)
    above = table_of(tmp_path / "b.csv", f"Report of January\n{HEAD}", of_amount("{}.50"))
    with pytest.raises(BadInput, match=r"Expected 1 columns, got 5.*remove lines above it"):
        found(above)


def test_the_whole_card_column_may_be_german(tmp_path: Path) -> None:
    guess = found(
        table_of(
            tmp_path / "t.csv",
            "Beleg;Datum;Karte;Betrag;Betrug",
            lambda i, at: f"B{i};{at:%d.%m.%Y};k{i % 9};{i + 1},50;{label(i)}",
        )
    )
    assert made_of(guess)["user_id"] == "Karte"
