"""Fold history into an empty feature store, so that the stream starts with what is already known.

Reads transactions and labels from a table; writes the states as epoch (0, 0), older than any
micro-batch, and the history's vectors into the spool, from which the streaming job's archive
carries them into the Delta tables ``transactions``, ``features`` and ``labels``. As a program
(``python -m jobs.backfill.main``) it goes before the streaming job and leaves a store that is live alone.
"""

import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import dataset

from fraud.contracts import LABELS, TRANSACTIONS
from fraud.errors import BadInput, FraudError
from fraud.features import FEATURE_NAMES, FEATURES_VERSION, kernel
from fraud.features.batch import fold_both
from fraud.features.events import events_of_labels, events_of_transactions, microseconds_of
from fraud.store import Epoch, Kind, open_store
from fraud.telemetry import configure_logging
from jobs.backfill.settings import BackfillSettings
from jobs.stream import rows
from jobs.stream.settings import StreamSettings

log = logging.getLogger("jobs.backfill")

EPOCH: Final = Epoch(0, 0)
CHUNK_ROWS: Final = 250_000


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What a backfill wrote."""

    transactions: int
    labels: int
    duplicates: int
    users: int
    merchants: int


def backfill(transactions: pa.Table, labels: pa.Table, settings: StreamSettings) -> Backfilled:
    """Fold history; running it again before the stream's first micro-batch changes nothing.

    Parameters
    ----------
    transactions, labels
        Fields of the contracts as columns; transactions arrive at their event_time, labels at their
        label_time.
    settings
        Of the streaming job that will go on from here.

    Raises
    ------
    Fenced
        When the stream has already run on this store; rebuild it with
        ``fraud replay rebuild-store`` instead.
    BadInput
        When a required column is absent; names it.
    """
    events = np.concatenate([events_of_labels(labels), events_of_transactions(transactions)])
    arrivals = np.concatenate(
        [microseconds_of(labels, "label_time"), microseconds_of(transactions, "event_time")]
    )
    order = np.argsort(arrivals, kind="stable")
    user, merchant = fold_both(events[order])
    with open_store(settings.store) as store:
        token = store.acquire("backfill")
        for kind, folded in ((Kind.USER, user), (Kind.MERCHANT, merchant)):
            store.read(kind, list(folded.states), EPOCH)  # refuses a store that is already live
            store.write(kind, folded.states, EPOCH, token)
        store.flush()
    outcomes = np.empty(len(events))
    outcomes[order] = user.outcomes
    vectors = np.empty((len(events), len(FEATURE_NAMES)))
    vectors[order] = np.hstack([user.vectors, merchant.vectors])
    is_duplicate = outcomes[labels.num_rows :] == kernel.DUPLICATE
    _spool(labels, transactions, vectors, is_duplicate, settings.spool_path)
    return Backfilled(
        int((~is_duplicate).sum()),
        labels.num_rows,
        int(is_duplicate.sum()),
        len(user.states),
        len(merchant.states),
    )


def run(settings: BackfillSettings, stream: StreamSettings) -> Backfilled | None:
    """Fold the tables of a folder, unless the streaming job has begun; then returns None.

    Raises
    ------
    BadInput
        When a table is not there (yet), or no Parquet; names it.
    """
    if any(stream.checkpoint_path.glob("*")):
        return None
    tables = []
    for name, time in (("transactions", "event_time"), ("labels", "label_time")):
        file = f"{settings.data.rstrip('/')}/{name}.parquet"
        before = None if settings.until is None else dataset.field(time) < pa.scalar(settings.until)
        try:
            tables.append(dataset.dataset(file, format="parquet").to_table(filter=before))
        except (OSError, pa.ArrowInvalid) as error:
            raise BadInput(f"{file} cannot be read: {error}") from error
    return backfill(tables[0], tables[1], stream)


def main() -> None:
    """Read the settings and fold."""
    configure_logging()
    try:
        done = run(BackfillSettings(), StreamSettings())
    except FraudError as error:
        sys.exit(f"error: {error}")
    log.info("the streaming job has begun: nothing to do" if done is None else f"folded {done}")


def _spool(
    labels: pa.Table,
    transactions: pa.Table,
    vectors: kernel.Floats,
    is_duplicate: np.ndarray[Any, Any],
    spool: Path,
) -> None:
    folder = spool / f"{EPOCH.generation:06d}-{EPOCH.batch:012d}"
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*"):
        file.unlink()
    parts = [
        (rows.LABEL, LABELS, "label_time", labels, None),
        (rows.TRANSACTION, TRANSACTIONS, "event_time", transactions, vectors[labels.num_rows :]),
    ]
    for kind, topic, arrival, table, found in parts:
        keep = ~is_duplicate if kind == rows.TRANSACTION else np.ones(table.num_rows, np.bool_)
        whole = _spooled(kind, topic, arrival, table, found).filter(pa.array(keep))
        for first in range(0, whole.num_rows, CHUNK_ROWS):
            name = f"part-{kind}-{first:010d}.parquet"
            partial = folder / f"{name}.partial"
            pq.write_table(whole.slice(first, CHUNK_ROWS), partial, compression="lz4", write_statistics=False)
            partial.replace(folder / name)


def _spooled(kind: int, topic: str, arrival: str, table: pa.Table, vectors: kernel.Floats | None) -> pa.Table:
    """Lay a table out as ``rows.SPOOLED``; offsets count its rows."""
    n = table.num_rows
    fixed = {
        "kind": pa.repeat(pa.scalar(kind, pa.int8()), n),
        "topic": pa.repeat(pa.scalar(topic), n),
        "source_partition": pa.repeat(pa.scalar(0, pa.int32()), n),
        "source_offset": pa.array(np.arange(n)),
        "received_at": table.column(arrival),
        "processed_at": pa.repeat(pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC")), n),
        "generation": pa.repeat(pa.scalar(EPOCH.generation, pa.int64()), n),
        "epoch": pa.repeat(pa.scalar(EPOCH.batch, pa.int64()), n),
        "features_version": pa.repeat(pa.scalar(FEATURES_VERSION), n),
    }
    columns = []
    for field in rows.SPOOLED:
        if field.name in fixed:
            column = fixed[field.name]
        elif vectors is not None and field.name in _FEATURE_INDEX:
            column = pa.array(np.ascontiguousarray(vectors[:, _FEATURE_INDEX[field.name]]))
        elif field.name in table.column_names:
            column = table.column(field.name)
        else:
            column = pa.nulls(n, field.type)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=rows.SPOOLED)


_FEATURE_INDEX: Final = {name: i for i, name in enumerate(FEATURE_NAMES)}


if __name__ == "__main__":
    main()
