"""``fraud init`` of several tables: the column that joins them is found, or asked for."""

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraud.cli import app

CARDS = "id,time,card,merchant,amount,label,account\n" + "".join(
    f"{i},2026-01-{1 + i % 28:02d}T10:{i % 60:02d}:00Z,c{i % 9},m{i % 4},{i + 1}.50,"
    f"{int(i % 20 == 3)},a{i % 5}\n"
    for i in range(80)
)
IDENTITY = "id,device\n" + "".join(f"{i},d{i % 6}\n" for i in range(0, 80, 4))
ACCOUNTS = "number,opened\n" + "".join(f"a{i},2025-0{1 + i}-01\n" for i in range(5))


def init(*arguments: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["init", *arguments, "--no-ask"])
    return done.exit_code, " ".join((str(done.exception or "") + done.output).split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"cards": CARDS, "identity": IDENTITY, "accounts": ACCOUNTS}.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def test_further_tables_are_joined_by_what_names_their_rows_and_read_so_afterwards(folder: Path) -> None:
    out = folder / "schema.yaml"
    paths = [str(folder / f"{name}.csv") for name in ("cards", "identity", "accounts")]
    code, said = init(
        *paths, "--join", "accounts=account:number", "--column", "user_id=card", "--out", str(out)
    )
    assert code == 0, said
    assert f"{paths[1]} is joined by id: 25.0% of the transactions have a row there" in said
    assert f"{paths[2]} is joined by account: 100.0% of the transactions have a row there" in said
    text = out.read_text()
    assert (
        "    - {table: identity.csv, by: id}\n    - {table: accounts.csv, by: account, key: number}\n" in text
    )
    assert "device_id: device" in text
    assert "80 transactions" in said


def test_a_table_that_nothing_joins_is_refused_with_the_option(folder: Path) -> None:
    code, said = init(
        str(folder / "cards.csv"), str(folder / "accounts.csv"), "--out", str(folder / "s.yaml")
    )
    assert code != 0
    assert "accounts.csv has number, opened; say which with --join accounts=COLUMN" in said
    assert not (folder / "s.yaml").exists()


def test_where_two_columns_would_join_it_is_asked_which(folder: Path) -> None:
    (folder / "identity.csv").write_text("id,account,device\n1,a1,d1\n2,a2,d2\n")
    code, said = init(
        str(folder / "cards.csv"), str(folder / "identity.csv"), "--out", str(folder / "s.yaml")
    )
    assert code != 0
    assert (
        "can be joined by id or account; say which with --join identity=id or --join identity=account" in said
    )


@pytest.mark.parametrize(
    ("join", "words"),
    [
        ("identity=nothing", "cards.csv has no column nothing; it has id, time"),
        ("identity=account:device", "cannot be joined"),
        ("other=id", "--join other=id: there is no such table; write one of identity"),
        ("identity", "--join takes TABLE=COLUMN"),
    ],
)
def test_a_wrong_join_is_refused_by_name(folder: Path, join: str, words: str) -> None:
    paths = [str(folder / "cards.csv"), str(folder / "identity.csv")]
    code, said = init(*paths, "--join", join, "--out", str(folder / "s.yaml"))
    assert code != 0
    assert words in said


def test_several_files_of_one_table_are_a_pattern(folder: Path) -> None:
    (folder / "more.csv").write_text(CARDS)
    code, said = init(str(folder / "cards.csv"), str(folder / "more.csv"), "--out", str(folder / "s.yaml"))
    assert code != 0
    assert "several files of one table are one pattern in quotes" in said


def test_a_table_of_a_database_is_found_out_like_a_file(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as database:
        database.execute(
            "CREATE TABLE cards (id INTEGER PRIMARY KEY, time, card, merchant, amount, label, account)"
        )
        rows = [line.split(",") for line in CARDS.splitlines()[1:]]
        database.executemany("INSERT INTO cards VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    out = folder / "s.yaml"
    code, said = init(f"sqlite:///{folder}/shop.db#cards", "--column", "user_id=card", "--out", str(out))
    assert code == 0, said
    assert "80 transactions" in said
    assert "event_time: time" in out.read_text()
