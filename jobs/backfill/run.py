"""Fold history into an empty feature store, so that the stream starts with what is already known.

Reads transactions, labels, results and profiles from tables; writes the states as epoch (0, 0), older than
any micro-batch, and the history's vectors into the spool, from which the streaming job's archive
carries them into the Delta tables ``transactions``, ``features``, ``labels``, ``results`` and
``profiles``. As a program (``python -m jobs.backfill.main``) it goes before the streaming job and leaves a
store that is live alone.
"""

import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraud.contracts import LABELS, MOST_AHEAD_S, PROFILES, RESULTS, TRANSACTIONS, bounds_of, without_future
from fraud.contracts.future import ARRIVALS, times_of
from fraud.contracts.priced import priced_table
from fraud.features import kernel
from fraud.features.batch import fold_passes
from fraud.features.events import events_of
from fraud.features.passes import (
    Passes,
    entity_names,
    feature_names,
    passes_of_schema,
    sides_beside_primary,
)
from fraud.features.profiles import profiles_of
from fraud.features.table_columns import microseconds_of
from fraud.log import rows
from fraud.log.arrival import Ints
from fraud.log.spool import Place, spool_at
from fraud.runtime.waiting import retry
from fraud.schema.arrow import TIME
from fraud.schema.deployed import deployed_schema
from fraud.schema.schema import Schema
from fraud.settings.stream import LogSettings
from fraud.store import Epoch, FeatureStore, open_store
from fraud.store.value import FIRST_SEEN, state_before
from fraud.tables import Source, Unreadable, check, find_table, open_source, ours_of
from fraud.tables.rates import rates_for
from jobs.backfill.settings import BackfillSettings

log = logging.getLogger("jobs.backfill")

EPOCH: Final = Epoch(0, 0)
SLICE_ROWS: Final = 100_000
KEYS_AT_ONCE: Final = 2_000
POLL_S: Final = 2.0
"""Time between two looks for a table that is not there yet, seconds."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What a backfill wrote."""

    transactions: int
    labels: int
    results: int
    profiles: int
    duplicates: int
    left_out: int
    """Rows of the tables that are dated into the future; see ``fraud.contracts.future``."""
    states: dict[str, int]
    """By entity."""


def backfill(
    transactions: pa.Table,
    labels: pa.Table,
    settings: LogSettings,
    rows_at_once: int = SLICE_ROWS,
    *,
    results: pa.Table | None = None,
    profiles: pa.Table | None = None,
    most_ahead_s: float = MOST_AHEAD_S,
    passes: Passes | None = None,
    schema: Schema | None = None,
) -> Backfilled:
    """Fold history; running it again before the stream's first micro-batch changes nothing.

    Parameters
    ----------
    transactions, labels
        Fields of the contracts as columns; transactions arrive at their event_time, labels at their
        label_time. What is dated into the future, against a column ``received_at`` or ``arrival_time`` if
        there is one, else against now, is left out.
    settings
        Of the streaming job that will go on from here.
    rows_at_once
        Records whose vectors are in memory at a time; the tables and the states are there all the time.
    results
        Fields of the contract as columns; they arrive at their result_time.
    profiles
        The same; they arrive at their profile_time.
    most_ahead_s
        How far a row may be dated ahead of its arrival, seconds.
    passes
        What is folded; the primary first; by default the schema's.
    schema
        Of the records; by default the deployment's.

    Raises
    ------
    Fenced
        When the stream has already run on this store; rebuild it with
        ``fraud replay rebuild-store`` instead.
    BadInput
        When a required column is absent; names it.
    """
    schema = schema or deployed_schema()
    passes, writer = passes or passes_of_schema(schema), events_of(schema)
    bounds = bounds_of(schema, most_ahead_s)
    transactions, ahead = without_future(transactions, bounds)
    labels, labels_ahead = without_future(labels, bounds)
    transactions = priced_table(transactions, schema, rates_for(transactions, schema))
    parts = [_Part(rows.LABEL, LABELS, "label_time", labels, writer.of_labels(labels))]
    if results is not None:
        results, more_ahead = without_future(results, bounds, times=times_of(RESULTS))
        labels_ahead += more_ahead
        parts.append(_Part(rows.RESULT, RESULTS, "result_time", results, writer.of_results(results)))
    if profiles is not None:
        profiles, more_ahead = without_future(profiles, bounds, times=times_of(PROFILES))
        labels_ahead += more_ahead
        told = profiles.drop_columns([name for name in ARRIVALS if name in profiles.column_names])
        parts.append(
            _Part(rows.PROFILE, PROFILES, "profile_time", told, profiles_of(schema).of_profiles(told))
        )
    events_of_all = writer.of_transactions(transactions)
    parts.append(_Part(rows.TRANSACTION, TRANSACTIONS, "event_time", transactions, events_of_all))
    if ahead or labels_ahead:
        log.warning(
            "left out, as dated more than %s into the future (FRAUD_STREAM_MOST_AHEAD_S): %d transactions, "
            "%d labels, results and profiles",
            bounds.words,
            ahead,
            labels_ahead,
        )
    events = np.concatenate([part.events for part in parts])
    first_transaction = len(events) - len(events_of_all)
    arrivals = np.concatenate([microseconds_of(part.table, part.arrival) for part in parts])
    order = np.argsort(arrivals, kind="stable")
    states: dict[str, dict[float, bytes]] = {one.name: {} for one in passes}
    with open_store(settings.store, entity_names(passes)) as store:
        for one in passes:
            _refuse_live(store, one.name, one.named_by(events))
        token = store.acquire("backfill")
        # Nobody scores from it meanwhile; what the scoring service has counted, the stream counts again.
        store.renew(is_whole=False)
        spool = _Spool(parts, settings.spool, passes, schema)
        duplicates = 0
        for first in range(0, len(order), rows_at_once):
            taken = order[first : first + rows_at_once]
            folded = fold_passes(events[taken], states, passes=passes)
            for entity, found in folded.states.items():
                states[entity].update(found)
            is_duplicate = (taken >= first_transaction) & (folded.outcomes == kernel.DUPLICATE)
            duplicates += int(is_duplicate.sum())
            kept = ~is_duplicate
            spool.write(first, taken[kept], folded.vectors[kept], folded.events[kept])
            log.info("folded %d of %d records", first + len(taken), len(order))
        spool.complete()
        for entity, found in states.items():
            store.clear(entity, token)
            store.write(entity, found, EPOCH, token)
        store.renew(is_whole=True)
        store.flush()
    return Backfilled(
        transactions.num_rows - duplicates,
        labels.num_rows,
        0 if results is None else results.num_rows,
        0 if profiles is None else profiles.num_rows,
        duplicates,
        ahead + labels_ahead,
        {entity: len(found) for entity, found in states.items()},
    )


def run(
    settings: BackfillSettings,
    stream: LogSettings,
    most_ahead_s: float = MOST_AHEAD_S,
    schema: Schema | None = None,
) -> Backfilled | None:
    """Fold the tables of a folder, unless the streaming job has begun; then returns None.

    Raises
    ------
    BadInput
        When a table is not there (yet), or holds what the wire would refuse; names it.
    """
    if any(stream.checkpoint_path.glob("*")):
        return None
    schema = schema or deployed_schema()
    give_up = time.monotonic() + settings.wait_s
    transactions = _read((settings, stream, schema), "transactions", "event_time", give_up)
    labels = _read((settings, stream, schema), "labels", "label_time", give_up)
    told: dict[str, pa.Table] = {}
    for what, time_of in ((RESULTS, "result_time"), (PROFILES, "profile_time")):
        is_there = "://" in settings.data or find_table(settings.data, what)
        if getattr(schema, what) and is_there:
            told[what] = _read((settings, stream, schema), what, time_of, give_up)
    return backfill(transactions, labels, stream, most_ahead_s=most_ahead_s, schema=schema, **told)


def _read(
    of: tuple[BackfillSettings, LogSettings, Schema], name: str, column: str, give_up: float
) -> pa.Table:
    """Read what came before ``until``; waits until ``give_up`` for a table that nobody has finished yet."""
    settings, stream, schema = of
    file = f"{settings.data.rstrip('/')}/{name}.parquet"

    def read() -> tuple[str, pa.Table]:
        path = file if "://" in file else find_table(settings.data, name) or file
        source = open_source(name, path, options=stream.delta_options, tell=log.info, schema=schema)
        return path, pa.Table.from_batches(_until(source, column, settings.until), source.schema)

    path, table = retry(
        read,
        Unreadable,
        give_up - time.monotonic(),
        pause_s=lambda _: POLL_S,
        tell=lambda words: log.info("waiting for %s: %s", name, words),
    )
    check(table, name, path, ours_of(schema))
    return table


def _until(source: Source, column: str, until: datetime | None) -> Iterator[pa.RecordBatch]:
    for batch in source.batches():
        yield batch if until is None else batch.filter(pc.less(batch[column], pa.scalar(until)))


def _refuse_live(store: FeatureStore, entity: str, keys: Sequence[float]) -> None:
    """Make sure that no micro-batch has written the states; the scoring service and a backfill may have."""
    for first in range(0, len(keys), KEYS_AT_ONCE):
        for stored in store.stored(entity, keys[first : first + KEYS_AT_ONCE]):
            state_before(stored, FIRST_SEEN)


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the tables, as it goes into the log."""

    kind: int
    topic: str
    arrival: str
    """Column of the times at which its rows arrive."""
    table: pa.Table
    events: kernel.Floats


class _Spool:
    """Writes the history to where the streaming job's archive finds it, as micro-batch (0, 0)."""

    def __init__(self, parts: Sequence[_Part], spool: Place, passes: Passes, schema: Schema) -> None:
        self._parts, self._version = parts, schema.features_version
        self._schema, self._passes = rows.rows_of(schema).spooled_schema(passes), passes
        self._index = {name: i for i, name in enumerate(feature_names(passes))}
        self._spool, self._run = spool_at(spool), uuid.uuid4().hex
        self._spool.begin(EPOCH.name)

    def write(self, first: int, records: Ints, vectors: kernel.Floats, events: kernel.Floats) -> None:
        """Write records, which count through the parts, with their vectors."""
        begin = 0
        for part in self._parts:
            mine = (records >= begin) & (records < begin + part.table.num_rows)
            offsets = records[mine] - begin
            begin += part.table.num_rows
            taken = part.table.take(pa.array(offsets))
            found = vectors[mine] if part.kind == rows.TRANSACTION else None
            file = self._spool.file(EPOCH.name, self._run, f"part-{part.kind}-{first:010d}")
            fixed = _fixed(taken, offsets, part, self._version)
            if part.kind in (rows.LABEL, rows.RESULT):
                fixed |= self._completed(taken, events[mine])
            spooled = self._spooled(taken, fixed, found)
            pq.write_table(spooled, file.path, compression="lz4", write_statistics=False)
            file.finish()

    def complete(self) -> None:
        """Say that all of the history is written."""
        self._spool.complete(EPOCH.name, self._run)

    def _completed(self, notices: pa.Table, events: kernel.Floats) -> dict[str, Any]:
        """Make the columns that notices may leave out."""
        names = [side.hash_name for side in sides_beside_primary(self._passes)]
        hashes = rows.hash_columns(self._passes, events, np.ones(len(events), np.bool_))
        is_given = "event_time" in notices.column_names
        given = notices["event_time"] if is_given else pa.nulls(len(events), TIME)
        return {"event_time": rows.completed_times(given, events), **dict(zip(names, hashes, strict=True))}

    def _spooled(self, table: pa.Table, fixed: Mapping[str, Any], vectors: kernel.Floats | None) -> pa.Table:
        """Lay a table out as the spool has it."""
        columns = []
        for field in self._schema:
            if field.name in fixed:
                column = fixed[field.name]
            elif vectors is not None and field.name in self._index:
                column = pa.array(np.ascontiguousarray(vectors[:, self._index[field.name]]))
            elif field.name in table.column_names:
                column = table.column(field.name)
            else:
                column = pa.nulls(table.num_rows, field.type)
            columns.append(column.cast(field.type))
        return pa.table(columns, schema=self._schema)


def _fixed(table: pa.Table, offsets: Ints, part: _Part, features_version: str) -> dict[str, Any]:
    """Make the columns that say where a record came from and when it was folded."""
    n = table.num_rows
    return {
        "row_kind": pa.repeat(pa.scalar(part.kind, pa.int8()), n),
        "topic": pa.repeat(pa.scalar(part.topic), n),
        "source_partition": pa.repeat(pa.scalar(0, pa.int32()), n),
        "source_offset": pa.array(offsets),
        "received_at": table.column(part.arrival),
        "processed_at": pa.repeat(pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC")), n),
        "generation": pa.repeat(pa.scalar(EPOCH.generation, pa.int64()), n),
        "epoch": pa.repeat(pa.scalar(EPOCH.batch, pa.int64()), n),
        "features_version": pa.repeat(pa.scalar(features_version), n),
    }
