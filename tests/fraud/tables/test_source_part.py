"""Tables read by a schema's source part: packed, in JSON, with other names; the platform's own without it."""

import gzip
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.errors import BadInput
from fraud.schema.arrow import OWN, TIME
from fraud.schema.reading import DEFAULT, parse_schema
from fraud.schema.schema import Schema
from fraud.tables import Unreadable, check_mapping, open_source, parse_columns, parse_reading
from fraud.tables.parts import parts_of

SOURCE = """\
source:
  columns:
    transaction_id: row()
    event_time: time(join(Tag, ' ', Zeit), 'day-first', 'Europe/Berlin')
    user_id: Kunde
    merchant_id: "'shop'"
    amount: number(Betrag, 'comma')
    is_fraud: map("Betrug?", 'Ja' = true, 'Nein' = false, '?' = null)
  read: {separator: ";", encoding: cp1252}
"""
ROWS = """\
Tag;Zeit;Kunde;Betrag;Betrug?
31.12.2024;23:30:00;Käthe;1.234,50 €;Nein
01.01.2025;00:30:00;u2;7,5;Ja
02.01.2025;00:30:00;u2;8;?
"""
WITHIN = {"is_fraud": pa.bool_(), "label_time": TIME}


@pytest.fixture
def schema() -> Schema:
    return parse_schema(DEFAULT.read_bytes() + SOURCE.encode(), "mine")


def read(
    path: Path, schema: Schema, columns: list[str] | None = None, how: list[str] | None = None
) -> pa.Table:
    names = parse_columns(columns) or {}
    source = open_source(
        "transactions", path, columns=names, reading=parse_reading(how), also=WITHIN, schema=schema
    )
    check_mapping(names, [source])
    return source.table()


def is_right(table: pa.Table) -> bool:
    return bool(
        table["transaction_id"].to_pylist() == ["1", "2", "3"]
        and table["event_time"][0].as_py() == datetime(2024, 12, 31, 22, 30, tzinfo=UTC)
        and table["user_id"].to_pylist() == ["Käthe", "u2", "u2"]
        and table["merchant_id"].to_pylist() == ["shop"] * 3
        and table["amount"].to_pylist() == [1234.5, 7.5, 8.0]
        and table["is_fraud"].to_pylist() == [False, True, None]
    )


def test_a_table_is_read_as_the_source_part_says_however_it_is_packed(tmp_path: Path, schema: Schema) -> None:
    raw = ROWS.encode("cp1252")
    (tmp_path / "plain.csv").write_bytes(raw)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(raw))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("inner/rows.csv", raw)
        archive.writestr("__MACOSX/._rows.csv", b"\x00")
    for name in ("plain.csv", "packed.csv.gz", "packed.zip"):
        assert is_right(read(tmp_path / name, schema)), name


def test_several_files_are_one_table_in_the_order_of_their_names(tmp_path: Path, schema: Schema) -> None:
    head, *rows = ROWS.splitlines(keepends=True)
    (tmp_path / "p-2.csv").write_bytes((head + "".join(rows[1:])).encode("cp1252"))
    (tmp_path / "p-1.csv.gz").write_bytes(gzip.compress((head + rows[0]).encode("cp1252")))
    (tmp_path / "other.csv").write_text("a\n1\n")
    assert [part.name for part in parts_of(str(tmp_path / "p-*"))] == ["p-1.csv.gz", "p-2.csv"]
    assert is_right(read(tmp_path / "p-*", schema))


def test_a_flag_goes_before_the_source_part(tmp_path: Path, schema: Schema) -> None:
    (tmp_path / "t.csv").write_bytes(ROWS.encode("cp1252"))
    table = read(tmp_path / "t.csv", schema, ["merchant_id=Kunde", "amount=number(Betrag, 'comma') * 2"])
    assert table["merchant_id"].to_pylist() == ["Käthe", "u2", "u2"]
    assert table["amount"].to_pylist() == [2469.0, 15.0, 16.0]
    with pytest.raises(BadInput, match=r"got '1\.234,50 .x80'"):  # latin-1 has no sign of the euro
        read(tmp_path / "t.csv", schema, how=["encoding=latin-1"])


def test_json_lines_keep_digits_and_nested_names_and_late_columns(tmp_path: Path) -> None:
    """Numbers are read by their digits; a name that first comes late is a column."""
    rows = [{"id": f"t{i}", "at": {"ms": 1704067200000 + i}, "user": "u", "amt": 0.1} for i in range(3)]
    rows[2] |= {"shop": {"id": "m"}}
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "t.jsonl").write_text(text + "\n\n")
    (tmp_path / "t.json").write_text(json.dumps(rows))
    columns = [
        "transaction_id=id",
        "event_time=time(at.ms, 'ms')",
        "user_id=user",
        "merchant_id=coalesce(shop.id, 'none')",
        "amount=amt",
    ]
    for name in ("t.jsonl", "t.json"):
        table = read(tmp_path / name, parse_schema(DEFAULT.read_bytes(), "mine"), columns)
        assert table["merchant_id"].to_pylist() == ["none", "none", "m"]
        assert table["amount"].to_pylist() == [0.1] * 3
        assert table["event_time"][2].as_py() == datetime(2024, 1, 1, 0, 0, 0, 2000, tzinfo=UTC)


def test_the_source_part_is_not_laid_over_what_the_platform_writes(tmp_path: Path) -> None:
    """Amounts in cents under our own name: read twice they would be a hundredth."""
    source = "source: {columns: {amount: number(amount) / 100}}\n"
    schema = parse_schema(DEFAULT.read_bytes() + source.encode(), "mine")
    theirs = pa.table(
        {
            "transaction_id": ["a"],
            "event_time": pa.array([datetime(2024, 1, 1, tzinfo=UTC)], TIME),
            "user_id": ["u"],
            "merchant_id": ["m"],
            "amount": [1250.0],
        }
    )
    pq.write_table(theirs, tmp_path / "theirs.parquet")
    pq.write_table(theirs.replace_schema_metadata(OWN), tmp_path / "ours.parquet")
    log = {name: pa.array([1]) for name in ("generation", "epoch", "source_partition", "source_offset")}
    pq.write_table(pa.table({**{n: theirs[n] for n in theirs.column_names}, **log}), tmp_path / "log.parquet")
    amounts = {
        name: read(tmp_path / f"{name}.parquet", schema)["amount"][0].as_py()
        for name in ("theirs", "ours", "log")
    }
    assert amounts == {"theirs": 12.5, "ours": 1250.0, "log": 1250.0}


def test_a_table_in_our_names_is_read_without_the_source_part(tmp_path: Path, schema: Schema) -> None:
    (tmp_path / "t.csv").write_text(
        "transaction_id,event_time,user_id,merchant_id,amount\nt,2024-01-01 00:00:00,u,m,1.5\n"
    )
    assert read(tmp_path / "t.csv", schema).select(["transaction_id", "amount"]).to_pylist() == [
        {"transaction_id": "t", "amount": 1.5}
    ]


def test_rows_without_a_required_value_are_refused_or_left_out_counted(
    tmp_path: Path, schema: Schema
) -> None:
    (tmp_path / "t.csv").write_bytes((ROWS + "03.01.2025;00:00:00;;5;Nein\n").encode("cp1252"))
    with pytest.raises(
        BadInput, match=r"user_id .*1 missing values; leave such rows out with --read invalid=skip"
    ):
        read(tmp_path / "t.csv", schema)
    told: list[str] = []
    source = open_source(
        "transactions", tmp_path / "t.csv", reading=parse_reading(["invalid=skip"]), schema=schema
    )
    assert source.table(told.append).num_rows == 3
    assert "1 missing values; left out" in told[0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv.gz", b"no gzip", "cannot be read|can be read"),
        ("t.csv.gz", gzip.compress(ROWS.encode("cp1252") * 9, mtime=0)[:-20], "cannot be read|can be read"),
        ("t.zip", b"no zip", "cannot be read as a zip archive"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        ("t.jsonl", b"[1, 2]", "record 1 is not a JSON object"),
        ("t.xlsx", b"PK", "no .csv, .jsonl or .parquet file"),
    ],
)
def test_a_broken_file_is_named(
    tmp_path: Path, schema: Schema, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=words):
        read(tmp_path / name, schema)


def test_an_archive_of_several_kinds_names_them(tmp_path: Path, schema: Schema) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", ROWS)
        archive.writestr("b.jsonl", "{}")
    with pytest.raises(BadInput, match=r"of one kind.*it holds a.csv, b.jsonl"):
        read(tmp_path / "t.zip", schema)


def test_a_pattern_without_files_is_said(tmp_path: Path, schema: Schema) -> None:
    with pytest.raises(Unreadable, match="does not exist"):
        read(tmp_path / "no-*.csv", schema)
