"""What was served, decided and found out, as rules are tried on it: a part of the log at a time.

Reads the Delta tables ``transactions``, ``features``, ``decisions`` and ``labels``. A feature that was not
served yet comes from the fold over the log (``fraud.log.refold``), which takes its values from the same
records in the same order as the stream would have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.contracts.priced import amount_column, base_amounts, with_kinds
from fraud.decide.columns import Bools
from fraud.decide.values import vocabulary_of
from fraud.errors import BadInput
from fraud.log.arrival import COLUMNS
from fraud.log.labels import columns_for_order, in_order_of_arrival
from fraud.log.reader import SLICE_ROWS, Log
from fraud.log.refold import refold, scratch_store
from fraud.log.slices import Slice, slices_of
from fraud.log.tables import NO_OPTIONS, Options, Table, find_table, open_table
from fraud.rules.effects import CODES, Ints
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_schema
from fraud.schema.fields import AMOUNT_BASE
from fraud.schema.schema import Schema

BASE: Final = AMOUNT_BASE
"""Column of amounts that can be added up, also a name that rules read where there is money."""
WITHOUT: Final = "outcome_without_rules"
VERSION: Final = "policy_version"
_IDENTITY: Final = tuple(name for name in COLUMNS if name != "received_at")
_CODES: Final = {str(outcome): code for outcome, code in CODES.items()}


@dataclass(frozen=True, slots=True)
class Range:
    """Transactions received from one time on and before another one."""

    since: datetime | None = None
    until: datetime | None = None

    def filter(self) -> pc.Expression:
        """Select them; files outside are not read."""
        received, found = pc.field("received_at"), pc.scalar(True)
        if self.since is not None:
            found &= received >= pa.scalar(self.since, TIME)
        if self.until is not None:
            found &= received < pa.scalar(self.until, TIME)
        return found


ALWAYS: Final = Range()


@dataclass(frozen=True, slots=True)
class History:
    """A snapshot of the log, as far as rules read it.

    Parameters
    ----------
    transactions, features, decisions
        The tables.
    reads
        Names that the rules read.
    when
        Which transactions.
    """

    transactions: Table
    features: Table
    decisions: Table
    reads: tuple[str, ...]
    when: Range
    folded: pa.Table | None
    """Features that were not served, by record."""
    schema: Schema
    """Of the transactions."""
    with_versions: bool = False
    """Whether to give ``policy_version``, too."""

    @property
    def decided(self) -> int:
        """Count the transactions."""
        return sum(batch.num_rows for batch in self.decisions.batches(["epoch"], self.when.filter()))

    def parts(self, rows: int = SLICE_ROWS) -> Iterator[pa.Table]:
        """Give the decided transactions, a part at a time, with all that rules read of them."""
        for part in slices_of([self.decisions], rows):
            found = self._part(part)
            if found.num_rows:
                yield found

    def _part(self, part: Slice) -> pa.Table:
        where = part.filter() & self.when.filter()
        schema, primary = self.schema, self.schema.primary_key.name
        fields = [name for name in vocabulary_of(schema).fields if name in self.reads or name == primary]
        amounts = [amount_column(schema), "transaction_id"]
        names = list(dict.fromkeys([*amounts, *fields, *COLUMNS]))
        found = with_kinds(_rows(self.transactions, names, where))
        served = [name for name in schema.feature_names if name in self.reads]
        found = join_by_identity(found, _rows(self.features, [*served, *_IDENTITY], where))
        decided = ["outcome", WITHOUT, "score", *([VERSION] if self.with_versions else []), *_IDENTITY]
        found = join_by_identity(found, _rows(self.decisions, decided, where))
        if self.folded is not None:
            found = _filled(found, self.folded)
        return found.append_column(BASE, pa.array(base_amounts(found, schema))).combine_chunks()


def open_history(
    delta: str,
    reads: Sequence[str],
    options: Options = NO_OPTIONS,
    *,
    when: Range = ALWAYS,
    scratch: Path | None = None,
    with_versions: bool = False,
    schema: Schema | None = None,
) -> History:
    """Open the log for rules.

    Parameters
    ----------
    reads
        Names that they read; no other feature is read.
    scratch
        Folder for the states of a fold; the system's temporary one by default.
    with_versions
        Whether to give the version of rules and lists that decided, too.
    schema
        Of the transactions; by default the deployment's.

    Raises
    ------
    BadInput
        When a table is not there.
    Unavailable
        When the tables cannot be read.
    """
    transactions, features, decisions = (
        open_table(delta, name, options) for name in ("transactions", "features", "decisions")
    )
    schema = schema or deployed_schema()
    wanted = [name for name in schema.feature_names if name in reads]
    absent = [name for name in wanted if _is_absent(features, name, when)]
    folded = _fold(Log(delta, options, schema=schema), absent, when, scratch) if absent else None
    return History(transactions, features, decisions, tuple(reads), when, folded, schema, with_versions)


def last_labels(delta: str, options: Options = NO_OPTIONS) -> dict[str, bool]:
    """Take the last label of each transaction."""
    table = find_table(delta, "labels", options)
    if table is None:
        return {}
    names = ["transaction_id", "is_fraud", *columns_for_order(table.columns)]
    labels = in_order_of_arrival(table.rows(names, pc.scalar(True)))
    return dict(zip(labels["transaction_id"].to_pylist(), labels["is_fraud"].to_pylist(), strict=True))


def labels_of(ids: Sequence[str], labels: Mapping[str, bool]) -> tuple[Bools, Bools]:
    """Tell which transactions have a label, and which of these are fraud."""
    found = [labels.get(one) for one in ids]
    return np.array([one is not None for one in found], bool), np.array([one is True for one in found], bool)


def outcome_codes(table: pa.Table, *, with_rules: bool = False) -> Ints:
    """Tell what the model decided; of records of earlier releases, what was decided."""
    outcome = table["outcome"]
    if not with_rules and WITHOUT in table.column_names:
        outcome = pc.coalesce(table[WITHOUT], outcome)
    coded = outcome.combine_chunks().dictionary_encode()
    codes = np.array([_CODES[text] for text in coded.dictionary.to_pylist()], np.int64)
    found: Ints = codes[coded.indices.to_numpy()]
    return found


def join_by_identity(left: pa.Table, right: pa.Table) -> pa.Table:
    """Join two tables of the log by the identity of their records; only records of both are kept.

    Tables of one log mostly have the same records: then sorting their positions takes far less than a join.
    """
    ours, theirs = (np.stack([table[name].to_numpy() for name in _IDENTITY]) for table in (left, right))
    order, order_of_theirs = np.lexsort(ours), np.lexsort(theirs)
    sorted_ours = ours[:, order]
    is_alike = np.array_equal(sorted_ours, theirs[:, order_of_theirs])
    if not is_alike or (sorted_ours[:, 1:] == sorted_ours[:, :-1]).all(axis=0).any():
        return left.join(right, list(_IDENTITY), join_type="inner")
    if not np.array_equal(order, order_of_theirs):
        at = np.empty(len(order), np.int64)
        at[order] = order_of_theirs
        right = right.take(at)
    for name in right.column_names:
        if name not in _IDENTITY:
            left = left.append_column(name, right[name])
    return left


def _rows(table: Table, names: Sequence[str], where: pc.Expression) -> pa.Table:
    return table.rows([name for name in names if name in table.columns], where)


def _is_absent(features: Table, name: str, when: Range) -> bool:
    """Whether a feature was not served to some transactions; one without a value was (NaN)."""
    if name not in features.columns:
        return True
    # Not by a filter: a file's least and greatest value make `is_null` skip the file.
    return any(batch.column(0).null_count for batch in features.batches([name], when.filter()))


def _fold(whole: Log, names: Sequence[str], when: Range, scratch: Path | None) -> pa.Table:
    """Fold the whole log, and keep some features of the transactions that are wanted."""
    columns = [whole.schema.feature_names.index(name) for name in names]
    since, until = (int(at.timestamp() * 1e6) if at else None for at in (when.since, when.until))
    parts = []
    with scratch_store(scratch, whole.passes) as store:
        for found in refold(whole, store, store.acquire("backtest")):
            received = found.arrivals.received_us
            kept = found.is_settled.copy()
            kept &= received >= (np.iinfo(np.int64).min if since is None else since)
            kept &= received < (np.iinfo(np.int64).max if until is None else until)
            values, at = found.vectors[kept][:, columns], found.coordinates[kept]
            parts.append(
                pa.table(
                    {name: at[:, i] for i, name in enumerate(_IDENTITY)}
                    | {_new(name): values[:, i] for i, name in enumerate(names)}
                )
            )
    if not parts:
        raise BadInput("the log has no transaction yet; start the stream and send some")
    return pa.concat_tables(parts)


def _new(name: str) -> str:
    return f"{name} by the fold"


def _filled(found: pa.Table, folded: pa.Table) -> pa.Table:
    """Put what was not served in its place."""
    types = {name: found.schema.field(name).type for name in _IDENTITY}
    keys = [folded[name].cast(kind) for name, kind in types.items()]
    names = [name for name in folded.column_names if name not in _IDENTITY]
    given = pa.table([*keys, *(folded[name] for name in names)], [*types, *names])
    whole = found.join(given, list(_IDENTITY), join_type="left outer")
    for name in names:
        served = name.removesuffix(" by the fold")
        values = whole[name]
        if served in whole.column_names:
            values = pc.coalesce(whole[served], values)
            whole = whole.drop_columns([served])
        whole = whole.drop_columns([name]).append_column(served, values)
    return whole
