"""Whole minor units, exact decimals, rates by their times, and one rounding."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.contracts import contracts_of, parse_record
from fraud.contracts.priced import money_faults, priced, priced_table
from fraud.errors import BadConfig, BadInput, BadRecord
from fraud.features.events import events_of
from fraud.kafka.rates import RateFeed
from fraud.money import Rate, Rates, digits_of, read_rates, to_minor, write_rates
from fraud.money.rates import ALWAYS
from fraud.schema.arrow import transaction_columns
from fraud.schema.diff import Effect, compare
from fraud.schema.kinds import KINDS
from fraud.schema.reading import parse_schema
from fraud.schema.schema import Schema
from fraud.store import Epoch
from jobs.stream.rates import BatchRates

SOURCE = Path(__file__).with_name("payments.yaml").read_text()
SCHEMA = parse_schema(SOURCE.encode(), "payments.yaml")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATES = Rates(
    Rate(currency, "USD", since, Decimal(rate))
    for currency, since, rate in [
        ("EUR", ALWAYS, "1.0843"),
        ("EUR", NOON, "1.0921"),
        ("JPY", ALWAYS, "0.00661"),
        ("KWD", ALWAYS, "3.25"),
        ("VND", ALWAYS, "0.0000394"),
    ]
)
CURRENCIES = ["USD", "EUR", "JPY", "KWD", "VND"]


def record(schema: Schema = SCHEMA, **fields: Any) -> Any:
    plain = {"transaction_id": "t", "event_time": NOON.isoformat(), "user_id": "u", "merchant_id": "m"}
    return parse_record(contracts_of(schema).transaction, json.dumps({**plain, **fields}).encode())


def test_the_digits_are_those_of_iso_4217() -> None:
    assert {code: digits_of(code) for code in ("USD", "JPY", "KWD", "CLF", "XAU", "usd", "QQQ")} == {
        "USD": 2, "JPY": 0, "KWD": 3, "CLF": 4, "XAU": None, "usd": None, "QQQ": None,
    }  # fmt: skip


@given(st.integers(0, 10**12), st.sampled_from([0, 2, 3]), st.booleans())
def test_an_amount_becomes_the_whole_units_that_were_written(minor: int, digits: int, is_text: bool) -> None:
    text = f"{Decimal(minor).scaleb(-digits):f}"
    currency = {0: "JPY", 2: "USD", 3: "KWD"}[digits]
    kind = "verification" if minor == 0 else "purchase"
    found = record(amount=text if is_text else json.loads(text), currency=currency, kind=kind)
    assert to_minor(found.amount, currency, digits) == minor


@given(
    st.integers(0, 10**13),
    st.integers(1, 10**12),
    st.integers(0, 12),
    st.sampled_from(CURRENCIES),
    st.sampled_from(CURRENCIES),
)
def test_conversion_rounds_half_to_even(minor: int, value: int, decimals: int, of: str, to: str) -> None:
    rate = Rate(of, to, ALWAYS, Decimal(value).scaleb(-decimals))
    digits = [digits_of(code) or 0 for code in (of, to)]
    exact = Fraction(minor, 10 ** digits[0]) * Fraction(value, 10**decimals) * 10 ** digits[1]
    assert rate.to_base(minor) == round(exact)


def test_the_newest_rate_that_is_effective_counts() -> None:
    found = [RATES.at("EUR", NOON + timedelta(microseconds=us)) for us in (-1, 0, 1)]
    assert [one and str(one.rate) for one in found] == ["1.0843", "1.0921", "1.0921"]
    late = Rates([Rate("CHF", "USD", NOON, Decimal("1.2"))])
    assert late.at("CHF", NOON - timedelta(days=1)) is None


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"amount": 1.2345, "currency": "KWD"}, "invalid_field: amount: KWD has 3 digits, got 4"),
    ({"amount": "1.001", "currency": "USD"}, "invalid_field: amount: USD has 2 digits, got 3"),
    ({"amount": 0.1, "currency": "VND"}, "invalid_field: amount: VND has 0 digits, got 1"),
    ({"amount": 0.1 + 0.2, "currency": "USD"}, "invalid_field: amount: has more than 15 digits"),
    ({"amount": "0." + "9" * 29}, "invalid_field: amount: has more than 15 digits"),
    ({"amount": 10**400}, "invalid_field: amount: must have fewer than 16 digits before the point"),
    (
        {"amount": 99_999_999_999_999, "currency": "KWD"},
        "invalid_field: amount: at most 9,007,199,254,740 KWD",
    ),
    ({"amount": True}, "invalid_field: amount: must be a number, or a text like '12.50'"),
    ({"amount": "1e3"}, "invalid_field: amount: must be a number, or a text like '12.50'"),
    ({"amount": "１２"}, "invalid_field: amount: must be a number, or a text like '12.50'"),  # noqa: RUF001
    ({"amount": "NaN"}, "invalid_field: amount: must be a number, or a text like '12.50'"),
    ({"amount": 5, "currency": "QQQ"}, "invalid_field: currency: QQQ is no currency of ISO 4217 that has"),
    ({"amount": 5, "currency": "CHF"}, "unknown_currency: currency: no rate of CHF to USD is effective at"),
    ({"amount": 3_076_924, "currency": "KWD"}, "invalid_field: amount: at most 10,000,000 USD are accepted"),
    ({"amount": 0}, "invalid_field: amount: must be above 0; 0 is for kind verification alone"),
    ({"amount": 0, "kind": "refund"}, "invalid_field: amount: must be above 0; 0 is for kind"),
    ({"amount": -5}, "invalid_field: amount: must not be negative: give what is paid back as kind refund"),
    ({"amount": 5, "kind": "gift"}, "invalid_field: kind: String should match pattern"),
]


@pytest.mark.parametrize(("fields", "words"), WRONG)
def test_what_is_refused_is_refused_in_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRecord) as found:
        priced(record(**fields), SCHEMA, RATES, NOON)
    assert str(found.value).startswith(words)


BOUNDED = parse_schema(
    SOURCE.replace(
        "unknown: refuse",
        "unknown: decide, bounds: {JPY: {least: 50, most: 500000}, "
        "KWD: {least: 0.1, most: 3000}, CHF: {most: 9}}",
    ).encode(),
    "bounded.yaml",
)
BOUNDS: list[tuple[str, str, str, str]] = [
    ("JPY", "50", "49", "at least 50 JPY are accepted"),
    ("JPY", "500000", "500001", "at most 500,000 JPY are accepted"),
    ("KWD", "0.1", "0.099", "at least 0.100 KWD are accepted"),
    ("KWD", "3000", "3000.001", "at most 3,000.000 KWD are accepted"),
    ("CHF", "9", "9.01", "at most 9.00 CHF are accepted"),
]


@pytest.mark.parametrize(("currency", "taken", "refused", "words"), BOUNDS)
def test_the_bounds_of_a_currency_hold_to_the_unit(
    currency: str, taken: str, refused: str, words: str
) -> None:
    """Also without a rate; 0 is a verification's, whatever is least."""
    for fields in ({"amount": taken}, {"amount": 0, "kind": "verification"}):
        one = priced(record(BOUNDED, currency=currency, **fields), BOUNDED, RATES, NOON)
        assert one.amount_minor is not None
    with pytest.raises(BadRecord) as found:
        priced(record(BOUNDED, amount=refused, currency=currency), BOUNDED, RATES, NOON)
    assert str(found.value) == f"invalid_field: amount: {words}; see money.bounds in the schema"


@given(st.sampled_from([*CURRENCIES, "CHF"]), st.integers(1, 2_000_000), st.sampled_from(KINDS[:4]))
def test_the_bounds_hold_for_a_table_as_for_a_record(currency: str, minor: int, kind: str) -> None:
    amount = float(Decimal(minor).scaleb(-(digits_of(currency) or 0)))
    row = {"amount": amount, "currency": currency, "kind": kind}
    table = pa.table({name: [value] for name, value in row.items()} | {"event_time": [NOON]})
    refused = ""
    try:
        priced(record(BOUNDED, **row), BOUNDED, RATES, NOON)
    except BadRecord as error:
        refused = error.detail
    assert [words for _, words in money_faults(table, BOUNDED, RATES)] == ([refused] if refused else [])


def test_bounds_change_the_version_and_nothing_that_was_counted() -> None:
    plain = parse_schema(SOURCE.replace("unknown: refuse", "unknown: decide").encode(), "plain.yaml")
    assert plain.version != BOUNDED.version
    assert plain.features_version == BOUNDED.features_version
    assert [str(change.effect) for change in compare(plain, BOUNDED)] == [str(Effect.NOTHING)]
    none = parse_schema(
        SOURCE.replace("unknown: refuse", "unknown: decide, bounds: {}").encode(), "none.yaml"
    )
    assert none.version == plain.version


def test_what_a_producer_says_of_the_base_is_not_believed() -> None:
    found = priced(record(amount=5, base_minor=7, currency_rate="9"), SCHEMA, RATES, NOON)
    assert (found.base_minor, found.currency_rate) == (500, "1")


def test_vnd_and_kwd_are_taken_in_full() -> None:
    vnd = priced(record(amount=25_000_000, currency="VND"), SCHEMA, RATES, NOON)
    kwd = priced(record(amount=1.234, currency="KWD"), SCHEMA, RATES, NOON)
    assert (vnd.amount_minor, vnd.base_minor, kwd.amount_minor, kwd.base_minor) == (
        25_000_000,
        98_500,
        1_234,
        401,
    )


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "minor": st.integers(1, 2_000_000),
                "currency": st.sampled_from([*CURRENCIES, "CHF", None]),
                "kind": st.sampled_from([None, "purchase", "verification", "refund", "transfer"]),
                "zone": st.sampled_from([None, "Europe/Berlin", "+05:45", "America/St_Johns"]),
                "hours": st.integers(-9_000, 100),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_table_is_priced_as_its_records_are(drawn: list[dict[str, Any]]) -> None:
    schema = parse_schema(SOURCE.replace("unknown: refuse", "unknown: decide").encode(), "decide.yaml")
    rows = []
    for at, one in enumerate(drawn):
        digits = digits_of(one["currency"] or "USD") or 0
        rows.append(
            {
                "transaction_id": f"t{at}",
                "event_time": NOON + timedelta(hours=one["hours"]),
                "user_id": "u",
                "merchant_id": "m",
                "amount": one["minor"] / 10**digits,
                **{name: one[name] for name in ("currency", "kind", "zone")},
            }
        )
    records = [
        priced(
            record(schema, **{**row, "event_time": row["event_time"].isoformat()}),
            schema,
            RATES,
            row["event_time"],
        )
        for row in rows
    ]
    fields = [field for field in transaction_columns(schema) if field.name in rows[0]]
    table = priced_table(pa.Table.from_pylist(rows, pa.schema(fields)), schema, RATES)
    writer = events_of(schema)
    expected = np.array([writer.of_transaction(one) for one in records])
    assert writer.of_transactions(table).tobytes() == expected.tobytes()
    again = priced_table(table, schema, Rates())  # what is recorded stays
    assert again.equals(table)


def test_a_table_that_is_not_priced_is_no_events() -> None:
    table = pa.table(
        {
            "transaction_id": ["t"],
            "event_time": [NOON],
            "user_id": ["u"],
            "merchant_id": ["m"],
            "amount": [5.0],
        }
    )
    with pytest.raises(BadInput, match="no column base_minor: they are not priced yet"):
        events_of(SCHEMA).of_transactions(table)
    with pytest.raises(BadInput, match="row 1: currency: no rate of CHF"):
        priced_table(table.append_column("currency", pa.array(["CHF"])), SCHEMA, RATES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("currency,rate\nEUR,1\n", ":1: the column base is missing; write currency,base,rate,since"),
        (
            "currency,base,rate,since\nEUR,USD,1.1,\nEUR,CHF,1.1,\n",
            ":3: it is for the base CHF, and",
        ),
        ("currency,base,rate,since\nEUR,USD,zero,\n", ":2: rate 'zero' is no number"),
        ("currency,base,rate,since\nEUR,USD,0,\n", ":2: rate 0 is not above 0"),
        ("currency,base,rate,since\nQQQ,USD,1,\n", ":2: QQQ is no currency of ISO 4217 that has amounts"),
        (
            "currency,base,rate,since\nEUR,USD,1,2026-03-01\n",
            ":2: since '2026-03-01' has no offset; write e.g. 2026-03-01T00:00:00Z",
        ),
        ("currency,base,rate,since\nEUR,USD,１,\n", ":2: rate '１' is no number"),  # noqa: RUF001
        ("currency,base,rate,since\nEUR,USD,1,noon\n", ":2: since 'noon' is no time like"),
        ("currency,base,rate,since\nUSD,USD,2,\n", ":2: USD is the base: its rate is 1"),
        ("currency,base,rate,since\nEUR,USD,1.0000000000001,\n", ":2: rate 1.0000000000001 has 13 decimals"),
    ],
)
def test_a_wrong_file_of_rates_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(text)
    with pytest.raises(BadConfig) as found:
        read_rates(file, "USD")
    assert words in str(found.value)


def test_rates_are_written_as_they_are_read(tmp_path: Path) -> None:
    write_rates(tmp_path / "rates.csv", RATES)
    assert read_rates(tmp_path / "rates.csv", "USD") == RATES


def test_a_micro_batch_prices_by_the_same_rates_each_time_that_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"

    def say(rate: str) -> None:
        write_rates(file, [Rate("EUR", "USD", ALWAYS, Decimal(rate))])

    say("1.1")
    feed = RateFeed("USD", file)
    of = BatchRates(tmp_path / "kept", feed, "USD", None)
    first = of.file_for(Epoch(1, 7))
    say("1.25")
    assert of.file_for(Epoch(1, 7)) == first
    second = of.file_for(Epoch(1, 8))
    assert [str(read_rates(one, "USD").at("EUR", NOON).rate) for one in (first, second)] == ["1.1", "1.25"]  # type: ignore[union-attr]
    say("1.375")
    assert of.file_for(Epoch(1, 8)) == second
    after_a_crash = BatchRates(tmp_path / "kept", RateFeed("USD", file), "USD", 8)
    assert after_a_crash.file_for(Epoch(1, 8)) == second
    assert str(read_rates(after_a_crash.file_for(Epoch(1, 9)), "USD").at("EUR", NOON).rate) == "1.375"  # type: ignore[union-attr]


def test_a_wrong_file_leaves_the_rates_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    write_rates(file, RATES)
    feed = RateFeed("USD", file)
    file.write_text("EUR is dear\n")
    assert not feed.look()
    assert feed.rates == RATES
    assert ":1: the column currency is missing" in feed.refused


@pytest.mark.parametrize(
    ("money", "words"),
    [
        ("{base: XAU}", "money.base: XAU is no currency of ISO 4217 that has amounts"),
        ("{base: usd}", "money.base: 'usd' is no currency of ISO 4217; write three capital letters"),
        ("{base: USD, unknown: guess}", "money.unknown: no such value 'guess'; write one of refuse, decide"),
        (
            "{base: KWD, most: 2000000}",
            "money.most: 1,000,000 KWD is the greatest amount whose",
        ),
        ("{base: USD, bounds: {XAU: {most: 5}}}", "money.bounds.XAU: XAU is no currency of ISO 4217"),
        ("{base: USD, bounds: {JPY: {most: 0.5}}}", "money.bounds.JPY.most: JPY has 0 digits, got 1"),
        ("{base: USD, bounds: {KWD: {least: 5, most: 4}}}", "money.bounds.KWD.least: is above most"),
        ("{base: USD, bounds: {KWD: {least: -1}}}", "money.bounds.KWD.least: Input should be greater than"),
        ("{base: USD, bounds: {KWD: {largest: 4}}}", "money.bounds.KWD.largest: there is no such setting"),
        ("{base: USD, bsae: EUR}", "money.bsae: there is no such setting; did you mean base?"),
    ],
)
def test_wrong_money_in_a_schema_is_refused(money: str, words: str) -> None:
    text = SOURCE.replace("money: {base: USD, unknown: refuse}", f"money: {money}")
    with pytest.raises(BadConfig) as found:
        parse_schema(text.encode(), f"{money}.yaml")
    assert words in str(found.value)
