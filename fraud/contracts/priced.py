"""The one conversion to the base currency: once, before the fold, on every path.

The stream prices a record by the rate that was effective when the broker appended it, the scoring service by
that of the request's moment, a table by that of the row's arrival. The whole amounts and the rate are
recorded with the transaction; whoever reads the log takes those, so that replay, rebuild and parity give the
same bits whatever the rates say now. Where the schema has no money, nothing is done.
"""

from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraud.contracts.future import ARRIVALS
from fraud.contracts.models import contracts_of
from fraud.contracts.transaction import Transaction
from fraud.errors import BadInput, BadRecord
from fraud.money import NO_RATES, Money, Rate, Rates, digits_of, exact_amount, to_minor
from fraud.money.rates import ALWAYS
from fraud.schema.arrow import MONEY, TIME
from fraud.schema.fields import AMOUNT_MINOR, BASE_MINOR, CURRENCY_RATE, RATE_SINCE
from fraud.schema.kinds import PURCHASE
from fraud.schema.schema import Schema

UNKNOWN_CURRENCY: Final = "unknown_currency"
"""Reason of the dead letters of records whose currency has no rate."""
_NOTHING: Final = (None, None, None, None)
Row = tuple[int | None, int | None, str | None, datetime | None]
"""Values of ``MONEY_NAMES``."""


def priced(record: Transaction, schema: Schema, rates: Rates, time: datetime) -> Transaction:
    """Give a transaction its whole amounts.

    Parameters
    ----------
    record
        As it came.
    schema
        Its own; without money the record is returned as it is.
    rates
        Of the deployment.
    time
        When the record arrived.

    Raises
    ------
    BadRecord
        With reason ``unknown_currency`` where there is no rate and the schema says ``refuse``, or
        ``invalid_field`` where the amount is too large.
    """
    money = schema.money
    if money is None:
        return record
    values = dict(record.__dict__)
    minor, base_minor, rate, since = _row(record.amount, record.currency, money, rates, time)
    values |= {
        "amount": float(record.amount),
        "currency": record.currency or money.base,
        AMOUNT_MINOR: minor,
        BASE_MINOR: base_minor,
        CURRENCY_RATE: rate,
        RATE_SINCE: since,
    }
    return contracts_of(schema).priced.model_construct(record.model_fields_set, **values)


def _row(amount: Any, currency: str | None, money: Money, rates: Rates, time: datetime) -> Row:
    """Price one amount."""
    currency = currency or money.base
    digits, rate = digits_of(currency), rate_of(currency, money, rates, time)
    try:
        minor = None if digits is None else to_minor(exact_amount(amount), currency, digits)
    except ValueError as error:
        raise BadRecord("invalid_field", f"amount: {error}") from error
    if minor is not None and (fault := money.fault(minor, currency)):
        raise BadRecord("invalid_field", f"amount: {fault}; see money.bounds in the schema")
    if minor is None or rate is None:
        if money.unknown == "refuse":
            raise BadRecord(UNKNOWN_CURRENCY, no_rate_words(currency, money, rates, time))
        return minor, None, None, None
    base = rate.to_base(minor)
    if base > money.most_minor:
        raise BadRecord("invalid_field", f"amount: {too_large_words(rate, money)}")
    return minor, base, f"{rate.rate:f}", None if rate.since == ALWAYS else rate.since


def rate_of(currency: str, money: Money, rates: Rates, time: datetime) -> Rate | None:
    """Find the rate of a currency at a time; that of the base is 1."""
    if currency == money.base:
        return Rate(currency, money.base, ALWAYS, exact_amount(1))
    return rates.at(currency, time)


def no_rate_words(currency: str, money: Money, rates: Rates, time: datetime) -> str:
    """Say that a currency has no rate, and what to do."""
    known = rates.of(currency)
    first = f"; the first is of {known[0].since.isoformat(timespec='seconds')}" if known else ""
    return (
        f"currency: no rate of {currency} to {money.base} is effective at "
        f"{time.isoformat(timespec='seconds')}{first}. Add it to the file "
        "FRAUD_RATES_FILE or with `fraud rates publish`, or write unknown: decide under money in the schema"
    )


def too_large_words(rate: Rate, money: Money) -> str:
    """Say that an amount is too large, in its own currency and in the base."""
    most = money.most_minor / money.unit
    own = f" ({most / float(rate.rate):,.0f} {rate.currency} at this rate)"
    return f"at most {most:,.0f} {money.base} are accepted{own if rate.currency != money.base else ''}"


def with_kinds(table: pa.Table) -> pa.Table:
    """Give every transaction of a table its kind; what names none is a purchase."""
    if "kind" not in table.column_names:
        return table.append_column("kind", pa.repeat(pa.scalar(PURCHASE), table.num_rows))
    named = pc.fill_null(table["kind"].cast(pa.string()), PURCHASE)
    return table.set_column(table.column_names.index("kind"), "kind", named)


def is_priced(table: pa.Table) -> bool:
    """Whether the whole amounts of a table's transactions are recorded in it."""
    return all(name in table.column_names for name in (AMOUNT_MINOR, BASE_MINOR))


def priced_table(table: pa.Table, schema: Schema, rates: Rates = NO_RATES) -> pa.Table:
    """Give the transactions of a table their whole amounts, as :func:`priced` does for a record.

    Rows whose amounts are recorded keep them. A row arrives at ``received_at``, else at ``arrival_time``,
    else at its own time.

    Raises
    ------
    BadInput
        Naming the first row that the stream would refuse, and why.
    """
    if schema.money is None:
        return table
    rows, faults = _rows(table, schema.money, rates)
    for row, words in faults:
        raise BadInput(f"row {row + 1:,}: {words}")
    return _appended(table, rows, schema.money.base)


def money_faults(table: pa.Table, schema: Schema, rates: Rates) -> list[tuple[int, str]]:
    """Find the rows that the stream would refuse for their money, with the reason."""
    return [] if schema.money is None else list(_rows(table, schema.money, rates)[1])


def _rows(table: pa.Table, money: Money, rates: Rates) -> tuple[list[Row], list[tuple[int, str]]]:
    recorded = _recorded(table)
    amounts = table["amount"].cast(pa.float64()).to_pylist()
    currencies = (
        table["currency"].cast(pa.string()).to_pylist()
        if "currency" in table.column_names
        else [None] * table.num_rows
    )
    times = _times_of(table)
    rows: list[Row] = []
    faults: list[tuple[int, str]] = []
    for at, (amount, currency, time) in enumerate(zip(amounts, currencies, times, strict=True)):
        if recorded is not None and recorded[at][0] is not None:
            rows.append(recorded[at])
            continue
        try:
            if amount is None or time is None:  # the contract says so
                rows.append(_NOTHING)
            else:
                rows.append(_row(amount, currency, money, rates, time))
        except BadRecord as error:
            rows.append(_NOTHING)
            faults.append((at, error.detail))
    return rows, faults


def _recorded(table: pa.Table) -> list[Row] | None:
    if not is_priced(table):
        return None
    columns = [
        table[name].to_pylist() if name in table.column_names else [None] * table.num_rows for name in MONEY
    ]
    return list(zip(*columns, strict=True))


def _times_of(table: pa.Table) -> list[datetime | None]:
    name = next((name for name in (*ARRIVALS, "event_time") if name in table.column_names), None)
    if name is None:
        return [None] * table.num_rows
    found: list[datetime | None] = table[name].cast(TIME, safe=False).to_pylist()
    return found


def _appended(table: pa.Table, rows: list[Row], base: str) -> pa.Table:
    columns: list[tuple[Any, ...]] = [*zip(*rows, strict=True)] or [()] * len(MONEY)
    kept = table.drop_columns([name for name in MONEY if name in table.column_names])
    if "currency" in kept.column_names:
        named = pc.fill_null(kept["currency"].cast(pa.string()), base)
        kept = kept.set_column(kept.column_names.index("currency"), "currency", named)
    else:
        kept = kept.append_column("currency", pa.repeat(pa.scalar(base), len(kept)))
    for (name, kind), values in zip(MONEY.items(), columns, strict=True):
        kept = kept.append_column(name, pa.array(values, kind))
    return kept


def amount_column(schema: Schema) -> str:
    """Name the column of the log that amounts of all currencies can be added up by."""
    return "amount" if schema.money is None else BASE_MINOR


def in_base(table: pa.Table, schema: Schema) -> pa.Array:
    """Read amounts in units of the base currency, [rows]; null where the currency is not known."""
    if schema.money is None:
        return table["amount"].combine_chunks()
    minor = table[BASE_MINOR].cast(pa.float64()).combine_chunks()
    return pc.divide(minor, float(schema.money.unit))


def base_amounts(table: pa.Table, schema: Schema) -> NDArray[np.float64]:
    """Read amounts in units of the base currency, [rows]; 0 where the currency is not known.

    Parameters
    ----------
    table
        With ``base_minor`` where the schema has money, else with ``amount``.
    """
    known = pc.fill_null(in_base(table, schema).cast(pa.float64()), 0.0)
    return np.asarray(known.to_numpy(zero_copy_only=False), np.float64)
