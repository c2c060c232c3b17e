import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import model_validator

from fraud.contracts import DeadLetter, Thresholds, parse_record
from fraud.contracts.wire import Record
from fraud.errors import BadRecord
from tests.wire import Label, Transaction

GOOD: dict[str, Any] = {
    "schema_version": 1,
    "transaction_id": "t",
    "event_time": "2026-03-01T12:00:00Z",
    "user_id": "u",
    "merchant_id": "m",
    "amount": 12.5,
}


def raw(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v != "absent"}).encode()


def test_optional_fields_may_be_missing_or_null() -> None:
    assert parse_record(Transaction, raw()) == parse_record(Transaction, raw(latitude=None, device_id=None))


@pytest.mark.parametrize("field", ["transaction_id", "event_time", "user_id", "merchant_id", "amount"])
def test_each_required_field_is_named_when_missing(field: str) -> None:
    with pytest.raises(BadRecord, match=field) as caught:
        parse_record(Transaction, raw(**{field: "absent"}))
    assert caught.value.reason == "missing_field"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 1e8}, "amount"),
        ({"event_time": "2026-03-01T12:00:00"}, "event_time"),
        ({"event_time": "1999-12-31T23:59:59Z"}, "2000"),
        ({"latitude": 91, "longitude": 0}, "latitude"),
        ({"latitude": 1.0}, "together"),
        ({"country": "Germany"}, "country"),
        ({"user_id": ""}, "user_id"),
        ({"transaction_id": "x" * 65}, "transaction_id"),
        ({"schema_version": 2}, "schema_version"),
    ],
)
def test_an_invalid_value_is_refused_with_the_field_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRecord, match=words) as caught:
        parse_record(Transaction, raw(**changes))
    assert caught.value.reason == "invalid_field"


def test_an_unknown_field_of_a_newer_writer_is_ignored() -> None:
    assert parse_record(Transaction, raw(colour="red")) == parse_record(Transaction, raw())


@pytest.mark.parametrize(("value", "reason"), [(None, "empty"), (b"", "empty"), (b"{", "invalid_json")])
def test_a_value_that_is_no_document_has_its_own_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(BadRecord) as caught:
        parse_record(Transaction, value)
    assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason_and_never_fail_otherwise(value: bytes) -> None:
    with pytest.raises(BadRecord) as caught:  # random bytes are never a whole label
        parse_record(Label, value)
    assert caught.value.reason in {"empty", "invalid_json", "missing_field", "invalid_field"}


@given(st.binary(max_size=100))
def test_a_dead_letter_carries_its_raw_bytes_through_json(value: bytes) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    letter = DeadLetter(
        topic="transactions",
        partition=0,
        offset=1,
        received_at=now,
        reason="invalid_json",
        detail="",
        raw=base64.b64encode(value),
        processed_at=now,
        epoch=0,
    )
    assert DeadLetter.model_validate_json(letter.model_dump_json()).raw == value


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="review must not lie above decline"):
        Thresholds(review=0.9, decline=0.5)


class Overlooked(Record):
    """A contract that fails on what it was not made for."""

    @model_validator(mode="before")
    @classmethod
    def _look(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: {}[name] for name in given}


def test_a_record_that_a_contract_fails_on_is_refused_like_any_other() -> None:
    with pytest.raises(BadRecord, match="invalid_record: the contract cannot read it: KeyError"):
        parse_record(Overlooked, b'{"a": 1}')
