"""Records of the topic ``scored``: archived as the scoring service decided them, exactly once.

Reads the answers in the feature store, and claims them for the micro-batch. A record that names this store
and that its scoring service has not written is refused by its seal (``fraud.contracts.seal``).
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fraud.contracts import Contracts, ScoredTransaction, parse_record
from fraud.contracts.seal import Seal, SealKey, seal_of
from fraud.errors import SetBack
from fraud.features.kernel import Floats
from fraud.features.passes import Passes, feature_names, sequence_names
from fraud.log import rows
from fraud.store import Claim, Epoch, FeatureStore
from fraud.store.answers import KEEP_S
from fraud.store.watermark import REBUILD

FORGED: Final = -1
"""In the place of a row's kind: this store is named by somebody who has not counted in it."""
FORGED_RECORD: Final = "forged_record"
"""Reason of their dead letters."""


def kinds_of(
    store: FeatureStore, records: Sequence[ScoredTransaction], raws: Sequence[bytes], epoch: Epoch
) -> list[int]:
    """Decide what each record is to this micro-batch.

    Parameters
    ----------
    records, raws
        As they were read, and as they lie in Kafka.

    Returns
    -------
    list
        ``rows.SCORED``: counted already, to be archived; ``rows.RECOUNTED``: counted in another store
        than this one, to be counted unless its primary's state knows it; ``rows.DEAD_LETTER``: archived
        before, a repeated delivery; ``FORGED``.

    Raises
    ------
    SetBack
        When this store has given an answer that it does not know any more: an older copy has replaced it.
    """
    if not records:
        return []
    identity, formers = store.identity(), store.formers()
    if not identity:
        raise SetBack(
            "the feature store was set aside: it lacks what was confirmed; the micro-batch runs again"
        )
    key = store.seal_key()
    seals = [_seal_of(record, raw, identity, key) for record, raw in zip(records, raws, strict=True)]
    meant = [record.transaction_id for record, seal in zip(records, seals, strict=True) if seal != Seal.WRONG]
    claims = iter(store.answers().claim(meant, epoch, KEEP_S))
    seen: set[str] = set()
    kinds = []
    for record, seal in zip(records, seals, strict=True):
        if seal is Seal.WRONG:
            kinds.append(FORGED)
            continue
        claim = next(claims)
        is_ours = record.store == identity or (record.store in formers and claim is not Claim.UNKNOWN)
        if is_ours and claim is Claim.UNKNOWN and time.time() - record.scored_at.timestamp() < KEEP_S:
            if seal is Seal.NONE:
                kinds.append(FORGED)
                continue
            store.set_aside()  # the scoring service must not count in it either
            raise SetBack(
                f"the feature store does not know transaction {record.transaction_id!r} any more, which was "
                "counted in it and is in the log: an older copy has replaced it; put the newest store back, "
                f"or {REBUILD}"
            )
        is_repeated = claim is Claim.TAKEN or record.transaction_id in seen
        seen.add(record.transaction_id)
        if is_repeated or (claim is Claim.UNKNOWN and is_ours):
            kinds.append(rows.DEAD_LETTER)
        else:
            kinds.append(rows.SCORED if is_ours else rows.RECOUNTED)
    return kinds


def _seal_of(record: ScoredTransaction, raw: bytes, identity: str, key: SealKey) -> Seal:
    """Read the seal of a record that names this store; another one's key is not known."""
    return seal_of(raw, key, record.scored_at.timestamp()) if record.store == identity else Seal.EARLIER


class Decided:
    """What the scoring service decided of a table's rows.

    Parameters
    ----------
    table
        What the last pass hands on.
    passes
        That it has been through.
    contracts
        Of the schema's records.
    """

    def __init__(self, table: pa.Table, passes: Passes, contracts: Contracts) -> None:
        self._passes = passes
        kinds = table.column("row_kind").to_numpy()
        self.where = np.flatnonzero((kinds == rows.SCORED) | (kinds == rows.RECOUNTED))
        raws = table.column("scored").take(pa.array(self.where)).to_pylist()
        self.records = [parse_record(contracts.scored, raw) for raw in raws]
        self.was_counted = kinds[self.where] == rows.SCORED

    def fill_vectors(self, vectors: Floats) -> None:
        """Put the served vectors into [rows, features]."""
        names = feature_names(self._passes)
        for row, record in zip(self.where.tolist(), self.records, strict=True):
            values = (record.features.get(name) for name in names)
            vectors[row] = [np.nan if value is None else value for value in values]

    def is_unknown(self, name: str) -> list[int]:
        """Rows whose service did not know a feature yet."""
        return [
            row
            for row, record in zip(self.where.tolist(), self.records, strict=True)
            if name not in record.features
        ]

    def sequences(self, table: pa.Table) -> list[pa.Array]:
        """Take the entities' sequences, with the scoring service's where that has counted."""
        names = sequence_names(self._passes)
        columns = [table.column(name) for name in names]
        if not self.was_counted.any():
            return columns
        found = []
        for name, column in zip(names, columns, strict=True):
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False).copy()
            for at in np.flatnonzero(self.was_counted).tolist():
                counted = getattr(self.records[at], name)
                values[self.where[at]] = np.nan if counted is None else counted
            found.append(pa.array(values, pa.int64(), mask=np.isnan(values)))
        return found

    def values(self, name: str) -> list[Any]:
        """Take a field of all records."""
        return [getattr(record, name) for record in self.records]


def as_archived(table: pa.Table) -> pa.Table:
    """Make transactions of what the scoring service decided.

    Their partitions are counted from -1 downwards: with the micro-batch and the offset, a partition names
    one record, and those of the topic ``transactions`` have the other numbers.
    """
    kinds = table.column("row_kind").to_numpy()
    is_scored = (kinds == rows.SCORED) | (kinds == rows.RECOUNTED)
    if not is_scored.any():
        return table
    partition = table.column("source_partition").to_numpy()
    partition = np.where(is_scored, -1 - partition, partition).astype(np.int32)
    kinds = np.where(is_scored, rows.TRANSACTION, kinds).astype(np.int8)
    for name, values in (("row_kind", kinds), ("source_partition", partition)):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table
