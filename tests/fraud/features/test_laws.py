"""The laws of the fold, over random streams with every disorder that the wire can bring."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraud.features import kernel
from fraud.features.engine import fold_events
from fraud.schema.default import MERCHANT, USER
from fraud.schema.statistics import Family
from tests.deployed import FEATURES
from tests.fraud.features.oracle import assert_equal_to_oracle, replay
from tests.fraud.features.streams import (
    ENTITIES,
    SMALL_MERCHANT,
    SMALL_USER,
    events_of,
    fold_stream,
    long_stream,
    shuffle_between_entities,
    streams,
    transaction,
)
from tests.wire import Label, Transaction

LAW = settings(
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@LAW
@given(streams(), ENTITIES)
def test_every_feature_equals_the_oracle(records, entities):
    vectors, _, _ = fold_stream(records, *entities)
    assert_equal_to_oracle(FEATURES, vectors, replay(records, *entities))


@pytest.mark.parametrize("seed", range(40))
def test_every_feature_equals_the_oracle_over_long_streams(seed):
    records = long_stream(seed, 120)
    entities = (SMALL_USER, SMALL_MERCHANT) if seed % 2 else (USER, MERCHANT)
    vectors, _, _ = fold_stream(records, *entities)
    assert_equal_to_oracle(FEATURES, vectors, replay(records, *entities))


@pytest.mark.parametrize("entities", [(USER, MERCHANT), (SMALL_USER, SMALL_MERCHANT)])
@pytest.mark.parametrize("seed", range(15))
def test_batch_and_micro_batches_give_the_same_bits(seed, entities):
    records = long_stream(seed, 200)
    whole, outcomes, states = fold_stream(records, *entities)
    random = np.random.default_rng(seed)
    parts, part_outcomes, carried, first = [], [], ({}, {}), 0
    while first < len(records):
        last = first + int(random.choice([1, 1, 2, 5, 40]))
        vectors, part, carried = fold_stream(records[first:last], *entities, carried)
        parts.append(vectors)
        part_outcomes.append(part)
        first = last
    assert np.vstack(parts).tobytes() == whole.tobytes()
    assert np.concatenate(part_outcomes).tobytes() == outcomes.tobytes()
    assert carried == states


@LAW
@given(streams(least=2), ENTITIES, st.data())
def test_micro_batches_of_any_sizes_give_the_same_bits(records, entities, data):
    cut = data.draw(st.integers(1, len(records) - 1))
    whole, _, states = fold_stream(records, *entities)
    head, _, middle = fold_stream(records[:cut], *entities)
    tail, _, end = fold_stream(records[cut:], *entities, middle)
    assert np.vstack([head, tail]).tobytes() == whole.tobytes()
    assert end == states


@pytest.mark.parametrize("seed", range(10))
def test_the_order_between_entities_does_not_matter(seed):
    events = events_of(long_stream(seed, 150))
    for entity, column in ((SMALL_USER, kernel.E_USER), (SMALL_MERCHANT, kernel.E_MERCHANT)):
        order = shuffle_between_entities(events[:, column], seed)
        straight = fold_events(entity, events, {})
        shuffled = fold_events(entity, events[order], {})
        assert shuffled.vectors.tobytes() == straight.vectors[order].tobytes()
        assert shuffled.states == straight.states


@pytest.mark.parametrize("seed", range(10))
def test_what_arrives_later_changes_no_vector(seed):
    records = long_stream(seed, 150)
    whole, _, _ = fold_stream(records, SMALL_USER, SMALL_MERCHANT)
    head, _, _ = fold_stream(records[:75], SMALL_USER, SMALL_MERCHANT)
    assert head.tobytes() == whole[:75].tobytes()


@LAW
@given(
    streams(most=25),
    st.lists(st.tuples(st.integers(1, 48 * 3600), st.integers(0, 2)), min_size=1, max_size=5),
)
def test_events_of_the_future_that_have_arrived_change_no_vector(records, ahead):
    """As long as they are less than 48 h ahead, and the past is younger than 30 days."""
    records = [record for record in records if isinstance(record, Transaction)]
    newest = max(record.event_time for record in records)
    records = [record for record in records if newest - record.event_time < timedelta(days=30)]
    future = [
        transaction(1000 + i, newest + timedelta(seconds=seconds), merchant=merchant, category="travel")
        for i, (seconds, merchant) in enumerate(ahead)
    ]
    present = transaction(2000, newest, category="fuel", country="DE", place=(1.0, 180.0))
    plain, _, _ = fold_stream([*records, present])
    mixed, _, _ = fold_stream([*records, *future, present])
    assert mixed[-1].tobytes() == plain[-1].tobytes()


@pytest.mark.parametrize("entities", [(USER, MERCHANT), (SMALL_USER, SMALL_MERCHANT)])
@pytest.mark.parametrize("seed", range(10))
def test_duplicates_change_nothing(seed, entities):
    """Of a transaction that the user still keeps: sent again at once, also with other contents."""
    sent = [record for record in long_stream(seed, 80, late=False) if isinstance(record, Transaction)]
    records = list({record.transaction_id: record for record in sent}.values())
    doubled = [copy for record in records for copy in (record, record.model_copy(update={"amount": 99.0}))]
    once, _, states = fold_stream(records, *entities)
    twice, outcomes, doubled_states = fold_stream(doubled, *entities)
    repeated = fold_stream(records, *entities)[1]
    assert (outcomes[1::2] == kernel.DUPLICATE).all()
    assert (outcomes[::2] == repeated).all()
    assert twice[::2].tobytes() == once.tobytes()
    assert doubled_states == states


@pytest.mark.parametrize("seed", range(10))
def test_labels_change_the_risk_alone(seed):
    records = long_stream(seed, 150)
    labelled, _, _ = fold_stream(records)
    quiet = [record for record in records if not isinstance(record, Label)]
    plain, _, _ = fold_stream(quiet)
    rows = [i for i, record in enumerate(records) if not isinstance(record, Label)]
    others = [i for i, feature in enumerate(FEATURES) if feature.family is not Family.RISK]
    assert labelled[rows][:, others].tobytes() == plain[:, others].tobytes()
