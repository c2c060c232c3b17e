"""Transactions as a model sees them, and their division by time."""

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts.priced import base_amounts
from fraud.errors import BadInput
from fraud.features.batch import compute_features
from fraud.features.passes import Passes, passes_of_schema
from fraud.learn.settings import TrainSettings
from fraud.learn.tables import Tables, keys_of
from fraud.log.labels import order_labels
from fraud.model.card import Floats
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema

Bools = npt.NDArray[np.bool_]
Micros = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]

_OF_ALL: Final = ("categories", "schema")
"""What examples have once, not a row."""
NEVER: Final = np.iinfo(np.int64).max
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Examples:
    """Transactions as a model sees them, one a row, without duplicates.

    Times are microseconds since 1970 UTC; ``label_us`` is the greatest integer where no label
    exists. ``user`` and ``category`` are numbers that tell users and categories apart.
    """

    vectors: Floats
    event_us: Micros
    label_us: Micros
    is_fraud: Bools
    amount: Floats
    user: Codes
    category: Codes
    categories: tuple[str, ...] = ()
    """Names of the categories by number."""
    schema: Schema = field(default_factory=deployed_schema)
    """Of the transactions."""

    def __len__(self) -> int:
        return len(self.event_us)

    def take(self, rows: Any) -> "Examples":
        """Keep rows, by a mask or by numbers; rows that stand together are not copied."""
        kept = as_slice(rows)
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OF_ALL}
        return replace(self, **{name: array[kept] for name, array in arrays.items()})


@dataclass(frozen=True, slots=True)
class Split:
    """What could be trained on at ``as_of``, and what came after."""

    train: Examples
    test: Examples
    as_of: datetime
    train_end: datetime
    """End of the training period: a model has seen nothing that came later."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One step of the forward-chaining validation: rows of the training period."""

    fit: Codes
    held: Codes


def build_examples(
    tables: Tables,
    *,
    vectors: str = "auto",
    gap_days: float | None = None,
    later_labels: pa.Table | None = None,
    passes: Passes | None = None,
) -> Examples:
    """Join transactions with their vectors and labels.

    Where ``gap_days`` is given, a transaction without a label that is older than that at the newest event
    counts as honest: no complaint has arrived.

    Vectors that were served are taken where every transaction has one (or ``vectors`` is ``served``:
    then the others are left out); else they are computed, as they would have been served at the time.

    Of several labels on a transaction the last that arrived holds (``fraud.log.labels``), as in the
    features; ``later_labels`` are further ones, which change no vector. ``passes`` are computed in
    the place of the schema's, over the same fields.
    """
    schema, transactions = tables.schema, tables.transactions
    passes, primary = passes or passes_of_schema(schema), schema.primary_key.name
    found, keep = _vectors(tables, vectors, passes)
    later = None if later_labels is None else _with_users(later_labels, transactions, primary)
    labels = _standing(tables.labels, later, primary)
    rows = pc.index_in(*keys_of(transactions, labels, primary))
    has_label = rows.is_valid().to_numpy(zero_copy_only=False)
    label_row = pc.fill_null(rows, 0).to_numpy(zero_copy_only=False)
    is_fraud = labels["is_fraud"].to_numpy()[label_row]
    label_us = _micros(labels["label_time"])[label_row]
    event_us = _micros(transactions["event_time"])
    if gap_days is not None:
        matured_us = event_us + int(gap_days * DAY / timedelta(microseconds=1))
        is_honest = ~has_label & (matured_us <= event_us.max())
        has_label, label_us = has_label | is_honest, np.where(is_honest, matured_us, label_us)
        is_fraud = is_fraud & ~is_honest
    category, names = _codes(transactions, schema.segments[0] if schema.segments else "")
    examples = Examples(
        vectors=found,
        event_us=event_us,
        label_us=np.where(has_label, label_us, NEVER),
        is_fraud=np.where(has_label, is_fraud, False).astype(bool),
        amount=base_amounts(transactions, schema),
        user=_codes(transactions, primary)[0],
        category=category,
        categories=names,
        schema=schema,
    )
    return examples if keep.all() else examples.take(keep)


class Labelled(Protocol):
    """Transactions and when their labels came, as :class:`Examples` has them."""

    @property
    def event_us(self) -> Micros:
        """When they happened, [n]."""

    @property
    def label_us(self) -> Micros:
        """When the label came, [n]; ``NEVER`` where there is none."""


def ripe_until(examples: Labelled, gap_days: float) -> int:
    """Find the time until which transactions are ``gap_days`` old, microseconds since 1970 UTC.

    Frauds are known days before honest ones: of what is younger, those with a label are nearly all frauds.
    What is known reaches to the newest event, or label; a label dated into the future makes nothing ripe.
    Where every transaction has its label, all are ripe.
    """
    gap_us, newest_us = int(gap_days * DAY / timedelta(microseconds=1)), int(examples.event_us.max())
    if (examples.label_us < NEVER).all():
        return newest_us
    came = examples.label_us[examples.label_us <= newest_us + gap_us]
    return max(newest_us, int(came.max(initial=0))) - gap_us


def divide(examples: Examples, settings: TrainSettings) -> Split:
    """Divide examples as the settings say; see :func:`split_by_time`.

    The test ends where transactions have not had ``label_gap_days`` for their labels yet.
    """
    first, last = _time(int(examples.event_us.min())), _time(int(examples.event_us.max()))
    end = settings.test_until or last
    as_of = settings.as_of
    if as_of is None and settings.test_days is not None:
        as_of = end - settings.test_days * DAY
    if as_of is None:
        as_of = end - (end - first) * settings.test_share
    if settings.test_days is not None:
        end = as_of + settings.test_days * DAY
    train_end = as_of - settings.label_gap_days * DAY
    if settings.train_until is not None:
        train_end = min(settings.train_until, as_of)
    begin = settings.train_from
    if settings.train_days is not None:
        begin = train_end - settings.train_days * DAY
    end = min(end, _time(ripe_until(examples, settings.label_gap_days)))
    return split_by_time(examples, as_of, train_end, begin=begin, test_end=end + timedelta(microseconds=1))


def split_by_time(
    examples: Examples,
    as_of: datetime,
    train_end: datetime,
    *,
    begin: datetime | None = None,
    test_end: datetime | None = None,
) -> Split:
    """Divide examples into what could have been trained on at ``as_of``, and what came after.

    Train lies in [``begin``, ``train_end``); its truth is what was known at ``as_of`` (an old transaction
    without a label is honest). Test lies in [``as_of``, ``test_end``) and has labels, whenever they came.

    Raises
    ------
    BadInput
        When a period lacks frauds or honest transactions; names the period and its bounds.
    """
    as_of_us, end_us = to_micros(as_of), to_micros(train_end)
    begin_us = to_micros(begin) if begin else int(examples.event_us.min())
    last_us = to_micros(test_end) if test_end else NEVER
    known = (examples.event_us >= begin_us) & (examples.event_us < end_us)
    if not known.any():
        raise BadInput(
            f"no transaction lies between {in_words(begin_us)} and {in_words(end_us)}, the training period "
            f"at as_of {as_of.isoformat()}: give a later as_of, a smaller label_gap_days or more data"
        )
    later = (examples.event_us >= as_of_us) & (examples.event_us < last_us) & (examples.label_us < NEVER)
    train = examples.take(known)
    train = replace(train, is_fraud=train.is_fraud & (train.label_us <= as_of_us))
    split = Split(train=train, test=examples.take(later), as_of=as_of, train_end=train_end)
    check_classes(split.train, f"train ({in_words(begin_us)} to {in_words(end_us)})")
    until = f" to {in_words(last_us)}" if test_end else ""
    check_classes(split.test, f"test (from as_of, {in_words(as_of_us)}{until})")
    return split


def forward_folds(train: Examples, count: int, share: float) -> list[Fold]:
    """Divide the training period for validation: each block at its end is held from all that comes before.

    Blocks are of equal time; one that lacks frauds or honest transactions, or has too little before it,
    is joined with the next.

    Raises
    ------
    BadInput
        When not even one block is left.
    """
    first, last = int(train.event_us.min()), int(train.event_us.max())
    edges = np.linspace(last - (last - first) * share, last + 1, count + 1)
    folds, start = [], edges[0]
    for edge in edges[1:]:
        fit, held = train.event_us < start, (train.event_us >= start) & (train.event_us < edge)
        if all(0 < train.is_fraud[part].sum() < part.sum() for part in (fit, held)):
            folds.append(Fold(np.flatnonzero(fit), np.flatnonzero(held)))
            start = edge
        elif not 0 < train.is_fraud[fit].sum() < fit.sum():
            start = edge
    if not folds:
        raise BadInput(
            f"the train period has {int(train.is_fraud.sum())} frauds in {len(train)} transactions (column "
            "is_fraud), too few in its last part to validate on: bring more data, or raise validation_share"
        )
    return folds


def thin(examples: Examples, rows: int, seed: int) -> Examples:
    """Sample the honest so that at most ``rows`` are left, every fraud among them; in order of time."""
    return examples.take(thin_rows(examples.is_fraud, rows, seed)) if len(examples) > rows else examples


def thin_rows(is_fraud: Bools, rows: int, seed: int) -> Codes:
    """Choose at most ``rows`` rows, every fraud among them, but half of the room for the honest; rising."""
    if len(is_fraud) <= rows:
        return np.arange(len(is_fraud))
    honest, frauds = np.flatnonzero(~is_fraud), np.flatnonzero(is_fraud)
    room = max(rows - len(frauds), rows // 2)
    kept = np.random.default_rng(seed).choice(honest, min(room, len(honest)), replace=False)
    return np.sort(np.concatenate([frauds, kept]))


def as_slice(rows: Any) -> Any:
    """Turn a mask, or numbers, of rows that stand together in order into a slice, which copies nothing."""
    if isinstance(rows, slice) or not len(rows):
        return rows
    at = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows)
    together = len(at) > 0 and at[-1] - at[0] + 1 == len(at) and bool((np.diff(at) == 1).all())
    return slice(int(at[0]), int(at[-1]) + 1) if together else rows


def check_classes(examples: Examples, period: str) -> None:
    """Refuse a period without frauds or without honest transactions, naming it."""
    frauds = int(examples.is_fraud.sum())
    if frauds == 0 or frauds == len(examples):
        raise BadInput(
            f"the {period} period has {len(examples)} transactions, {frauds} of them frauds "
            "(column is_fraud); both kinds are needed: move as_of or bring more data"
        )


def to_micros(time: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (time - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def in_words(micros: int) -> str:
    """Write microseconds since 1970 as a time."""
    return _time(micros).isoformat(timespec="seconds")


def _vectors(tables: Tables, source: str, passes: Passes) -> tuple[Floats, Bools]:
    """Vectors in the order of the transactions, and which rows to keep."""
    schema, primary = tables.schema, tables.schema.primary_key.name
    if tables.served is not None:
        keys, served = keys_of(tables.transactions, tables.served, primary)
        rows = pc.index_in(keys, served)
        there = rows.is_valid().to_numpy(zero_copy_only=False)
        is_first = np.zeros(len(there), bool)
        is_first[np.unique(_codes_of(keys)[0], return_index=True)[1]] = True
        if source == "served" or (there | ~is_first).all():
            columns = [tables.served[name].take(rows).to_numpy() for name in schema.feature_names]
            return np.column_stack(columns).astype(np.float64, copy=False), there & is_first
    labels = _that_change_something(tables.labels, primary)
    if "arrival" in labels.column_names:
        labels = labels.drop_columns(["label_time"])
        labels = labels.append_column("label_time", labels["arrival"])
    features = compute_features(
        tables.transactions, labels, tables.results, tables.profiles, passes=passes, schema=schema
    )
    return features.vectors, ~features.is_duplicate


def _standing(labels: pa.Table, later: pa.Table | None, primary: str) -> pa.Table:
    """Keep of several labels on a transaction the last, with the time since when it holds unchanged."""
    found = labels
    if later is not None:
        names = ["transaction_id", primary, "label_time", "is_fraud", "received_at"]
        if "received_at" not in labels.column_names:
            arrival = "arrival_time" if "arrival_time" in labels.column_names else "label_time"
            labels = labels.append_column("received_at", labels[arrival])
        found = labels.select(names)
        found = pa.concat_tables([found, later.select(names).cast(found.schema)])
    keys = keys_of(found, found, primary)[0]
    if pc.count_distinct(keys).as_py() == found.num_rows:
        return found
    arrived = order_labels(found)
    order = arrived[np.argsort(_codes_of(keys)[0][arrived], kind="stable")]
    code, is_fraud = _codes_of(keys)[0][order], found["is_fraud"].to_numpy()[order]
    changes = (code[1:] != code[:-1]) | (is_fraud[1:] != is_fraud[:-1])
    begins = np.flatnonzero(np.concatenate([[True], changes]))
    is_last = np.concatenate([code[begins[1:]] != code[begins[:-1]], [True]])
    return found.take(pa.array(order[begins[is_last]]))


def _with_users(labels: pa.Table, transactions: pa.Table, primary: str) -> pa.Table:
    """Give the labels that name no user the user of their transaction."""
    rows = pc.index_in(labels["transaction_id"], transactions["transaction_id"].combine_chunks())
    users = transactions[primary].take(rows)
    if primary in labels.column_names:
        users = pc.coalesce(labels[primary], users)
        labels = labels.drop_columns([primary])
    return labels.append_column(primary, users)


def _that_change_something(labels: pa.Table, primary: str) -> pa.Table:
    """Leave out the honest labels where no transaction has two: they change no feature."""
    if pc.count_distinct(keys_of(labels, labels, primary)[0]).as_py() < labels.num_rows:
        return labels
    return labels.filter(labels["is_fraud"])


def _codes(table: pa.Table, name: str) -> tuple[Codes, tuple[str, ...]]:
    if name not in table.column_names:
        return np.zeros(table.num_rows, np.int64), ("not given",)
    return _codes_of(pc.fill_null(table[name], "not given").combine_chunks())


def _codes_of(column: pa.Array) -> tuple[Codes, tuple[str, ...]]:
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), tuple(encoded.dictionary.to_pylist())


def _micros(column: pa.ChunkedArray) -> Micros:
    return np.asarray(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy())


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
