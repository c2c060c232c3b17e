"""Recomputes every served vector from the log and measures the differences.

Reads the Delta tables ``transactions``, ``labels`` and ``features``; writes nothing.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from fraud.features.events import to_microseconds
from fraud.features.kernel import Floats
from fraud.features.passes import Passes, feature_names
from fraud.log.arrival import COLUMNS, Ints
from fraud.log.matching import match
from fraud.log.reader import SLICE_ROWS, Log
from fraud.log.refold import Refolded, refold, scratch_store
from fraud.log.tables import NO_OPTIONS, Options, micros_of
from fraud.schema.schema import Schema

_IDENTITY: Final = tuple(name for name in COLUMNS if name != "received_at")
EXAMPLES: Final = 5
"""Of ids that were decided twice, that are named."""

OVERDUE_US: Final = 600_000_000
"""How far the stream's archive may lag behind the scoring service, microseconds."""


@dataclass(slots=True)
class Difference:
    """Of one feature, over all transactions that were compared."""

    compared: int = 0
    """Values; fewer than transactions where the feature was not yet served."""
    differing: int = 0
    """Values whose bits differ; two missing ones (NaN) are equal."""
    greatest: float = 0.0
    """Greatest absolute difference, in the feature's unit; infinite where one of the two is missing."""

    def take(self, served: Floats, expected: Floats) -> None:
        """Count values, [n] each."""
        bits = served.view(np.int64) != expected.view(np.int64)
        differs = bits & ~(np.isnan(served) & np.isnan(expected))
        self.compared += len(served)
        if differs.any():
            self.differing += int(differs.sum())
            apart = np.abs(served[differs] - expected[differs])
            self.greatest = max(self.greatest, float(np.where(np.isnan(apart), math.inf, apart).max()))


@dataclass(slots=True)
class Parity:
    """The account of one run."""

    features: dict[str, Difference] = field(default_factory=dict)
    """By name."""
    features_version: str = ""
    """Of the schema that it was compared with."""
    transactions: int = 0
    """Whose vector was found and compared."""
    waiting: int = 0
    """Transactions whose vector is not known, because the log does not have yet what was counted before."""
    overdue: int = 0
    """Those of them received ``OVERDUE_US`` before the newest: something that was counted has been lost."""
    missing: int = 0
    """Transactions without a served vector."""
    extra: int = 0
    """Served vectors without a transaction."""
    repeated: int = 0
    """Rows beyond the first of the same record, in any of the tables."""
    repeated_ids: int = 0
    """Transactions whose transaction_id was counted before: it was decided twice."""
    repeated_examples: list[str] = field(default_factory=list)
    """Some of these ids."""
    folded: int = 0
    """Transactions folded, compared or not."""
    versions: Counter[str] = field(default_factory=Counter)
    """Version of the feature table: vectors served with it."""

    @property
    def greatest(self) -> float:
        """Greatest absolute difference over all features."""
        return max((found.greatest for found in self.features.values()), default=0.0)

    @property
    def older_versions(self) -> dict[str, int]:
        """Vectors served with another feature table than the present one, by its version."""
        return {version: n for version, n in self.versions.items() if version != self.features_version}

    def errors(self, tolerance: float = 0.0) -> list[str]:
        """Say, in words, what breaks the guarantee; with tolerance 0 every bit counts."""
        broken = [
            f"{name}: {found.differing:,} of {found.compared:,} values differ, by up to {found.greatest:g}"
            for name, found in self.features.items()
            if found.greatest > tolerance or (tolerance == 0.0 and found.differing)
        ]
        counts = [
            ("transactions follow one that was counted and is not in the log", self.overdue),
            ("transactions have no served vector", self.missing),
            ("served vectors have no transaction", self.extra),
            ("rows are stored more than once", self.repeated),
        ]
        found = [*broken, *(f"{count:,} {words}" for words, count in counts if count)]
        if self.repeated_ids:
            examples = ", ".join(self.repeated_examples)
            found.append(f"{self.repeated_ids:,} transactions were decided twice, e.g. {examples}")
        return found


def compare(
    delta: str,
    options: Options = NO_OPTIONS,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    rows: int = SLICE_ROWS,
    scratch: Path | None = None,
    on_progress: Callable[[Parity], None] = lambda _parity: None,
    passes: Passes | None = None,
    schema: Schema | None = None,
    most_ahead_us: int | None = None,
) -> Parity:
    """Fold the whole log and compare what was served.

    Parameters
    ----------
    delta
        Path or URI under which the tables lie.
    options
        Access to the object store, under delta-rs' names.
    since, until
        Compare what was received in [since, until), and look there for ids that were counted before; all of
        it is folded either way.
    rows
        Records held in memory at a time, about.
    scratch
        Folder for the states; the system's temporary one by default.
    on_progress
        Called after every slice.
    passes
        What is folded; the primary first; by default the schema's.
    schema
        Of the records; by default the deployment's.
    most_ahead_us
        Transactions dated further ahead of their arrival are left out of the states (see ``Log``).

    Raises
    ------
    BadInput
        When a table is not there.
    Unavailable
        When the tables cannot be read; try again.
    """
    log = Log(delta, options, passes, schema, most_ahead_us)
    passes = log.passes
    names = feature_names(passes)
    parity = Parity({name: Difference() for name in names}, log.schema.features_version)
    served_names = () if log.features is None else log.features.columns
    columns = [*COLUMNS, "features_version", *(name for name in names if name in served_names)]
    ids: list[Floats] = []
    window = (
        to_microseconds(since) if since else np.iinfo(np.int64).min,
        to_microseconds(until) if until else np.iinfo(np.int64).max,
    )
    newest_us = 0
    late: list[Ints] = []
    with scratch_store(scratch, passes) as store:
        for found in refold(log, store, store.acquire("parity"), rows):
            parity.folded += len(found.vectors)
            parity.repeated += found.arrivals.repeated
            ids.append(found.ids)
            newest_us = max(newest_us, int(found.arrivals.received_us.max(initial=0)))
            late.append(found.arrivals.received_us[~found.is_settled])
            if found.part.first[1] < window[1] or found.part.first[0] != found.part.last[0]:
                _compare_slice(parity, found, log.read_features(found.part, columns), window)
            on_progress(parity)
    waiting = np.concatenate(late) if late else np.zeros(0, np.int64)
    parity.waiting = len(waiting)
    parity.overdue = int((waiting < newest_us - OVERDUE_US).sum())
    parity.repeated_ids, parity.repeated_examples = _repeated_ids(log, ids, window)
    return parity


def _compare_slice(parity: Parity, found: Refolded, served: pa.Table, window: tuple[int, int]) -> None:
    served = _inside(served, window)
    received = found.arrivals.received_us
    chosen = np.flatnonzero((received >= window[0]) & (received < window[1]))
    pairs = match(found.coordinates[chosen], _coordinates_of(served))
    is_settled = found.is_settled[chosen[pairs.left]]
    pairs = replace(pairs, left=pairs.left[is_settled], right=pairs.right[is_settled])
    parity.transactions += len(pairs.left)
    parity.missing += pairs.left_only
    parity.extra += pairs.right_only
    parity.repeated += pairs.right_repeated
    rows = chosen[pairs.left]
    for version in served.column("features_version").take(pa.array(pairs.right)).value_counts().to_pylist():
        parity.versions[version["values"]] += version["counts"]
    for index, name in enumerate(parity.features):
        if name in served.column_names:
            column = served.column(name).combine_chunks().take(pa.array(pairs.right))
            is_served = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)
            values = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)[is_served]
            parity.features[name].take(values, found.vectors[rows[is_served], index])


def _inside(served: pa.Table, window: tuple[int, int]) -> pa.Table:
    received = np.asarray(served.column("received_at").cast(pa.int64()).to_numpy())
    return served.filter(pa.array((received >= window[0]) & (received < window[1])))


def _coordinates_of(table: pa.Table) -> Ints:
    return np.column_stack([np.asarray(table.column(name).to_numpy(), np.int64) for name in _IDENTITY])


def _repeated_ids(log: Log, parts: Sequence[Floats], window: tuple[int, int]) -> tuple[int, list[str]]:
    """Count the transactions of a window whose id was counted before, anywhere in the log, with examples.

    Equal hashes are only a suspicion: of many ids, two may share one. So their texts are compared.
    """
    hashes = np.concatenate(parts) if parts else np.zeros(0)
    distinct, counts = np.unique(hashes, return_counts=True)
    suspects = distinct[counts > 1]
    if not len(suspects):
        return 0, []
    rows = log.transactions_of(suspects)
    received_us = micros_of(rows["received_at"]).tolist()
    seen: set[str] = set()
    repeated: list[str] = []
    for name, received in zip(rows["transaction_id"].to_pylist(), received_us, strict=True):
        if name in seen and window[0] <= received < window[1]:
            repeated.append(name)
        seen.add(name)
    return len(repeated), list(dict.fromkeys(repeated))[:EXAMPLES]
