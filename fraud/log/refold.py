"""Folds the log again, slice after slice, through a store: memory holds a few slices and their entities."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraud.features import kernel
from fraud.features.kernel import Floats
from fraud.features.passes import (
    EntityPass,
    Passes,
    are_notices,
    are_profiles,
    as_handed_on,
    deployed_passes,
    entity_names,
    handed_on,
    sequences_of,
    whole,
)
from fraud.log.already_counted import Diverged, Mask, counted_in, see_that_it_is_the_same
from fraud.log.arrival import Ints
from fraud.log.reader import SLICE_ROWS, Arrivals, Log
from fraud.log.sequencing import Sequenced, Waiting
from fraud.log.slices import Slice
from fraud.store import LATEST, Epoch, FeatureStore, open_store

MOST_AHEAD: Final = 20
"""Slices read beyond one whose transactions wait for others at most; then it is given as it is."""


@dataclass(frozen=True, slots=True)
class Refolded:
    """A slice, and what its transactions should have been served with.

    Parameters
    ----------
    vectors
        [transactions, features] in the order of the log's passes; NaN is missing.
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


class Refolder:
    """Folds slices in the order in which their entities counted; what has to wait stays between calls.

    Parameters
    ----------
    passes
        The primary first.
    is_onto
        Whether the store may have counted some of it already (``fraud.log.already_counted``).
    """

    def __init__(self, passes: Passes | None = None, *, is_onto: bool = False) -> None:
        passes = passes or deployed_passes()
        self._is_onto, self._passes = is_onto, passes
        self.primary = Waiting(passes[0])
        self.others = [Waiting(one) for one in passes[1:]]
        self._held: list[dict[int, Floats]] = [{} for _ in self.others]
        """By further entity and row: events that the primary waits with and whose place nothing tells."""
        self._rows = 0

    def take(
        self,
        arrivals: Arrivals,
        store: FeatureStore,
        token: int,
        epoch: Epoch,
        *,
        is_last: bool = False,
    ) -> list[list[Sequenced]]:
        """Fold a slice onto the newest states, and leave those after it, stamped ``epoch``.

        Parameters
        ----------
        is_last
            Fold also what waits for something that the log does not have.

        Returns
        -------
        list
            What each pass folded; rows count from the first slice's first.

        Raises
        ------
        Diverged
            When the store has counted something else than the log.
        """
        n = len(arrivals.events)
        rows = np.arange(self._rows, self._rows + n)
        self._rows += n
        known = self._known(arrivals, store)
        new = np.flatnonzero(~known[0][:, 0])
        self.primary.add(
            arrivals.events[new], arrivals.sequences[new, 0], rows[new], np.zeros(len(new), np.bool_)
        )
        first = _fold(self.primary, store, token, epoch, is_last=is_last)
        outcomes, events = _outcomes_of(arrivals, known[0][:, 0]), arrivals.events.copy()
        for found in first:
            for waiting in self.others:
                waiting.resolve(found.rows, as_handed_on(found.events, found.folded.outcomes))
            is_new = found.rows >= self._rows - n
            own = found.rows[is_new] - (self._rows - n)
            outcomes[own], events[own] = found.folded.outcomes[is_new], found.events[is_new]
        folded = [first]
        sequences = sequences_of(self._passes, arrivals.sequences)
        for at, waiting in enumerate(self.others, 1):
            held = self._held[at - 1]
            for found in first:
                _release(held, found, waiting)
            held |= _hand_on((events, rows, outcomes), sequences[at], ~known[at], waiting)
            folded.append(_fold(waiting, store, token, epoch, is_last=is_last))
        return folded

    def _known(self, arrivals: Arrivals, store: FeatureStore) -> list[Mask]:
        """Tell, by pass, what the store has counted already, [n, sides] each."""
        events, epochs = arrivals.events, arrivals.epochs
        sequences = sequences_of(self._passes, arrivals.sequences)
        if not self._is_onto:
            return [np.zeros(of_pass.shape, np.bool_) for of_pass in sequences]
        known = [
            counted_in(store, one, events, of_pass, epochs)
            for one, of_pass in zip(self._passes, sequences, strict=True)
        ]
        see_that_it_is_the_same(store, self._passes[0], events[known[0][:, 0]])
        self._see_that_results_are_whole(arrivals, known, sequences)
        of_transactions = ~are_profiles(events)[:, None]
        if any((one & ~known[0] & of_transactions).any() for one in known[1:]):
            raise Diverged(
                "the feature store has counted transactions that their primary entity does not know"
            )
        return known

    def _see_that_results_are_whole(
        self, arrivals: Arrivals, known: list[Mask], sequences: list[Floats]
    ) -> None:
        """Make sure that the primary need not say again what it has counted: it knows no earlier bits.

        Raises
        ------
        Diverged
            When it has counted what another entity has not, in a schema with results.
        """
        if not self.primary.of.entity.results:
            return
        primary, *others = self._passes
        for at, one in enumerate(others, 1):
            keys = np.column_stack([side.keys_of(arrivals.events) for side in one.sides])
            was_given = (keys != kernel.NO_KEY) & ~np.isnan(sequences[at])
            if (known[0] & ~known[at] & was_given).any():
                raise Diverged(f"the feature store's {one.name}s are older than its {primary.name}s")


def _outcomes_of(arrivals: Arrivals, is_known: Mask) -> Floats:
    """Tell what came of events that the primary has counted already; NaN of the others."""
    events, found = arrivals.events, np.full(len(arrivals.events), np.nan)
    is_label = are_notices(events)
    has_changed = ~np.isnan(arrivals.sequences[:, 1:]).all(axis=1)
    change = np.where(events[:, kernel.E_CENTS] > 0.0, 1.0, -1.0)
    found[is_known] = np.where(is_label, np.where(has_changed, change, 0.0), float(kernel.NEW))[is_known]
    return found


def _hand_on(
    arrived: tuple[Floats, Ints, Floats], sequences: Floats, is_new: Mask, waiting: Waiting
) -> dict[int, Floats]:
    """Give an entity a slice in its order, also what the primary still waits with.

    A notice of which the entity's sequence is recorded changed something; what, the primary says. Where there
    are results, it also says with which of them a transaction came.

    Parameters
    ----------
    arrived
        Events, their names, and what the primary made of them.
    sequences, is_new
        [n, sides], the entity's, and what it has not counted yet.

    Returns
    -------
    dict
        By row, what is not given yet: the primary waits with it, and the entity's sequence is not recorded
        (it is new in the schema). It comes when the primary has folded it.
    """
    events, rows, outcomes = arrived
    is_open = np.isnan(outcomes)
    is_given = handed_on(events, outcomes) | (is_open & ~np.isnan(sequences).all(axis=1))
    seen = waiting.of.see(events, is_given[:, None] & is_new)
    given = as_handed_on(seen.events, outcomes[seen.rows])
    needs_primary = are_notices(given) | waiting.of.entity.results
    numbers = waiting.of.recorded(seen, sequences)
    waiting.add(given, numbers, rows[seen.rows], needs_primary & is_open[seen.rows])
    left = np.flatnonzero(is_open & ~is_given & is_new.any(axis=1))
    return dict(zip(rows[left].tolist(), events[left], strict=True))


def _release(held: dict[int, Floats], found: Sequenced, waiting: Waiting) -> None:
    """Give an entity what was held for it and what the primary has folded now, as the next that comes."""
    at = [place for place, row in enumerate(found.rows.tolist()) if held.pop(row, None) is not None]
    events, outcomes = found.events[at], found.folded.outcomes[at]
    seen = waiting.of.see(events, handed_on(events, outcomes))
    given, rows = as_handed_on(seen.events, outcomes[seen.rows]), found.rows[at][seen.rows]
    waiting.add(given, np.full(len(given), np.nan), rows, np.zeros(len(given), np.bool_))


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
    refolder = Refolder(log.passes)
    opened: deque[_Opened] = deque()
    first = 0
    for number, part in enumerate(log.slices(rows)):
        arrivals = log.read(part)
        opened.append(_Opened.of(part, arrivals, first, log.passes))
        first += len(arrivals.events)
        folded = refolder.take(arrivals, store, token, Epoch(0, number))
        for one, parts in zip(log.passes, folded, strict=True):
            for found in parts:
                for slice_ in opened:
                    slice_.fill(one, found)
        while opened and (opened[0].is_complete or len(opened) > MOST_AHEAD):
            yield opened.popleft().close()
    while opened:
        yield opened.popleft().close()


@contextmanager
def scratch_store(folder: Path | None = None, passes: Passes | None = None) -> Iterator[FeatureStore]:
    """Open an empty store on this machine's disk that is gone afterwards.

    Parameters
    ----------
    folder
        Where; the system's temporary folder by default. It takes about twice the states' size.
    passes
        Whose states it keeps.
    """
    passes = passes or deployed_passes()
    with (
        TemporaryDirectory(prefix="fraud-refold-", dir=folder) as home,
        open_store(f"lmdb://{home}/store", entity_names(passes)) as store,
    ):
        yield store


@dataclass(slots=True)
class _Opened:
    """A slice whose vectors are not all known yet."""

    part: Slice
    arrivals: Arrivals
    first: int
    passes: Passes
    vectors: Floats
    known: Ints
    """Sides from which each row was folded, or that it does not name."""

    @classmethod
    def of(cls, part: Slice, arrivals: Arrivals, first: int, passes: Passes) -> "_Opened":
        keys = np.column_stack([side.keys_of(arrivals.events) for one in passes for side in one.sides])
        skipped = (keys == kernel.NO_KEY).sum(axis=1)
        vectors = np.full((len(arrivals.events), passes[-1].end), np.nan)
        return cls(part, arrivals, first, passes, vectors, np.asarray(skipped, np.int64))

    @property
    def is_settled(self) -> NDArray[np.bool_]:
        """[transactions], whether all passes have folded them."""
        found: NDArray[np.bool_] = self.known[self.arrivals.transactions] == self.sides
        return found

    @property
    def is_complete(self) -> bool:
        return bool(self.is_settled.all())

    @property
    def sides(self) -> int:
        """Number of all passes' sides."""
        return sum(len(one.sides) for one in self.passes)

    def fill(self, one: EntityPass, found: Sequenced) -> None:
        rows, folded = found.rows, found.folded
        mine = (rows >= self.first) & (rows < self.first + len(self.known))
        at, seen = rows[mine] - self.first, found.events[mine]
        one.write(self.vectors, at, seen, folded.vectors[mine])
        for side in one.sides:
            self.known[at[(one.bits_of(seen) & side.bit) != 0]] += 1
        if one is self.passes[0]:  # a repeated id counts for no other entity
            is_transaction = ~are_notices(self.arrivals.events[at])
            is_repeated = is_transaction & (folded.outcomes[mine] == kernel.DUPLICATE)
            self.known[at[is_repeated]] = self.sides

    def close(self) -> Refolded:
        where = self.arrivals.transactions
        return Refolded(self.part, self.arrivals, whole(self.passes, self.vectors[where]), self.is_settled)


def _fold(
    waiting: Waiting, store: FeatureStore, token: int, epoch: Epoch, *, is_last: bool
) -> list[Sequenced]:
    entity, keys = waiting.of.name, waiting.keys
    states = dict(zip(keys, store.read(entity, keys, LATEST), strict=True))
    found = waiting.fold(states, is_last=is_last)
    written: dict[float, bytes] = {}
    for one in found:
        written.update(one.folded.states)
    store.write(entity, written, epoch, token)
    return found
