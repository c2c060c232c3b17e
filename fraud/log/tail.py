"""What the scoring service has counted and the log does not have yet: the end of the topic ``scored``.

Reads the topic from where a micro-batch ended to where it ends now, and folds it into a store.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Final

import numpy as np

from fraud.contracts import SCORED, ScoredTransaction, contracts_of, parse_record
from fraud.contracts.seal import Seal, SealKey, seal_of
from fraud.errors import BadRecord
from fraud.features.events import events_of
from fraud.features.passes import Passes, sequence_names
from fraud.kafka.reader import Message, Reader
from fraud.log.already_counted import without_gaps
from fraud.log.arrival import order_within, raise_times
from fraud.log.reader import Arrivals
from fraud.log.refold import Refolder
from fraud.log.rows import rows_of
from fraud.schema.schema import Schema
from fraud.store import LATEST, Epoch, FeatureStore

PATIENCE_S: Final = 120.0
"""How long reading may take, seconds; it is seconds of traffic."""
Tail = Callable[[str], list[bytes]]
"""Reads the records of the topic ``scored`` behind the offsets at which a micro-batch ends."""
Scored = tuple[ScoredTransaction, bytes]
"""A record, and as it lies in Kafka."""


def read_tail(bootstrap: str, options: Mapping[str, str], ends: str) -> list[bytes]:
    """Read the records of the topic ``scored`` behind a micro-batch, in the order in which they arrived.

    Parameters
    ----------
    bootstrap, options
        Of the brokers.
    ends
        Where the micro-batch ends, as Spark writes it; empty: all records are read.

    Raises
    ------
    Unavailable
        When the brokers do not answer.
    """
    known = json.loads(ends or "{}").get(SCORED, {})
    with Reader(bootstrap, options, name="fraud-catch-up") as reader:
        bounds = reader.bounds(SCORED)
        reader.begin({at: max(known.get(str(at.partition), 0), one.first) for at, one in bounds.items()})
        found = list(reader.read_to({at: one.end for at, one in bounds.items()}, PATIENCE_S))
        return [found[at].value() or b"" for at in _in_arrival_order(found)]


def _in_arrival_order(messages: Sequence[Message]) -> list[int]:
    """Order them as the stream will."""
    times = np.array([1_000 * message.timestamp()[1] for message in messages], np.int64)
    topic = np.full(len(messages), SCORED)
    partition = np.array([message.partition() for message in messages], np.int64)
    offset = np.array([message.offset() for message in messages], np.int64)
    raised = raise_times(times, topic, partition, offset)
    order = order_within(raised, np.zeros(len(messages), np.int64), partition, offset)
    return list(map(int, order))


def parse_tail(raws: Sequence[bytes], schema: Schema) -> list[Scored]:
    """Read records, each transaction once; one that is no record is left to the stream, which refuses it."""
    contract = contracts_of(schema).scored
    found: dict[str, Scored] = {}
    for raw in raws:
        try:
            record = parse_record(contract, raw)
        except BadRecord:
            continue
        found.setdefault(record.transaction_id, (record, raw))
    return list(found.values())


def counted_under(found: Sequence[Scored], names: Collection[str], key: SealKey) -> list[Scored]:
    """Choose the records that the scoring service wrote of a store.

    Parameters
    ----------
    names
        Of the store's content, now and before.
    key
        Of its seals.
    """
    return [
        (record, raw)
        for record, raw in found
        if record.store in names
        and seal_of(raw, key, record.scored_at.timestamp()) in {Seal.OURS, Seal.EARLIER}
    ]


def fold_tail(
    found: Sequence[Scored],
    refolder: Refolder,
    store: FeatureStore,
    to: tuple[Epoch, int],
    schema: Schema,
) -> int:
    """Fold what nothing is missing before, and keep it so that the stream archives it and counts it no more.

    The stream counts the rest when it reads it.

    Parameters
    ----------
    found
        What the scoring service has counted and the log does not have; its store is one of the ``formers``.
    refolder
        That has folded the log.
    to
        Micro-batch that the states carry, and the token.

    Returns
    -------
    int
        How many transactions.
    """
    epoch, token = to
    waiting = [refolder.primary, *refolder.others]
    passes = tuple(one.of for one in waiting)
    arrivals = arrivals_of([record for record, _ in found], passes, LATEST.number, schema)
    chosen = without_gaps(store, waiting, arrivals.events, arrivals.sequences)
    picked = [found[at] for at in chosen.nonzero()[0].tolist()]
    picked_arrivals = arrivals_of([record for record, _ in picked], passes, LATEST.number, schema)
    refolder.take(picked_arrivals, store, token, epoch, is_last=True)
    store.answers().keep({record.transaction_id: raw for record, raw in picked})
    return len(picked)


def arrivals_of(records: Sequence[ScoredTransaction], passes: Passes, epoch: int, schema: Schema) -> Arrivals:
    """Make events of records, with the sequences that the scoring service gave them."""
    n = len(records)
    rows = rows_of(schema)
    read = attrgetter(*rows.transaction_names)
    table = rows.record_table(rows.transaction_names, list(map(read, records)))
    names = sequence_names(passes)
    sequences = [[getattr(record, name) for name in names] for record in records]
    return Arrivals(
        events_of(schema).of_transactions(table),
        np.arange(n),
        np.zeros((n, 4), np.int64),
        np.zeros(n, np.int64),
        np.array(sequences, np.float64).reshape(n, len(names)),
        0,
        np.full(n, epoch, np.int64),
    )
