"""Events as the kernel reads them: one float64 row each, made from records or from a table."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from fraud.contracts import Label, Transaction
from fraud.contracts.wire import EARLIEST, LATEST
from fraud.errors import BadInput
from fraud.features import kernel
from fraud.features.kernel import Floats

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HASHED: Final = {
    kernel.E_ID: "transaction_id",
    kernel.E_USER: "user_id",
    kernel.E_MERCHANT: "merchant_id",
    kernel.E_CATEGORY: "category",
    kernel.E_COUNTRY: "country",
    kernel.E_DEVICE: "device_id",
    kernel.E_CHANNEL: "channel",
}
MOST_AMOUNT: Final = 10_000_000.0
"""Greatest amount of a transaction, as of the contract: its square in hundredths is still exact."""
_EARLIEST_US: Final = round(EARLIEST.timestamp()) * 1_000_000
_LATEST_US: Final = round(LATEST.timestamp()) * 1_000_000
_REQUIRED: Final = ("transaction_id", "user_id", "merchant_id", "event_time")


def hash_text(text: str | None) -> float:
    """Hash a text to a whole number in [1, 2**53); 0 stands for a missing one.

    Examples
    --------
    >>> hash_text(None), hash_text("merchant-1") == hash_text("merchant-1")
    (0.0, True)
    """
    if text is None:
        return 0.0
    return float(xxh3_64_intdigest(text.encode()) >> 11 or 1)


def to_microseconds(time: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly."""
    delta = time - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def event_of_transaction(record: Transaction) -> tuple[float, ...]:
    """Make the kernel's row of one transaction."""
    return (
        kernel.KIND_TRANSACTION,
        float(to_microseconds(record.event_time)),
        float(round(record.amount * 100.0)),
        hash_text(record.transaction_id),
        _microdegrees(record.latitude),
        _microdegrees(record.longitude),
        _microdegrees(record.home_latitude),
        _microdegrees(record.home_longitude),
        hash_text(record.user_id),
        hash_text(record.merchant_id),
        hash_text(record.category),
        hash_text(record.country),
        hash_text(record.device_id),
        hash_text(record.channel),
    )


def event_of_label(record: Label) -> tuple[float, ...]:
    """Make the kernel's row of one label."""
    nothing = float("nan")
    return (
        kernel.KIND_LABEL,
        float(to_microseconds(record.event_time)),
        float(record.is_fraud),
        hash_text(record.transaction_id),
        nothing,
        nothing,
        nothing,
        nothing,
        hash_text(record.user_id),
        hash_text(record.merchant_id),
        0.0,
        0.0,
        0.0,
        0.0,
    )


def events_of_transactions(table: pa.Table) -> Floats:
    """Make the kernel's rows of a table of transactions, equal to those of its records.

    Parameters
    ----------
    table
        Columns as the fields of :class:`~fraud.contracts.Transaction`; optional ones may be absent.

    Returns
    -------
    ndarray
        [rows, EVENT_COLUMNS].

    Raises
    ------
    BadInput
        When a required column is absent or has missing values, or a value is outside the contract;
        names it.
    """
    _check_columns(table, (*_REQUIRED, "amount"), "transactions")
    events = _rows(table, kernel.KIND_TRANSACTION)
    amounts = _numbers(table, "amount")
    _refuse(
        ~((amounts > 0.0) & (amounts <= MOST_AMOUNT)), "amount", f"not above 0 and up to {MOST_AMOUNT:,.0f}"
    )
    events[:, kernel.E_CENTS] = np.rint(amounts * 100.0)
    for column, name in (
        (kernel.E_LAT, "latitude"),
        (kernel.E_LON, "longitude"),
        (kernel.E_HOME_LAT, "home_latitude"),
        (kernel.E_HOME_LON, "home_longitude"),
    ):
        if name in table.column_names:
            events[:, column] = np.rint(_numbers(table, name) * 1e6) + 0.0  # no -0.0
    for latitude, longitude, name in (
        (kernel.E_LAT, kernel.E_LON, "latitude"),
        (kernel.E_HOME_LAT, kernel.E_HOME_LON, "home_latitude"),
    ):
        is_half = np.isnan(events[:, latitude]) != np.isnan(events[:, longitude])
        _refuse(is_half, name, "given without the longitude, or the other way round")
    return events


def events_of_labels(table: pa.Table) -> Floats:
    """Make the kernel's rows of a table of labels (fields of :class:`~fraud.contracts.Label`)."""
    _check_columns(table, (*_REQUIRED, "is_fraud"), "labels")
    events = _rows(table, kernel.KIND_LABEL)
    events[:, kernel.E_CENTS] = _numbers(table, "is_fraud")
    return events


def stack_events(rows: Sequence[tuple[float, ...]]) -> Floats:
    """Make one array [n, EVENT_COLUMNS] of rows, also of none."""
    return np.array(rows, np.float64).reshape(-1, kernel.EVENT_COLUMNS)


def microseconds_of(table: pa.Table, name: str) -> Floats:
    """Read a time column as microseconds since 1970 (times without zone are taken as UTC)."""
    column = table.column(name)
    if not pa.types.is_timestamp(column.type):
        raise BadInput(f"column {name} must hold timestamps, not {column.type}")
    zone = column.type.tz
    micros = column.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
    return np.asarray(micros.to_numpy(), np.float64)


def _rows(table: pa.Table, kind: float) -> Floats:
    events = np.full((table.num_rows, kernel.EVENT_COLUMNS), np.nan)
    events[:, kernel.E_KIND] = kind
    events[:, kernel.E_TIME] = microseconds_of(table, "event_time")
    is_outside = (events[:, kernel.E_TIME] < _EARLIEST_US) | (events[:, kernel.E_TIME] >= _LATEST_US)
    _refuse(is_outside, "event_time", "outside the years 2000 to 2099")
    is_transaction = kind == kernel.KIND_TRANSACTION
    for column, name in _HASHED.items():
        present = name in table.column_names and (is_transaction or name in _REQUIRED)
        events[:, column] = _hashes(table.column(name)) if present else 0.0
    return events


def _hashes(column: pa.ChunkedArray) -> Floats:
    """Hash a text column through its dictionary, so that each distinct value is hashed once."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    values: Iterable[str] = encoded.dictionary.to_pylist()
    table = np.array([*(hash_text(value) for value in values), 0.0])
    codes = encoded.indices.fill_null(len(table) - 1).to_numpy()
    return np.asarray(table[codes], np.float64)


def _numbers(table: pa.Table, name: str) -> Floats:
    column = table.column(name)
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    except pa.ArrowInvalid as error:
        raise BadInput(f"column {name} must hold numbers: {error}") from error


def _microdegrees(degrees: float | None) -> float:
    return float("nan") if degrees is None else float(round(degrees * 1e6))


def _refuse(is_wrong: NDArray[np.bool_], name: str, what: str) -> None:
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise BadInput(f"column {name}: {int(is_wrong.sum()):,} values are {what}, the first in row {row:,}")


def _check_columns(table: pa.Table, names: Iterable[str], what: str) -> None:
    for name in names:
        if name not in table.column_names:
            raise BadInput(f"the {what} have no column {name}; present: {', '.join(table.column_names)}")
        if table.column(name).null_count:
            raise BadInput(f"column {name} of the {what} has {table.column(name).null_count} missing values")
