"""Tables whose columns lie in several files: joined by a key, as the schema's source part says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.errors import BadConfig, BadInput
from fraud.schema.arrow import TIME
from fraud.schema.reading import DEFAULT, parse_schema
from fraud.schema.schema import Schema
from fraud.tables import Unreadable, open_source

SOURCE = """\
source:
  joins:
    - {table: identity.parquet, by: id}
    - {table: accounts.csv, by: account, key: number}
  columns:
    transaction_id: id
    event_time: at
    user_id: owner
    merchant_id: shop
    amount: amount
    device_id: device
    country: accounts_country
    is_fraud: fraud
"""
CARDS = """\
id,at,account,shop,amount,fraud,country
1,2026-01-01T10:00:00Z,a,s,5,0,DE
2,2026-01-01T11:00:00Z,b,s,6,1,DE
3,2026-01-01T12:00:00Z,a,s,7,0,DE
"""
ACCOUNTS = "number;owner;country\na;anna;AT\nb;bert;NA\nc;carl;DE\n"


@pytest.fixture
def schema() -> Schema:
    return parse_schema(DEFAULT.read_bytes() + SOURCE.encode(), "mine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cards.csv").write_text(CARDS)
    (tmp_path / "accounts.csv").write_text(ACCOUNTS)
    identity = {
        "id": pa.array([3.0, 1.0, None]),
        "device": ["d3", "d1", "nobody's"],
    }  # as pandas writes whole numbers
    pq.write_table(pa.table(identity), tmp_path / "identity.parquet")
    return tmp_path


def read(path: Path, schema: Schema) -> pa.Table:
    also = {"is_fraud": pa.bool_(), "label_time": TIME}
    return open_source("transactions", path, also=also, schema=schema).table()


def test_each_row_gets_what_its_keys_name_and_nothing_where_there_is_no_such_row(folder, schema):
    table = read(folder / "cards.csv", schema)
    assert table["transaction_id"].to_pylist() == ["1", "2", "3"]
    assert table["user_id"].to_pylist() == ["anna", "bert", "anna"]
    assert table["device_id"].to_pylist() == ["d1", None, "d3"]
    assert table["country"].to_pylist() == [
        "AT",
        "NA",
        "AT",
    ]  # the table's own column of this name is another
    assert table["is_fraud"].to_pylist() == [False, True, False]


def test_a_table_without_the_keys_is_read_without_what_they_name(tmp_path, schema):
    plain = tmp_path / "plain.csv"
    plain.write_text("transaction_id,event_time,user_id,merchant_id,amount\n1,2026-01-01T10:00:00Z,u,m,5\n")
    assert read(plain, schema)["user_id"].to_pylist() == ["u"]


def test_a_key_that_stands_twice_is_refused_and_named(folder, schema):
    (folder / "accounts.csv").write_text(ACCOUNTS + "a;other;DE\n")
    with pytest.raises(BadInput, match=r"accounts.csv: number a is in 2 rows"):
        read(folder / "cards.csv", schema)


def test_a_joined_table_that_is_not_there_is_named_with_what_asks_for_it(folder, schema):
    (folder / "accounts.csv").unlink()
    with pytest.raises(
        Unreadable, match=r"joins accounts.csv to .*cards.csv by account, and .*does not exist"
    ):
        read(folder / "cards.csv", schema)


def test_a_joined_table_without_the_key_is_refused_with_its_columns(folder, schema):
    (folder / "accounts.csv").write_text("no,owner,country\na,anna,AT\n")
    with pytest.raises(BadInput, match=r"has no column number to join by; it has no, owner, country"):
        read(folder / "cards.csv", schema)


def test_a_misspelt_setting_of_a_join_is_named():
    wrong = SOURCE.replace("key: number", "keys: number").encode()
    with pytest.raises(BadConfig, match=r"did you mean key\?"):
        parse_schema(DEFAULT.read_bytes() + wrong, "mine")
