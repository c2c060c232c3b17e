"""Laws of the passes over any entities: what one reads, skips and hands on."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.errors import BadConfig
from fraud.features.batch import fold_passes
from fraud.features.engine import fold_events
from fraud.features.events import stack_events
from fraud.features.passes import Passes, age_columns, feature_names, passes_of, passes_of_schema
from fraud.schema.default import MERCHANT, USER
from fraud.schema.entities import Entity
from fraud.schema.features import Feature
from fraud.schema.reading import default_schema
from tests.deployed import FEATURE_NAMES, PASSES
from tests.fraud.features.entities import drawn_passes, drawn_records, features_of
from tests.fraud.features.streams import events_of

DEVICE = Entity("device", events=8, distinct=(), known=())


def test_the_default_passes_make_the_default_vector() -> None:
    assert feature_names(PASSES) == FEATURE_NAMES
    assert [one.name for one in PASSES] == ["user", "merchant"]
    assert {name: FEATURE_NAMES[column] for name, column in age_columns(PASSES).items()} == {
        entity.name: Feature("since_last", entity).name for entity in (USER, MERCHANT)
    }


def test_the_passes_of_the_default_schema_are_the_default_ones() -> None:
    found = passes_of_schema(default_schema())
    assert feature_names(found) == FEATURE_NAMES
    assert [(one.entity, one.features, one.key_column) for one in found] == [
        (one.entity, one.features, one.key_column) for one in PASSES
    ]


@pytest.mark.parametrize(
    ("entities", "words"),
    [
        ((), "the first"),
        ((MERCHANT, USER), "the first"),
        ((USER, Entity("card", 8, (), (), deduplicates=True)), "the first"),
        ((USER, MERCHANT, MERCHANT), "one name"),
        ((USER,), "of the entity merchant"),
    ],
)
def test_entities_that_are_no_passes_are_refused(entities: tuple[Entity, ...], words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        passes_of(entities)


@settings(max_examples=40)
@given(passes=drawn_passes(), records=drawn_records(), cuts=st.sets(st.integers(1, 24), max_size=3))
def test_a_stream_folded_in_parts_is_the_whole_stream(passes: Passes, records: list, cuts: set[int]) -> None:
    events = events_of(records)
    whole = fold_passes(events, passes=passes)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    states: dict[str, dict[float, bytes]] = {one.name: {} for one in passes}
    for first, last in pairwise(bounds):
        part = fold_passes(events[first:last], states, passes=passes)
        np.testing.assert_array_equal(part.vectors, whole.vectors[first:last])
        for name, sequences in whole.sequences.items():
            np.testing.assert_array_equal(part.sequences[name], sequences[first:last], err_msg=name)
        for one in passes:
            states[one.name].update(part.states[one.name])
    assert states == whole.states


@settings(max_examples=40)
@given(passes=drawn_passes(), records=drawn_records())
def test_an_entity_sees_what_names_it_and_nothing_else(passes: Passes, records: list) -> None:
    """Each pass alone, over the records with its key, gives what it gives beside the others."""
    events = events_of(records)
    whole = fold_passes(events, passes=passes)
    for at, one in enumerate(passes):
        named = np.flatnonzero(one.concerns(events))
        columns = whole.vectors[:, one.first : one.end]
        assert np.isnan(columns[np.setdiff1d(np.arange(len(events)), named)]).all()
        assert set(whole.states[one.name]) <= set(one.named_by(events))
        both = passes_of(
            [passes[0].entity, *([one.entity] if at else [])],
            [*passes[0].features, *(one.features if at else ())],
        )
        alone = fold_passes(events, passes=both)
        np.testing.assert_array_equal(alone.vectors[:, both[-1].first :], columns)
        assert alone.states[one.name] == whole.states[one.name]


def test_a_key_that_is_missing_changes_no_state_and_no_other_feature() -> None:
    passes = passes_of((USER, DEVICE), features_of(USER) + features_of(DEVICE))
    row = [0.0, 1e15, 100.0, 1.0, *[np.nan] * 4, 5.0, 6.0, 0.0, 0.0, 7.0, 0.0]
    without = [*row[:3], 2.0, *row[4:12], 0.0, 0.0]
    both = fold_passes(stack_events([tuple(row), tuple(without)]), passes=passes)
    one = fold_passes(stack_events([tuple(row)]), passes=passes)
    assert both.states["device"] == one.states["device"]
    assert both.states["user"] != one.states["user"]
    assert np.isnan(both.vectors[1, passes[1].first :]).all()
    of_user = fold_events(
        USER, stack_events([tuple(row), tuple(without)]), {}, features=passes[0].features
    ).vectors
    np.testing.assert_array_equal(both.vectors[:, : passes[0].end], of_user)
