"""Events that come late to the log are folded where they were counted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features import kernel
from fraud.features.engine import fold_events
from fraud.features.passes import as_handed_on
from fraud.log.sequencing import Waiting
from fraud.schema.default import USER
from fraud.schema.entities import IDLE_US
from tests.deployed import PASSES

NO = np.zeros(1, np.bool_)


def event(i: int, user: float = 1.0, label: bool = False, at_us: float | None = None) -> np.ndarray:
    made = np.full(kernel.EVENT_COLUMNS, np.nan)
    made[kernel.E_USER :] = 5.0
    made[kernel.E_KIND] = kernel.KIND_LABEL if label else kernel.KIND_TRANSACTION
    made[kernel.E_TIME] = 1.7e15 + 1e6 * i if at_us is None else at_us
    made[[kernel.E_CENTS, kernel.E_ID, kernel.E_USER]] = 1.0 if label else 100.0 + i, i + 1.0, user
    return made


@settings(max_examples=80)
@given(data=st.data())
def test_whatever_order_the_log_has_the_vectors_are_those_of_the_counted_order(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    users = data.draw(st.lists(st.sampled_from([1.0, 2.0]), min_size=n, max_size=n))
    is_label = [False, *data.draw(st.lists(st.booleans(), min_size=n - 1, max_size=n - 1))]
    events = np.array(
        [event(i, user, label) for i, (user, label) in enumerate(zip(users, is_label, strict=True))]
    )
    events[np.array(is_label), kernel.E_ID] = 1.0  # of the first transaction
    whole = fold_events(USER, events, {})
    arrival = data.draw(st.permutations(range(n)))
    labels_in_order = iter([i for i in range(n) if is_label[i]])
    arrival = [next(labels_in_order) if is_label[i] else i for i in arrival]
    waiting, states, vectors = Waiting(PASSES[0]), {}, np.full_like(whole.vectors, np.inf)
    for i in arrival:
        waiting.add(events[i : i + 1], whole.sequences[i : i + 1], np.array([i]), NO)
        for found in waiting.fold(states):
            vectors[found.rows] = found.folded.vectors
            states.update(found.folded.states)
    if not any(is_label):
        np.testing.assert_array_equal(vectors, whole.vectors)
        assert states == whole.states
    assert len(waiting.rows) == 0 or any(is_label)


def test_what_follows_a_gap_waits_and_is_folded_only_when_nothing_will_come() -> None:
    waiting = Waiting(PASSES[0])
    for i, sequence in enumerate((1.0, 3.0)):
        waiting.add(event(i)[None], np.array([sequence]), np.array([i]), NO)
    (found,) = waiting.fold({})
    assert found.rows.tolist() == [0]
    assert waiting.fold(found.folded.states) == []
    (rest,) = waiting.fold(found.folded.states, is_last=True)
    assert rest.rows.tolist() == [1]


def test_an_entity_that_the_store_had_forgotten_counts_anew() -> None:
    waiting = Waiting(PASSES[0])
    later = 1.7e15 + IDLE_US * 1.1
    for i, (sequence, at_us) in enumerate(((1.0, 1.7e15), (2.0, 1.7e15 + 1), (1.0, later), (2.0, later + 1))):
        waiting.add(event(i, at_us=at_us)[None], np.array([sequence]), np.array([i]), NO)
    found = waiting.fold({})
    assert [row for one in found for row in one.rows.tolist()] == [0, 1, 2, 3]
    assert found[-1].folded.sequences.tolist() == [1.0, 2.0]


def test_the_same_first_transaction_archived_twice_waits_for_ever() -> None:
    waiting = Waiting(PASSES[0])
    for row in (0, 1):
        waiting.add(event(0)[None], np.array([1.0]), np.array([row]), NO)
    (found,) = waiting.fold({})
    assert found.rows.tolist() == [0]
    assert waiting.rows.tolist() == [1]


def test_nothing_passes_a_label_whose_change_is_not_known() -> None:
    waiting = Waiting(PASSES[0])
    waiting.add(event(0)[None], np.array([1.0]), np.array([0]), NO)
    waiting.add(event(0, label=True)[None], np.array([1.0]), np.array([1]), ~NO)
    waiting.add(event(2)[None], np.array([2.0]), np.array([2]), NO)
    (found,) = waiting.fold({})
    assert found.rows.tolist() == [0]
    waiting.resolve(np.array([1]), as_handed_on(waiting.events[[0]], np.array([1.0])))
    (rest,) = waiting.fold(found.folded.states)
    assert rest.rows.tolist() == [1, 2]
