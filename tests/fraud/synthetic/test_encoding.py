"""The column-wise encoding writes the bytes that the contracts write."""

import math
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fraud.contracts import parse_record
from fraud.contracts.encode import encode_rows
from fraud.contracts.models import record_names
from fraud.errors import BadInput
from fraud.synthetic.encoding import encode_labels, encode_transactions
from tests.wire import Label, Transaction

identifiers = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
times = st.integers(946_684_800_000_000, 4_102_444_799_999_999).map(
    lambda value: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
) | st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(  # noqa: DTZ001  given UTC below
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


@st.composite
def transactions(draw) -> Transaction:
    place = draw(st.none() | st.tuples(latitudes, longitudes))
    home = draw(st.none() | st.tuples(latitudes, longitudes))
    return Transaction(
        transaction_id=draw(identifiers),
        event_time=draw(times),
        user_id=draw(identifiers),
        merchant_id=draw(identifiers),
        amount=draw(st.floats(0, 1e7, exclude_min=True) | st.integers(1, 10**7).map(float)),
        currency=draw(st.none() | st.from_regex("^[A-Z]{3}$", fullmatch=True)),
        category=draw(st.none() | identifiers),
        country=draw(st.none() | st.from_regex("^[A-Z]{2}$", fullmatch=True)),
        channel=draw(st.none() | identifiers),
        device_id=draw(st.none() | identifiers),
        latitude=place and place[0],
        longitude=place and place[1],
        home_latitude=home and home[0],
        home_longitude=home and home[1],
    )


labels = st.builds(
    Label,
    transaction_id=identifiers,
    user_id=identifiers,
    merchant_id=identifiers,
    event_time=times,
    label_time=times,
    is_fraud=st.booleans(),
    source=st.none() | identifiers,
)


def table_of(records, names) -> pa.Table:
    types = {name: pa.string() for name in names}
    types |= {name: pa.timestamp("us", tz="UTC") for name in names if name.endswith("_time")}
    types |= {name: pa.float64() for name in names if name.endswith("tude") or name == "amount"}
    types |= {name: pa.bool_() for name in names if name == "is_fraud"}
    rows = [record.model_dump(include=set(names)) for record in records]
    return pa.Table.from_pylist(rows, pa.schema(list(types.items())))


@given(st.lists(transactions(), max_size=5))
def test_transactions_are_the_bytes_that_pydantic_writes(records):
    encoded = encode_transactions(table_of(records, record_names(Transaction)))
    assert encoded == [record.model_dump_json(exclude_none=True).encode() for record in records]


@pytest.mark.parametrize("digits", ["1", "1.5", "9.99", "1.2345678901234567"])
def test_numbers_of_every_size_are_the_text_that_pydantic_writes(digits):
    numbers = [float(f"{sign}{digits}e{exponent}") for exponent in range(-320, 308) for sign in ("", "-")]
    found = encode_rows(pa.table({"x": numbers}), ["x"])
    texts = [raw.partition(b'"x":')[2].removesuffix(b"}") for raw in found]
    assert texts == [TypeAdapter(float).dump_json(number) for number in numbers]


@given(st.lists(labels, max_size=5))
def test_labels_are_the_bytes_that_pydantic_writes(records):
    encoded = encode_labels(table_of(records, record_names(Label)))
    assert encoded == [record.model_dump_json(exclude_none=True).encode() for record in records]


def test_generated_rows_survive_the_wire(data_set):
    part = data_set.transactions.slice(1_000, 500)
    for row, raw in zip(part.to_pylist(), encode_transactions(part), strict=True):
        assert parse_record(Transaction, raw) == Transaction.model_validate(row)
    part = data_set.labels.slice(1_000, 500)
    for row, raw in zip(part.to_pylist(), encode_labels(part), strict=True):
        assert parse_record(Label, raw) == Label.model_validate(row)


def test_nan_is_a_missing_value(data_set):
    part = data_set.transactions.slice(0, 1)
    for name in ("latitude", "longitude"):
        part = part.set_column(part.column_names.index(name), name, pa.array([math.nan]))
    assert parse_record(Transaction, encode_transactions(part)[0]).latitude is None


def test_optional_columns_may_be_absent(data_set):
    part = data_set.transactions.slice(0, 1).drop_columns(["currency", "device_id"])
    assert parse_record(Transaction, encode_transactions(part)[0]).device_id is None


def test_an_absent_required_column_is_named(data_set):
    with pytest.raises(BadInput, match="amount"):
        encode_transactions(data_set.transactions.drop_columns(["amount"]))


def test_a_missing_required_value_is_named(data_set):
    part = data_set.labels.slice(0, 1)
    part = part.set_column(part.column_names.index("user_id"), "user_id", pa.array([None], pa.string()))
    with pytest.raises(BadInput, match="user_id"):
        encode_labels(part)
