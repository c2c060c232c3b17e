"""Entities that are new in a schema: their states from a log that does not tell their order."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fraud.features import kernel
from fraud.features.batch import fold_passes
from fraud.features.passes import entity_names, passes_of
from fraud.log.reader import Arrivals
from fraud.log.refold import Refolder
from fraud.schema.default import USER
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.store import Epoch, open_store
from tests.fraud.features.tables import handing_on
from tests.fraud.log.test_sequencing import event

DEVICE = Entity("device", events=8, distinct=(), known=())
COUNTS = [Feature("count", DEVICE, "30d"), Feature("fraud_share", DEVICE, "30d")]


@pytest.mark.parametrize("cuts", [(0, 4), (0, 2, 4), (0, 1, 2, 3, 4)])
def test_what_the_primary_waits_with_comes_to_a_new_entity_when_its_turn_has_come(
    tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    """The log has the second and third of a user, the label of the third, and only then the first."""
    passes = passes_of((handing_on(USER, ["device"]), DEVICE), [*passes_of()[0].features, *COUNTS])
    events = np.array([event(1), event(2), event(3, label=True), event(0)])
    events[:, kernel.E_DEVICE] = [8.0, 8.0, 0.0, 8.0]
    events[2, kernel.E_ID] = events[1, kernel.E_ID]
    counted = np.array([3, 0, 1, 2])
    expected = fold_passes(events[counted], passes=passes)
    of_user = np.array([2.0, 3.0, 3.0, 1.0])
    of_device = np.full(4, np.nan)
    refolder = Refolder(passes)
    with open_store(f"lmdb://{tmp_path}", entity_names(passes)) as store:
        token = store.acquire("test")
        for number, (first, last) in enumerate(pairwise(cuts)):
            part = slice(first, last)
            n = last - first
            arrivals = Arrivals(
                events[part],
                np.arange(n),
                np.zeros((n, 4), np.int64),
                np.zeros(n, np.int64),
                np.column_stack([of_user, of_device])[part],
                0,
                np.zeros(n, np.int64),
            )
            refolder.take(arrivals, store, token, Epoch(0, number), is_last=last == 4)
        for one in passes:
            assert dict(store.scan(one.name)) == expected.states[one.name]
