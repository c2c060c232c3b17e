"""Tells what of the log a store has counted already, where the log is folded onto states that are there.

An entity's state is the fold of the first events of its order, and says how many transactions those were.
So a transaction is in it when its sequence is not above that number. A notice (a label, a result) has no
number of its own: it is in it when the state was written by the notice's micro-batch or a later one. Both
hold only for a true older copy; a store that has counted something else since is told by ids that it does
not know (:class:`Diverged`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fraud.errors import BadState
from fraud.features import kernel
from fraud.features.codec import newest_us, transaction_counts
from fraud.features.engine import fold_plan
from fraud.features.kernel import Floats
from fraud.features.passes import EntityPass, are_notices, sequences_of
from fraud.log.arrival import Ints
from fraud.log.sequencing import Waiting
from fraud.schema.entities import IDLE_US
from fraud.store import LATEST, FeatureStore
from fraud.store.value import epoch_of

Mask = NDArray[np.bool_]


class Diverged(BadState):
    """The store is no older copy: it has counted what the log does not have; fold the whole log again."""


def counted_in(store: FeatureStore, of: EntityPass, events: Floats, sequences: Floats, epochs: Ints) -> Mask:
    """Tell which events an entity's states have counted, [n, sides].

    Parameters
    ----------
    events, sequences, epochs
        [n], [n, sides] and [n] in the order of the log: what counts, the entity's sequence of each (NaN: not
        recorded), and ``Epoch.number`` of its micro-batch.
    """
    seen = of.see(events, np.ones(len(events), np.bool_))
    known = _counted_in(store, of, seen.events, of.recorded(seen, sequences), epochs[seen.rows])
    found = np.zeros(sequences.shape, np.bool_)
    for at, side in enumerate(of.sides):
        mine = seen.of(side)
        found[seen.rows[mine], at] = known[mine]
    return found


def _counted_in(store: FeatureStore, of: EntityPass, events: Floats, sequences: Floats, epochs: Ints) -> Mask:
    keys = of.keys_of(events)
    distinct = np.unique(keys)
    stored = dict(zip(distinct.tolist(), store.stored(of.name, distinct.tolist()), strict=True))
    written = {key: epoch_of(value).number for key, value in stored.items() if value}
    states = _newest(store, of, distinct.tolist())
    is_numbered = ~are_notices(events) & ~np.isnan(sequences)
    by_number = sequences <= transaction_counts(states, keys)
    by_epoch = np.array([written.get(key, -1) for key in keys.tolist()], np.int64) >= epochs
    found: Mask = np.where(is_numbered, by_number, by_epoch)
    return found & ~_begun_anew(states, keys, events, is_numbered & (sequences == 1.0))


def see_that_it_is_the_same(store: FeatureStore, of: EntityPass, events: Floats) -> None:
    """Make sure that the primary's states know the ids of transactions that they have counted.

    Raises
    ------
    Diverged
        When they do not.
    """
    taken = events[~are_notices(events)]
    if not len(taken):
        return
    keys = np.unique(of.keys_of(taken)).tolist()
    folded = fold_plan(of.plan, taken, _newest(store, of, keys))
    unknown = int((folded.outcomes != kernel.DUPLICATE).sum())
    if unknown:
        raise Diverged(
            f"{unknown:,} transactions that the feature store has counted differ from those in the log"
        )


def without_gaps(store: FeatureStore, waiting: Sequence[Waiting], events: Floats, sequences: Floats) -> Mask:
    """Tell which transactions can be folded because nothing is missing before them, in any of their entities.

    Parameters
    ----------
    waiting
        By entity, what waits already and will be folded; the primary first.
    events, sequences
        [n] and [n, sequences of the passes], of the transactions.
    """
    numbers = sequences_of(tuple(one.of for one in waiting), sequences)
    primary = waiting[0].of
    keys = primary.keys_of(events)
    counted = transaction_counts(_newest(store, primary, np.unique(keys).tolist()), keys)
    is_known = np.isin(events[:, kernel.E_ID], waiting[0].events[:, kernel.E_ID])
    is_chosen: Mask = ~is_known & (sequences[:, 0] > counted)
    while True:
        before = int(is_chosen.sum())
        for at, one in enumerate(waiting):
            seen = one.of.see(events, is_chosen)
            is_behind = _behind_gap(store, one, seen.events, one.of.recorded(seen, numbers[at]))
            is_chosen[seen.rows[is_behind]] = False
        if int(is_chosen.sum()) == before:
            return is_chosen


def _behind_gap(store: FeatureStore, one: Waiting, events: Floats, sequences: Floats) -> Mask:
    """Tell which events come after a number that nothing has, beside what waits already.

    An event without a number comes next: its record is older than the entity.
    """
    others = ~are_notices(one.events) & ~np.isnan(one.sequences)
    keys = np.concatenate([one.of.keys_of(one.events[others]), one.of.keys_of(events)])
    numbers = np.concatenate([one.sequences[others], sequences])
    order = np.lexsort((numbers, keys))
    sorted_keys = keys[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = sorted_keys[1:] != sorted_keys[:-1]
    first = np.flatnonzero(starts)[np.cumsum(starts) - 1] if len(order) else order
    expected = transaction_counts(_newest(store, one.of, np.unique(keys).tolist()), sorted_keys)
    expected = expected + 1.0 + np.arange(len(order)) - first
    breaks = np.cumsum(~np.isnan(numbers[order]) & (numbers[order] != expected))
    before = np.concatenate([[0], breaks])[first] if len(order) else breaks
    is_behind = np.zeros(len(order), np.bool_)
    is_behind[order] = breaks > before
    return is_behind[int(others.sum()) :]


def _begun_anew(states: Mapping[float, bytes | None], keys: Floats, events: Floats, is_first: Mask) -> Mask:
    """Find what came after the store had forgotten an idle entity, whose numbers then began again."""
    found = np.zeros(len(keys), np.bool_)
    for row in np.flatnonzero(is_first).tolist():
        state = states.get(float(keys[row]))
        if state and events[row, kernel.E_TIME] - newest_us(state) > IDLE_US:
            found[row:] |= keys[row:] == keys[row]
    return found


def _newest(store: FeatureStore, of: EntityPass, keys: Sequence[float]) -> dict[float, bytes | None]:
    return dict(zip(keys, store.read(of.name, keys, LATEST), strict=True))
