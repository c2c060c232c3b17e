"""A number is a number and a time a text, on the wire as in the API."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from fraud.contracts import contracts_of, parse_record
from fraud.errors import BadRecord
from fraud.schema.reading import read_schema
from tests.wire import Label, Transaction

TRANSACTION = {
    "transaction_id": "t",
    "event_time": "2026-03-01T12:00:00Z",
    "user_id": "u",
    "merchant_id": "m",
    "amount": 12,
    "latitude": 1,
    "longitude": 2.5,
}
LABEL = {
    **{name: TRANSACTION[name] for name in ("transaction_id", "user_id", "merchant_id", "event_time")},
    "label_time": "2026-03-02T12:00:00+01:00",
    "is_fraud": False,
}
MONEY = contracts_of(read_schema(Path(__file__).parents[1] / "money" / "payments.yaml")).label


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("amount", value) for value in (True, "1_000", "12.5", " 5 ", "inf")),
        *(("latitude", value) for value in (False, "1", "1_0")),
        *(("event_time", value) for value in (1_772_366_400, "1772366400", "1772366400.5", 1.5, True)),
    ],
)
def test_a_transaction_with_another_type_is_refused(field: str, value: Any) -> None:
    assert parse_record(Transaction, orjson.dumps(TRANSACTION)).amount == 12.0
    with pytest.raises(BadRecord, match=f"invalid_field: {field}"):
        parse_record(Transaction, orjson.dumps({**TRANSACTION, field: value}))


@pytest.mark.parametrize("value", ["yes", "true", 1, 0, 1.0])
def test_a_label_is_true_or_false(value: Any) -> None:
    assert parse_record(Label, orjson.dumps(LABEL)).is_fraud is False
    with pytest.raises(BadRecord, match="invalid_field: is_fraud"):
        parse_record(Label, orjson.dumps({**LABEL, "is_fraud": value}))


@pytest.mark.parametrize(
    ("contract", "disputed"),
    [
        (Label, {"disputed_amount": 12.5}),
        (MONEY, {"disputed_amount": 25_000_000, "disputed_currency": "VND"}),
        (MONEY, {"disputed_amount": 1.234, "disputed_currency": "KWD"}),
    ],
)
def test_a_chargeback_keeps_its_amount_as_it_was_written(contract: Any, disputed: dict[str, Any]) -> None:
    label = parse_record(contract, orjson.dumps({**LABEL, "reason_code": "10.4", **disputed}))
    assert {name: getattr(label, name) for name in disputed} == disputed
    assert parse_record(contract, label.model_dump_json().encode()) == label


@pytest.mark.parametrize(
    ("contract", "disputed", "words"),
    [
        (Label, {"disputed_amount": 12.555}, "disputed_amount: an amount has 2 digits, got 3"),
        (Label, {"disputed_amount": 0}, "disputed_amount: must be above 0"),
        (Label, {"disputed_amount": -1}, "disputed_amount: Input should be greater than or equal to 0"),
        (Label, {"disputed_amount": 5, "disputed_currency": "EUR"}, "disputed_currency: all amounts are in"),
        (MONEY, {"disputed_amount": 5.5, "disputed_currency": "JPY"}, "disputed_amount: JPY has 0 digits"),
        (MONEY, {"disputed_amount": 5, "disputed_currency": "QQQ"}, "disputed_currency: QQQ is no currency"),
    ],
)
def test_a_wrong_amount_of_a_chargeback_is_refused_with_its_field(
    contract: Any, disputed: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadRecord, match=f"invalid_field: {words}"):
        parse_record(contract, orjson.dumps({**LABEL, **disputed}))
