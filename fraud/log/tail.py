"""What the scoring service has counted and the log does not have yet: the end of the topic ``scored``.

Reads the topic from where a micro-batch ended to where it ends now.
"""

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

import numpy as np

from fraud.contracts import SCORED, ScoredTransaction, contracts_of, parse_record
from fraud.errors import BadRecord
from fraud.features.events import events_of
from fraud.features.passes import Passes, sequence_names
from fraud.kafka.reader import Reader
from fraud.log.reader import Arrivals
from fraud.log.rows import rows_of
from fraud.schema.schema import Schema

PATIENCE_S: Final = 120.0
"""How long reading may take, seconds; it is seconds of traffic."""


def read_tail(bootstrap: str, options: Mapping[str, str], ends: str) -> list[bytes]:
    """Read the records of the topic ``scored`` behind a micro-batch.

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
        found = reader.read_to({at: one.end for at, one in bounds.items()}, PATIENCE_S)
        return [message.value() or b"" for message in found]


def parse_tail(raws: Sequence[bytes], schema: Schema) -> dict[str, tuple[ScoredTransaction, bytes]]:
    """Read records, each transaction once; one that is no record is left to the stream, which refuses it."""
    contract = contracts_of(schema).scored
    found: dict[str, tuple[ScoredTransaction, bytes]] = {}
    for raw in raws:
        try:
            record = parse_record(contract, raw)
        except BadRecord:
            continue
        found.setdefault(record.transaction_id, (record, raw))
    return found


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
