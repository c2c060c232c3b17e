"""Reading the training data and dividing it by time.

Reads ``transactions.parquet`` and ``labels.parquet``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from fraud.errors import BadInput
from fraud.features.batch import compute_features
from fraud.model import Floats

TRANSACTIONS_FILE: Final = "transactions.parquet"
LABELS_FILE: Final = "labels.parquet"
TRANSACTION_COLUMNS: Final = ("transaction_id", "event_time", "user_id", "merchant_id", "amount")
LABEL_COLUMNS: Final = ("transaction_id", "label_time", "is_fraud")

Bools = npt.NDArray[np.bool_]
Micros = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tables:
    """The raw data."""

    transactions: pa.Table
    labels: pa.Table
    fingerprint: str
    """Hash of both files' bytes, 32 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Transactions as a model sees them, one a row, without duplicates.

    Times are microseconds since 1970 UTC; ``label_us`` is the greatest integer where no verdict
    exists.
    """

    vectors: Floats
    event_us: Micros
    label_us: Micros
    is_fraud: Bools
    amount: Floats

    def __len__(self) -> int:
        return len(self.event_us)

    def take(self, rows: Bools) -> "Examples":
        """Keep the rows where ``rows`` is True."""
        return Examples(
            self.vectors[rows],
            self.event_us[rows],
            self.label_us[rows],
            self.is_fraud[rows],
            self.amount[rows],
        )


@dataclass(frozen=True, slots=True)
class Split:
    """The three periods: train, then validation, then (after the label gap) test."""

    train: Examples
    validation: Examples
    test: Examples
    as_of: datetime


NEVER: Final = np.iinfo(np.int64).max


def read_tables(folder: Path) -> Tables:
    """Read both tables.

    Raises
    ------
    BadInput
        When a file or a column is missing, or a table is empty; names it.
    """
    digest = xxhash.xxh3_128()
    tables = []
    for name, columns in ((TRANSACTIONS_FILE, TRANSACTION_COLUMNS), (LABELS_FILE, LABEL_COLUMNS)):
        path = folder / name
        try:
            digest.update(path.read_bytes())
            tables.append(pq.read_table(path))
        except FileNotFoundError as error:
            raise BadInput(f"{path} does not exist; `fraud generate --out {folder}` writes one") from error
        except pa.ArrowException as error:
            raise BadInput(f"{path} is not a Parquet file: {error}") from error
        check_table(tables[-1], columns, str(path))
    return Tables(tables[0], tables[1], digest.hexdigest())


def check_table(table: pa.Table, columns: Sequence[str], name: str) -> None:
    """Refuse a table that is empty or lacks a column or a value that is needed.

    Raises
    ------
    BadInput
        Naming the table and the column.
    """
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise BadInput(
            f"{name} lacks the column {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    if table.num_rows == 0:
        raise BadInput(f"{name} has no rows")
    for column in columns:
        if table[column].null_count:
            raise BadInput(f"{name}: column {column} has {table[column].null_count} missing values")


def build_examples(tables: Tables) -> Examples:
    """Compute the features over the whole table and put each transaction's verdict beside them.

    The features are those that would have been served at the time, so that the table may hold
    the test period too.
    """
    features = compute_features(tables.transactions, tables.labels)
    keep = ~features.is_duplicate
    rows = pc.index_in(tables.transactions["transaction_id"], tables.labels["transaction_id"])
    found = rows.combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    label_row = pc.fill_null(rows, 0).to_numpy()
    is_fraud = tables.labels["is_fraud"].to_numpy()[label_row]
    label_us = _micros(tables.labels["label_time"])[label_row]
    return Examples(
        vectors=features.vectors,
        event_us=_micros(tables.transactions["event_time"]),
        label_us=np.where(found, label_us, NEVER),
        is_fraud=np.where(found, is_fraud, False).astype(bool),
        amount=tables.transactions["amount"].to_numpy().astype(np.float64),
    ).take(keep)


def choose_as_of(event_us: Micros, test_share: float) -> datetime:
    """Choose the moment that leaves the last ``test_share`` of the time span for the test."""
    first, last = int(event_us.min()), int(event_us.max())
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=last - int((last - first) * test_share))


def split_by_time(
    examples: Examples, as_of: datetime, label_gap: timedelta, validation_share: float
) -> Split:
    """Divide examples into what could have been trained on at ``as_of``, and what came after.

    Train and validation end at ``as_of - label_gap``; their truth is what was known at ``as_of`` (an
    old transaction without a verdict is honest). Test is everything after ``as_of`` whose verdict
    exists, whenever it came.

    Raises
    ------
    BadInput
        When a period lacks frauds or honest transactions; names the period and its bounds.
    """
    as_of_us = _to_micros(as_of)
    end_us = as_of_us - int(label_gap / timedelta(microseconds=1))
    known = examples.event_us <= end_us
    if not known.any():
        raise BadInput(
            f"no transaction is older than {label_gap.days} days at {as_of.isoformat()}: "
            "give a later as_of, a smaller label_gap_days or more data"
        )
    start_us = int(examples.event_us[known].min())
    border_us = end_us - int((end_us - start_us) * validation_share)
    seen = Examples(
        examples.vectors,
        examples.event_us,
        examples.label_us,
        examples.is_fraud & (examples.label_us <= as_of_us),
        examples.amount,
    )
    split = Split(
        train=seen.take(known & (examples.event_us <= border_us)),
        validation=seen.take(known & (examples.event_us > border_us)),
        test=examples.take((examples.event_us > as_of_us) & (examples.label_us < NEVER)),
        as_of=as_of,
    )
    _check_classes(split.train, f"train (to {_words(border_us)})")
    _check_classes(split.validation, f"validation ({_words(border_us)} to {_words(end_us)})")
    _check_classes(split.test, f"test (after as_of, {_words(as_of_us)})")
    return split


def _check_classes(examples: Examples, period: str) -> None:
    frauds = int(examples.is_fraud.sum())
    if frauds == 0 or frauds == len(examples):
        raise BadInput(
            f"the {period} period has {len(examples)} transactions, {frauds} of them frauds "
            "(column is_fraud); both kinds are needed: move as_of or bring more data"
        )


def _micros(column: pa.ChunkedArray) -> Micros:
    if not pa.types.is_timestamp(column.type):
        raise BadInput(
            f"times must be Parquet timestamps, not {column.type} (columns event_time, label_time)"
        )
    return np.asarray(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy())


def _to_micros(time: datetime) -> int:
    return (time - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _words(micros: int) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)).isoformat(timespec="seconds")
