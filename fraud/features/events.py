"""Events as the kernel reads them: one float64 row each, made from records or from a table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts import Label, Result, Transaction
from fraud.contracts.models import MOST_AMOUNT
from fraud.contracts.paid_back import HUNDREDTHS
from fraud.contracts.priced import is_priced, with_kinds
from fraud.contracts.wire import EARLIEST, LATEST
from fraud.contracts.zones import offset_us, offsets_us
from fraud.errors import BadInput
from fraud.features import kernel
from fraud.features.hashing import hash_joined, hash_text, hashes_of, joined_hashes_of
from fraud.features.kernel import Floats
from fraud.features.layout import CODES, CURRENCY, REFUND, REFUND_MINOR, layout_of
from fraud.features.table_columns import check_columns, microseconds_of, moments_of, numbers_of, refuse
from fraud.money import digits_of
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import (
    AMOUNT_BASE,
    AMOUNT_MINOR,
    BASE_MINOR,
    MOST_UNITS,
    NUMERIC,
    FieldType,
    joined_word,
)
from fraud.schema.kinds import VERIFICATION
from fraud.schema.results import RESULTS
from fraud.schema.schema import Schema

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
CENTS: Final = 100.0
MICRODEGREES: Final = 1e6
_EARLIEST_US: Final = round(EARLIEST.timestamp()) * 1_000_000
_LATEST_US: Final = round(LATEST.timestamp()) * 1_000_000
_PLACES: Final = ((kernel.E_LAT, kernel.E_LON), (kernel.E_HOME_LAT, kernel.E_HOME_LON))
_NOTHING: Final = float("nan")
_CODES: Final = {kind: float(code) for kind, code in CODES.items()}


def to_microseconds(time: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly."""
    delta = time - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


@lru_cache(maxsize=64)
def events_of(schema: Schema) -> "EventWriter":
    """Give what makes a schema's events, once a process."""
    return EventWriter(schema)


class EventWriter:
    """Makes the kernel's rows of one schema's records and tables.

    Parameters
    ----------
    schema
        Says which fields are keys, numbers, times and places, and which filters there are.
    """

    def __init__(self, schema: Schema) -> None:
        self._named, self._joined = schema.hashed, schema.joined_keys
        self._money = schema.money
        self._numbers, self._times = schema.own(*NUMERIC), schema.own(FieldType.TIME)
        self._filters = schema.filters
        self._places = schema.named(FieldType.PLACE)[: len(_PLACES)]
        self._required = tuple(f.name for f in schema.fields if f.required)
        self._label_keys, self._primary = frozenset(schema.key_names), schema.primary_key.name
        self._names = tuple(field.name for field in schema.fields if field.type is not FieldType.PLACE)
        self._keys = _values_of([field.name for field in self._named])
        self._degrees = _values_of([name for field in self._places for name in field.names])
        self.layout: Final = layout_of(schema)
        self._missing_places = (_NOTHING,) * (2 * len(_PLACES) - 2 * len(self._places))
        self._zone, self._clock, self._told_zone = schema.zone, schema.clock, schema.told_zone
        self._reads_kinds = bool(self._filters) or any(field.name == "kind" for field in self._named)
        self._of_profile = (_NOTHING,) * (self.layout.width - self.layout.profile)
        self._takes_refunds, self._in_several = self.layout.refunds, self.layout.in_several
        more = (
            *(self._joined, self._numbers, self._times, self._filters),
            *(self._money, self._zone, self._of_profile, self._takes_refunds),
        )
        self._has_more = any(map(bool, more))
        self._bits_of = lru_cache(maxsize=4096)(schema.bits_of_result)

    def of_transaction(self, record: Transaction) -> tuple[float, ...]:
        """Make the row of one transaction."""
        row = (
            _CODES[record.kind],
            float(to_microseconds(record.event_time)),
            float(round(record.amount * CENTS)) if self._money is None else _minor(record, BASE_MINOR),
            hash_text(record.transaction_id),
            *map(_microdegrees, self._degrees(record)),
            *self._missing_places,
            *map(hash_text, self._keys(record)),
        )
        return (*row, *self._more(record)) if self._has_more else row

    def of_label(self, record: Label) -> tuple[float, ...]:
        """Make the row of one label, which has of the keys those that it names."""
        row = self._notice(record, kernel.KIND_LABEL)
        row[kernel.E_CENTS] = float(record.is_fraud)
        return tuple(row.tolist())

    def of_result(self, record: Result) -> tuple[float, ...]:
        """Make the row of one result, which has of the keys those that it names."""
        row = self._notice(record, kernel.KIND_RESULT)
        row[kernel.E_SET], row[kernel.E_CLEAR] = self._bits_of(record.result, record.reason_code)
        row[kernel.E_TOLD_AT] = to_microseconds(record.result_time)
        if self._takes_refunds:
            row[self.layout.column(REFUND)] = self._refund(record.amount, record.currency)
        if self._in_several:
            row[self.layout.column(CURRENCY)] = hash_text(self._currency(record.currency))
        return tuple(row.tolist())

    def _currency(self, currency: str | None) -> str:
        """Take the currency of a refund; without one, it is the base."""
        return currency or (self._money.base if self._money else "")

    def _refund(self, amount: float | None, currency: str | None) -> float:
        """Turn a refund's amount into minor units of its currency; NaN where it has none."""
        if amount is None:
            return _NOTHING
        digits = digits_of(self._currency(currency)) if self._money else HUNDREDTHS
        return float(round(amount * 10.0 ** (digits or 0)))

    def _notice(self, record: Label | Result, kind: float) -> Floats:
        row = np.full(self.layout.width, _NOTHING)
        row[kernel.E_KIND] = kind
        if record.event_time is not None:
            row[kernel.E_TIME] = to_microseconds(record.event_time)
        row[kernel.E_ID] = hash_text(record.transaction_id)
        keys = {name: getattr(record, name) for name in self._label_keys}
        row[kernel.E_USER :] = self._label_tail(keys)
        return row

    def _label_tail(self, keys: Mapping[str, str | None]) -> list[float]:
        tail = [hash_text(keys.get(field.name)) for field in self._named]
        tail += [hash_joined([keys.get(field.name) for field in fields]) for fields in self._joined]
        tail += [_NOTHING] * (len(self._numbers) + bool(self._money) + len(self._times))
        tail += [0.0] * bool(self._zone) + [_NOTHING] * (self._takes_refunds + self._in_several)
        return [*tail, *([0.0] if self._filters else []), *self._of_profile]

    def _more(self, record: Transaction) -> Iterator[float]:
        """Give what only some schemas have: joined keys, numbers, times, filters."""
        for fields in self._joined:
            yield hash_joined([getattr(record, field.name) for field in fields])
        for field in self._numbers:
            value = getattr(record, field.name)
            yield _NOTHING if value is None else float(round(value * 10.0**field.scale))
        if self._money is not None:
            yield _within(_minor(record, AMOUNT_MINOR))
        for field in self._times:
            time = getattr(record, field.name)
            yield _NOTHING if time is None else float(to_microseconds(time))
        if self._zone:
            zone = getattr(record, self._zone)
            is_told = zone is None and self._told_zone
            yield _NOTHING if is_told else float(offset_us(zone or self._clock or None, record.event_time))
        if self._takes_refunds:
            yield _NOTHING
        if self._in_several:
            yield _minor(record, AMOUNT_MINOR)
        if self._filters:
            values = {name: getattr(record, name) for name in self._names} | {AMOUNT_BASE: record.amount_base}
            yield float(sum(1 << bit for bit, one in enumerate(self._filters) if one.holds(values)))
        yield from self._of_profile

    def of_transactions(self, table: pa.Table) -> Floats:
        """Make the rows of a table of transactions, equal to those of its records.

        Parameters
        ----------
        table
            Columns as the fields of the schema's transactions; optional ones may be absent.

        Returns
        -------
        ndarray
            [rows, ``layout.width``].

        Raises
        ------
        BadInput
            When a required column is absent or has missing values, or a value is outside the contract;
            names it.
        """
        check_columns(table, self._required, "transactions")
        if "kind" in table.column_names or self._reads_kinds:
            table = with_kinds(table)
        events = self._rows(table, kernel.KIND_TRANSACTION, {field.name for field in self._named})
        if "kind" in table.column_names:
            events[:, kernel.E_KIND] = _kind_codes(table)
        events[:, kernel.E_CENTS] = self._amounts(table)
        is_zero = (events[:, kernel.E_CENTS] == 0.0) & (numbers_of(table, "amount") == 0.0)
        words = f"0, which is for kind {VERIFICATION} alone"
        refuse(is_zero & (events[:, kernel.E_KIND] != _CODES[VERIFICATION]), "amount", words)
        for field, columns in zip(self._places, _PLACES, strict=False):
            _fill_place(events, table, field.names, columns)
        self._fill_more(events, table)
        return events

    def of_labels(self, table: pa.Table) -> Floats:
        """Make the rows of a table of labels; other keys than the primary's, and the time, may be missing."""
        events = self._notices(table, kernel.KIND_LABEL, "is_fraud", "labels")
        events[:, kernel.E_CENTS] = numbers_of(table, "is_fraud")
        return events

    def of_results(self, table: pa.Table) -> Floats:
        """Make the rows of a table of results; other keys than the primary's, and the time, may be missing.

        Raises
        ------
        BadInput
            When a column is absent or has missing values, or names a result that there is not.
        """
        events = self._notices(table, kernel.KIND_RESULT, "result", "results")
        words = table.column("result").cast(pa.string()).to_pylist()
        refuse(~np.isin(np.array(words, object), np.array(RESULTS, object)), "result", "of no known name")
        has_codes = "reason_code" in table.column_names
        codes = (
            table.column("reason_code").cast(pa.string()).to_pylist() if has_codes else [None] * len(words)
        )
        bits = [self._bits_of(*told) for told in zip(words, codes, strict=True)]
        events[:, [kernel.E_SET, kernel.E_CLEAR]] = np.array(bits, np.float64).reshape(-1, 2)
        events[:, kernel.E_TOLD_AT] = microseconds_of(table, "result_time")
        if self._takes_refunds:
            amounts, currencies = (
                table.column(name).to_pylist() if name in table.column_names else [None] * len(words)
                for name in ("amount", CURRENCY)
            )
            refunds = [self._refund(*told) for told in zip(amounts, currencies, strict=True)]
            events[:, self.layout.column(REFUND)] = refunds
        if self._in_several:
            events[:, self.layout.column(CURRENCY)] = [hash_text(self._currency(one)) for one in currencies]
        return events

    def _notices(self, table: pa.Table, kind: float, column: str, what: str) -> Floats:
        check_columns(table, ("transaction_id", self._primary, column), what)
        events = self._rows(table, kind, set(self._label_keys))
        if self._zone:
            events[:, self.layout.column(self._zone)] = 0.0
        if self._filters:
            events[:, self.layout.mask] = 0.0
        return events

    def _rows(self, table: pa.Table, kind: float, hashed: set[str]) -> Floats:
        events = np.full((table.num_rows, self.layout.width), np.nan)
        events[:, kernel.E_KIND] = kind
        if kind == kernel.KIND_TRANSACTION or "event_time" in table.column_names:
            events[:, kernel.E_TIME] = microseconds_of(table, "event_time")
        is_outside = (events[:, kernel.E_TIME] < _EARLIEST_US) | (events[:, kernel.E_TIME] >= _LATEST_US)
        refuse(is_outside, "event_time", "outside the years 2000 to 2099")
        events[:, kernel.E_ID] = hashes_of(table.column("transaction_id"))
        present = {name for name in table.column_names if name in hashed}
        for field in self._named:
            column = self.layout.column(field.word)
            events[:, column] = hashes_of(table.column(field.name)) if field.name in present else 0.0
        for fields in self._joined:
            column = self.layout.column(joined_word(fields))
            is_there = all(field.name in present for field in fields)
            events[:, column] = joined_hashes_of(table, fields) if is_there else 0.0
        return events

    def _amounts(self, table: pa.Table) -> Floats:
        """Read the amounts in minor units; NaN where the currency is not known."""
        if self._money is None:
            amounts = numbers_of(table, "amount")
            words = f"not above 0 and up to {MOST_AMOUNT:,.0f}"
            refuse(~((amounts >= 0.0) & (amounts <= MOST_AMOUNT)), "amount", words)
            return np.rint(amounts * CENTS) + 0.0  # no -0.0
        if not is_priced(table):
            raise BadInput(f"the transactions have no column {BASE_MINOR}: they are not priced yet")
        return numbers_of(table, BASE_MINOR)

    def _fill_more(self, events: Floats, table: pa.Table) -> None:
        for field in self._numbers:
            if field.name in table.column_names:
                unit = self.layout.unit(field.name)
                units = np.rint(numbers_of(table, field.name) * unit) + 0.0  # no -0.0
                refuse(np.abs(units) > MOST_UNITS, field.name, f"beyond {MOST_UNITS / unit:,.0f}")
                events[:, self.layout.column(field.name)] = units
        if self._money is not None:
            minor = numbers_of(table, AMOUNT_MINOR)
            events[:, self.layout.column(AMOUNT_MINOR)] = np.where(minor <= MOST_UNITS, minor, _NOTHING)
            if self._filters:
                base = events[:, kernel.E_CENTS] / self._money.unit
                table = table.append_column(AMOUNT_BASE, pa.array(base, from_pandas=True))
        for field in self._times:
            if field.name in table.column_names:
                events[:, self.layout.column(field.name)] = moments_of(table, field.name)
        if self._zone:
            events[:, self.layout.column(self._zone)] = offsets_us(
                table, self._zone, self._clock, is_told=bool(self._told_zone)
            )
        if self._in_several:
            events[:, self.layout.column(REFUND_MINOR)] = numbers_of(table, AMOUNT_MINOR)
        if self._filters:
            bits = [one.rows(table) * float(1 << bit) for bit, one in enumerate(self._filters)]
            events[:, self.layout.mask] = np.sum(bits, axis=0)


def event_of_transaction(record: Transaction, schema: Schema | None = None) -> tuple[float, ...]:
    """Make the row of one transaction of a schema, by default the deployment's."""
    return events_of(schema or deployed_schema()).of_transaction(record)


def event_of_label(record: Label, schema: Schema | None = None) -> tuple[float, ...]:
    """Make the row of one label of a schema, by default the deployment's."""
    return events_of(schema or deployed_schema()).of_label(record)


def event_of_result(record: Result, schema: Schema | None = None) -> tuple[float, ...]:
    """Make the row of one result of a schema, by default the deployment's."""
    return events_of(schema or deployed_schema()).of_result(record)


def events_of_transactions(table: pa.Table, schema: Schema | None = None) -> Floats:
    """Make the rows of a table of transactions of a schema, by default the deployment's."""
    return events_of(schema or deployed_schema()).of_transactions(table)


def events_of_labels(table: pa.Table, schema: Schema | None = None) -> Floats:
    """Make the rows of a table of labels of a schema, by default the deployment's."""
    return events_of(schema or deployed_schema()).of_labels(table)


def events_of_results(table: pa.Table, schema: Schema | None = None) -> Floats:
    """Make the rows of a table of results of a schema, by default the deployment's."""
    return events_of(schema or deployed_schema()).of_results(table)


def stack_events(
    rows: Sequence[tuple[float, ...]], width: int | None = None, schema: Schema | None = None
) -> Floats:
    """Make one array [n, width] of rows, also of none; by default of the deployment's events."""
    return np.array(rows, np.float64).reshape(-1, width or layout_of(schema or deployed_schema()).width)


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Make what reads some attributes of a record, as a tuple whatever their number."""
    if not names:
        return lambda _record: ()
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda record: (read(record),)


def _kind_codes(table: pa.Table) -> Floats:
    """Take the numbers of a table's kinds; each row has one."""
    names = list(_CODES)
    place = pc.index_in(table["kind"], value_set=pa.array(names))
    refuse(np.asarray(pc.is_null(place)), "kind", f"none of {', '.join(names)}")
    return np.asarray(np.array(list(_CODES.values()))[place.to_numpy()], np.float64)


def _fill_place(events: Floats, table: pa.Table, names: Sequence[str], columns: tuple[int, int]) -> None:
    for name, column in zip(names, columns, strict=True):
        if name in table.column_names:
            events[:, column] = np.rint(numbers_of(table, name) * MICRODEGREES) + 0.0  # no -0.0
    is_half = np.isnan(events[:, columns[0]]) != np.isnan(events[:, columns[1]])
    refuse(is_half, names[0], f"given without the {names[1]}, or the other way round")


def _minor(record: Transaction, name: str) -> float:
    minor: int | None = getattr(record, name)
    return _NOTHING if minor is None else float(minor)


def _within(units: float) -> float:
    """Leave out a number whose square would not be exact."""
    return units if units <= MOST_UNITS else _NOTHING


def _microdegrees(degrees: float | None) -> float:
    return _NOTHING if degrees is None else float(round(degrees * MICRODEGREES))
