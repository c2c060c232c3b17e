"""Tables of a database, read like files."""

import sqlite3
from pathlib import Path

import pytest

from fraud.errors import BadInput
from fraud.tables import open_raw, open_source
from fraud.tables.database import ROWS, database_batches, is_database


@pytest.fixture
def url(tmp_path: Path) -> str:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as database:
        database.execute(
            "CREATE TABLE payments (transaction_id INTEGER PRIMARY KEY, event_time TEXT, user_id TEXT, "
            "merchant_id TEXT, amount NUMERIC, is_fraud BOOLEAN, note TEXT)"
        )
        rows = [
            (3, "2026-01-03T00:00:00Z", "u2", "NA", 7.5, None, ""),
            (1, "2026-01-01T00:00:00Z", "u1", "m", 5, 0, "x"),
            (2, "2026-01-02T00:00:00Z", "u1", "m", 0.1, 1, None),
        ]
        database.executemany("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return f"sqlite:///{file}"


def test_a_table_is_read_in_the_order_of_its_key_with_our_types(url):
    table = open_source("transactions", f"{url}#payments").table()
    assert table["transaction_id"].to_pylist() == ["1", "2", "3"]
    assert table["amount"].to_pylist() == [5.0, 0.1, 7.5]
    assert table["merchant_id"].to_pylist() == ["m", "m", "NA"]


def test_an_empty_text_and_null_are_missing(url):
    (batch,) = database_batches(f"{url}#payments", ["note", "is_fraud"])
    assert batch["note"].to_pylist() == ["x", None, None]
    assert batch["is_fraud"].to_pylist() == ["false", "true", None]


def test_a_long_table_comes_in_batches(url, tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE many (id INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO many VALUES (?)", ((one,) for one in range(ROWS + 1)))
    assert [batch.num_rows for batch in database_batches(f"{url}#many", ["id"])] == [ROWS, 1]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("{url}", "does not name a table: write DATABASE#TABLE"),
        ("{url}#payment", "has no table payment; it has payments"),
        ("sqlite:////nowhere/at/all.db#t", "cannot be read: unable to open database file"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x#t", r"write \$NAME in its place"),
        ("postgresql+psycopg://me:$NOT_SET@127.0.0.1:1/x#t", "the variable NOT_SET is not set"),
        ("postgresql+psycopg://me@127.0.0.1:1/x#t", "cannot be read: .*127.0.0.1"),
        ("oracle+nodriver://me@127.0.0.1/x#t", "the driver of this database is not installed"),
    ],
)
def test_what_cannot_be_read_is_told_without_a_password(url, path, words):
    with pytest.raises(BadInput, match=words) as refused:
        open_raw(path.format(url=url))
    assert "secret" not in str(refused.value)


def test_only_databases_are_taken_for_databases():
    assert is_database("mysql+pymysql://me@host/shop#payments")
    assert not any(map(is_database, ("s3://lake/payments", "payments.csv", "abfss://lake@account/payments")))
