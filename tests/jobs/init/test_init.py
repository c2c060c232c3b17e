"""``fraud init``: what is found in tables of many forms, and what is asked instead of guessed."""

import gzip
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraud.cli import app
from fraud.errors import BadInput
from fraud.tables import parse_reading
from jobs.init.guess import Guess
from jobs.init.run import Checked, check_whole, guess_all
from jobs.init.sample import read_sample

FIRST = datetime(2025, 1, 1, 0, 30, tzinfo=UTC)
ROWS = 60
Line = Callable[[int, datetime], str]


def table_of(path: Path, head: str, line: Line, rows: int = ROWS, *, encoding: str = "utf-8") -> Path:
    """Write a table of a row every seven hours."""
    lines = [line(at, FIRST + timedelta(hours=7 * at)) for at in range(rows)]
    raw = "\n".join([head, *lines, ""]).encode(encoding)
    if path.suffix == ".gz":
        raw = gzip.compress(raw)
    path.write_bytes(raw)
    return path


def found(path: Path, columns: dict[str, str] | None = None, how: list[str] | None = None) -> Guess:
    return guess_all(read_sample(str(path), parse_reading(how)), columns or {})


def made_of(guess: Guess) -> dict[str, str]:
    assert guess.questions == []
    return {one.our: one.text for one in guess.found.values()}


def checked(path: Path, columns: dict[str, str] | None = None, how: list[str] | None = None) -> Checked:
    guess = found(path, columns, how)
    assert guess.questions == []
    return check_whole(guess, lambda _: None)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A date in three columns and a clock, dollars, Yes and No, no id, gzip."""
    return table_of(
        tmp_path / "t.csv.gz",
        "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,MCC,Is Fraud?",
        lambda i, at: (
            f"{i % 5},0,{at.year},{at.month},{at.day},{at:%H:%M},${i + 1}.50,Chip,{i % 7 - 3},{5000 + i % 3},"
            f"{'Yes' if i % 20 == 1 else 'No'}"
        ),
    )


def test_dollars_yes_and_no_and_a_date_in_parts(parts: Path) -> None:
    guess = found(parts, {"user_id": "join(User, '-', Card)"})
    assert made_of(guess) == {
        "is_fraud": '"Is Fraud?"',
        "event_time": "time(join(date(Year, Month, Day), ' ', Time))",
        "transaction_id": "row()",
        "user_id": "join(User, '-', Card)",
        "merchant_id": '"Merchant Name"',
        "amount": "number(Amount)",
        "category": "MCC",
    }
    assert guess.left_out == {"Use Chip": "one value in all rows"}
    read = check_whole(guess, lambda _: None)
    assert (read.frauds, read.honest) == (3, 57)
    assert read.period == (FIRST, FIRST + timedelta(hours=7 * 59))
    assert read.table["amount"].to_pylist()[:2] == [1.5, 2.5]
    assert read.table["user_id"][4].as_py() == "4-0"
    assert read.table["category"][0].as_py() == "5000"


@pytest.fixture
def german(tmp_path: Path) -> Path:
    """Semicolons, decimal commas, latin-1, a day and a clock, labels 0, 1 and 2."""
    return table_of(
        tmp_path / "t.csv",
        "Beleg;Datum;Uhrzeit;Kunde;Händler;Betrag;Label",
        lambda i, at: f"B{i};{at:%d.%m.%Y};{at:%H:%M:%S};k{i % 6};Bäcker {i % 4};1.{i:03d},25;{i % 3}",
        encoding="latin-1",
    )


def test_a_label_of_three_values_is_asked_about_and_each_answer_is_a_flag(german: Path) -> None:
    guess = found(german)
    (question,) = guess.questions
    assert (question.our, question.words) == ("is_fraud", "Label holds 0, 1, 2: what does 2 mean?")
    flags = [flag for flag, _ in question.choices]
    assert flags[0] == """--column "is_fraud=map(Label, '0' = false, '1' = true, '2' = null)\""""
    assert len(flags) == 3
    assert found(german, how=["label:2=unknown"]).found["is_fraud"].text == (
        "map(Label, '0' = false, '1' = true, '2' = null)"
    )


def test_decimal_commas_and_a_zone(german: Path) -> None:
    read = checked(german, {"is_fraud": "map(Label, 0 = false, 1 = true, 2 = null)"}, ["zone=Europe/Berlin"])
    assert "event_time: time(join(Datum, ' ', Uhrzeit), 'day-first', 'Europe/Berlin')" in read.text
    assert "    separator: ;\n    encoding: cp1252\n    zone: Europe/Berlin\n" in read.text
    assert (read.frauds, read.honest, read.table.num_rows) == (20, 20, 60)
    assert read.period[0] == FIRST - timedelta(hours=1)
    assert read.table["amount"].to_pylist()[:2] == [1000.25, 1001.25]
    assert read.table["transaction_id"][1].as_py() == "B1"
    assert read.table["merchant_id"][1].as_py() == "Bäcker 1"


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """Steps as time, zero and negative amounts, zip."""
    path = table_of(
        tmp_path / "t.csv",
        "step,type,amount,nameOrig,nameDest,isFraud,isFlaggedFraud",
        lambda i, _: f"{i},{'AB'[i % 2]},{i % 30 - 14 * (i == 7)},C{i % 9},M{i % 5},{i % 2},{i % 2}",
    )
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(path, "t.csv")
    return tmp_path / "t.zip"


def test_steps_and_amounts_that_are_not_above_zero_are_asked_about(steps: Path) -> None:
    questions = {one.our: one for one in found(steps).questions}
    assert set(questions) == {"event_time", "amount"}
    assert questions["event_time"].words == "step counts from 0 to 59: in which unit, and since when?"
    assert questions["event_time"].choices[0][0] == (
        """--column "event_time=steps(step, '1h', '2024-01-01')\""""
    )
    kinds = "when(number(amount) == 0, 'verification', when(number(amount) < 0, 'refund', 'purchase'))"
    assert "1 amounts are negative and 2 are 0" in questions["amount"].words
    assert [flag for flag, _ in questions["amount"].choices] == [
        "--read invalid=skip",
        '--column "amount=abs(number(amount))" --column "kind=' + kinds + '"',
        '--column "amount=abs(number(amount))"',
    ]


def test_steps_count_from_the_start_and_rows_that_are_left_out_are_counted(steps: Path) -> None:
    told: list[str] = []
    guess = found(steps, {"event_time": "steps(step, '1h', '2024-03-01')"}, ["invalid=skip"])
    read = check_whole(guess, told.append)
    assert read.table.num_rows == 57
    assert sum(int(words.split("column amount: ")[1].split()[0]) for words in told) == 3
    assert read.period == (datetime(2024, 3, 1, 1, tzinfo=UTC), datetime(2024, 3, 3, 11, tzinfo=UTC))
    assert "invalid: skip" in read.text


def test_refunds_and_verifications_are_told_by_the_kind(steps: Path) -> None:
    columns = {"event_time": "steps(step, '1d', '2024-03-01')", "amount": "abs(number(amount))"}
    with pytest.raises(BadInput, match=r"amount: 2 values are not above 0.*--read invalid=skip"):
        checked(steps, columns)
    kinds = "when(number(amount) == 0, 'verification', when(number(amount) < 0, 'refund', 'purchase'))"
    read = checked(steps, {**columns, "kind": kinds})
    found = read.table["kind"].to_pylist()
    assert (read.table.num_rows, found.count("refund"), found.count("verification")) == (60, 1, 2)


def test_a_column_that_tells_the_label_alone_is_left_out_and_it_is_said(steps: Path) -> None:
    guess = found(steps, {"event_time": "steps(step, '1h', '2024-03-01')"}, ["invalid=skip"])
    assert guess.left_out["isFlaggedFraud"] == "tells the label by itself: known only afterwards (a leak)?"


def test_epoch_milliseconds_in_json_and_a_table_without_merchants(tmp_path: Path) -> None:
    lines = [
        f'{{"event": {{"id": "e{i}", "ts": {1735691400000 + 25_200_000 * i}}}, "customer": "c{i % 5}", '
        f'"amount": {i}.25, "chargeback": {str(i % 20 == 1).lower()}}}'
        for i in range(1, ROWS)
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(lines))
    read = checked(path)
    assert "merchant" not in read.text
    assert read.period == (FIRST + timedelta(hours=7), FIRST + timedelta(hours=7 * 59))
    assert (read.frauds, read.honest) == (3, 56)
    assert read.schema.entities[0].name == "user"


def test_a_parquet_table_of_our_own_names_needs_no_answers(tmp_path: Path) -> None:
    times = pa.array([FIRST + timedelta(hours=at) for at in range(ROWS)], pa.timestamp("us", "UTC"))
    table = pa.table(
        {
            "transaction_id": [f"t{i}" for i in range(ROWS)],
            "event_time": times,
            "user_id": [f"u{i % 5}" for i in range(ROWS)],
            "merchant_id": [f"m{i % 5}" for i in range(ROWS)],
            "amount": [1.5] * ROWS,
            "is_fraud": [i % 9 == 0 for i in range(ROWS)],
            "label_time": times,
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    read = checked(tmp_path / "t.parquet")
    assert read.period == (FIRST, FIRST + timedelta(hours=59))
    assert read.table["label_time"][0].as_py() == FIRST
    assert (read.frauds, read.honest) == (7, 53)


@pytest.mark.parametrize(
    ("head", "line", "our", "words"),
    [
        (
            "id,time,card,amount,label",
            "t{i},01/02/2025 10:00,c{j},1{i},{k}",
            "event_time",
            "read in several ways",
        ),
        ("id,moved,card,amount,label", "t{i},{at},c{j},1{i},{k}", "event_time", "no column is called time"),
        ("id,time,card,amount,label", 't{i},{at},c{j},"1,{i}0",{k}', "amount", "decimal point or comma"),
        (
            "id,time,card,amount,label",
            "t{i},{at},c{j},1{i},spam{k}",
            "is_fraud",
            "what does spam0 and spam1 mean",
        ),
        ("id,time,card,amount,label", "t{i},{at},c{j},1{i},{n}", "is_fraud", "98% of label would be fraud"),
        ("id,time,card,amount,x", "t{i},{at},c{j},1{i},{k}", "is_fraud", "no column is called fraud"),
        ("id,time,card,amount,price,label", "t{i},{at},c{j},1{i},2{i},{k}", "amount", ""),
        (
            "id,time,card,cost,label",
            "t{i},{at},c{j},1{i},{k}",
            "amount",
            "no column of numbers is called amount",
        ),
        ("id,time,user,customer,amount,label", "t{i},{at},c{j},c{j},1{i},{k}", "user_id", "several columns"),
        ("id,time,thing,amount,label", "t{i},{at},c{j},1{i},{k}", "user_id", "no column is called card"),
        ("id,time,card,amount,label", "t{i},{at},{e},1{i},{k}", "user_id", "are empty"),
        ("id,start_time,end_time,card,amount,label", "t{i},{at},{at},c{j},1{i},{k}", "event_time", "several"),
        ("transaction_id,time,card,amount,label", "t{h},{at},c{j},1{i},{k}", "transaction_id", "repeats"),
    ],
)
def test_what_is_not_sure_is_asked_about_with_flags(
    tmp_path: Path, head: str, line: str, our: str, words: str
) -> None:
    def row(i: int, at: datetime) -> str:
        return line.format(
            i=f"{i:02d}",
            at=f"{at:%Y-%m-%d %H:%M}",
            j=i % 5,
            k=int(i == 3),
            n=int(i != 3),
            h=i - i % 2,
            e="" if i % 3 == 0 else f"c{i % 5}",
        )

    guess = found(table_of(tmp_path / "t.csv", head, row))
    if not words:  # one name fits better than the other: no question
        assert guess.found[our].text == "number(amount)"
        return
    (question,) = guess.questions
    assert question.our == our
    assert words in question.words
    assert all(flags.startswith("--") for flags, _ in question.choices)
    assert question.choices


def test_when_an_order_was_placed_is_its_time(tmp_path: Path) -> None:
    guess = found(
        table_of(
            tmp_path / "t.csv",
            "order_no,placed_at,card,amount,label",
            lambda i, at: f"O-{i},{at:%Y-%m-%dT%H:%M:%SZ},c{i % 5},1{i},{int(i == 3)}",
        )
    )
    assert not guess.questions
    assert guess.found["event_time"].text == "time(placed_at)"


def test_a_column_that_may_be_the_time_is_asked_about_and_not_called_left_out(tmp_path: Path) -> None:
    guess = found(
        table_of(
            tmp_path / "t.csv",
            "id,moved,card,amount,label",
            lambda i, at: f"t{i},{at:%Y-%m-%dT%H:%M:%SZ},c{i % 5},1{i},{int(i == 3)}",
        )
    )
    assert [flags for flags, _ in guess.questions[0].choices] == ["--column event_time=moved"]
    assert "moved" not in guess.left_out


def test_the_whole_table_is_checked_and_not_its_sample_alone(tmp_path: Path) -> None:
    """The 200,001st row does not fit."""
    rows = 200_000
    path = table_of(
        tmp_path / "t.csv",
        "id,time,card,amount,label",
        lambda i, _: f"{i},2025-01-01 00:00,c{i % 9},1,0",
        rows,
    )
    with path.open("a") as file:
        file.write("last,2025-01-01 00:00,c1,much,0\n")
    guess = found(path)
    assert guess.look.rows == rows + 1
    with pytest.raises(BadInput, match=r"amount .*got 'much'"):
        check_whole(guess, lambda _: None)


def run(*arguments: str, given: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["init", *arguments], input=given, env={"COLUMNS": "200"})
    return done.exit_code, done.output + str(done.exception or "")


def test_without_a_terminal_questions_end_the_command_and_nothing_is_written(
    german: Path, tmp_path: Path
) -> None:
    code, output = run(str(german), "--out", str(tmp_path / "s.yaml"))
    assert code != 0
    assert "--column \"is_fraud=map(Label, '0' = false, '1' = true, '2' = null)\"" in output
    assert not (tmp_path / "s.yaml").exists()


def test_an_answer_is_taken_as_the_flag_that_it_stands_for(german: Path, tmp_path: Path) -> None:
    code, output = run(str(german), "--out", str(tmp_path / "s.yaml"), "--ask", given="1\n")
    assert code == 0, output
    assert "20 frauds, 20 honest, 20 unlabelled" in output
    assert "map(Label, '0' = false, '1' = true, '2' = null)" in (tmp_path / "s.yaml").read_text()
    assert "Data report" in (tmp_path / "s.html").read_text()


def test_a_schema_that_is_there_is_replaced_only_when_it_is_said(parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.yaml"
    out.write_text("mine")
    code, output = run(str(parts), "--out", str(out))
    assert (code, out.read_text()) == (1, "mine")
    assert "--overwrite" in output
    assert run(str(parts), "--out", str(out), "--overwrite", "--no-ask")[0] == 0
    assert out.read_text().startswith("# Written by `fraud init` from t.csv.gz")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("amount=absent", "has no column absent; write one of User, Card"),
        ("amount=nmber(Amount)", "no function nmber"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(parts: Path, tmp_path: Path, column: str, words: str) -> None:
    code, output = run(str(parts), "--out", str(tmp_path / "s.yaml"), "--column", column)
    assert code == 1
    assert words in output


def test_the_schema_goes_to_the_platforms_home_where_no_platform_has_run(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("FRAUD_LOCAL_HOME", str(home))
    assert run(str(parts), "--no-ask")[0] == 0
    assert (home / "schema.yaml").exists()
    (home / "stream" / "checkpoint").mkdir(parents=True)
    code, output = run(str(parts), "--no-ask", "--overwrite")
    assert code == 1
    assert "a platform has run in" in output
    assert "fraud schema use FILE" in output
