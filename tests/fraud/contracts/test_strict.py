"""A number is a number and a time a text, on the wire as in the API."""

from typing import Any

import orjson
import pytest

from fraud.contracts import parse_record
from fraud.errors import BadRecord
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
