"""Folds a task's events through the feature store, beside the scoring service, which writes there too.

A state is read, folded, and written only if it is still what was read: where the scoring service has
counted a transaction in between, that entity alone is read and folded again. A value that this very
micro-batch has written (a run of it that was cut off) is not written again: what the scoring service has
counted on top of it stays, and the vectors come out as they did then.
"""

import random
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from fraud.errors import Unavailable
from fraud.features.engine import Folded, fold_plan
from fraud.features.kernel import Floats
from fraud.features.passes import EntityPass
from fraud.store import Epoch, FeatureStore
from fraud.store.value import epoch_of, state_before, version_of
from jobs.stream.tasks.stopwatch import Stopwatch

ATTEMPTS: Final = 200
"""Of one entity; each loses only to what the scoring service has counted in these milliseconds."""
PAUSE_S: Final = 0.002
"""Longest wait between two attempts."""


def fold_through(
    store: FeatureStore, of: EntityPass, events: Floats, by: tuple[Epoch, int], watch: Stopwatch
) -> Folded:
    """Fold events from the states before ``epoch``, and leave those after it in the store.

    Parameters
    ----------
    of
        Whose states, and what is computed.
    events
        [n, EVENT_COLUMNS] in arrival order, all of one task.
    by
        The micro-batch, and the driver's fencing token.
    watch
        Takes the time of the store's calls.

    Returns
    -------
    Folded
        Its ``states`` are as they were written, without what was counted on top of them since.

    Raises
    ------
    Fenced
        When another driver has taken over.
    Unavailable
        When the store does not answer, or an entity changes faster than it can be folded; the micro-batch
        must run again.
    """
    column = of.keys_of(events)
    keys = np.unique(column).tolist()
    folded, changed = _attempt(store, of, events, keys, by, watch=watch)
    for attempt in range(ATTEMPTS):
        if not changed:
            return folded
        time.sleep(random.uniform(0.0, min(PAUSE_S, 1e-4 * 2**attempt)))
        rows = np.flatnonzero(np.isin(column, changed))
        again, changed = _attempt(store, of, events[rows], changed, by, watch=watch)
        folded.vectors[rows] = again.vectors
        folded.outcomes[rows] = again.outcomes
        folded.sequences[rows] = again.sequences
        folded.events[rows] = again.events
        folded.states.update(again.states)
    raise Unavailable(
        f"too many concurrent changes of {len(changed)} {of.name}s after {ATTEMPTS} attempts; "
        "the micro-batch runs again. Check whether a client sends transactions of one card in a loop"
    )


def _attempt(
    store: FeatureStore,
    of: EntityPass,
    events: Floats,
    keys: Sequence[float],
    by: tuple[Epoch, int],
    *,
    watch: Stopwatch,
) -> tuple[Folded, list[float]]:
    epoch, token = by
    with watch.time("store_read"):
        stored = dict(zip(keys, store.stored(of.name, keys), strict=True))
    before = {key: state_before(value, epoch) for key, value in stored.items()}
    folded = fold_plan(of.plan, events, before)
    versions = {
        key: version_of(value) for key, value in stored.items() if value is None or epoch_of(value) != epoch
    }
    with watch.time("store_write"):
        states = {key: folded.states[key] for key in versions}
        return folded, store.replace(of.name, states, versions, epoch, token)
