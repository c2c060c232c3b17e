"""Reads the tables of a training from the files, folders or URIs that a person names.

Reads a table with a column ``is_fraud``, or one of transactions and one of labels, or the platform's own
archive (``transactions``, ``labels`` and the served ``features``). The archive's rows are put into the
order in which the stream took them, so that vectors computed again equal the served ones.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from fraud.contracts.future import ARRIVALS, TIMES, ahead_rows, bounds_of, times_of
from fraud.errors import BadInput
from fraud.learn.settings import SourceSettings
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.tables import TIME, Source, check_mapping, find_table, open_source, ours_of
from fraud.tables.files import format_of, open_dataset

log = logging.getLogger(__name__)
LOG: Final = ("generation", "epoch", "received_at", "source_partition", "source_offset")
"""Columns of the platform's archive that say in which order its rows arrived."""
_WITHIN: Final = ("is_fraud", "label_time")
_LABEL: Final = ("transaction_id", "label_time", "is_fraud")

Tell = Callable[[str], None]


def _quiet(_: str) -> None:
    """Ignore the note."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The raw data."""

    transactions: pa.Table
    labels: pa.Table
    """transaction_id, the entities' keys, event_time, label_time, is_fraud; one row a label."""
    fingerprint: str
    """Hash of both tables' contents, 32 hexadecimal digits."""
    served: pa.Table | None = None
    """transaction_id and the served vectors of this build's feature table."""
    results: pa.Table | None = None
    """With ``arrival`` where the tables tell it; None where the schema takes none, or there is no table."""
    profiles: pa.Table | None = None
    """The same of profiles."""
    schema: Schema = field(default_factory=deployed_schema)
    """Of the records."""


def read_tables(settings: SourceSettings, tell: Tell = _quiet, schema: Schema | None = None) -> Tables:
    """Read the tables that the settings name.

    Parameters
    ----------
    settings
        Where they are, and how they are read.
    tell
        Told what was guessed, left out and matched.
    schema
        Of the records; by default the deployment's.

    Raises
    ------
    BadInput
        When a table, a column or a value is missing or wrong; names it.
    """
    schema = schema or deployed_schema()
    path, _, features_path = _locate(settings)
    transactions, labels = read_raw(settings, tell, schema=schema)
    labels = with_keys(labels, transactions, tell, schema)
    told = {what: _read_told(what, settings, schema, tell) for what in _TOLD}
    served = None
    if features_path and settings.vectors != "computed":
        served = read_served(features_path, settings, tell, schema)
    elif settings.vectors == "served":
        raise BadInput(f"{path} has no table `features` beside it; set vectors to computed or auto")
    present = {what: table for what, table in told.items() if table is not None}
    notices = [labels, *present.values()]
    if all(set(LOG) <= set(table.column_names) for table in (transactions, *notices)):
        transactions, *notices = in_order_of_arrival(transactions, *notices)
    else:
        transactions = _arriving(transactions, "arrival_time", "event_time")
        times = ("label_time", *(_TOLD[what] for what in present))
        notices = [_arriving(table, "arrival", time) for table, time in zip(notices, times, strict=True)]
    labels, *rest = notices
    hashed = fingerprint(transactions, *notices)
    return Tables(
        transactions, labels, hashed, served, schema=schema, **dict(zip(present, rest, strict=True))
    )


_TOLD: Final = {"results": "result_time", "profiles": "profile_time"}
"""Tables beside those of transactions and labels, by the column of their times."""


def _read_told(what: str, settings: SourceSettings, schema: Schema, tell: Tell) -> pa.Table | None:
    """Read results or profiles; None where the schema takes none, or there is no table of them."""
    home = settings.transactions or settings.data
    path = getattr(settings, what) or (find_table(home, what) if "://" not in home else "")
    if not getattr(schema, what) or not path:
        return None
    source = open_source(what, path, options=settings.delta_options, tell=tell, schema=schema)
    return _of_the_past(source.table(tell), path, (settings, schema), times=times_of(what))


def read_raw(
    settings: SourceSettings, tell: Tell = _quiet, *, is_checked: bool = True, schema: Schema | None = None
) -> tuple[pa.Table, pa.Table]:
    """Read transactions and labels with our names and types, checked against the contract or not.

    Raises
    ------
    BadInput
        When a table or a column is missing, or holds what the wire would refuse; names it.
    """
    schema = schema or deployed_schema()
    path, labels_path, _ = _locate(settings)
    opened = partial(
        open_source,
        columns=settings.columns,
        reading=settings.reading,
        options=settings.delta_options,
        tell=tell,
        schema=schema,
    )
    if labels_path:
        source, label_source = opened("transactions", path), opened("labels", labels_path, required=_LABEL)
        check_mapping(settings.columns, [source, label_source])
        return (
            _of_the_past(source.table(tell, is_checked=is_checked), path, (settings, schema)),
            _of_the_past(label_source.table(tell, is_checked=is_checked), labels_path, (settings, schema)),
        )
    source = opened("transactions", path, also={name: ours_of(schema).label[name] for name in _WITHIN})
    check_mapping(settings.columns, [source])
    if "is_fraud" not in source.columns:
        raise BadInput(
            f"{path} lacks the column is_fraud, and no table of labels is given; it has "
            f"{', '.join(source.header)}. Name it with --column is_fraud=THEIRS, or give --labels"
        )
    table = _of_the_past(source.table(tell, is_checked=is_checked), path, (settings, schema), ["label_time"])
    transactions, labels = _split_labels(
        table, source, settings.label_gap_days, (tell, schema.primary_key.name)
    )
    is_told = "label_time" in source.columns  # else made up, and not due yet for what is young
    return transactions, _of_the_past(labels, path, (settings, schema)) if is_told else labels


def _of_the_past(
    table: pa.Table,
    name: str,
    of: tuple[SourceSettings, Schema],
    ignored: Sequence[str] = (),
    times: Sequence[str] = TIMES,
) -> pa.Table:
    """Leave out, and say so, what is dated into the future (``fraud.contracts.future``).

    Columns in ``ignored`` are not looked at.

    Raises
    ------
    BadInput
        When nothing is left.
    """
    settings, schema = of
    bounds = bounds_of(schema, settings.most_ahead_s)
    looked_at = table.drop_columns([column for column in ignored if column in table.column_names])
    is_ahead = ahead_rows(looked_at, bounds, datetime.now(UTC), times)
    left_out = int(is_ahead.sum())
    if not left_out:
        return table
    if left_out == table.num_rows:
        raise BadInput(
            f"{name}: all {left_out:,} rows are dated more than {bounds.words} ahead of their "
            "arrival; correct the times, or raise the bound (most_ahead_s)"
        )
    log.warning(
        "%s: %s rows are dated more than %s ahead of their arrival and left out (most_ahead_s)",
        name,
        f"{left_out:,}",
        bounds.words,
    )
    return table.filter(pa.array(~is_ahead))


def read_served(path: str, settings: SourceSettings, tell: Tell, schema: Schema) -> pa.Table | None:
    """Read the vectors that were served with this build's feature table; None where it lacks a feature.

    Raises
    ------
    BadInput
        When served vectors are asked for and the table lacks a feature; names the command that fills it.
    """
    found = open_dataset(path, format_of(path), settings.delta_options)
    names = set(found.schema.names)
    missing = [name for name in schema.feature_names if name not in names]
    if missing:
        words = (
            f"the table {path} was written before {', '.join(missing[:3])}"
            f"{f' and {len(missing) - 3} more' if len(missing) > 3 else ''} came to the feature table; "
            "`fraud replay backfill-features` fills them"
        )
        if settings.vectors == "served":
            raise BadInput(f"{words}; or set vectors to computed or auto")
        tell(f"{words}; until then all vectors are computed from the transactions")
        return None
    keys = [name for name in ("transaction_id", schema.primary_key.name) if name in names]
    same_version = pc.field("features_version") == schema.features_version
    return found.to_table(columns=[*keys, *schema.feature_names], filter=same_version)


def keys_of(table: pa.Table, other: pa.Table, primary: str) -> tuple[pa.Array, pa.Array]:
    """Make keys by which rows of two tables belong together: user and transaction, where both have the user.

    One id may stand with two users; they are two transactions, and nothing of one goes to the other.
    ``primary`` is the column of the primary entity's key.
    """
    names = ["transaction_id"]
    if all(primary in one.column_names for one in (table, other)):
        names.append(primary)
    return _keys(table, names), _keys(other, names)


def known_at(tables: Tables, end: datetime) -> Tables:
    """Keep what was known at a moment: earlier transactions, and labels that had arrived."""
    moment = pa.scalar(end)
    transactions = tables.transactions.filter(pc.less(tables.transactions["event_time"], moment))
    labels = tables.labels.filter(pc.less(tables.labels["label_time"], moment))
    if transactions.num_rows == 0 or labels.num_rows == 0:
        raise BadInput(f"before {end.isoformat()} there are no transactions or no labels")
    told: dict[str, pa.Table] = {}
    for what, time in _TOLD.items():
        table: pa.Table | None = getattr(tables, what)
        if table is not None:
            told[what] = table.filter(pc.less(table[time], moment))
    hashed = fingerprint(transactions, labels, *told.values())
    return Tables(transactions, labels, hashed, tables.served, schema=tables.schema, **told)


def with_keys(labels: pa.Table, transactions: pa.Table, tell: Tell, schema: Schema) -> pa.Table:
    """Give each label its transaction's merchant, time and user; drop those of unknown transactions.

    A label that names no user, on an id that two users have, belongs to neither and is dropped, too.
    """
    primary = schema.primary_key.name
    shared = _shared_ids(transactions, primary)
    if len(shared):
        tell(
            f"{len(shared):,} transaction ids stand with more than one user, e.g. {shared[0].as_py()}: each "
            "user's is a transaction of its own, and a label belongs to the user that it names"
        )
    if len(shared) and primary not in labels.column_names:
        is_shared = pc.is_in(labels["transaction_id"], value_set=shared)
        tell(f"{pc.sum(is_shared).as_py() or 0:,} labels name such an id and no user; left out")
        labels = labels.filter(pc.invert(is_shared))
    mine, theirs = keys_of(labels, transactions, primary)
    rows = pc.index_in(mine, theirs)
    known = rows.is_valid()
    kept, rows = labels.filter(known), rows.filter(known)
    if kept.num_rows < labels.num_rows:
        tell(f"{kept.num_rows:,} of {labels.num_rows:,} labels name a transaction of the table")
    for name in (*schema.key_names, "event_time"):
        if name in kept.column_names:
            kept = kept.drop_columns([name])
        if name in transactions.column_names:
            kept = kept.append_column(name, transactions[name].take(rows))
    if kept.num_rows == 0:
        raise BadInput(f"no label names a transaction of the table (columns transaction_id, {primary})")
    return kept


def in_order_of_arrival(transactions: pa.Table, *notices: pa.Table) -> tuple[pa.Table, ...]:
    """Write the archive's order of arrival into ``arrival_time`` and ``arrival`` (of notices), as ranks.

    Order: generation, epoch, arrival at the broker, labels first, then results, then profiles, partition,
    offset.

    Parameters
    ----------
    notices
        The labels, then the results and the profiles where there are any.

    Returns
    -------
    tuple
        The tables in the order of the parameters.
    """
    tables = (*notices, transactions)
    sizes = [table.num_rows for table in tables]
    keys = [np.concatenate([table[column].cast(pa.int64()).to_numpy() for table in tables]) for column in LOG]
    kind = np.repeat(np.arange(len(tables)), sizes)
    generation, epoch, received, partition, offset = keys
    order = np.lexsort([offset, partition, kind, received, epoch, generation])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ranks = pa.array(rank).cast(pa.timestamp("us")).cast(TIME)
    first, found = 0, []
    for table in tables:
        name = "arrival_time" if table is transactions else "arrival"
        found.append(table.append_column(name, ranks[first : first + table.num_rows]))
        first += table.num_rows
    return (found[-1], *found[:-1])


def _arriving(table: pa.Table, name: str, time: str) -> pa.Table:
    """Write when rows arrived: at the first of ``ARRIVALS`` that is there, else at their own time."""
    told = next((column for column in ARRIVALS if column in table.column_names), None)
    if told is None:
        return table
    arrival = pc.coalesce(table[told], table[time])
    rest = table.drop_columns([name]) if name in table.column_names else table
    return rest.append_column(name, arrival)


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


def _split_labels(
    table: pa.Table, source: Source, gap_days: float, to: tuple[Tell, str]
) -> tuple[pa.Table, pa.Table]:
    """Part a table with the column ``is_fraud`` into transactions and labels; missing is no label yet.

    Where the time of a label is not told, it is taken to come so many days after its transaction. In a
    table with missing labels those that would come after its end are no labels yet either: of the
    young ones only frauds are known, and a test on them would be one of frauds alone.
    """
    (tell, primary), is_fraud = to, table["is_fraud"]
    gap = pa.scalar(timedelta(days=gap_days), pa.duration("us"))
    is_told = "label_time" in table.column_names
    label_time = table["label_time"] if is_told else pc.add(table["event_time"], gap)
    is_known = pc.and_(is_fraud.is_valid(), label_time.is_valid())
    if not is_told and is_fraud.null_count:
        is_young = pc.greater(label_time, pc.max(table["event_time"]))
        left = pc.sum(pc.and_(is_young, is_known)).as_py() or 0
        tell(
            f"{source.path}: {left:,} labels on transactions of the last {gap_days:g} days are not used: "
            "others of that time have none yet (--label-gap-days; a column label_time would tell)"
        )
        is_known = pc.and_(is_known, pc.invert(is_young))
    if not pc.any(is_known).as_py():
        raise BadInput(
            f"{source.path}: no label (column is_fraud) is older than {gap_days:g} days at the newest "
            "transaction: bring older data, give a smaller --label-gap-days, or a column label_time"
        )
    labels = pa.table(
        {
            "transaction_id": table["transaction_id"],
            primary: table[primary],
            "label_time": label_time,
            "is_fraud": is_fraud,
        }
    )
    transactions = table.drop_columns([name for name in _WITHIN if name in table.column_names])
    return transactions, labels.filter(is_known)


def _shared_ids(transactions: pa.Table, primary: str) -> pa.Array:
    """Find the ids that stand with more than one user."""
    pairs = (
        transactions.select(["transaction_id", primary]).group_by(["transaction_id", primary]).aggregate([])
    )
    if pairs.num_rows == pc.count_distinct(pairs["transaction_id"]).as_py():
        return pa.array([], pa.string())
    counts = pairs.group_by("transaction_id").aggregate([(primary, "count")])
    return counts.filter(pc.greater(counts[f"{primary}_count"], 1))["transaction_id"].combine_chunks()


def _keys(table: pa.Table, names: list[str]) -> pa.Array:
    if len(names) == 1:
        return table[names[0]].combine_chunks()
    joined = pc.binary_join_element_wise(*(table[name] for name in names), "\x00")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
