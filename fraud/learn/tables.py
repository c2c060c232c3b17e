"""From what a person points at to the tables of a training.

Reads a table with a column ``is_fraud``, or one of transactions and one of labels, or the platform's own
archive (``transactions``, ``labels`` and the served ``features``). The archive's rows are put into the
order in which the stream took them, so that vectors computed anew equal the served ones.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from fraud.contracts import without_future
from fraud.errors import BadInput
from fraud.features import FEATURE_NAMES, FEATURES_VERSION
from fraud.learn.settings import SourceSettings
from fraud.learn.source import LABEL, TIME, TRANSACTION, cast, find_table, read_any

log = logging.getLogger(__name__)
SMALLEST_AMOUNT: Final = 0.01
"""What an amount of zero (a check of the card) counts as: the contract wants a positive one."""
PAIRS: Final = (("latitude", "longitude"), ("home_latitude", "home_longitude"))
LOG: Final = ("generation", "epoch", "received_at", "source_partition", "source_offset")
"""Columns of the platform's archive that say in which order its rows arrived."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The raw data."""

    transactions: pa.Table
    labels: pa.Table
    """transaction_id, user_id, merchant_id, event_time, label_time, is_fraud; one row a verdict."""
    fingerprint: str
    """Hash of both tables' contents, 32 hexadecimal digits."""
    served: pa.Table | None = None
    """transaction_id and the served vectors of this build's feature table."""


def read_tables(settings: SourceSettings) -> Tables:
    """Read the tables that the settings name.

    Raises
    ------
    BadInput
        When a table, a column or a value is missing or wrong; names it.
    """
    path, _, features_path = _locate(settings)
    transactions, labels = read_raw(settings)
    transactions = mend(transactions)
    labels = with_keys(labels, transactions)
    served = None
    if features_path and settings.vectors != "computed":
        same_version = pc.field("features_version") == FEATURES_VERSION
        served = read_any(features_path, settings.delta_options, {}, same_version)
        served = served.select(["transaction_id", *FEATURE_NAMES])
    if settings.vectors == "served" and served is None:
        raise BadInput(f"{path} has no table `features` beside it; set vectors to computed or auto")
    if all(set(LOG) <= set(table.column_names) for table in (transactions, labels)):
        transactions, labels = in_order_of_arrival(transactions, labels)
    else:
        transactions = _arriving(transactions, "arrival_time", "event_time")
        labels = _arriving(labels, "arrival", "label_time")
    return Tables(transactions, labels, fingerprint(transactions, labels), served)


def read_raw(settings: SourceSettings) -> tuple[pa.Table, pa.Table]:
    """Read transactions and labels with the right types, and otherwise as they are.

    Raises
    ------
    BadInput
        When a table or a column is missing, or holds another kind of values; names it.
    """
    path, labels_path, _ = _locate(settings)
    raw = read_any(path, settings.delta_options, settings.columns)
    transactions = _of_the_past(cast(raw, TRANSACTION, path), path, settings)
    if labels_path:
        found = cast(read_any(labels_path, settings.delta_options, settings.columns), LABEL, labels_path)
        return transactions, _of_the_past(found, labels_path, settings)
    labels = _verdicts_within(raw, path, settings.label_gap_days)
    is_given = "label_time" in raw.column_names  # else made up, and not due yet for what is young
    return transactions, _of_the_past(labels, path, settings) if is_given else labels


def _of_the_past(table: pa.Table, name: str, settings: SourceSettings) -> pa.Table:
    """Leave out, and say so, what is dated into the future (``fraud.contracts.future``).

    Raises
    ------
    BadInput
        When nothing is left.
    """
    kept, left_out = without_future(table, settings.most_ahead_s)
    if left_out and not kept.num_rows:
        raise BadInput(
            f"{name}: all {left_out:,} rows are dated more than {settings.most_ahead_s:g} s ahead of their "
            "arrival; correct the times, or raise the bound (most_ahead_s)"
        )
    if left_out:
        log.warning(
            "%s: %s rows are dated more than %g s ahead of their arrival and left out (most_ahead_s)",
            name,
            f"{left_out:,}",
            settings.most_ahead_s,
        )
    return kept


def known_at(tables: Tables, end: datetime) -> Tables:
    """Keep what was known at a moment: earlier transactions, and verdicts that had come."""
    moment = pa.scalar(end)
    transactions = tables.transactions.filter(pc.less(tables.transactions["event_time"], moment))
    labels = tables.labels.filter(pc.less(tables.labels["label_time"], moment))
    if transactions.num_rows == 0 or labels.num_rows == 0:
        raise BadInput(f"before {end.isoformat()} there are no transactions or no labels")
    return Tables(transactions, labels, fingerprint(transactions, labels), tables.served)


def mend(transactions: pa.Table) -> pa.Table:
    """Take zero amounts as the smallest one, and half a place as none.

    Raises
    ------
    BadInput
        When an amount is negative: a refund is no payment; leave refunds out.
    """
    amount = transactions["amount"].to_numpy()
    wrong = ~np.isfinite(amount) | (amount < 0.0)
    if wrong.any():
        raise BadInput(
            f"column amount: {int(wrong.sum()):,} values are negative or not finite, the first in row "
            f"{int(np.argmax(wrong)):,}; leave refunds out"
        )
    place = transactions.column_names.index("amount")
    transactions = transactions.set_column(
        place, "amount", pa.array(np.where(amount < SMALLEST_AMOUNT, SMALLEST_AMOUNT, amount))
    )
    for pair in PAIRS:
        there = [name for name in pair if name in transactions.column_names]
        if len(there) == 1:
            transactions = transactions.drop_columns(there)
        elif there:
            both = pc.and_(transactions[pair[0]].is_valid(), transactions[pair[1]].is_valid())
            for name in pair:
                whole = pc.if_else(both, transactions[name], pa.scalar(None, pa.float64()))
                transactions = transactions.set_column(transactions.column_names.index(name), name, whole)
    return transactions


def with_keys(labels: pa.Table, transactions: pa.Table) -> pa.Table:
    """Give each verdict its transaction's user, merchant and time; drop those of unknown transactions."""
    rows = pc.index_in(labels["transaction_id"], transactions["transaction_id"].combine_chunks())
    known = rows.is_valid()
    kept, rows = labels.filter(known), rows.filter(known)
    for name in ("user_id", "merchant_id", "event_time"):
        if name in kept.column_names:
            kept = kept.drop_columns([name])
        kept = kept.append_column(name, transactions[name].take(rows))
    if kept.num_rows == 0:
        raise BadInput("no label names a transaction of the table (column transaction_id)")
    return kept


def in_order_of_arrival(transactions: pa.Table, labels: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Write the archive's order of arrival into ``arrival_time`` and ``arrival`` (labels), as ranks.

    Order: generation, epoch, arrival at the broker, labels first, partition, offset.
    """
    tables = (labels, transactions)
    keys = [np.concatenate([table[column].cast(pa.int64()).to_numpy() for table in tables]) for column in LOG]
    kind = np.repeat([0, 1], [labels.num_rows, transactions.num_rows])
    generation, epoch, received, partition, offset = keys
    order = np.lexsort([offset, partition, kind, received, epoch, generation])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ranks = pa.array(rank).cast(pa.timestamp("us")).cast(TIME)
    return (
        transactions.append_column("arrival_time", ranks[labels.num_rows :]),
        labels.append_column("arrival", ranks[: labels.num_rows]),
    )


def _arriving(table: pa.Table, name: str, time: str) -> pa.Table:
    """Let rows arrive at their ``received_at`` where a table has it, else at their own time."""
    if "received_at" not in table.column_names:
        return table
    return table.append_column(name, pc.coalesce(table["received_at"], table[time]))


def fingerprint(*tables: pa.Table) -> str:
    """Hash the contents of tables, however they lay on disk."""
    digest = xxhash.xxh3_128()
    for table in tables:
        digest.update(str(table.schema).encode())
        for batch in table.combine_chunks().to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()


def _locate(settings: SourceSettings) -> tuple[str, str, str]:
    """Paths of the transactions, the labels and the served vectors; the last two may be empty."""
    home = settings.transactions or settings.data
    inner = "" if "://" in home else find_table(home, "transactions")
    if not settings.transactions or inner:
        inner = inner or find_table(home, "transactions")
        if not inner:
            raise BadInput(
                f"{home}/transactions.parquet does not exist; `fraud generate --out {home}` writes one"
            )
        return inner, settings.labels or find_table(home, "labels"), find_table(home, "features")
    return settings.transactions, settings.labels, ""


def _verdicts_within(table: pa.Table, name: str, gap_days: float) -> pa.Table:
    """Take the verdicts from the transactions' own column ``is_fraud``; null is no verdict yet."""
    wanted = {key: kind for key, kind in {**TRANSACTION, **LABEL}.items() if key in table.column_names}
    if "is_fraud" not in wanted:
        raise BadInput(
            f"{name} lacks the column is_fraud, and no table of labels is given; it has "
            f"{', '.join(table.column_names)}"
        )
    found = cast(table, {"transaction_id": pa.string(), "event_time": TIME}, name)
    is_fraud = cast(table, {"is_fraud": pa.bool_()}, name, nullable="is_fraud")["is_fraud"]
    if "label_time" in wanted:
        label_time = cast(table, {"label_time": TIME}, name, nullable="label_time")["label_time"]
    else:
        gap = pa.scalar(timedelta(days=gap_days), pa.duration("us"))
        label_time = pc.add(found["event_time"], gap)
    labels = pa.table(
        {"transaction_id": found["transaction_id"], "label_time": label_time, "is_fraud": is_fraud}
    )
    return labels.filter(pc.and_(is_fraud.is_valid(), label_time.is_valid()))
