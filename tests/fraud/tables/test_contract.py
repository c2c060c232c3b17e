"""One contract: a table may hold exactly what a record on the wire may."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud.contracts import contracts_of, parse_record
from fraud.errors import BadInput, BadRecord
from fraud.schema.reading import DEFAULT, parse_schema
from fraud.tables import open_source, ours_of, parse_reading
from fraud.tables.contract import check, violations
from tests.deployed import SCHEMA
from tests.wire import Label, Transaction

GOOD: dict[str, Any] = {
    "transaction_id": "t",
    "event_time": "2025-01-01T00:00:00Z",
    "user_id": "u",
    "merchant_id": "m",
    "amount": 1.5,
    "currency": "EUR",
    "kind": "purchase",
    "category": "food",
    "country": "DE",
    "channel": "chip",
    "device_id": "d",
    "latitude": 48.0,
    "longitude": 9.0,
    "home_latitude": -90.0,
    "home_longitude": 180.0,
}
CHANGES: list[dict[str, Any]] = [
    {},
    {"amount": 0.0},
    {"amount": -1.0},
    {"amount": -1.0, "kind": "verification"},
    {"amount": 0.0, "kind": "verification"},
    {"amount": 0.0, "kind": "refund"},
    {"amount": 0.0, "kind": None},
    {"kind": None},
    {"kind": "reversal"},
    {"kind": "gift"},
    {"amount": 10_000_000.0},
    {"amount": 10_000_000.01},
    {"latitude": 91.0},
    {"longitude": -180.5},
    {"latitude": None},
    {"home_longitude": None},
    {"latitude": None, "longitude": None},
    {"country": "USA"},
    {"country": "de"},
    {"country": "DE\n"},
    {"currency": "EURO"},
    {"currency": None},
    {"transaction_id": "x" * 64},
    {"transaction_id": "x" * 65},
    {"user_id": "ä" * 64},
    {"user_id": "ä" * 100},
    {"merchant_id": ""},
    {"category": "x" * 65},
    {"event_time": "1999-12-31T23:59:59Z"},
    {"event_time": "2000-01-01T00:00:00Z"},
    {"event_time": "2099-12-31T23:59:59Z"},
    {"event_time": "2100-01-01T00:00:00Z"},
]

OURS = ours_of(SCHEMA)


def table_of(record: dict[str, Any]) -> pa.Table:
    row = {**record, "event_time": datetime.fromisoformat(record["event_time"])}
    return pa.table({name: pa.array([row[name]], kind) for name, kind in OURS.transaction.items()})


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_table_takes_what_the_wire_takes_and_refuses_what_it_refuses(change: dict[str, Any]) -> None:
    record = {**GOOD, **change}
    try:
        parse_record(Transaction, json.dumps(record).encode())
        is_taken = True
    except BadRecord:
        is_taken = False
    assert (not list(violations(table_of(record), "transactions", OURS))) is is_taken


FORMS = (DEFAULT.read_text()).replace('"[A-Z]{2}"', r"'DE|FR|\w\d!'")


@pytest.mark.parametrize(
    ("country", "is_taken"),
    [
        ("DE", True),
        ("FR", True),
        ("DEx", False),
        ("xFR", False),
        ("FR\n", False),
        ("ü٣!", True),
        ("ab!", False),
    ],
)
def test_a_pattern_is_the_whole_value_s_and_means_the_same_in_tables(country: str, *, is_taken: bool) -> None:
    schema = parse_schema(FORMS.encode(), "s.yaml")
    ours, record = ours_of(schema), {**GOOD, "country": country}
    table = pa.concat_tables([table_of(record), table_of({**GOOD, "country": None})])
    assert (not list(violations(table, "transactions", ours))) is is_taken
    raw = json.dumps(record).encode()
    if is_taken:
        assert parse_record(contracts_of(schema).transaction, raw).country == country  # type: ignore[attr-defined]
    else:
        with pytest.raises(BadRecord, match="invalid_field: country"):
            parse_record(contracts_of(schema).transaction, raw)


def test_every_field_of_the_contract_is_a_column() -> None:
    assert [name for name in Transaction.model_fields if name != "schema_version"] == list(OURS.transaction)


@pytest.mark.parametrize("amount", ["true", '"1_000"', '"10.5"'])
def test_an_amount_is_a_number(amount: str) -> None:
    raw = json.dumps(GOOD).replace("1.5", amount).encode()
    with pytest.raises(BadRecord, match="invalid_field: amount"):
        parse_record(Transaction, raw)
    assert parse_record(Transaction, json.dumps({**GOOD, "amount": 2}).encode()).amount == 2.0


@pytest.mark.parametrize("label", ['"yes"', "1", '"true"'])
def test_a_label_is_true_or_false(label: str) -> None:
    keys = {name: GOOD[name] for name in ("transaction_id", "user_id", "merchant_id", "event_time")}
    raw = (
        json.dumps({**keys, "label_time": GOOD["event_time"], "is_fraud": "?"}).replace('"?"', label).encode()
    )
    with pytest.raises(BadRecord, match="invalid_field: is_fraud"):
        parse_record(Label, raw)


def test_rows_against_the_contract_stop_or_are_left_out_and_counted(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"amount": 0.0}, {"country": "USA"}, {}]
    rows = [table_of({**GOOD, **change, "transaction_id": f"t{i}"}) for i, change in enumerate(changes)]
    pq.write_table(pa.concat_tables(rows), tmp_path / "t.parquet")
    with pytest.raises(
        BadInput, match=r"amount: 1 values are not above 0 .*country.*0\.0 in row 2.*invalid=skip"
    ):
        open_source("transactions", tmp_path / "t.parquet").table()
    told: list[str] = []
    source = open_source("transactions", tmp_path / "t.parquet", reading=parse_reading(["invalid=skip"]))
    assert source.table(told.append)["transaction_id"].to_pylist() == ["t0", "t3"]
    assert len(told) == 2
    assert "left out" in told[0]
    assert datetime(2025, 1, 1, tzinfo=UTC) == source.table()["event_time"][0].as_py()


def test_negative_amounts_are_refunds_where_the_reading_says_so(tmp_path: Path) -> None:
    amounts = {"t0": 5.0, "t1": -5.0, "t2": 0.0}
    rows = [
        table_of(
            {**GOOD, "transaction_id": name, "amount": amount, "kind": "AUTH" if amount == 0.0 else None}
        )
        for name, amount in amounts.items()
    ]
    pq.write_table(pa.concat_tables(rows), tmp_path / "t.parquet")
    with pytest.raises(BadInput, match="read amounts below 0 as refunds with --read negative=refund"):
        open_source(
            "transactions", tmp_path / "t.parquet", reading=parse_reading(["kind:AUTH=verification"])
        ).table()
    reading = parse_reading(["negative=refund", "kind:AUTH=verification"])
    found = open_source("transactions", tmp_path / "t.parquet", reading=reading).table()
    assert found["amount"].to_pylist() == [5.0, 5.0, 0.0]
    assert found["kind"].to_pylist() == [None, "refund", "verification"]
    without = pa.concat_tables(rows[:2]).drop_columns(["kind"])
    pq.write_table(without, tmp_path / "without.parquet")
    found = open_source("transactions", tmp_path / "without.parquet", reading=reading).table()
    assert found["kind"].to_pylist() == [None, "refund"]


def test_a_key_of_10_kb_is_refused_with_its_row_and_not_shown_whole() -> None:
    with pytest.raises(BadInput, match=r"user_id: 1 values are not 1 to 64 characters long") as told:
        check(table_of({**GOOD, "user_id": "x" * 10_000}), "transactions", "cards.csv", OURS)
    assert "... (10,002 characters) in row 1. " in str(told.value)
    assert len(str(told.value)) < 500
