"""Folds the log again, slice after slice, through a store: memory holds a few slices and their entities."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.features import kernel
from fraud.features.batch import merchant_events
from fraud.features.engine import Folded
from fraud.features.kernel import Floats
from fraud.features.plan import compile_plan
from fraud.log.arrival import Ints
from fraud.log.sequencing import Sequenced, Waiting
from fraud.log.tables import SLICE_ROWS, Arrivals, Log, Slice
from fraud.schema.features import MERCHANT, USER, USER_FEATURES
from fraud.store import Epoch, FeatureStore, open_store

MOST_AHEAD: Final = 20
"""Slices read beyond one whose transactions wait for others at most; then it is given as it is."""


@dataclass(frozen=True, slots=True)
class Refolded:
    """A slice, and what its transactions should have been served with.

    Parameters
    ----------
    vectors
        [transactions, features] in the order of ``FEATURE_NAMES``; NaN is missing.
    is_settled
        [transactions], False where the log does not have yet what was counted before; such a vector is
        not known.
    """

    part: Slice
    arrivals: Arrivals
    vectors: Floats
    is_settled: NDArray[np.bool_]

    @property
    def ids(self) -> Floats:
        """[transactions], the hash of each transaction_id."""
        of_all: Floats = self.arrivals.events[:, kernel.E_ID]
        return of_all[self.arrivals.transactions]

    @property
    def coordinates(self) -> Ints:
        """[transactions, 4]: generation, epoch, partition and offset."""
        return self.arrivals.coordinates


@dataclass(slots=True)
class Refolder:
    """Folds slices in the order in which their entities counted; what has to wait stays between calls."""

    users: Waiting = field(default_factory=lambda: Waiting(USER))
    merchants: Waiting = field(default_factory=lambda: Waiting(MERCHANT))
    _rows: int = 0

    def take(
        self,
        arrivals: Arrivals,
        store: FeatureStore,
        token: int,
        epoch: Epoch,
        *,
        is_last: bool = False,
    ) -> tuple[list[Sequenced], list[Sequenced]]:
        """Fold a slice from the states before ``epoch``, and leave those after it.

        Parameters
        ----------
        is_last
            Fold also what waits for something that the log does not have.

        Returns
        -------
        tuple
            What the user pass and what the merchant pass folded; rows count from the first slice's first.
        """
        n = len(arrivals.events)
        rows = np.arange(self._rows, self._rows + n)
        self._rows += n
        self.users.add(arrivals.events, arrivals.sequences[:, 0], rows, np.zeros(n, np.bool_))
        users = _fold(self.users, "user", store, token, epoch, is_last=is_last)
        outcomes = np.full(n, np.nan)
        for found in users:
            is_label = found.events[:, kernel.E_KIND] == kernel.KIND_LABEL
            self.merchants.resolve(found.rows[is_label], found.folded.outcomes[is_label])
            is_new = found.rows >= self._rows - n
            outcomes[found.rows[is_new] - (self._rows - n)] = found.folded.outcomes[is_new]
        self._hand_on(arrivals, rows, outcomes)
        merchants = _fold(self.merchants, "merchant", store, token, epoch, is_last=is_last)
        return users, merchants

    def _hand_on(self, arrivals: Arrivals, rows: Ints, outcomes: Floats) -> None:
        """Give the merchants a slice in its order, also what its user still waits with.

        A label of which a merchant's sequence is recorded changed a verdict; which way, its user says.
        """
        events, sequences = arrivals.events, arrivals.sequences[:, 1]
        is_label = events[:, kernel.E_KIND] == kernel.KIND_LABEL
        _, passed = merchant_events(events, outcomes)
        is_passed = np.isin(rows, rows[passed]) & ~np.isnan(outcomes)
        chosen = np.flatnonzero(is_passed | (np.isnan(outcomes) & ~np.isnan(sequences)))
        given = events[chosen]
        given[:, kernel.E_CENTS] = np.where(is_label[chosen], outcomes[chosen], given[:, kernel.E_CENTS])
        is_open = is_label[chosen] & np.isnan(outcomes[chosen])
        self.merchants.add(given, sequences[chosen], rows[chosen], is_open)


def refold(log: Log, store: FeatureStore, token: int, rows: int = SLICE_ROWS) -> Iterator[Refolded]:
    """Fold the whole log from nothing through an empty store of the caller's.

    Parameters
    ----------
    store
        Holds the states between slices, stamped (0, 0), (0, 1) ... by slice.
    token
        Of the store.
    rows
        Records of a slice, about.
    """
    refolder = Refolder()
    opened: deque[_Opened] = deque()
    first = 0
    for number, part in enumerate(log.slices(rows)):
        arrivals = log.read(part)
        opened.append(_Opened.of(part, arrivals, first))
        first += len(arrivals.events)
        users, merchants = refolder.take(arrivals, store, token, Epoch(0, number))
        for columns, parts in ((_USER_COLUMNS, users), (_MERCHANT_COLUMNS, merchants)):
            for found in parts:
                for one in opened:
                    one.fill(columns, found.rows, found.folded)
        while opened and (opened[0].is_whole or len(opened) > MOST_AHEAD):
            yield opened.popleft().close()
    while opened:
        yield opened.popleft().close()


@contextmanager
def scratch_store(folder: Path | None = None) -> Iterator[FeatureStore]:
    """Open an empty store on this machine's disk that is gone afterwards.

    Parameters
    ----------
    folder
        Where; the system's temporary folder by default. It takes about twice the states' size.
    """
    with (
        TemporaryDirectory(prefix="fraud-refold-", dir=folder) as home,
        open_store(f"lmdb://{home}/store") as store,
    ):
        yield store


_USER_COLUMNS: Final = slice(0, len(USER_FEATURES))
_MERCHANT_COLUMNS: Final = slice(len(USER_FEATURES), None)


@dataclass(slots=True)
class _Opened:
    """A slice whose vectors are not all known yet."""

    part: Slice
    arrivals: Arrivals
    first: int
    vectors: Floats
    known: Ints
    """Passes that have folded each row."""

    @classmethod
    def of(cls, part: Slice, arrivals: Arrivals, first: int) -> "_Opened":
        n = len(arrivals.events)
        width = len(USER_FEATURES) + len(compile_plan(MERCHANT).features)
        return cls(part, arrivals, first, np.full((n, width), np.nan), np.zeros(n, np.int64))

    @property
    def is_whole(self) -> bool:
        return bool((self.known[self.arrivals.transactions] == _PASSES).all())

    def fill(self, columns: slice, rows: Ints, folded: Folded) -> None:
        mine = (rows >= self.first) & (rows < self.first + len(self.known))
        at = rows[mine] - self.first
        self.vectors[at, columns] = folded.vectors[mine]
        self.known[at] += 1
        if columns is _USER_COLUMNS:  # a repeated id counts for no merchant
            is_transaction = self.arrivals.events[at, kernel.E_KIND] == kernel.KIND_TRANSACTION
            self.known[at] += is_transaction & (folded.outcomes[mine] == kernel.DUPLICATE)

    def close(self) -> Refolded:
        where = self.arrivals.transactions
        return Refolded(self.part, self.arrivals, self.vectors[where], self.known[where] == _PASSES)


_PASSES: Final = 2


def _fold(
    waiting: Waiting, kind: str, store: FeatureStore, token: int, epoch: Epoch, *, is_last: bool
) -> list[Sequenced]:
    keys = waiting.keys
    states = dict(zip(keys, store.read(kind, keys, epoch), strict=True))
    found = waiting.fold(states, is_last=is_last)
    written: dict[float, bytes] = {}
    for one in found:
        written.update(one.folded.states)
    store.write(kind, written, epoch, token)
    return found
