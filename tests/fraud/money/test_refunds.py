"""Refunds in the currencies of their transactions: by the rate that was recorded, whatever their order."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.contracts import contracts_of, parse_record
from fraud.contracts.priced import priced
from fraud.errors import BadRecord
from fraud.features import kernel
from fraud.features.batch import FoldedPasses, fold_passes
from fraud.features.events import events_of, stack_events
from fraud.features.kernel.refunds import left_of
from fraud.features.passes import feature_names, passes_of_schema
from fraud.schema.reading import parse_schema
from tests.fraud.money.test_money import NOON, RATES, SOURCE, record

SCHEMA = parse_schema(
    SOURCE.replace("filters:", "results: [declined, refunded]\nfilters:", 1).encode(), "p.yaml"
)
RESULT = contracts_of(SCHEMA).result
PASSES = passes_of_schema(SCHEMA)
SUMS = ("amount_sum_7d_by_user", "amount_sum_7d_by_merchant")


def bought(number: int, amount: str, currency: str, **fields: Any) -> tuple[float, ...]:
    time = (NOON + timedelta(minutes=number)).isoformat()
    given_ = {"transaction_id": f"t{number}", "event_time": time, "amount": amount, "currency": currency}
    return events_of(SCHEMA).of_transaction(priced(record(SCHEMA, **given_ | fields), SCHEMA, RATES, NOON))


def paid_back(number: int, amount: float, currency: str | None, minute: int = 60) -> tuple[float, ...]:
    assert RESULT is not None
    told = RESULT(
        transaction_id=f"t{number}",
        user_id="u",
        result="refunded",
        result_time=NOON + timedelta(minutes=minute),
        amount=amount,
        currency=currency,
    )
    return events_of(SCHEMA).of_result(told)


def fold(rows: list[tuple[float, ...]]) -> FoldedPasses:
    return fold_passes(stack_events(rows, events_of(SCHEMA).layout.width), passes=PASSES)


def sums(rows: list[tuple[float, ...]]) -> list[float]:
    found = dict(zip(feature_names(PASSES), fold([*rows, bought(99, "1", "USD")]).vectors[-1], strict=True))
    return [float(found[name]) for name in SUMS]


@settings(max_examples=40)
@given(st.permutations([100, 7, 7, 2500, 1]), st.integers(0, 5), st.booleans())
def test_the_sum_is_what_the_recorded_rate_leaves_whatever_the_order(
    amounts: list[int], first: int, is_all: bool
) -> None:
    """3,333 JPY are 22.03 USD at 0.00661; of what is left the share is rounded once."""
    amounts = [*amounts, 1_000] if is_all else amounts
    refunds = [paid_back(1, float(amount), "JPY", at) for at, amount in enumerate(amounts)]
    found = sums([*refunds[:first], bought(1, "3333", "JPY"), *refunds, *refunds[::-1]])
    left = max(3333 - sum(amounts), 0)
    assert found == [float(Fraction(round(Fraction(2203 * left, 3333)), 100))] * 2


@given(st.integers(1, 10**9), st.integers(1, 2**52), st.integers(0, 2**52))
def test_what_is_left_is_the_share_rounded_half_to_even(cents: int, minor: int, paid: int) -> None:
    expected = round(Fraction(cents * max(minor - paid, 0), minor))
    assert left_of.py_func(float(cents), float(minor), float(paid)) == expected


def test_the_compiled_share_is_that_of_the_words() -> None:
    """25,000,000 VND are 985.00 USD; a tenth of a part of it, and all."""
    assert sums([bought(1, "25000000", "VND"), paid_back(1, 1_000_000.0, "VND")]) == [945.6, 945.6]
    assert sums([bought(1, "25000000", "VND"), paid_back(1, 25_000_000.0, "VND")]) == [0.0, 0.0]


def test_an_amount_above_what_features_keep_in_minor_units_is_paid_back_exactly() -> None:
    assert (
        sums([bought(1, "2500000", "KWD"), paid_back(1, 1_250_000.5, "KWD")])
        == [float(Decimal(8125000) - Decimal("4062501.62"))] * 2
    )


def test_a_refund_in_another_currency_than_its_transaction_is_refused() -> None:
    found = fold([bought(1, "100", "EUR"), paid_back(1, 100.0, "USD"), paid_back(1, 100.0, None)])
    assert found.outcomes[1:].tolist() == [kernel.OTHER_CURRENCY] * 2
    early = [paid_back(1, 100.0, "USD"), bought(1, "100", "EUR")]
    assert sums(early) == sums([bought(1, "100", "EUR")])


def test_the_transaction_itself_is_served_with_its_whole_amount() -> None:
    found = fold([paid_back(1, 50.0, "EUR"), bought(1, "100", "EUR")])
    assert found.vectors[-1][feature_names(PASSES).index("transaction_amount")] == 109.21
    assert np.isnan(found.vectors[0]).all()


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("1.5", '"VND"', "amount: VND has 0 digits, got 1"),
        ("1.2345", '"KWD"', "amount: KWD has 3 digits, got 4"),
        ("1", '"QQQ"', "currency: QQQ is no currency of ISO 4217"),
        ("1", '"euro"', "currency"),
        ("1e14", '"VND"', "amount"),
    ],
)
def test_a_refund_has_the_digits_of_its_currency(amount: str, currency: str, words: str) -> None:
    assert RESULT is not None
    told = (
        '{"transaction_id": "t", "user_id": "u", "result": "refunded", "result_time": "2026-03-01T12:00:00Z"'
    )
    with pytest.raises(BadRecord, match=words):
        parse_record(RESULT, f'{told}, "amount": {amount}, "currency": {currency}}}'.encode())
